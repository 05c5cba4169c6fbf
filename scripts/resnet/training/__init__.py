"""Training of any network: the loop, its schedule, checkpoints and processes."""

"""Random draws that are pure functions of a seed and of what they are for, so that no state has to be kept."""

import numpy as np
import torch


def seeded_generator(*numbers: int) -> torch.Generator:
    """Return a generator whose draws depend on the given non-negative numbers, such as seed and epoch."""
    return torch.Generator().manual_seed(derived_seed(*numbers))


def derived_seed(*numbers: int) -> int:
    """Return a seed that depends on the given non-negative numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]) % 2**63

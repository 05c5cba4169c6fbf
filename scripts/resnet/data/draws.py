"""Random draws that are pure functions of a seed and of what they are for, so that no state has to be kept."""

import numpy as np
import torch


def seeded_generator(*numbers: int) -> torch.Generator:
    """Return a generator whose draws depend on the given non-negative numbers, such as seed and epoch."""
    state = np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) % 2**63)

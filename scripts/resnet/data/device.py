"""Copies from the host to a device that nothing waits for."""

import torch
from torch import Tensor

HOST = torch.device("cpu")


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Return values of the host on a device; a GPU copies them from pinned memory when it comes to it."""
    return values if device == HOST else values.pin_memory().to(device, non_blocking=True)

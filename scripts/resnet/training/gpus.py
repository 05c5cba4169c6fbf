"""Which GPU a process takes, where a machine has several and processes that know nothing of each other; its memory."""

import contextlib
import fcntl
import functools
import itertools
import os
import sys
import tempfile
from pathlib import Path
from typing import IO

import torch

from resnet.errors import UserError

# Processes of ours for which there are locks on one GPU.
MOST_PER_GPU = 64
# What activations may take: of the memory that is free on a GPU, and in bytes on a CPU. (The rest of a GPU's is for
# gradients, and for what libraries work with.)
FREE_SHARE = 0.7
HOST_BYTES = 8 * 2**30


def visible_gpus() -> list[str]:
    """Return what identifies the GPUs that this process sees (CUDA_VISIBLE_DEVICES), whatever their order."""
    return [str(torch.cuda.get_device_properties(index).uuid) for index in range(torch.cuda.device_count())]


def claim_gpu(gpus: list[str], wanted: int | None = None, folder: Path | None = None) -> tuple[int, IO | None]:
    """Choose the GPU that the fewest of a user's processes on this machine have claimed, the first of those.

    It is claimed by a lock in a temporary folder, which is held until the file is closed, or the process ends.

    Args:
        gpus: what identifies those to choose from.
        wanted: the index of the one to claim, where that is settled; a scheduler may show each process only its own.
        folder: where the locks are; a user's own below the machine's temporary folder unless given.

    Returns:
        The index of the GPU, and the open file that holds the lock; None where there can be no locks.

    Raises:
        UserError: there is none of the wanted index.
    """
    among = range(len(gpus)) if wanted is None or len(gpus) == 1 else range(len(gpus))[wanted : wanted + 1]
    if not among:
        raise UserError(
            f"each process of a training needs a GPU, but this machine has {len(gpus)}: use fewer processes"
        )
    folder = folder or Path(tempfile.gettempdir()) / f"resnet-gpus-{os.getuid()}"
    try:
        folder.mkdir(exist_ok=True)
        # Of each GPU the first lock is for the process that is alone there, the second for one that shares it, …
        for users, index in itertools.product(range(MOST_PER_GPU), among):
            file = (folder / f"{gpus[index]}-{users}").open("a")
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return index, file
            file.close()
    except OSError as error:
        print(f"cannot see which GPUs are free ({error}): using number {among[0]}", file=sys.stderr)
    return among[0], None


@functools.cache
def own_gpu(wanted: int | None) -> tuple[int, IO | None]:
    """Return the GPU of this process, as ``claim_gpu`` does: what it has claimed once, it keeps until it ends.

    Raises:
        UserError: as ``claim_gpu``.
    """
    return claim_gpu(visible_gpus(), wanted)


def require_different(gpus: list[str]) -> None:
    """Check that processes which train together have a GPU each, as the library by which they talk (NCCL) needs.

    One that sees a single GPU cannot tell: its scheduler may show each process its own.

    Args:
        gpus: what identifies the one of each process.

    Raises:
        UserError: two have the same.
    """
    if (different := len(set(gpus))) < len(gpus):
        raise UserError(
            f"{len(gpus)} processes train together, but have {different} GPUs among them: use fewer processes"
        )


def room_for_activations(device: torch.device) -> float:
    """Return how many bytes of activations a training keeps for the backward pass before it recomputes them."""
    return FREE_SHARE * torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else HOST_BYTES

"""Checkpoints: everything a run needs to go on with the same bits, written whole or not at all."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from resnet.errors import UserError
from resnet.files import atomic_path

NAME = "checkpoint.pt"


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors, numbers, strings, lists and dicts; with its "fingerprint") to the run folder."""
    save_tensors(folder / NAME, state)


def save_tensors(path: Path, value: Any) -> None:
    """Write tensors atomically.

    Raises:
        UserError: the disk is full, say; the file that was there is untouched.
    """
    # Through an open file, as torch would write the temporary file's name into the archive: equal values, equal bytes.
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(value, file)
        except RuntimeError as error:
            # torch reports a failed write of its archive as a RuntimeError that does not say why.
            raise UserError(f"cannot write {path} ({str(error).splitlines()[0]}): is the disk full?") from error


def save_weights(path: Path, weights: dict[str, Any]) -> None:
    """Write a state dict atomically; equal weights are equal files, wherever and in whatever layout they were computed.

    Raises:
        UserError: the disk is full, say; the file that was there is untouched.
    """
    plain = {name: value.cpu().contiguous() if torch.is_tensor(value) else value for name, value in weights.items()}
    save_tensors(path, plain)


def read_tensors(path: Path) -> dict[str, Any]:
    """Read a dictionary of tensors; nothing in it is executed.

    Raises:
        UserError: it is missing or damaged.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except Exception as error:
        raise UserError(f"{path} cannot be read ({type(error).__name__}); delete it and run Snakemake again") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} does not hold a dictionary of tensors; delete it and run Snakemake again")
    return content


def fill(net: nn.Module, weights: dict[str, Any], path: Path) -> None:
    """Load weights, which are those of the file ``path``, into a network.

    Raises:
        UserError: they are of another architecture.
    """
    try:
        net.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(f"{path} does not fit its config.yaml: {error}") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def load(folder: Path, fingerprint: str, device: torch.device) -> dict[str, Any] | None:
    """Return the state saved with the same settings and data, or None when there is none.

    The checkpoint of other settings is moved aside under a name that carries its fingerprint, with a message; it comes
    back when its settings do. None is ever deleted.

    Raises:
        UserError: the file is damaged.
    """
    path, mine = folder / NAME, _aside(folder, fingerprint)
    state = read(path, device) if path.exists() else None
    if state is not None and state["fingerprint"] != fingerprint:
        kept = _aside(folder, state["fingerprint"])
        path.replace(kept)
        print(f"settings or data have changed: kept the checkpoint of the earlier ones as {kept}", flush=True)
        state = None
    if state is None and mine.exists():
        mine.replace(path)
        print(f"found the checkpoint of these settings in {mine}", flush=True)
        state = read(path, device)
    return state


def read(path: Path, device: torch.device) -> dict[str, Any]:
    """Read a checkpoint; nothing in it is executed.

    Raises:
        UserError: it is damaged or not ours.
    """
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        raise UserError(
            f"{path} cannot be read ({type(error).__name__}): move it away to train from the start"
        ) from error
    if not isinstance(state, dict) or "fingerprint" not in state:
        raise UserError(f"{path} is not a checkpoint of this program: move it away to train from the start")
    return state


def _aside(folder: Path, fingerprint: str) -> Path:
    return folder / f"checkpoint-{fingerprint[:12]}.pt"

"""Checkpoints: everything a run needs to go on with the same bits, written whole or not at all."""

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from resnet.errors import UserError
from resnet.files import REMAKE, atomic_path, check_archive

NAME = "checkpoint.pt"
# The first bytes of what torch.save writes since 1.6.
ZIP = b"PK\x03\x04"


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors, numbers, strings, lists and dicts; with its "fingerprint") to the run folder."""
    save_tensors(folder / NAME, state)


def save_tensors(path: Path, value: Any) -> None:
    """Write tensors atomically.

    Raises:
        UserError: a tensor holds NaN or infinity, or the disk is full; the file that was there is untouched.
    """
    if (name := not_finite(value)) is not None:
        raise UserError(f"{path} is not written: {name} holds numbers that are not finite")
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


def read_tensors(path: Path, device: torch.device | str = "cpu", advice: str = REMAKE) -> dict[str, Any]:
    """Read a dictionary of tensors; nothing in it is executed.

    Args:
        path: a file of ``torch.save``; those of its old format carry no checksums.
        device: where the tensors go.
        advice: what the message about a damaged file ends with.

    Raises:
        UserError: it is missing, damaged or no such file, or a tensor holds NaN or infinity.
    """
    if not path.is_file() or _first_bytes(path) in (b"", ZIP):
        check_archive(path, advice)
    try:
        with warnings.catch_warnings(action="ignore"):
            content = torch.load(path, map_location=device, weights_only=True)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        # torch's own message recommends to run the code that the file holds.
        if found := re.search(r"GLOBAL (\S+)", str(error)):
            reason = f"holds {found[1]} and not tensors alone: it is not read, as that could run code"
            raise UserError(f"{path} {reason}") from None
        raise UserError(f"{path} is damaged or not a file of tensors; {advice}") from None
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise UserError(f"{path} does not hold a dictionary of tensors; {advice}")
    if (name := not_finite(content)) is not None:
        raise UserError(f"{path}: {name} holds numbers that are not finite; {advice}")
    return content


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(len(ZIP))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None


def not_finite(value: Any, name: str = "") -> str | None:
    """Return the name of the first tensor that holds NaN or infinity in a nest of dictionaries and lists."""
    if isinstance(value, Tensor):
        return None if value.isfinite().all() else name
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    found = (not_finite(one, f"{name}.{key}".lstrip(".")) for key, one in items)
    return next((one for one in found if one is not None), None)


def fill(net: nn.Module, weights: dict[str, Any], path: Path) -> None:
    """Load weights, which are those of the file ``path``, into a network.

    Raises:
        UserError: they are of another architecture; the message says how they differ.
    """
    if difference := load_into(net, weights):
        raise UserError(f"{path} does not fit its config.yaml: {difference}")


def load_into(net: nn.Module, weights: dict[str, Any]) -> str | None:
    """Load weights into a network; return in a few words how they differ from its own, None where they fit."""
    try:
        missing, unknown = net.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        # Shapes that differ: torch names them after a first line, one on each.
        return str(error).splitlines()[1].strip(" \t.")
    except UserError as error:
        return str(error)
    counts = [
        f"{words} {_some(names)}" for words, names in (("they lack", missing), ("the net has no", unknown)) if names
    ]
    return ", ".join(counts) or None


def _some(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def load(
    folder: Path, fingerprint: str, device: torch.device, check: Callable[[dict[str, Any]], None]
) -> dict[str, Any] | None:
    """Return the state saved with the same settings and data, or None when there is none.

    The checkpoint of other settings is moved aside under a name that carries its fingerprint, with a message; it comes
    back when its settings do. None is ever deleted.

    Args:
        folder: the run folder.
        fingerprint: of the settings and data.
        device: where the tensors go.
        check: is called with the state of other settings; it may raise an error rather than have it moved aside.

    Raises:
        UserError: the file is damaged.
    """
    path, mine = folder / NAME, _aside(folder, fingerprint)
    state = read(path, device) if path.exists() else None
    if state is not None and state["fingerprint"] != fingerprint:
        check(state)
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
    advice = "move it away to train from the start"
    state = read_tensors(path, device, advice)
    if "fingerprint" not in state:
        raise UserError(f"{path} is not a checkpoint of this program; {advice}")
    return state


def _aside(folder: Path, fingerprint: str) -> Path:
    return folder / f"checkpoint-{fingerprint[:12]}.pt"

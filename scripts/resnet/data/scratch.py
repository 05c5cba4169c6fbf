"""ImageNet's images on a node's own disk, so that a shared file system is not asked for millions of small files."""

import dataclasses
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from resnet.data.imagenet import ImageNetDescription, Index
from resnet.errors import UserError, reason
from resnet.locks import lock
from resnet.progress import Progress

# A shared file system answers many requests at once.
COPIES_AT_ONCE = 16


class Process(Protocol):
    """One of the processes that work together, as ``training.distributed.Processes`` describes it."""

    # The folder on the node's own disk; None uses the data where they are.
    scratch: str | None
    # Its number on its node, from 0.
    local_rank: int

    def long_barrier(self) -> None:
        """Wait until every process has come here."""


def on_scratch(description: ImageNetDescription, process: Process, *splits: Index) -> ImageNetDescription:
    """Return a data set as it lies on this node's disk, if there is one; what it lacks of the splits is copied first.

    One process of each node copies, and one job at a time; the others wait. What is there is known by its size.

    Raises:
        UserError: the disk is too small, cannot be written, or an image is not the one that was described.
    """
    if process.scratch is None:
        return description
    # Data sets that have the same name may differ.
    folder = expanded(process.scratch) / f"{description.name}-{description.sha256['train.csv'][:12]}"
    if process.local_rank == 0:
        files = {path: size for index in splits for path, size in zip(index.paths, index.sizes, strict=True)}
        with lock(folder / "lock", f"copying images to {folder}"):
            copy_missing(description.path, folder, files)
    process.long_barrier()
    return dataclasses.replace(description, folder=str(folder))


def expanded(scratch: str) -> Path:
    """Return a folder whose name may hold variables of this node's environment, such as $TMPDIR.

    Raises:
        UserError: a variable is not set here.
    """
    text = os.path.expandvars(scratch)
    if unset := re.search(r"\$\{?\w+", text):
        raise UserError(f"scratch is {scratch}, but {unset[0]}{'}' * ('{' in unset[0])} is not set on this machine")
    return Path(text).expanduser()


def copy_missing(source: Path, folder: Path, files: dict[str, int]) -> None:
    """Copy the files (with their sizes in bytes) that are not in ``folder``, or not whole.

    Raises:
        UserError: as ``on_scratch`` does.
    """
    missing = [path for path, size in files.items() if size_of(folder / path) != size]
    needed, free = sum(files[path] for path in missing), shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(f"{folder} has {free / 1e9:.1f} GB left, but {needed / 1e9:.1f} GB are to be copied to it")
    progress = Progress(len(missing), title=f"copy to {folder}", unit="images", speed_unit="images")

    def copy(path: str) -> None:
        target = folder / path
        temporary = target.with_name(f".{target.name}.tmp")
        shutil.copyfile(source / path, temporary)
        if (size := temporary.stat().st_size) != files[path]:
            raise UserError(
                f"{source / path} has {size} bytes, but was described with {files[path]}; describe it again"
            )
        temporary.replace(target)

    try:
        for parent in {(folder / path).parent for path in missing}:
            parent.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(COPIES_AT_ONCE) as pool:
            for _ in pool.map(copy, missing):
                progress.step()
    except OSError as error:
        raise UserError(f"cannot copy images to {folder}: {reason(error)}") from None
    progress.close()


def size_of(path: Path) -> int | None:
    """Return a file's size in bytes; None if there is no file."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None

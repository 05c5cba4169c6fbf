"""Files that are whole or absent, and folders that one process at a time may write."""

import contextlib
import csv
import dataclasses
import fcntl
import functools
import hashlib
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import yaml

from resnet.errors import UserError

Arrays = TypeVar("Arrays")

# .<name>.<process>@<host>.tmp, as atomic_path names what is not whole yet; earlier ones have no host.
TEMPORARY = re.compile(r"\..+\.(?P<process>\d+)(?:@(?P<host>.+))?\.tmp")


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its name once the block has ended without an error.

    The content is flushed to disk before the rename, so after a crash or a power cut ``path`` holds either the old
    or the new content. When the block fails the temporary file is removed and ``path`` is as it was. What writers that
    were killed have left in the folder is removed first.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_left_over(path.parent.absolute())
    temporary = path.with_name(f".{path.name}.{os.getpid()}@{socket.gethostname()}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


@functools.cache
def remove_left_over(folder: Path) -> None:
    """Remove the temporary files in ``folder`` whose writer is dead; once per folder, as a process removes its own.

    Those of another host stay: whether their writer lives cannot be seen from here.
    """
    for path in folder.glob(".*.tmp"):
        writer = TEMPORARY.fullmatch(path.name)
        if writer and writer["host"] in (None, socket.gethostname()) and not _is_alive(int(writer["process"])):
            path.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def write_text(path: Path, text: str) -> None:
    """Write ``text`` (UTF-8) to ``path`` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON to ``path`` atomically."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def write_yaml(path: Path, value: Any) -> None:
    """Write ``value`` as YAML in its own order to ``path`` atomically."""
    write_text(path, yaml.safe_dump(value, sort_keys=False, width=100))


def write_rows(path: Path, columns: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    """Write ``rows`` as CSV with the given columns to ``path`` atomically; floats keep every digit."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: it is absent or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}); delete it and run Snakemake again") from None


def write_arrays(path: Path, value: Any) -> None:
    """Write a dataclass of arrays as npz atomically; the same values give the same bytes."""
    import numpy as np

    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **{field.name: getattr(value, field.name) for field in dataclasses.fields(value)})


def read_arrays(path: Path, kind: type[Arrays]) -> Arrays:
    """Read a dataclass of arrays; nothing in the file is executed.

    Raises:
        UserError: it is missing or damaged.
    """
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as file:
            return kind(**file)
    except (OSError, ValueError, TypeError, EOFError) as error:
        raise UserError(f"{path} cannot be read ({error}); delete it and run Snakemake again") from None


def checksum(path: Path, algorithm: str) -> str:
    """Return the hexadecimal digest of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


@contextlib.contextmanager
def folder_lock(folder: Path, wait: bool) -> Iterator[None]:
    """Hold ``folder``'s lock, which the kernel releases when the process ends, however it ends.

    With ``wait``, wait for the process that holds it (one that an earlier, killed Snakemake left behind, say).

    Raises:
        UserError: another process holds it and ``wait`` is false.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            if not wait:
                raise UserError(f"{holder} is already training in {folder}; stop it or wait until it ends") from None
            print(f"waiting for {holder}, which is training in {folder}", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()} (since {time.strftime('%F %T')})\n")
        file.flush()
        yield

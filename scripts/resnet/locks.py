"""Locks of work that one process at a time may do; the kernel releases them when the process ends, however it ends."""

import atexit
import contextlib
import errno
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLease, Timeout

from resnet.errors import UserError, reason
from resnet.files import read_json, write_json

# What a file system without flock answers.
NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)
LOCK_POLL_SECONDS = 0.5
# A holder that has not been heard of for so long is taken for dead, where the kernel cannot tell.
LEASE_SECONDS = 120.0


@contextlib.contextmanager
def lock(path: Path, work: str, wait: bool = True) -> Iterator[None]:
    """Hold the lock file ``path`` while the block runs.

    Where the file system has no such locks (Lustre mounted without flock), a file that its holder touches now and then
    takes their place.

    Args:
        path: the lock file; it is removed when the lock is released.
        work: what is done under the lock, as in "training in <folder>".
        wait: wait for the process that holds it (one that an earlier, killed Snakemake left behind, say).

    Raises:
        UserError: another process holds it and ``wait`` is false; or the lock file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held = _acquire(path, work, wait)
    except OSError as error:
        raise UserError(f"cannot lock {path}: {reason(error)}") from None
    try:
        yield
    finally:
        # Before the release: who opened it in the meantime sees that it is gone, and makes a new one.
        path.unlink(missing_ok=True)
        held.release()


def _acquire(path: Path, work: str, wait: bool) -> BaseFileLock:
    """Return the lock, acquired, of the kind that the file system has."""
    options = {"thread_local": False, "poll_interval": LOCK_POLL_SECONDS}
    held: BaseFileLock = FileLock(path, fallback_to_soft=False, **options)
    try:
        try:
            held.acquire(blocking=False)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            held = SoftFileLease(path.with_name(path.name + ".lease"), lease_duration=LEASE_SECONDS, **options)
            held.acquire(blocking=False)
    except Timeout:
        holder = path.read_text(encoding="utf-8").strip() or "another process"
        if not wait:
            raise UserError(f"{holder} is already {work}; stop it or wait until it ends") from None
        print(f"waiting for {holder}, which is {work}", flush=True)
        held.acquire()
    me = f"process {os.getpid()} on {socket.gethostname()} (since {time.strftime('%F %T')})\n"
    path.write_text(me, encoding="utf-8")
    return held


def file_lock(path: Path, work: str) -> contextlib.AbstractContextManager[None]:
    """Hold the lock of a file that is made, with all that is made beside it; another process waits. See ``lock``."""
    return lock(path.with_name(f".{path.name}.lock"), f"{work} {path}")


def folder_lock(folder: Path, wait: bool) -> contextlib.AbstractContextManager[None]:
    """Hold the lock of a run folder, so that one process at a time trains in it; see ``lock``."""
    return lock(folder / "lock", f"training in {folder}", wait)


def claim(folder: Path, reads: set[str], writes: set[str]) -> None:
    """Say in ``folder`` which files this process reads and writes until it ends, unless another's claim forbids it.

    Args:
        folder: where the claims are kept.
        reads: the files that no other process may write.
        writes: the files that no other process may read or write.

    Raises:
        UserError: another process, still running, has claimed one of the files.
    """
    with lock(folder / "lock", f"starting in {folder}"):
        for path in folder.glob("*.json"):
            other = path.with_suffix(".lock")
            try:
                _acquire(other, "", wait=False).release()
            except UserError:
                theirs = read_json(path, dict[str, list[str]])
                if files := writes & {*theirs["reads"], *theirs["writes"]} | reads & {*theirs["writes"]}:
                    holder = other.read_text(encoding="utf-8").strip()
                    # A log says less than what is made.
                    file = min(files, key=lambda file: (file.startswith("logs/"), file))
                    raise UserError(f"{holder} works on {file}, too; wait until it ends, or stop it") from None
            else:
                path.unlink()
                other.unlink(missing_ok=True)
        mine = folder / f"{socket.gethostname()}-{os.getpid()}.json"
        held = _acquire(mine.with_suffix(".lock"), "", wait=False)
        atexit.register(held.release)
        write_json(mine, {"reads": sorted(reads), "writes": sorted(writes)})

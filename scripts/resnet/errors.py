"""Errors that a person can act on, shown as one message without a traceback."""

import atexit
import contextlib
import errno
import gc
import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

# What torch says where it cannot allocate, on a GPU and on a CPU.
OUT_OF_MEMORY = re.compile("out of memory|can't allocate memory")


class UserError(Exception):
    """Bad input, bad settings or a full disk: the message names the file or the key, and the fix."""


class InputError(UserError):
    """An image cannot be read, or a process that reads images has died; what has been computed so far is sound."""


class StoppedError(Exception):
    """The program was asked to stop (SIGTERM, SIGUSR1, SIGINT or SIGHUP) and has saved what it needs to go on.

    ``exit_code`` is not zero, so that a scheduler knows that the job is not finished and may start it again.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


# How many more objects there are when Python next looks for unused ones that refer to each other. At its own 700, it
# looks so often while modules are imported that torch takes a fifth longer. Tensors are freed without it.
GARBAGE_THRESHOLD = 100_000

# What a failed write says: a file that cannot be read never has one of these.
NOT_WRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)


def run_program(main: Callable[[], None]) -> None:
    """Call ``main``; turn the errors a person can act on into one line on stderr and exit code 1.

    A character that the terminal's encoding does not have is printed as an escape. Where there is a server, a fork of
    it does all that (``resnet.fork_server``).
    """
    if address := os.environ.get("RESNET_FORK_SERVER"):
        from resnet.fork_server import ask

        ask(address)
    name = Path(sys.argv[0]).stem
    gc.set_threshold(GARBAGE_THRESHOLD)
    # All memory goes at the end, so Python need not look for unused objects in it once more: that takes half a second
    # where torch has been imported, a quarter of what the import does.
    atexit.register(gc.freeze)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        main()
        if sys.stdout:
            sys.stdout.flush()
    except UserError as error:
        sys.exit(f"{name}: error: {error}")
    except StoppedError as stop:
        print(f"{name}: {stop}", file=sys.stderr)
        sys.exit(stop.exit_code)
    except MemoryError:
        sys.exit(f"{name}: error: there is not enough memory")
    except RuntimeError as error:
        # torch is not imported here; it raises this and no MemoryError.
        if not OUT_OF_MEMORY.search(str(error)):
            raise
        sys.exit(f"{name}: error: {str(error).splitlines()[0]}; smaller parts of a batch (accumulate) need less")
    except BrokenPipeError:
        if not _nobody_reads():
            raise
        sys.exit(f"{name}: error: whoever read the output has ended")
    except OSError as error:
        if error.filename is None and error.errno not in NOT_WRITABLE:
            raise
        sys.exit(f"{name}: error: {reason(error)}")


@contextlib.contextmanager
def advising(advice: str | None) -> Iterator[None]:
    """Add an advice, if there is one, to the user errors of the block."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{error}{f'; {advice}' if advice else ''}") from None


def reason(error: OSError) -> str:
    """Return what the system says of a file, and which file it is."""
    file = error.filename if error.filename is not None else "a file"
    what = error.strerror or str(error)
    if error.errno in NOT_WRITABLE:
        return f"cannot write {file}: {what}"
    if error.errno == errno.EEXIST:
        return f"{file} is there already, and is no folder"
    return f"{file}: {what}"


def _nobody_reads() -> bool:
    """Return whether it is the program's own output that broke; Python then writes what is left to nowhere."""
    try:
        print(flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False

"""Errors that a person can act on, shown as one message without a traceback."""

import errno
import sys
from collections.abc import Callable
from pathlib import Path


class UserError(Exception):
    """Bad input, bad settings or a full disk: the message names the file or the key, and the fix."""


class StoppedError(Exception):
    """The program was asked to stop (SIGTERM, SIGUSR1 or SIGINT) and has saved what it needs to go on.

    ``exit_code`` is not zero, so that a scheduler knows that the job is not finished and may start it again.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def run_program(main: Callable[[], None]) -> None:
    """Call ``main``; turn the errors a person can act on into one line on stderr and exit code 1."""
    name = Path(sys.argv[0]).stem
    try:
        main()
    except UserError as error:
        sys.exit(f"{name}: error: {error}")
    except StoppedError as stop:
        print(f"{name}: {stop}", file=sys.stderr)
        sys.exit(stop.exit_code)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        sys.exit(f"{name}: error: cannot write {error.filename or 'a file'}: {error.strerror}")

"""Requests to stop: remembered until there is something to save, and heeded by one process of those that work together.

A terminal, Slurm and other schedulers signal every process of a job, also those that only help.
"""

import os
import signal
import threading
from types import FrameType

STOP = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP)


class StopSignals:
    """Remembers a request to stop (SIGTERM, SIGUSR1, SIGINT, SIGHUP) until the loop is ready to save and leave.

    SIGHUP stays ignored where it was, as under nohup.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def __enter__(self) -> "StopSignals":
        """Install the handlers."""
        nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        heeded = [number for number in STOP if not (nohup and number is signal.SIGHUP)]
        self._previous = {number: signal.signal(number, self._remember) for number in heeded}
        return self

    def __exit__(self, *_: object) -> None:
        """Restore the handlers that were there."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        self.received = signal.Signals(number)


def heed_only_the_parent(_worker: int) -> None:
    """Make a worker of a DataLoader outlive the signals that its whole job gets, until its parent ends it.

    A worker that dies of them raises an error in its parent, which is about to save.
    """
    if not hasattr(signal, "sigwaitinfo"):
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP)

    def wait() -> None:
        while signal.sigwaitinfo(STOP).si_pid != os.getppid():
            pass
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()

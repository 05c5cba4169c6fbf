"""The trainings that run, for a live view in a terminal; what they are doing is read from the logs of their folders."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table

from resnet.progress import Line, read_line

LOG = "train.log"
# Logs are read this often, and their last line is in so many bytes.
SECONDS, TAIL = 1.0, 2048
# A training that has written nothing for so long is not shown: it compiles, waits, or was killed.
SILENT_SECONDS = 600.0
# By so much the clock of a file system may be behind.
COARSE_SECONDS = 1.0


class Trainings:
    """A table of the trainings below a folder that have written to their logs since this was made.

    Args:
        folder: results/runs/<scale>.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.since = folder, time.time() - COARSE_SECONDS
        self._read_at, self._table = 0.0, Table()

    def __rich__(self) -> RenderableType:
        """Return the table as it is now."""
        if time.monotonic() - self._read_at >= SECONDS:
            self._table, self._read_at = self.table(), time.monotonic()
        return self._table

    def table(self) -> Table:
        """Return a row for each training."""
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, expand=True)
        for name in ("run", "iteration", "speed", "remaining"):
            table.add_column(name, no_wrap=True)
        table.add_column("values", no_wrap=True, ratio=1)
        for run, line in self.lines():
            done = f"{line.done}/{line.total}"
            table.add_row(run, done, line.speed, f"ETA {line.remaining}", ", ".join(line.values))
        return table

    def lines(self) -> Iterator[tuple[str, Line]]:
        """Yield each training that runs, with its last line."""
        least = max(self.since, time.time() - SILENT_SECONDS)
        for log in sorted(self.folder.glob(f"**/seed*/{LOG}")):
            # It may be moved away while this looks.
            with contextlib.suppress(OSError):
                if log.stat().st_mtime >= least and (line := read_line(last_line(log))):
                    yield "/".join(log.parts[-4:-1]), line


def last_line(path: Path) -> str:
    """Return the last line of a text file."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL))
        return file.read().decode(errors="replace").rstrip("\n").rpartition("\n")[2]


def add_trainings(live: Live, folder: Path) -> None:
    """Show the trainings below a folder above what a live view shows: below it, a small terminal would cut them off."""
    live.update(Group(Trainings(folder), live.get_renderable()))

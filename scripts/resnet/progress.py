"""Progress of long work: a bar on a terminal, plain lines in a log file."""

import re
import sys
import time
from typing import Any, NamedTuple, TextIO

from tqdm import tqdm

LINE = re.compile(r".+: (\d+)/(\d+) \(\d+ %\) \w+, ([^,]+/s), ETA ([^,]+)(?:, (.*))?")


class Line(NamedTuple):
    """What a line of progress says."""

    done: int
    total: int
    speed: str
    remaining: str
    values: list[str]


def read_line(text: str) -> Line | None:
    """Return what a line of ``Progress`` says; None for another line."""
    if (match := LINE.fullmatch(text)) is None:
        return None
    done, total, speed, remaining, values = match.groups()
    return Line(int(done), int(total), speed, remaining, values.split(", ") if values else [])


class Progress:
    """Counts steps and shows how fast they go, how far they are and when they end.

    Args:
        total: number of steps, None if unknown.
        done: steps made before, by an earlier start of the same work.
        unit: name of a step.
        scale: what a step is in the unit of the speed, such as 128 images per iteration.
        speed_unit: name of that unit.
        title: what is being done.
        stream: where to write; a bar is drawn when it is a terminal.
        line_seconds: least time between two lines in a file.
        silent: show nothing, as another process of the same work does.
    """

    def __init__(
        self,
        total: int | None,
        *,
        title: str,
        unit: str,
        speed_unit: str,
        done: int = 0,
        scale: float = 1,
        stream: TextIO = sys.stderr,
        line_seconds: float = 15,
        silent: bool = False,
    ) -> None:
        self.silent = silent
        self.total, self.title, self.unit, self.speed_unit, self.scale = total, title, unit, speed_unit, scale
        self.stream, self.line_seconds = stream, line_seconds
        self.done, self.first = done, done
        self.values: dict[str, Any] = {}
        self.started = self.last_line = time.monotonic()
        self.bar = None
        if stream.isatty() and not silent:
            scaled = unit == "B"
            self.bar = tqdm(
                total=total, initial=done, desc=title, unit=unit, unit_scale=scaled, file=stream, dynamic_ncols=True
            )

    @property
    def speed(self) -> float:
        """Units of speed per second since the start."""
        return (self.done - self.first) * self.scale / max(time.monotonic() - self.started, 1e-9)

    def step(self, count: int = 1) -> None:
        """Count steps; write a line when the last one is old enough."""
        self.done += count
        if self.bar is not None:
            self.bar.update(count)
        elif time.monotonic() - self.last_line >= self.line_seconds:
            self.line()

    def line(self, **values: Any) -> None:
        """Show the state now, in the bar or as a line, with ``values`` or those of the last time."""
        if self.silent:
            return
        self.values = values or self.values
        shown = ", ".join(f"{name} {value}" for name, value in self.values.items())
        if self.bar is not None:
            self.bar.set_postfix_str(f"{self.speed:.0f} {self.speed_unit}/s, {shown}" if shown else "")
            return
        self.last_line = time.monotonic()
        of_total = f"/{self.total} ({100 * self.done / self.total:.0f} %)" if self.total else ""
        parts = [f"{self.title}: {self.done}{of_total} {self.unit}", f"{self.speed:.0f} {self.speed_unit}/s"]
        if self.total:
            parts.append(f"ETA {self._remaining(self.total - self.done)}")
        print(", ".join(parts + ([shown] if shown else [])), file=self.stream, flush=True)

    def _remaining(self, left: int) -> str:
        steps = self.done - self.first
        if steps == 0:
            return "unknown"
        return tqdm.format_interval(left * (time.monotonic() - self.started) / steps)

    def close(self) -> None:
        """End the bar."""
        if self.bar is not None:
            self.bar.close()

"""Work on many files by several processes, which ends when one of them is killed."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from resnet.errors import UserError

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def in_processes(function: Callable[[Piece], Result], pieces: Iterable[Piece], workers: int) -> Iterator[Result]:
    """Yield what a function returns for each piece, in order.

    Args:
        function: is sent to the processes, as are the pieces.
        pieces: what to work on.
        workers: number of processes, at most as many as there are cores; a single one is this process.

    Raises:
        UserError: a process was killed, or their number is not positive; or as ``function`` does.
    """
    if workers < 1:
        raise UserError(f"{workers} workers are too few; start at least one")
    workers = min(workers, os.cpu_count() or 1)
    if workers == 1:
        yield from map(function, pieces)
        return
    try:
        with ProcessPoolExecutor(workers) as pool:
            yield from pool.map(function, pieces)
    except BrokenProcessPool:
        raise UserError(
            "a process that reads images was killed, perhaps for want of memory; start again, with fewer workers if so"
        ) from None

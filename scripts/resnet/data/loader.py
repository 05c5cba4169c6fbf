"""Reading images in worker processes, and saying what is wrong when one of them dies."""

import itertools
import math
import re
import shutil
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from resnet.data.imagenet import Index
from resnet.errors import InputError, UserError
from resnet.signals import heed_only_the_parent

# Where workers put what they have decoded: pieces of a batch, of so many bytes at most (or one view), and each worker
# so many ahead of what is waited for.
SHARED_MEMORY = Path("/dev/shm")
PIECE_BYTES = 4 * 2**20
PREFETCH = 2
# What a worker needs there, with the piece that is being used.
WORKER_BYTES = (PREFETCH + 1) * PIECE_BYTES
# How it is said that a worker cannot be started or no longer be heard of; not "Caught …", which it has raised itself.
LOST = re.compile(r"DataLoader worker|Too many open files|received 0 items|unable to |\[Errno \d+\]")


class ImageFiles(Dataset):
    """Images as bytes; an error is returned, as a worker could only raise it with a traceback.

    Args:
        folder: the data set's folder.
        index: its images.
        view: makes an array of an image, from its path and what else the key holds.
    """

    def __init__(self, folder: Path, index: Index, view: Callable[..., np.ndarray]) -> None:
        # An array, as a list of strings would be copied into every worker bit by bit.
        self.paths = np.array(index.paths)
        self.folder, self.sizes, self.view = folder, np.array(index.sizes), view

    def __getitem__(self, index: tuple[Any, ...]) -> np.ndarray | UserError:
        """Return the view of image ``index[0]`` with the arguments ``index[1:]``."""
        image, *arguments = index
        path = self.folder / str(self.paths[image])
        try:
            if path.is_file() and path.stat().st_size != self.sizes[image]:
                raise UserError(f"{path} has changed since it was described; delete dataset.json and start again")
            return self.view(path, *arguments)
        except UserError as error:
            return error
        except OSError as error:
            return UserError(f"{path} cannot be read: {error.strerror}")


def stack(views: list[np.ndarray | UserError]) -> Tensor | UserError:
    """Stack views (H, W, 3) of one size to (N, H, W, 3), or pass an error on."""
    arrays = [view for view in views if not isinstance(view, UserError)]
    error = next((view for view in views if isinstance(view, UserError)), None)
    return error or torch.from_numpy(np.stack(arrays))


def workers_for(cores: int, processes: int) -> int:
    """Return how many workers each of some processes on a machine has: its share of the cores.

    It has fewer where its share of half the shared memory that is free holds no more; containers often have 64 MB.
    """
    free = shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else math.inf
    return int(min(cores, free / 2 / WORKER_BYTES) // processes)


def load(
    images: Dataset,
    batches: Iterable[list[Any]],
    workers: int,
    pin: bool,
    collate: Callable[[list[Any]], Any] = stack,
    view_bytes: int | Callable[[Any], int] = PIECE_BYTES,
) -> Iterator[Any]:
    """Yield the views of each batch of keys, in order; put together by ``collate``: (N, H, W, 3) uint8 by ``stack``.

    Args:
        images: what gives a view for a key.
        batches: the keys of each batch.
        workers: processes that decode; 0 is this one.
        pin: whether the batches lie in pinned memory.
        collate: puts the views of a piece of a batch together, to a tensor or a list.
        view_bytes: of a view, or what returns them for a key, so that workers make pieces of a fitting size.

    Raises:
        InputError: an image cannot be read, which the message names; or a process that decodes has died.
    """
    bytes_of = view_bytes if callable(view_bytes) else lambda _key: view_bytes
    pieces = _Pieces(batches, (lambda batch: max(1, PIECE_BYTES // bytes_of(batch[0]))) if workers else len)
    loader = DataLoader(
        images,
        batch_sampler=pieces,
        num_workers=workers,
        collate_fn=partial(_collate, collate),
        prefetch_factor=PREFETCH if workers else None,
        worker_init_fn=heed_only_the_parent,
    )
    try:
        stream = _started(loader)
        for first in stream:
            parts = [first, *itertools.islice(stream, pieces.counts.popleft() - 1)]
            for views in parts:
                if isinstance(views, UserError):
                    raise InputError(str(views))
            yield _joined(parts, pin)
    except (MemoryError, OSError, RuntimeError) as error:
        if not (isinstance(error, MemoryError) or (workers and LOST.match(str(error)))):
            raise
        raise InputError(_lack(str(error) or "no memory")) from None


class Stream:
    """What ``load`` yields of the updates of a training, one after another; begun anew where another one is asked for.

    Args:
        images, workers, collate, view_bytes: as of ``load``.
        keys: returns the keys of an update's batch.
        device: where the batches will go; on their way to a GPU they lie in pinned memory.
    """

    def __init__(
        self,
        images: Dataset,
        keys: Callable[[int], list[Any]],
        device: torch.device,
        workers: int,
        collate: Callable[[list[Any]], Any] = stack,
        view_bytes: int = PIECE_BYTES,
    ) -> None:
        pin = device.type == "cuda"
        self.keys = keys
        self.load = partial(load, images, workers=workers, pin=pin, collate=collate, view_bytes=view_bytes)
        self._next, self._views = -1, iter(())

    def at(self, iteration: int) -> Any:
        """Return the views of the update number ``iteration``.

        Raises:
            InputError: as ``load`` does.
        """
        if iteration != self._next:
            self._views = self.load(map(self.keys, itertools.count(iteration)))
        self._next = iteration + 1
        return next(self._views)


class _Pieces:
    """The keys of batches, in pieces; ``counts`` has the number of pieces of those that are under way.

    Args:
        batches: the keys of each batch.
        size: returns how many keys of a batch a piece has.
    """

    def __init__(self, batches: Iterable[list[Any]], size: Callable[[list[Any]], int]) -> None:
        self.batches, self.size = batches, size
        self.counts: deque[int] = deque()

    def __iter__(self) -> Iterator[list[Any]]:
        """Yield them in order."""
        for batch in self.batches:
            size = self.size(batch)
            pieces = [batch[start : start + size] for start in range(0, len(batch), size)]
            self.counts.append(len(pieces))
            yield from pieces


def _joined(parts: list[Any], pin: bool) -> Any:
    """Return the pieces of a batch as one, in pinned memory if so asked."""
    if isinstance(parts[0], list):
        return [view for part in parts for view in part]
    if not pin and len(parts) == 1:
        return parts[0]
    shape = (sum(len(part) for part in parts), *parts[0].shape[1:])
    return torch.cat(parts, out=torch.empty(shape, dtype=parts[0].dtype, pin_memory=pin))


def _started(loader: DataLoader) -> Iterator[Any]:
    """Start the workers.

    torch's handler of SIGCHLD would raise the death of one anywhere, in the middle of an update too; without it, it is
    noticed when the next batch is waited for. One may die before the others are started.
    """
    handler = signal.getsignal(signal.SIGCHLD)
    try:
        return iter(loader)
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCHLD, handler)


def _collate(collate: Callable[[list[Any]], Any], views: list[Any]) -> Any:
    """Put views together, and in a worker into shared memory.

    torch would put them there in a thread whose errors are lost: a full /dev/shm would be waited for without end.
    """
    batch = collate(views)
    if get_worker_info() is not None and not isinstance(batch, UserError):
        try:
            for one in batch if isinstance(batch, list) else [batch]:
                if isinstance(one, Tensor):
                    one.share_memory_()
        except RuntimeError as error:
            return InputError(_lack(str(error)))
    return batch


def _lack(reason: str) -> str:
    free = f"{shutil.disk_usage(SHARED_MEMORY).free / 2**20:.0f} MB free" if SHARED_MEMORY.is_dir() else "absent"
    return (
        f"a process that decodes images has failed ({reason.splitlines()[0]}), most likely for lack of memory or of "
        f"{SHARED_MEMORY} ({free}): use fewer workers, or give it more"
    )

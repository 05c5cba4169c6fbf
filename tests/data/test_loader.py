"""Reading in worker processes: what happens when one of them dies or finds no room."""

import gc
import multiprocessing
import os
import shutil
import signal
import types

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset, dataloader
from torch.utils.data._utils import signal_handling

from resnet.data.loader import PIECE_BYTES, _Pieces, load, workers_for
from resnet.errors import InputError


@pytest.fixture(autouse=True)
def no_workers_left():
    """End those that an exception still holds, which torch would wait for."""
    yield
    for worker in multiprocessing.active_children():
        worker.kill()
    gc.collect()


class Numbered(Dataset):
    """Items that are their numbers; the one numbered 5 may end badly."""

    def __init__(self, fate=None):
        self.fate = fate

    def __getitem__(self, number):
        if number == 5 and self.fate == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 5 and self.fate == "memory":
            raise MemoryError
        if number == 5 and self.fate == "bug":
            raise RuntimeError("a bug")
        return torch.tensor([number])


def numbers(fate, workers=2, view_bytes=1):
    batches = [[number, number + 1] for number in range(0, 20, 2)]
    stream = load(Numbered(fate), batches, workers, False, torch.stack, view_bytes)
    return [batch.flatten().tolist() for batch in stream]


def test_batches_come_in_order_in_whatever_pieces():
    expected = [[number, number + 1] for number in range(0, 20, 2)]
    assert numbers(None) == numbers(None, workers=0) == numbers(None, view_bytes=PIECE_BYTES) == expected
    pieces = _Pieces([[1, 2, 3, 4, 5], [6]], lambda _batch: 2)
    assert list(pieces) == [[1, 2], [3, 4], [5], [6]]
    assert list(pieces.counts) == [3, 1]


@pytest.mark.parametrize(
    ("megabytes", "processes", "workers"),
    [(10**6, 1, 16), (10**6, 8, 2), (64, 1, 2), (64, 8, 0), (192, 4, 2)],
)
def test_workers_follow_the_cores_the_processes_and_the_shared_memory(monkeypatch, megabytes, processes, workers):
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: types.SimpleNamespace(free=megabytes * 2**20))
    assert workers_for(16, processes) == workers


def test_a_killed_worker_is_an_error_where_the_next_batch_is_waited_for(monkeypatch):
    # Instead of 5 seconds.
    monkeypatch.setattr(dataloader._MultiProcessingDataLoaderIter._try_get_data, "__defaults__", (0.1,))
    handler = signal.getsignal(signal.SIGCHLD)
    with pytest.raises(InputError, match=r"has failed \(.* lack of memory or of /dev/shm"):
        numbers("killed")
    assert signal.getsignal(signal.SIGCHLD) == handler


def test_a_worker_that_is_killed_before_all_is_started_leaves_no_handler_of_its_death(monkeypatch):
    start = dataloader._MultiProcessingDataLoaderIter._reset

    def start_slowly(stream, *arguments, **settings):
        start(stream, *arguments, **settings)
        os.waitid(os.P_PID, stream._workers[0].pid, os.WEXITED | os.WNOWAIT)

    monkeypatch.setattr(dataloader._MultiProcessingDataLoaderIter, "_reset", start_slowly)
    # torch sets its handler once in a process.
    monkeypatch.setattr(signal_handling, "_SIGCHLD_handler_set", False)
    handler = signal.getsignal(signal.SIGCHLD)
    with pytest.raises(InputError, match=r"has failed \(DataLoader worker .* is killed by signal"):
        numbers("killed")
    assert signal.getsignal(signal.SIGCHLD) == handler


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("fate", "error", "message"), [("memory", InputError, "memory"), ("bug", RuntimeError, "a bug")]
)
def test_lack_of_memory_is_an_error_and_a_bug_keeps_its_traceback(workers, fate, error, message):
    with pytest.raises(error, match=message):
        numbers(fate, workers)


def test_a_full_shared_memory_is_an_error(monkeypatch):
    def full(_tensor):
        raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1>: No space left on device (28)")

    monkeypatch.setattr(Tensor, "share_memory_", full)
    with pytest.raises(InputError, match=r"No space left on device .* MB free\): use fewer workers"):
        numbers(None)


def test_an_absent_shared_memory_is_an_error(monkeypatch):
    def full(*_arguments, **_settings):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("torch.utils.data.dataloader._MultiProcessingDataLoaderIter", full)
    with pytest.raises(InputError, match="No space left on device"):
        numbers(None)

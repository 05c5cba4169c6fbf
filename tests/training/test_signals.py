"""Signals: a training saves and leaves."""

import dataclasses
import multiprocessing
import signal
import subprocess

import pytest
import torch
from conftest import task, tiny_recipe

from resnet.classification.task import ClassificationTask
from resnet.data.loader import load
from resnet.errors import StoppedError
from resnet.settings import Hardware
from resnet.signals import STOP, StopSignals
from resnet.training import checkpoint
from resnet.training.loop import Agreement, train
from training.conftest import same_run, signal_at


@pytest.fixture(autouse=True)
def hangups_are_not_ignored():
    """The tests may run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", STOP)
def test_a_signal_saves_and_leaves(dataset, tmp_path, monkeypatch, number):
    recipe, hardware = tiny_recipe(), Hardware(device="cpu", checkpoint_seconds=1000)
    train(tmp_path / "whole", recipe, hardware, task(recipe, dataset))
    with monkeypatch.context() as patch:
        signal_at(patch, 5, number)
        with pytest.raises(StoppedError, match=rf"{number.name}: saved .* at iteration 5 of 12") as stopped:
            train(tmp_path / "run", recipe, hardware, task(recipe, dataset))
    assert stopped.value.exit_code == 128 + number
    assert not (tmp_path / "run/result.json").exists()
    train(tmp_path / "run", recipe, hardware, task(recipe, dataset))
    same_run(tmp_path / "whole", tmp_path / "run")


def test_a_hangup_that_was_ignored_stays_so():
    """As nohup asks for."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert stop.received is None
            signal.raise_signal(signal.SIGUSR1)
            assert stop.received is signal.SIGUSR1
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("iteration", [6, 12])
def test_a_signal_during_an_evaluation_does_not_wait_for_its_end(dataset, tmp_path, monkeypatch, iteration):
    recipe, hardware = tiny_recipe(), Hardware(device="cpu", checkpoint_seconds=1000)
    evaluate_, seen, signalled = ClassificationTask.evaluate, [], False

    class Watched:
        """The images of a split in small batches, the second of which a signal comes with."""

        def __init__(self, batches, run):
            batches.batch_size = 2
            self.batches, self.run = batches, run

        def __iter__(self):
            for number, batch in enumerate(self.batches):
                if signalled and self.run.iteration == iteration:
                    seen.append(number)
                    if number == 1:
                        signal.raise_signal(signal.SIGTERM)
                yield batch

    def watched(task, autocast, until_stopped, processes):
        run = until_stopped.__self__
        evaluation = {split: Watched(batches, run) for split, batches in task.evaluation.items()}
        return evaluate_(dataclasses.replace(task, evaluation=evaluation), autocast, until_stopped, processes)

    monkeypatch.setattr(ClassificationTask, "evaluate", watched)
    train(tmp_path / "whole", recipe, hardware, task(recipe, dataset))
    signalled = True
    with pytest.raises(StoppedError, match=f"at iteration {iteration} of 12"):
        train(tmp_path / "run", recipe, hardware, task(recipe, dataset))
    signalled = False
    assert seen == [0, 1], "of ten batches"
    state = checkpoint.read(tmp_path / "run" / checkpoint.NAME, torch.device("cpu"))
    assert state["iteration"] == iteration
    assert [row["iteration"] for row in state["rows"] if row["split"] == "test"] == ([] if iteration == 6 else [6])
    train(tmp_path / "run", recipe, hardware, task(recipe, dataset))
    same_run(tmp_path / "whole", tmp_path / "run")


def test_several_processes_agree_after_every_slow_update_and_some_fast_ones(monkeypatch):
    clock, asked = [0.0], []

    class Two:
        world_size = 2

        def all_reduce_max(self, *numbers):
            """The other one was signalled at second 45."""
            asked.append(clock[0])
            return [max(numbers[0], 15.0 if clock[0] >= 45 else 0), *numbers[1:]]

    monkeypatch.setattr("resnet.training.loop.time.monotonic", lambda: clock[0])
    for seconds, updates in ((20.0, [1, 2, 3]), (0.3, [1, 4, 7, 10]), (0.001, [1, 11, 21])):
        clock[0], agreed = 0.0, []
        agreement = Agreement(Two(), 0)
        for iteration in range(1, updates[-1] + 1):
            clock[0] += seconds
            if iteration >= agreement.next_iteration:
                number, late = agreement.reach(iteration, 0, 0)
                agreed.append(iteration)
                assert (number, late) == (15 if clock[0] >= 45 else 0, 0)
        assert agreed == updates


def test_a_worker_outlives_the_signals_of_its_job_until_its_parent_ends_it():
    class Numbers(torch.utils.data.Dataset):
        def __getitem__(self, key):
            return key

    stream = load(Numbers(), ([number] for number in range(100)), 1, pin=False, collate=lambda keys: keys[0])
    assert next(stream) == 0
    (worker,) = multiprocessing.active_children()
    for number in STOP:
        # Not by this process, which is the worker's parent.
        subprocess.run(["kill", f"-{number}", str(worker.pid)], check=True)
    assert [next(stream) for _ in range(50)] == list(range(1, 51))
    assert worker.is_alive()
    worker.terminate()
    worker.join(20)
    assert worker.exitcode == 0

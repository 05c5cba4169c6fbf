"""What the tests of trainings share: a run that was never interrupted, and what starts and compares runs."""

import signal

import pytest
import torch
from conftest import task, tiny_recipe
from torch.utils._python_dispatch import TorchDispatchMode

from resnet.settings import Hardware, to_flags
from resnet.training.distributed import Processes
from resnet.training.loop import Training, train

FINAL_FILES = ("config.yaml", "metrics.csv", "result.json", "environment.json", "weights.pt")


def arguments(dataset, folder, recipe, hardware=None):
    hardware = hardware or Hardware(device="cpu", checkpoint_seconds=0.01)
    flags = f"{to_flags(recipe)} {to_flags(hardware)}".split()
    return ["train_cifar10", "--data", dataset, "--run-folder", folder, *flags]


def same_run(first, second):
    """Whether two run folders hold the same weights, bit for bit, and the same metrics and results."""
    ours, theirs = (torch.load(folder / "weights.pt", weights_only=True) for folder in (first, second))
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert ours[name] == theirs[name] if name == "_extra_state" else torch.equal(ours[name], theirs[name]), name
    for name in ("metrics.csv", "result.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


@pytest.fixture(scope="module")
def finished(dataset, tmp_path_factory):
    """A run that was never interrupted, long enough to be killed in the middle."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    train(folder, long_recipe(), Hardware(device="cpu"), task(long_recipe(), dataset))
    return folder


def long_recipe():
    return tiny_recipe(
        iterations=150,
        lr_drops=(80, 120),
        log_interval=10,
        evaluation_interval=30,
        warmup_from_depth=8,
        # The first error is 70 to 80 % (of seeds 0 to 3), the third below 50 %.
        warmup_error=55.0,
    )


def advance(run, end):
    """Make updates up to one, with log points and evaluations."""
    while run.iteration < end:
        run.update()
        if run.is_due(run.recipe.log_interval):
            run.log_training()
        if run.is_due(8):
            run.log_evaluation()


def signal_at(monkeypatch, iteration, number):
    """Make the training signal itself during an update."""
    update = Training.update

    def signalled(run):
        update(run)
        if run.iteration == iteration:
            signal.raise_signal(number)

    monkeypatch.setattr(Training, "update", signalled)


class Operations(TorchDispatchMode):
    """The operations that are computed, each with its arguments and results."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, operation, types, arguments=(), settings=None):
        assert operation is not torch.ops.aten._local_scalar_dense.default, "the host waits for a number"
        results = operation(*arguments, **settings or {})
        self.calls.append((operation, arguments, settings or {}, results))
        return results


def on_shapes(monkeypatch):
    """A process on a device of shapes alone, which has no numbers to wait for."""
    processes, autocast = Processes(Hardware(device="cpu")), torch.autocast
    processes.device = torch.device("meta")
    monkeypatch.setattr(
        torch, "autocast", lambda _device, *arguments, **settings: autocast("cpu", *arguments, **settings)
    )
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda values: values)
    return processes

"""What the tests of trainings share: a run that was never interrupted, and what starts and compares runs."""

import signal

import pytest
import torch
from conftest import task, tiny_recipe

from resnet.settings import Hardware, to_flags
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


def signal_at(monkeypatch, iteration, number):
    """Make the training signal itself during an update."""
    update = Training.update

    def signalled(run):
        update(run)
        if run.iteration == iteration:
            signal.raise_signal(number)

    monkeypatch.setattr(Training, "update", signalled)

"""Training on ImageNet, in one process or several."""

import json
import shutil
import time

import pandas as pd
import pytest
import torch
from conftest import Started, image_statistics, in_float64, program, run_program
from data.conftest import copied

from classification.conftest import arguments, task, tiny
from resnet.data import imagenet
from resnet.errors import UserError
from resnet.settings import Hardware
from resnet.training import checkpoint
from resnet.training.loop import Training, train


def same(first, second):
    ours, theirs = (torch.load(folder / "weights.pt", weights_only=True) for folder in (first, second))
    for name in ours:
        assert ours[name] == theirs[name] if name == "_extra_state" else torch.equal(ours[name], theirs[name]), name
    assert (first / "metrics.csv").read_bytes() == (second / "metrics.csv").read_bytes()


def test_a_vgg_with_dropout_and_plateaus_resumes_with_the_same_bits(ilsvrc, tmp_path):
    # With so small a rate the error hardly moves, so plateaus are certain.
    recipe = tiny(model="vgg-16", dropout=0.5, plateau=1, lr=1e-4)
    hardware = Hardware(device="cpu")
    whole = Training(recipe, hardware, task(recipe, ilsvrc))
    run = Training(recipe, hardware, task(recipe, ilsvrc))
    for iteration in range(12):
        for each in (whole, run):
            each.update()
            if each.is_due(2):
                each.log_training()
            if each.is_due(3):
                each.log_evaluation()
        if iteration in (4, 8):
            resumed = Training(recipe, hardware, task(recipe, ilsvrc))
            resumed.restore(run.state())
            run = resumed
    assert run.rows == whole.rows
    assert whole.plateaus
    assert whole.rate(11) < 1e-4
    for ours, theirs in zip(run.net.parameters(), whole.net.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def train_in_float64(recipe, dataset, output):
    """Make the updates of a recipe in float64; write what is logged and the weights."""
    run = Training(recipe, Hardware(device="cpu"), in_float64(task(recipe, dataset)))
    while run.iteration < recipe.iterations:
        run.update()
    run.log_training()
    run.log_evaluation()
    if run.processes.is_main:
        torch.save({"rows": run.rows, "weights": run.net.state_dict()}, output)
    run.processes.close()


@pytest.mark.processor
@pytest.mark.slow
def test_two_processes_equal_one(ilsvrc, tmp_path):
    """With statistics over half a batch, one process computes what two do."""
    recipe = tiny(ghost_batch_size=4, iterations=4, lr_drops=())
    both = Started(2, train_in_float64, recipe, ilsvrc, tmp_path / "two.pt")
    train_in_float64(recipe, ilsvrc, tmp_path / "one.pt")
    output, _ = both.communicate()
    assert both.returncode == 0, output
    one, two = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("one", "two"))
    assert [row["split"] for row in one["rows"]] == ["train", "val"]
    for ours, theirs in zip(one["rows"], two["rows"], strict=True):
        assert ours.pop("split") == theirs.pop("split")
        assert ours == pytest.approx(theirs, rel=1e-6)
    for name, value in one["weights"].items():
        if name != "_extra_state":
            torch.testing.assert_close(value, two["weights"][name], rtol=1e-6, atol=1e-6, msg=name)


@pytest.mark.slow
def test_two_processes_log_as_one_and_a_killed_pair_goes_on_with_the_same_bits(ilsvrc, tmp_path):
    recipe = tiny(ghost_batch_size=4, iterations=60, lr=1e-4, lr_drops=(30, 45), evaluation_interval=4)
    train(tmp_path / "one", recipe, Hardware(device="cpu"), task(recipe, ilsvrc))
    process = program(*arguments(ilsvrc, tmp_path / "two", recipe), processes=2)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    one, two = (pd.read_csv(tmp_path / name / "metrics.csv") for name in ("one", "two"))
    assert one[["iteration", "split", "lr", "epoch"]].equals(two[["iteration", "split", "lr", "epoch"]])
    assert json.loads((tmp_path / "two/environment.json").read_text())["slices"][-1]["processes"] == 2

    process = program(*arguments(ilsvrc, tmp_path / "killed", recipe), processes=2)
    while not (tmp_path / "killed" / checkpoint.NAME).exists() and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert not (tmp_path / "killed/weights.pt").exists()
    process = program(*arguments(ilsvrc, tmp_path / "killed", recipe), processes=2)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert output.count("resumed") == 1, "one process speaks"
    same(tmp_path / "two", tmp_path / "killed")


@pytest.mark.processor
def test_accumulation_equals_ghost_batches(ilsvrc):
    recipe = tiny(ghost_batch_size=4)
    build = in_float64(task(recipe, ilsvrc))
    runs = [Training(recipe, Hardware(device="cpu", accumulate=count), build) for count in (1, 2)]
    for run in runs:
        for _ in range(3):
            run.update()
    for (name, ours), theirs in zip(runs[0].net.state_dict().items(), runs[1].net.state_dict().values(), strict=True):
        if name != "_extra_state" and ours.is_floating_point():
            torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "hardware", "message"),
    [
        (
            {"ghost_batch_size": 8},
            {"accumulate": 2},
            "ghost_batch_size 8 must divide the 4 images that a process computes",
        ),
        ({}, {"accumulate": 3}, "accumulate 3 must divide the 8 images of a process"),
    ],
)
def test_batches_that_cannot_be_split_are_named(ilsvrc, changes, hardware, message):
    recipe = tiny(**changes)
    with pytest.raises(UserError, match=message):
        Training(recipe, Hardware(device="cpu", **hardware), task(recipe, ilsvrc))


def test_a_training_reads_the_copies(ilsvrc, tmp_path):
    recipe = tiny()
    where_they_are, copied_first = Hardware(device="cpu"), Hardware(device="cpu", scratch=str(tmp_path / "disk"))
    runs = [Training(recipe, hardware, task(recipe, ilsvrc)) for hardware in (where_they_are, copied_first)]
    assert runs[1].task.training.images.folder.parent == tmp_path / "disk"
    for one in runs:
        one.update()
        one.log_evaluation()
    assert runs[0].rows == runs[1].rows


def test_an_image_that_changed_stops_a_training_with_workers(ilsvrc, tmp_path):
    folder = copied(ilsvrc, tmp_path)
    imagenet.describe("x", folder, True, tmp_path / "dataset.json")
    victim = folder / "train/n00000002/n00000002_1.JPEG"
    victim.write_bytes(victim.read_bytes() + b"more")
    shutil.copy(image_statistics(ilsvrc), tmp_path / "image_statistics.npz")
    recipe = tiny(iterations=8, lr_drops=())
    code, output = run_program(*arguments(tmp_path / "dataset.json", tmp_path / "run", recipe, Hardware(workers=1)))
    assert code == 1
    assert "n00000002_1.JPEG has changed since it was described" in output
    assert "Traceback" not in output

"""Training a detector: what it writes, and that it survives everything with the same bits."""

import copy
import dataclasses
import json
import os
import random
import shutil
import signal
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import program, same_weights

from detection.conftest import (
    CPU,
    HAS_DETECTRON2,
    arguments,
    detect,
    long_recipe,
    needs_detectron2,
    recipe_of_two,
    run_here,
    same_run,
    sharp,
    task,
    tiny,
    training,
)
from resnet.data.objects import describe
from resnet.data.voc import read_voc
from resnet.detection.detect import load_detector
from resnet.detection.detector import LOSSES
from resnet.errors import StoppedError
from resnet.run_folder import RunFolder
from resnet.settings import Hardware
from resnet.training import checkpoint
from resnet.training.loop import train


def test_the_run_folder(finished, packs, classifiers):
    metrics = pd.read_csv(finished / "metrics.csv")
    assert list(metrics) == ["iteration", "epoch", "split", "loss", *LOSSES, "map50", "map", "lr"]
    trained = metrics[metrics.split == "train"]
    assert trained.iteration.tolist() == [5, 10, 15, 20, 25, 30]
    np.testing.assert_allclose(trained.loss, trained[list(LOSSES)].sum(axis=1))
    assert metrics[metrics.split == "test"].iteration.tolist() == [10, 20, 30]
    assert metrics[metrics.split == "test"].map50.between(0, 100).all()
    assert trained.lr.tolist() == pytest.approx([0.001] * 4 + [0.0001] * 2)
    result = json.loads((finished / "result.json").read_text())
    assert (result["experiment"], result["engine"], result["source"]) == ("voc07", "torchvision", "reproduced")
    assert result["dataset"] == "scenes-voc"
    config = yaml.safe_load((finished / "config.yaml").read_text())
    assert config["recipe"]["anchor_sizes"] == [16, 32]
    assert config["resolved"]["classes"] == sorted(config["resolved"]["classes"])
    assert config["resolved"]["training_images"] == 12
    assert config["resolved"]["evaluated_images"] == 3
    assert config["resolved"]["classifier"]["model"] == "resnet-50"
    assert {"weights", "image_statistics", "bn_statistics"} < set(config["dataset"]["sha256"])
    net, recipe = load_detector(RunFolder(finished))
    assert recipe == long_recipe()
    assert not net.training
    same_weights(net.state_dict(), torch.load(finished / "weights.pt", weights_only=True))


@pytest.mark.processor
def test_few_scenes_are_learnt(packs, classifiers):
    recipe = tiny(model="vgg-16", dropout=0.0, iterations=60, lr=0.02, lr_drops=(), log_interval=10)
    run = training(recipe, packs, classifiers)
    run.task.training.scenes = run.task.training.scenes[:2]
    run.task.training.plan.images = 2
    for _ in range(60):
        run.update()
        if run.is_due(10):
            run.log_training()
    losses = [row["loss"] for row in run.rows]
    # With seeds 0 to 3, 0.11 to 0.43 of the first loss, and 0.24 to 0.78 of the first loss of the proposals' classes.
    assert losses[-1] < 0.7 * losses[0]
    # The regions' classes are all background at the end of a training that learns nothing else.
    assert run.rows[-1]["loss_rpn_class"] < 0.9 * run.rows[0]["loss_rpn_class"]


def test_anchors_and_regions_are_sampled_anew_in_every_part_of_every_update(packs, classifiers, monkeypatch):
    seeds, real = [], torch.manual_seed
    monkeypatch.setattr(torch, "manual_seed", lambda seed: (seeds.append(seed), real(seed))[1])
    recipe = tiny(model="vgg-16", batch_size=2, iterations=3)
    run = training(recipe, packs, classifiers, dataclasses.replace(CPU, accumulate=2))
    for _ in range(3):
        run.update()
    assert len(set(seeds)) == len(seeds) == 6


@pytest.mark.slow
def test_kill_9_at_any_moment_and_resume_gives_the_same_bits(finished, packs, classifiers, tmp_path):
    folder = tmp_path / "run"
    command = arguments(packs, classifiers, folder, long_recipe())
    process = program(*command)
    while not (folder / checkpoint.NAME).exists() and process.poll() is None:
        time.sleep(0.01)
    time.sleep(random.Random(0).uniform(0, 0.3))
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (folder / "weights.pt").exists()
    # Snakemake deletes what a failed job declares.
    for name in ("config.yaml", "metrics.csv"):
        (folder / name).unlink(missing_ok=True)
    assert 0 < torch.load(folder / checkpoint.NAME, weights_only=True)["iteration"] < 30
    assert run_here(*command) is None
    same_run(finished, folder)


def test_a_signal_saves_and_the_run_goes_on_with_the_same_bits(finished, packs, classifiers, tmp_path, capsys):
    folder = tmp_path / "run"
    hardware = Hardware(device="cpu", checkpoint_seconds=1000)
    build = task(long_recipe(), packs, classifiers)

    def stopped_in_the_third_update(processes):
        built = build(processes)
        batch = built.training.batch

        def stop(iteration):
            if iteration == 2 and not (folder / checkpoint.NAME).exists():
                os.kill(os.getpid(), signal.SIGTERM)
            return batch(iteration)

        built.training = SimpleNamespace(batch=stop)
        return built

    with pytest.raises(StoppedError, match=r"SIGTERM: saved .* at iteration 3 of 30") as stopped:
        train(folder, long_recipe(), hardware, stopped_in_the_third_update)
    assert stopped.value.exit_code == 128 + signal.SIGTERM
    assert not (folder / "result.json").exists()
    train(folder, long_recipe(), hardware, build)
    assert "resumed" in capsys.readouterr().out
    same_run(finished, folder)


def test_a_state_restored_anywhere_goes_on_with_the_same_bits(packs, classifiers):
    """With dropout and samples of anchors and regions, which are drawn anew at every update."""
    recipe = tiny(model="vgg-16", dropout=0.5)
    whole, run = training(recipe, packs, classifiers), training(recipe, packs, classifiers)
    for iteration in range(recipe.iterations):
        for each in (whole, run):
            torch.rand(1 + 3 * (each is run))
            each.update()
            if each.is_due(2):
                each.log_training()
            if each.is_due(4):
                each.log_evaluation()
        if iteration in (2, 5):
            resumed = training(recipe, packs, classifiers)
            resumed.restore(run.state())
            run = resumed
    assert run.rows == whole.rows
    same_weights(run.net.state_dict(), whole.net.state_dict())


@pytest.mark.processor
@pytest.mark.slow
def test_two_processes_train_as_one_does(finished_by_two, packs, classifiers):
    """One that takes an image at a time; every anchor of these images and every region is taken, nothing drawn."""
    recipe = recipe_of_two()
    run = training(recipe, packs, classifiers, Hardware(device="cpu", accumulate=2))
    before = copy.deepcopy(run.net.state_dict())
    for _ in range(10):
        run.update()
        if run.is_due(5):
            run.log_training()
    run.log_evaluation()
    metrics = pd.read_csv(finished_by_two / "metrics.csv")
    expected = pd.DataFrame(run.rows)
    assert metrics[["iteration", "split", "lr", "epoch"]].equals(expected[["iteration", "split", "lr", "epoch"]])
    rows = metrics.split == "train"
    np.testing.assert_allclose(metrics[rows].loss, expected[rows].loss, rtol=1e-3)
    assert json.loads((finished_by_two / "environment.json").read_text())["slices"][-1]["processes"] == 2
    assert json.loads((finished_by_two / "result.json").read_text())["test"].keys() == {"map50", "map"}
    found = torch.load(finished_by_two / "weights.pt", weights_only=True)
    for name, value in run.net.state_dict().items():
        if name != "_extra_state":
            moved, expected = found[name] - before[name], value - before[name]
            assert (moved - expected).abs().max() <= 0.01 * expected.abs().max() + 1e-7, name


@pytest.mark.parametrize("engine", ["torchvision", pytest.param("detectron2", marks=needs_detectron2)])
@pytest.mark.parametrize("model", ["resnet-50", "vgg-16"])
@pytest.mark.processor
def test_bf16_has_nearly_the_losses_of_float32_in_float32(packs, classifiers, model, engine):
    rows = {}
    for precision in ("float32", "bf16"):
        recipe = tiny(model=model, engine=engine, precision=precision, dropout=0.0, rois=10**6, iterations=1)
        run = training(recipe, packs, classifiers)
        run.update()
        rows[precision] = run.log_training()
        with run.autocast:
            assert {value.dtype for value in run.net(*run.task.training.batch(0)).values()} == {torch.float32}
    assert rows["bf16"] != rows["float32"]
    for name in ("loss_rpn_class", "loss_rpn_box"):
        assert rows["bf16"][name] == pytest.approx(rows["float32"][name], rel=0.05)


def test_a_detector_for_the_server_is_trained_without_evaluations_and_its_files_are_written(
    packs, classifiers, tmp_path
):
    recipe = tiny(model="vgg-16", experiment="voc12-server", iterations=2, lr_drops=(), evaluation_interval=1)
    train(tmp_path / "run", recipe, CPU, task(recipe, packs, classifiers))
    assert set(pd.read_csv(tmp_path / "run/metrics.csv").split) == {"train"}
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert "test" not in result
    config = yaml.safe_load((tmp_path / "run/config.yaml").read_text())
    assert config["resolved"]["training_images"] == 6 + 5 + 6
    net, _ = load_detector(RunFolder(tmp_path / "run"))
    torch.save(sharp(net).state_dict(), tmp_path / "run/weights.pt")
    found = detect(packs, tmp_path / "run", tmp_path / "d.json", "voc")
    assert {one["image_id"] for one in found} == {1, 2}
    archive = tmp_path / "submission.tar.gz"
    assert run_here(
        "write_submission", "--data", packs / "voc/dataset.json", "--experiment", "voc12-server",
        "--detections", tmp_path / "d.json", "--output", archive,
    ) is None  # fmt: skip
    lines = [path.read_text().splitlines() for path in (tmp_path / "results/VOC2012/Main").iterdir()]
    assert len(lines) == 10
    assert sum(map(len, lines)) == len(found)


def test_a_set_without_objects_is_not_trained_on(packs, classifiers, tmp_path):
    sets = read_voc(packs / "voc/VOCdevkit")
    sets["voc2012_trainval"]["unlabelled"] = True
    data = tmp_path / "dataset.json"
    describe(data, name="x", folder=packs / "voc/VOCdevkit", horizontal_flip=False, sets=sets)
    command = arguments(packs, classifiers, tmp_path / "run", tiny(), data=data)
    assert "the set voc2012_trainval comes without objects, so nothing can be trained on it" in run_here(*command)


def test_a_set_that_is_not_there_and_one_that_has_changed_are_named(packs, classifiers, tmp_path):
    command = arguments(packs, classifiers, tmp_path / "run", tiny(), data=packs / "coco/dataset.json")
    assert "has no set voc2007_trainval, only train, val" in run_here(*command)
    for name in ("dataset.json", "train.json", "val.json"):
        shutil.copy(packs / "coco" / name, tmp_path)
    (tmp_path / "train.json").write_text((tmp_path / "train.json").read_text() + "\n")
    command = arguments(packs, classifiers, tmp_path / "run", tiny(experiment="coco"), data=tmp_path / "dataset.json")
    assert "train.json is missing or has changed" in run_here(*command)


def test_a_missing_image_stops_a_training_without_traceback(packs, classifiers, tmp_path):
    sets = read_voc(packs / "voc/VOCdevkit")
    (tmp_path / "empty").mkdir()
    describe(tmp_path / "dataset.json", name="x", folder=tmp_path / "empty", horizontal_flip=False, sets=sets)
    hardware = Hardware(device="cpu", workers=1)
    command = arguments(packs, classifiers, tmp_path / "run", tiny(), hardware, data=tmp_path / "dataset.json")
    assert run_here(*command).endswith(".jpg is missing")


def test_a_loss_that_is_not_finite_names_the_iteration(packs, classifiers, tmp_path):
    command = arguments(packs, classifiers, tmp_path / "run", tiny(model="vgg-16", lr=1e30, log_interval=1))
    assert "vgg-16, seed 0: the loss is not finite at iteration" in run_here(*command)
    assert not (tmp_path / "run/weights.pt").exists()


@pytest.mark.skipif(HAS_DETECTRON2, reason="detectron2 is installed")
def test_detectron2_where_it_is_not_installed_is_one_clear_error(packs, classifiers, tmp_path):
    command = arguments(packs, classifiers, tmp_path / "run", tiny(engine="detectron2"))
    assert run_here(*command) == (
        "train_detector: error: engine is detectron2, but detectron2 is not installed: make detectron2 installs it; "
        "or use torchvision"
    )

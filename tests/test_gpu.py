"""On a GPU: updates captured as a CUDA graph, compiled and as they are; what they wait for; every program."""

import contextlib
import json
import signal
import time

import classification.conftest as classification
import detection.conftest as detection
import localisation.conftest as localisation
import pytest
import torch
from classification.conftest import SIDES
from conftest import image_statistics, in_float64, program, run_program, same_weights, task, tiny_recipe
from detection.conftest import classifiers, packs  # noqa: F401
from localisation.conftest import classifier, digits  # noqa: F401
from training.conftest import advance, arguments

from resnet.classification.predictions import Predictions
from resnet.files import read_arrays
from resnet.planning import steps
from resnet.settings import Hardware, to_flags
from resnet.training.checkpoint import NAME
from resnet.training.cuda_graph import CapturedStep
from resnet.training.loop import Training, train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]
GPU = Hardware(device="cuda")
WAYS = ("false", "cuda-graphs", "true")


def begin(dataset, way="cuda-graphs", device="cuda", **changes):
    """A training in float64, whose rounding does not grow to what can be seen."""
    recipe = tiny_recipe(**{"precision": "float32", "iterations": 24, "lr_drops": (7, 15), **changes})
    hardware = Hardware(device=device, compile=way if device == "cuda" else "false")
    return Training(recipe, hardware, in_float64(task(recipe, dataset)))


def nearly_same(ours, theirs):
    for one, other in zip(ours.rows, theirs.rows, strict=True):
        assert one.pop("split") == other.pop("split")
        assert one == pytest.approx(other, rel=1e-5)
    for name, value in ours.net.state_dict().items():
        if torch.is_tensor(value) and value.is_floating_point():
            torch.testing.assert_close(value.cpu(), theirs.net.state_dict()[name].cpu(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("way", WAYS[:2])
@pytest.mark.parametrize("changes", [{}, {"ghost_batch_size": 4, "momentum": 0.0}], ids=["whole", "ghosts"])
def test_updates_are_those_of_a_processor(dataset, way, changes):
    """Over ends of epochs, drops of the rate, log points and evaluations."""
    run, expected = begin(dataset, way, **changes), begin(dataset, device="cpu", **changes)
    for each in (run, expected):
        advance(each, 24)
    assert run.device.type == "cuda"
    assert run.compiled == way
    nearly_same(run, expected)


@pytest.mark.parametrize("way", WAYS[:2])
def test_a_training_that_goes_on_ends_as_one_that_was_not_stopped(dataset, way):
    whole, first, second = (begin(dataset, way) for _ in range(3))
    advance(whole, 24)
    advance(first, 12)
    second.restore(first.state())
    advance(second, 24)
    nearly_same(second, whole)


@pytest.mark.parametrize("way", WAYS[:2])
def test_in_bf16_it_ends_with_the_same_bits(dataset, way):
    recipe = tiny_recipe(precision="bf16", model="resnet-20", image_size=32, batch_size=50, iterations=24)
    whole, first, second = (
        Training(recipe, Hardware(device="cuda", compile=way), task(recipe, dataset)) for _ in range(3)
    )
    advance(whole, 24)
    advance(first, 12)
    second.restore(first.state())
    advance(second, 24)
    same_weights(second.net.state_dict(), whole.net.state_dict())


def test_a_loss_that_is_not_finite_is_noticed_in_a_replay(dataset):
    run = begin(dataset)
    advance(run, 6)
    with torch.no_grad():
        run.net.fc.bias.fill_(torch.nan)
    run.update()
    run.update()
    assert int(run.diverged_at) == 6


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("way", WAYS)
def test_a_net_of_section_4_2_learns(dataset, tmp_path, way, precision):
    recipe = tiny_recipe(precision=precision, iterations=60, lr_drops=(40,), log_interval=10, evaluation_interval=30)
    train(tmp_path, recipe, Hardware(device="cuda", compile=way), task(recipe, dataset))
    [piece] = json.loads((tmp_path / "environment.json").read_text())["slices"]
    assert piece["device"] == torch.cuda.get_device_name()
    assert (piece["compile"], piece["precision"]) == (way, precision)
    # Nine of ten are wrong by chance.
    assert json.loads((tmp_path / "result.json").read_text())["train"]["top1_error"] < 50


def test_what_is_automatic_on_a_gpu(dataset):
    recipe = tiny_recipe(precision="auto")
    run = Training(recipe, GPU, task(recipe, dataset))
    assert (run.compiled, run.precision) == ("cuda-graphs", "bf16")
    deep = tiny_recipe(precision="auto", model="resnet-110")
    assert Training(deep, GPU, task(deep, dataset)).precision == "float32"


def test_a_plan_measures_updates_as_they_are_trained(monkeypatch):
    captured = []
    monkeypatch.setattr(steps, "CapturedStep", lambda update: captured.append(CapturedStep(update)) or captured[0])
    assert 0 < steps.measure_step(steps.step_of(tiny_recipe()), torch.device("cuda")) < 1
    assert captured[0].graph is not None


@contextlib.contextmanager
def nothing_waits():
    """Let torch raise an error where the host waits for the GPU."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("way", WAYS[:2])
def test_an_update_on_cifar10_waits_for_nothing(dataset, way, precision):
    recipe = tiny_recipe(precision=precision, iterations=60)
    run = Training(recipe, Hardware(device="cuda", compile=way), task(recipe, dataset))
    for _ in range(5):
        run.update()
    with nothing_waits():
        for _ in range(20):
            run.update()


@pytest.mark.parametrize("changes", [{}, {"model": "vgg-16", "dropout": 0.5}], ids=["resnet", "vgg"])
def test_an_update_on_imagenet_waits_for_nothing(ilsvrc, changes):
    recipe = classification.tiny(precision="bf16", **changes)
    run = Training(recipe, Hardware(device="cuda", workers=1), classification.task(recipe, ilsvrc))
    for _ in range(3):
        run.update()
    with nothing_waits():
        for _ in range(3):
            run.update()


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_killed_training_goes_on(dataset, tmp_path, precision):
    recipe = tiny_recipe(precision=precision, iterations=2000, lr_drops=(1500,), log_interval=100)
    command = arguments(dataset, tmp_path, recipe, Hardware(device="cuda", checkpoint_seconds=0.1))
    process = program(*command)
    while not (tmp_path / NAME).exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "weights.pt").exists()
    code, output = run_program(*command)
    assert code == 0, output
    assert "resumed" in output
    slices = json.loads((tmp_path / "environment.json").read_text())["slices"]
    assert len(slices) == 2
    assert slices[1]["to"] == 2000


def test_a_training_goes_on_elsewhere(dataset, tmp_path):
    """Begun on a processor, it goes on on a GPU, in its own precision."""
    recipe = tiny_recipe(precision="auto")
    run = Training(recipe, Hardware(device="cpu"), task(recipe, dataset))
    run.begin_slice(1)
    advance(run, 6)
    other = Training(recipe, GPU, task(recipe, dataset))
    assert other.precision == "bf16"
    other.restore(run.state())
    assert other.precision == "float32"
    advance(other, 12)
    other.check_weights()


@pytest.mark.parametrize(("way", "precision"), [("false", "float32"), ("false", "bf16"), ("true", "bf16")])
def test_the_programs_of_imagenet(ilsvrc, tmp_path, way, precision):
    recipe = classification.tiny(precision=precision)
    hardware = Hardware(device="cuda", compile=way, workers=2)
    code, output = run_program(*classification.arguments(ilsvrc, tmp_path, recipe, hardware))
    assert code == 0, output
    found = {}
    for device in ("cuda", "cpu"):
        code, output = run_program(
            "evaluate_imagenet", "--data", ilsvrc, "--image-statistics", image_statistics(ilsvrc),
            "--run-folder", tmp_path, "--protocols", "center", "10crop", "multiscale",
            "--multiscale-shorter-sides", 32, 48, "--output", tmp_path / device, "--device", device,
        )  # fmt: skip
        assert code == 0, output
        for protocol in ("center", "10crop", "multiscale"):
            one = read_arrays(tmp_path / device / f"{protocol}.npz", Predictions).probabilities
            found.setdefault(protocol, []).append(torch.from_numpy(one))
    # What is left of 10 bits of TF32, or 8 of bf16, after 18 layers.
    for both in found.values():
        torch.testing.assert_close(*both, rtol=0, atol=0.01 if precision == "float32" else 0.1)
    code, output = run_program(
        "measure_bn_statistics", "--data", ilsvrc, "--image-statistics", image_statistics(ilsvrc), "--run-folder",
        tmp_path, "--output", tmp_path / "s.pt", "--size", SIDES["image_size"], "--device", "cuda",
    )  # fmt: skip
    assert code == 0, output


def test_an_update_on_imagenet_is_that_of_a_processor(ilsvrc):
    recipe = classification.tiny(precision="float32")
    runs = [
        Training(recipe, Hardware(device=device), in_float64(classification.task(recipe, ilsvrc)))
        for device in ("cuda", "cpu")
    ]
    for run in runs:
        for _ in range(4):
            run.update()
        run.log_training()
    ours, theirs = (run.rows[0]["loss"] for run in runs)
    assert ours == pytest.approx(theirs, rel=1e-4)


@pytest.mark.parametrize("model", ["resnet-50", "vgg-16"])
@pytest.mark.parametrize("experiment", ["voc07", "coco"])
def test_the_programs_of_detection(packs, classifiers, tmp_path, model, experiment):  # noqa: F811
    recipe = detection.tiny(model=model, experiment=experiment)
    hardware = Hardware(device="cuda", workers=2)
    command = detection.arguments(packs, classifiers, tmp_path / "run", recipe, hardware)
    code, output = run_program(*command)
    assert code == 0, output
    [piece] = json.loads((tmp_path / "run/environment.json").read_text())["slices"]
    assert piece["device"] == torch.cuda.get_device_name()
    data = packs / ("coco" if experiment == "coco" else "voc") / "dataset.json"
    code, output = run_program(
        "detect_objects", "--data", data, "--run-folder", tmp_path / "run", "--output", tmp_path / "found.json",
        "--device", "cuda",
    )  # fmt: skip
    assert code == 0, output
    json.loads((tmp_path / "found.json").read_text())


def test_a_detector_s_update_is_that_of_a_processor(packs, classifiers):  # noqa: F811
    recipe = detection.tiny(model="vgg-16", dropout=0.0, iterations=3)
    runs = [detection.training(recipe, packs, classifiers, Hardware(device=device)) for device in ("cuda", "cpu")]
    for run in runs:
        run.update()
        run.log_training()
    # Anchors and regions are drawn by each device's own generator, so only the size of the losses is comparable.
    assert runs[0].rows[0]["loss"] == pytest.approx(runs[1].rows[0]["loss"], rel=0.3)


def test_the_programs_of_localisation(digits, classifier, tmp_path):  # noqa: F811
    data = ("--data", digits / "dataset.json")
    start = ("--boxes", digits, "--classifier", classifier, "--image-statistics", classifier / "image_statistics.npz")
    for stage in ("rpn", "rcnn"):
        folder = tmp_path / stage / localisation.MODEL / "seed0"
        regions = ["--regions", tmp_path / "train.npz"] if stage == "rcnn" else []
        flags = to_flags(localisation.tiny(stage=stage)).split()
        code, output = run_program(
            "train_localiser", *data, *start, *regions, "--run-folder", folder, "--device", "cuda", *flags
        )
        assert code == 0, output
        if stage == "rpn":
            code, output = run_program(
                "propose_boxes", *data, "--boxes", digits / "boxes-train.npz", "--split", "train", "--run-folder",
                folder, "--protocol", "dense", "--shorter-sides", 64, 72, "--device", "cuda",
                "--output", tmp_path / "train.npz",
            )  # fmt: skip
            assert code == 0, output

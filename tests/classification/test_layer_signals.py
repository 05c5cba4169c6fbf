"""Signals along a training: what is measured, and that it is what happened in the training."""

import csv

import pytest
import torch
import torch.nn.functional as F
from conftest import run_program, task, tiny_recipe

from resnet.architectures import CifarNet
from resnet.classification.layer_signals import along_training, layers_of, measured_update, recipe_of
from resnet.run_folder import RunFolder
from resnet.settings import CifarRecipe, Hardware
from resnet.training.loop import Training, train

CPU = Hardware(device="cpu")


@pytest.fixture(scope="module")
def recipe():
    return tiny_recipe(model="plain-14", iterations=24, lr_drops=(12, 18), log_interval=4, evaluation_interval=12)


@pytest.fixture(scope="module")
def finished(recipe, dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / recipe.model / "seed0"
    train(folder, recipe, CPU, task(recipe, dataset))
    return folder


def test_what_is_repeated_has_the_precision_that_the_training_chose(finished):
    settings = finished / "config.yaml"
    before = settings.read_text()
    assert recipe_of(RunFolder(finished), CifarRecipe).precision == "float32"
    try:
        settings.write_text(before.replace("precision: float32", "precision: bf16"))
        assert recipe_of(RunFolder(finished), CifarRecipe).precision == "bf16"
    finally:
        settings.write_text(before)


def test_deviations_are_those_after_normalisation_and_gradients_those_of_the_update(recipe, dataset):
    training = Training(recipe, CPU, task(recipe, dataset))
    net = training.net
    images, labels = training.task.training.batch(0)
    x = net.bn1(net.conv1(images))
    deviations = [x.std(correction=0).item()]
    x = F.relu(x)
    for block in net.blocks:
        for conv, norm in ((block.conv1, block.bn1), (block.conv2, block.bn2)):
            x = norm(conv(x))
            deviations.append(x.std(correction=0).item())
            x = F.relu(x)
    loss = F.cross_entropy(net.fc(x.mean((2, 3))), labels)
    convs = [net.conv1, *(conv for block in net.blocks for conv in (block.conv1, block.conv2))]
    gradients = [gradient.norm().item() for gradient in torch.autograd.grad(loss, [conv.weight for conv in convs])]

    rows = measured_update(Training(recipe, CPU, task(recipe, dataset)))
    assert [row["layer"] for row in rows] == list(range(1, 14))
    assert [row["name"] for row in rows[:3]] == ["conv1", "blocks.0.conv1", "blocks.0.conv2"]
    assert [row["std"] for row in rows] == pytest.approx(deviations, rel=1e-4)
    assert [row["gradient"] for row in rows] == pytest.approx(gradients, rel=1e-3)


def test_measuring_does_not_change_the_training(recipe, dataset):
    ours, theirs = (Training(recipe, CPU, task(recipe, dataset)) for _ in range(2))
    for iteration in range(4):
        measured_update(ours) if iteration % 2 else ours.update()
        theirs.update()
    for name, value in ours.net.state_dict().items():
        assert name == "_extra_state" or torch.equal(value, theirs.net.state_dict()[name]), name


def test_early_updates_are_measured_and_one_by_the_final_weights(recipe, dataset, finished):
    rows = along_training(recipe, CPU, task(recipe, dataset), finished / "weights.pt", [0, 2, 3, 20])
    assert sorted({row["iteration"] for row in rows}) == [0, 2, 3, 24]
    training = Training(recipe, CPU, task(recipe, dataset))
    for _ in range(2):
        training.update()
    assert [row for row in rows if row["iteration"] == 2] == measured_update(training)
    weights = torch.load(finished / "weights.pt", weights_only=True)
    training.net.load_state_dict(weights)
    training.iteration = 23
    last = [row | {"iteration": 24} for row in measured_update(training)]
    assert [row for row in rows if row["iteration"] == 24] == last


def test_layers_on_shortcuts_are_not_measured():
    assert len(layers_of(CifarNet("resnet-14", "C"))) == 13


def test_the_program_measures_each_run(dataset, finished, tmp_path):
    code, text = run_program(
        "measure_layer_signals", "--data", dataset, "--run-folders", finished, finished, "--iterations", 0,
        "--output", tmp_path / "signals.csv", "--device", "cpu"
    )  # fmt: skip
    assert code == 0, text
    rows = list(csv.DictReader((tmp_path / "signals.csv").open()))
    assert len(rows) == 2 * 2 * 13
    assert {row["model"] for row in rows} == {"plain-14"}

"""The precision of a training: what ``auto`` is, and that a training keeps it."""

import json

import pytest
import torch
import yaml
from conftest import same_weights, task, tiny_recipe

from resnet.settings import Hardware
from resnet.training import checkpoint, loop
from resnet.training.loop import Training, train
from resnet.training.precision import choose_precision, processor_has_bf16, speedup

ON_CPU = Hardware(device="cpu")


@pytest.fixture
def long(monkeypatch):
    """Let twelve iterations be a long training on a processor that multiplies in bf16."""
    monkeypatch.setattr(loop, "TRIAL_FROM_ITERATIONS", 12)
    monkeypatch.setattr(loop, "processor_has_bf16", lambda: True)


def trained(folder, dataset, **changes):
    recipe = tiny_recipe(**changes)
    train(folder, recipe, ON_CPU, task(recipe, dataset))
    slices = json.loads((folder / "environment.json").read_text())["slices"]
    resolved = yaml.safe_load((folder / "config.yaml").read_text())["resolved"]
    return torch.load(folder / "weights.pt", weights_only=True), slices, resolved["precision"]


@pytest.mark.parametrize(("found", "precision"), [(1.6, "bf16"), (1.2, "float32")])
def test_a_trial_chooses_and_leaves_no_trace_in_the_numbers(long, dataset, tmp_path, monkeypatch, found, precision):
    def measured(compute):
        speedup(compute)
        return found

    monkeypatch.setattr(loop, "speedup", measured)
    weights, slices, said = trained(tmp_path / "tried", dataset, model="resnet-14")
    expected, others, _ = trained(tmp_path / "told", dataset, model="resnet-14", precision=precision)
    same_weights(weights, expected)
    assert (said, slices[0]["precision"], slices[0]["bf16_speedup"]) == (precision, precision, found)
    assert "bf16_speedup" not in others[0]


def test_a_training_that_is_killed_goes_on_in_the_precision_that_it_began_with(long, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "speedup", lambda _compute: 1.6)
    expected, _, _ = trained(tmp_path / "whole", dataset)

    def killed(_training, _folder, _seconds):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "run_loop", killed)
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path / "killed", dataset)
    # As on another machine, or on a busy one.
    monkeypatch.setattr(loop, "speedup", lambda _compute: 1.0)
    weights, slices, said = trained(tmp_path / "killed", dataset)
    same_weights(weights, expected)
    assert [one["precision"] for one in slices] == ["bf16", "bf16"]
    assert said == "bf16"


def test_only_long_trainings_of_nets_whose_gradients_bear_it_are_tried(dataset, monkeypatch):
    def tries(**changes):
        recipe = tiny_recipe(**changes)
        return Training(recipe, ON_CPU, task(recipe, dataset)).tries_bf16

    monkeypatch.setattr(loop, "processor_has_bf16", lambda: True)
    assert tries(iterations=5000)
    assert not tries(iterations=4999)
    assert not tries(iterations=5000, precision="float32")
    assert not tries(iterations=5000, model="resnet-62")
    monkeypatch.setattr(loop, "processor_has_bf16", lambda: False)
    assert not tries(iterations=5000)


def test_nets_of_more_than_56_layers_are_float32_where_others_are_bf16(dataset, monkeypatch):
    monkeypatch.setattr(loop, "choose_precision", lambda precision, _device: precision.replace("auto", "bf16"))
    for changes, expected in (
        ({}, "bf16"),
        ({"model": "resnet-62"}, "float32"),
        ({"model": "resnet-62", "precision": "bf16"}, "bf16"),
    ):
        recipe = tiny_recipe(**changes)
        assert Training(recipe, ON_CPU, task(recipe, dataset)).precision == expected
    assert choose_precision("auto", torch.device("cpu")) == "float32"


def test_processors_say_whether_they_multiply_in_bf16(tmp_path):
    path = tmp_path / "cpuinfo"
    for flags, expected in (("fpu avx2", False), ("fpu avx512_bf16 avx2", True), ("amx_bf16", True)):
        path.write_text(f"processor : 0\nflags\t\t: {flags}\nbugs : none\n")
        assert processor_has_bf16(path) == expected
    assert not processor_has_bf16(tmp_path / "missing")


def test_a_checkpoint_from_before_precisions_were_kept_goes_on(dataset, tmp_path):
    recipe = tiny_recipe()
    training = Training(recipe, ON_CPU, task(recipe, dataset))
    checkpoint.save(tmp_path, {**training.state(), "slices": [{"from": 0, "to": 0, "seconds": 1.0}]})
    assert trained(tmp_path, dataset)[2] == "float32"

"""config.yaml, scales, settings: what is accepted, and the exact error for what is not."""

import dataclasses

import pytest
import yaml
from conftest import ROOT

from resnet.config import load
from resnet.errors import UserError
from resnet.settings import CifarRecipe, Hardware, add_arguments, fingerprint, from_arguments, to_flags

WORKFLOW = ROOT / "workflow"


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


@pytest.mark.parametrize("scale", ["demo", "short", "paper"])
def test_every_scale_is_valid_and_sets_every_setting(config, scale):
    loaded = load({**config, "scale": scale}, WORKFLOW)
    values = yaml.safe_load((WORKFLOW / f"scales/{scale}.yaml").read_text())["cifar10"]["recipe"]
    fields = {field.name for field in dataclasses.fields(CifarRecipe)}
    assert set(values) == fields - {"model", "seed"}
    assert [*loaded.seeds][:2] == ["plain-20", "plain-32"]


def test_schema_and_settings_have_the_same_keys():
    scale = yaml.safe_load((WORKFLOW / "schemas/scale.schema.yaml").read_text())
    fields = {field.name for field in dataclasses.fields(CifarRecipe)}
    assert set(scale["$defs"]["recipe"]["properties"]) == fields - {"model", "seed"}
    schema = yaml.safe_load((WORKFLOW / "schemas/config.schema.yaml").read_text())
    hardware = {field.name for field in dataclasses.fields(Hardware)}
    assert set(schema["properties"]["hardware"]["properties"]) == hardware


def test_the_paper_scale_is_the_defaults_of_the_recipe(config):
    loaded = load({**config, "scale": "paper"}, WORKFLOW)
    assert loaded.recipe("resnet-110", 0) == CifarRecipe(model="resnet-110")
    assert loaded.seeds["resnet-110"] == [0, 1, 2, 3, 4]
    assert load(config, WORKFLOW).seeds["resnet-110"] == [0, 1]


def test_config_lays_over_the_scale(config):
    config["cifar10"] = {"seeds": {"resnet-164": [3]}, "exceptions": {"resnet-164": {"lr": 0.5}}}
    loaded = load(config, WORKFLOW)
    assert loaded.seeds["resnet-164"] == [3]
    assert loaded.seeds["plain-20"] == [0]
    assert loaded.recipe("resnet-164", 3).lr == 0.5
    assert loaded.recipe("plain-20", 0).lr == load({**config, "cifar10": {}}, WORKFLOW).recipe("plain-20", 0).lr


def test_values_from_the_command_line_are_text(config):
    config["cifar10"] = {"recipe": {"iterations": "60", "lr": "0.5", "lr_drops": ["30"], "ghost_batch_size": "null"}}
    recipe = load(config, WORKFLOW).recipe("plain-20", 0)
    assert (recipe.iterations, recipe.lr, recipe.lr_drops, recipe.ghost_batch_size) == (60, 0.5, (30,), None)


def change(config, path, value):
    *parents, last = path.split(".")
    for key in parents:
        config = config.setdefault(key, {})
    config[last] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("sclae", "demo", "config.yaml: unknown key sclae; did you mean scale?"),
        ("hardware.thread", 2, "config.yaml: unknown key hardware.thread; did you mean threads?"),
        ("hardware.threads", "two", "config.yaml: hardware.threads is 'two'; it must be of type integer"),
        ("scale", "papper", "config.yaml: scale is 'papper'; it must be one of demo, short, paper"),
        ("data.cifar10.folder", 7, "config.yaml: data.cifar10.folder is 7; it must be of type string or null"),
        ("data.cifar10.md5", "xyz", "config.yaml: data.cifar10.md5: 'xyz' does not match"),
        ("cifar10.recipe.iteration", 5, "unknown key cifar10.recipe.iteration; did you mean iterations?"),
        ("cifar10.recipe.lr", "fast", "cifar10.recipe.lr is 'fast'; it must be of type number"),
        ("cifar10.recipe.image_size", 12, "cifar10.recipe.image_size is 12; it must be one of 4, 8, 16, 32"),
        ("cifar10.seeds.resnet-21", [0], "cifar10, resnet-21: model 'resnet-21': the depth must be 6n+2"),
        ("cifar10.recipe.lr_drops", [9, 3], "lr_drops must increase"),
        ("cifar10.recipe.ghost_batch_size", 7, "ghost_batch_size must divide batch_size (64)"),
    ],
)
def test_what_is_wrong_is_named(config, path, value, message):
    change(config, path, value)
    with pytest.raises(UserError) as error:
        load(config, WORKFLOW)
    assert message in str(error.value)


def test_a_missing_key_is_named(config):
    del config["hardware"]["device"]
    with pytest.raises(UserError, match=r"config\.yaml: missing key hardware\.device"):
        load(config, WORKFLOW)


def test_flags_are_read_back_as_they_were():
    import argparse

    recipe = CifarRecipe(model="plain-110", ghost_batch_size=64, lr_drops=(), warmup_lr=None)
    parser = argparse.ArgumentParser()
    add_arguments(parser, CifarRecipe)
    assert from_arguments(CifarRecipe, parser.parse_args(to_flags(recipe).split())) == recipe


def test_the_fingerprint_follows_what_matters():
    data = {"data_batch_1.bin": "a"}
    first = fingerprint(CifarRecipe(), data)
    assert first == fingerprint(CifarRecipe(), dict(data))
    assert first != fingerprint(CifarRecipe(lr=0.2), data)
    assert first != fingerprint(CifarRecipe(seed=1), data)
    assert first != fingerprint(CifarRecipe(), {"data_batch_1.bin": "b"})


def test_conda_and_pip_have_the_same_pins():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert conda["dependencies"][-1]["pip"] == pins
    assert all("==" in pin for pin in pins)

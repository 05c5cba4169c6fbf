"""config.yaml, scales, settings: what is accepted, and the exact error for what is not."""

import argparse
import dataclasses

import pytest
import yaml
from conftest import ROOT

from resnet.config import RECIPES, load
from resnet.errors import UserError
from resnet.settings import CifarRecipe, Hardware, ImageNetRecipe, add_arguments, fingerprint, from_arguments, to_flags

WORKFLOW = ROOT / "workflow"


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


@pytest.mark.parametrize("part", ["cifar10", "imagenet"])
@pytest.mark.parametrize("scale", ["demo", "short", "paper"])
def test_every_scale_is_valid_and_sets_every_setting(config, scale, part):
    loaded = load({**config, "scale": scale}, WORKFLOW)
    values = yaml.safe_load((WORKFLOW / f"scales/{scale}.yaml").read_text())[part]["recipe"]
    fields = {field.name for field in dataclasses.fields(RECIPES[part])}
    assert set(values) == fields - {"model", "seed"}
    assert next(iter(getattr(loaded, part).seeds)).startswith("plain-")


def test_schema_and_settings_have_the_same_keys():
    scale = yaml.safe_load((WORKFLOW / "schemas/scale.schema.yaml").read_text())
    for part, name in (("cifar10", "recipe"), ("imagenet", "imagenet_recipe")):
        fields = {field.name for field in dataclasses.fields(RECIPES[part])}
        assert set(scale["$defs"][name]["properties"]) == fields - {"model", "seed"}
    schema = yaml.safe_load((WORKFLOW / "schemas/config.schema.yaml").read_text())
    hardware = {field.name for field in dataclasses.fields(Hardware)}
    assert set(schema["properties"]["hardware"]["properties"]) == hardware | {"processes"}


def test_the_paper_scale_is_the_defaults_of_the_recipe(config):
    loaded = load({**config, "scale": "paper"}, WORKFLOW)
    assert loaded.cifar10.recipe("resnet-110", 0) == CifarRecipe(model="resnet-110")
    assert loaded.cifar10.seeds["resnet-110"] == [0, 1, 2, 3, 4]
    assert loaded.imagenet.recipe("resnet-152", 0) == ImageNetRecipe(model="resnet-152")
    assert loaded.imagenet.recipe("vgg-16", 0) == ImageNetRecipe(model="vgg-16", lr=0.01, dropout=0.5)
    assert load(config, WORKFLOW).cifar10.seeds["resnet-110"] == [0, 1]


def test_config_lays_over_the_scale(config):
    config["cifar10"] = {"seeds": {"resnet-164": [3]}, "exceptions": {"resnet-164": {"lr": 0.5}}}
    loaded = load(config, WORKFLOW)
    assert loaded.cifar10.seeds["resnet-164"] == [3]
    assert loaded.cifar10.seeds["plain-20"] == [0]
    assert loaded.cifar10.recipe("resnet-164", 3).lr == 0.5
    assert (
        loaded.cifar10.recipe("plain-20", 0).lr
        == load({**config, "cifar10": {}}, WORKFLOW).cifar10.recipe("plain-20", 0).lr
    )


def test_values_from_the_command_line_are_text(config):
    config["cifar10"] = {"recipe": {"iterations": "60", "lr": "0.5", "lr_drops": ["30"], "ghost_batch_size": "null"}}
    recipe = load(config, WORKFLOW).cifar10.recipe("plain-20", 0)
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


def test_recipes_of_imagenet_survive_the_command_line():
    recipe = ImageNetRecipe(model="resnet-34-C", stride_in_3x3=True, plateau=3, ghost_batch_size=32, width=0.5)
    parser = argparse.ArgumentParser()
    add_arguments(parser, ImageNetRecipe)
    assert from_arguments(ImageNetRecipe, parser.parse_args(to_flags(recipe).split())) == recipe


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": {"resnet-34": [0]}}, "say which shortcuts it has: resnet-34-A, resnet-34-B or resnet-34-C"),
        ({"seeds": {"plain-50": [0]}}, "plain nets have 18 or 34 layers and no shortcuts"),
        ({"recipe": {"min_side": 64}}, "min_side must be at least image_size (96), not 64"),
        ({"recipe": {"max_side": 100, "min_side": 110}}, "max_side must be at least min_side (110), not 100"),
        ({"ensemble": [{"model": "resnet-152", "seed": 7}]}, "'seed': 7} is not a run of imagenet.seeds"),
        ({"recipe": {"widht": 2}}, "unknown key imagenet.recipe.widht; did you mean width?"),
    ],
)
def test_wrong_settings_of_imagenet_are_named(config, changes, message):
    config["imagenet"] = changes
    with pytest.raises(UserError) as error:
        load(config, WORKFLOW)
    assert message in str(error.value)

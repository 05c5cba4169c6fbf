"""config.yaml, scales, settings: what is accepted, and the exact error for what is not."""

import argparse
import dataclasses
import functools
import os
import re
import shutil

import pytest
import yaml
from conftest import ROOT, run_program

from resnet.checked import check_keys
from resnet.config import RECIPES, load
from resnet.data import coco
from resnet.errors import UserError
from resnet.idle import missing_folders
from resnet.rules import faults, read, reader, requirement, rules_of, schema_of
from resnet.schema import schemas
from resnet.sections import SECTIONS
from resnet.settings import (
    EXPERIMENTS,
    ArgumentParser,
    BatchNormStatistics,
    CifarRecipe,
    DetectorRecipe,
    Hardware,
    ImageNetRecipe,
    add_arguments,
    check_shares,
    fingerprint,
    from_arguments,
    read_hardware,
    to_flags,
)

WORKFLOW = ROOT / "workflow"


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def leaves(value, path=""):
    if not isinstance(value, dict):
        return {path: value}
    return {place: leaf for key, inner in value.items() for place, leaf in leaves(inner, f"{path}.{key}").items()}


@pytest.mark.parametrize("scale", ["demo", "short"])
def test_a_scale_says_only_what_differs_from_the_papers(scale):
    said, paper = (leaves(yaml.safe_load((WORKFLOW / f"scales/{name}.yaml").read_text())) for name in (scale, "paper"))
    defaults = leaves({name: dataclasses.asdict(kind()) for name, kind in RECIPES.items()})
    assert said.pop(".base") == "paper"
    papers = {place: paper.get(place, defaults.get(place.replace(".recipe", ""), "nothing")) for place in said}
    assert [place for place, value in said.items() if value == papers[place]] == []


def write_scale(folder, name, text):
    (folder / "scales").mkdir(exist_ok=True)
    (folder / f"scales/{name}.yaml").write_text(text)


def test_a_scale_of_ones_own_is_laid_over_its_base_and_may_take_out_what_is_there(config, tmp_path):
    shutil.copytree(WORKFLOW / "scales", tmp_path / "scales")
    write_scale(
        tmp_path, "mine", "base: short\ncifar10: {seeds: {resnet-110: [7]}}\ndetector: {overrides: {coco: null}}\n"
    )
    loaded, short = load({**config, "scale": "mine"}, tmp_path), load({**config, "scale": "short"}, tmp_path)
    assert loaded.cifar10.seeds == short.cifar10.seeds | {"resnet-110": [7]}
    assert loaded.cifar10.recipe("resnet-20", 0) == short.cifar10.recipe("resnet-20", 0)
    assert short.detector.recipe("coco", "vgg-16", 0).anchor_sizes == (64, 128, 256, 512)
    assert loaded.detector.recipe("coco", "vgg-16", 0).anchor_sizes == (128, 256, 512)
    config["detector"] = {"overrides": {"coco": None, "voc": None}}
    assert load({**config, "scale": "short"}, tmp_path).detector.recipe("coco", "vgg-16", 0).iterations == 8000


def test_the_scale_of_the_pages_is_what_they_say(config, tmp_path):
    shutil.copytree(WORKFLOW / "scales", tmp_path / "scales")
    text = (ROOT / "docs/extending.md").read_text().split("## A scale\n")[1]
    write_scale(tmp_path, "half", re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1])
    half, paper = (load({**config, "scale": scale}, tmp_path) for scale in ("half", "paper"))
    expected = dataclasses.replace(paper.cifar10.recipe("resnet-110", 1), iterations=32000, lr_drops=(16000, 24000))
    assert half.cifar10.recipe("resnet-110", 1) == expected
    assert half.imagenet == paper.imagenet
    assert half.detector.recipe("coco", "vgg-16", 0).batch_size == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base: mine", "its base is mine of mine, so it has none; name another"),
        ("base: theirs", "its base is mine of theirs of mine, so it has none; name another"),
        ("base: other", "mine.yaml: base is 'other'; it must be null or one of mine, theirs"),
        ("cifar10: {recipe: {lr: -1}}", "mine.yaml: cifar10.recipe.lr is -1; it must be a number, above 0"),
        ("cifar10: {recipe: {exceptions: 1}}", "mine.yaml: unknown key cifar10.recipe.exceptions"),
        ("cifar10: 1\ncifar10: 2", "mine.yaml: key cifar10 is there twice"),
    ],
)
def test_what_is_wrong_with_a_scale_is_named(config, tmp_path, text, message):
    write_scale(tmp_path, "mine", text)
    write_scale(tmp_path, "theirs", "base: mine")
    with pytest.raises(UserError) as error:
        load({**config, "scale": "mine"}, tmp_path)
    assert message in str(error.value)


def test_what_config_yaml_does_not_say_has_its_default(config):
    given = {"scale": "demo", "data": config["data"], "hardware": {"threads": 2}}
    del given["data"]["coco"]["year"], given["data"]["voc"]["folder"]
    loaded, expected = load(given, WORKFLOW), load(config, WORKFLOW)
    assert loaded.hardware == dataclasses.replace(expected.hardware, threads=2)
    assert (loaded.processes, loaded.sections, loaded.data) == (1, expected.sections, expected.data)
    assert loaded.cifar10 == expected.cifar10


# Values of every kind, as YAML gives them.
VALUES = (
    -1, 0, 1, 2, 8, 32, 36, 1025, 2**32, 10**400, -1.0, 0.0, 0.5, 1.0, 2.0, 1.0e3, 100.5, 1e300,
    float("nan"), float("inf"), -float("inf"), True, False, None, "1e-3", "1.0e+3", "2", "nan", "auto", "A", "pool",
)  # fmt: skip


def accepted(function, *arguments):
    try:
        return True, function(*arguments)
    except argparse.ArgumentTypeError:
        return False, None


@pytest.mark.parametrize("settings", [CifarRecipe, ImageNetRecipe, DetectorRecipe, Hardware, BatchNormStatistics])
def test_the_configuration_accepts_what_the_program_accepts_and_nothing_else(settings):
    for name, rule in schema_of(settings, identity=False)["properties"].items():
        item = rule.get("items", rule)
        some = 0
        free_text = "string" in item["type"] and "enum" not in item
        for value in VALUES:
            if free_text and not isinstance(value, str | None):
                # A command line cannot tell the text 2 from the number.
                continue
            configured = read(value, item)
            text = "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
            fits, given = accepted(reader(item), text)
            assert fits != any(faults(configured, item)), (name, value)
            if fits:
                assert given == configured, (name, value)
                assert type(given) in (type(configured), float), (name, value)
            some += fits
        assert 0 < some < len(VALUES), name


def test_whole_numbers_may_be_written_as_floats_and_numbers_as_text(config):
    config["hardware"]["threads"] = 2.0
    config["cifar10"] = {"seeds": {"plain-20": [0.0]}, "recipe": {"iterations": 1.0e3, "lr": "1e-3"}}
    loaded = load(config, WORKFLOW)
    recipe = loaded.cifar10.recipe("plain-20", 0)
    assert "--iterations 1000 --lr 0.001 " in to_flags(recipe)
    assert "--threads 2 " in to_flags(loaded.hardware)
    assert str(loaded.cifar10.seeds["plain-20"]) == "[0]"


def test_the_paper_scale_is_the_defaults_of_the_recipe(config):
    loaded = load({**config, "scale": "paper"}, WORKFLOW)
    assert loaded.cifar10.recipe("resnet-110", 0) == CifarRecipe(model="resnet-110")
    assert loaded.cifar10.seeds["resnet-110"] == [0, 1, 2, 3, 4]
    assert loaded.imagenet.recipe("resnet-152", 0) == ImageNetRecipe(model="resnet-152")
    assert loaded.imagenet.recipe("vgg-16", 0) == ImageNetRecipe(model="vgg-16", lr=0.01, dropout=0.5)
    assert load(config, WORKFLOW).cifar10.seeds["resnet-110"] == [0]


def test_config_lays_over_the_scale(config):
    config["cifar10"] = {"seeds": {"resnet-164": [3]}, "overrides": {"resnet-164": {"lr": 0.5}}}
    loaded = load(config, WORKFLOW)
    assert loaded.cifar10.seeds["resnet-164"] == [3]
    assert loaded.cifar10.seeds["plain-20"] == [0]
    assert loaded.cifar10.recipe("resnet-164", 3).lr == 0.5
    assert (
        loaded.cifar10.recipe("plain-20", 0).lr
        == load({**config, "cifar10": {}}, WORKFLOW).cifar10.recipe("plain-20", 0).lr
    )


def test_a_variation_is_its_network_by_other_settings(config):
    config["cifar10"] = {
        "seeds": {"resnet-1202+slow": [3]},
        "overrides": {"resnet-1202+slow": {"lr": 0.003}},
    }
    part = load(config, WORKFLOW).cifar10
    own, other = part.recipe("resnet-1202+slow", 3), part.recipe("resnet-1202", 3)
    assert own == dataclasses.replace(other, model="resnet-1202+slow", lr=0.003)
    assert (own.batch_size, part.recipe("resnet-20+slow", 3).batch_size) == (32, 64)
    assert own.warmup == other.warmup == (0.001, 80)


@pytest.mark.parametrize("scale", ["demo", "short", "paper"])
def test_footnotes_are_trained_on_request(config, scale):
    config = {**config, "scale": scale, "sections": ["cifar10"] if scale != "demo" else config["sections"]}
    wanted = yaml.safe_load((WORKFLOW / "footnotes.yaml").read_text())
    names = {part: set(wanted[part]["seeds"]) for part in ("cifar10", "imagenet")}
    without, loaded = load(config, WORKFLOW), load({**config, **wanted}, WORKFLOW)
    for part, models in names.items():
        assert not models & set(getattr(without, part).seeds)
        assert models <= set(getattr(loaded, part).seeds)
    cifar10, imagenet = loaded.cifar10, loaded.imagenet
    assert cifar10.recipe("resnet-110", 0).warmup
    assert cifar10.recipe("resnet-110+no-warmup", 0).warmup is None
    assert cifar10.recipe("resnet-56+single-layer", 0).layers_per_block == 1
    for model in ("plain-18", "plain-34"):
        longer, usual = imagenet.recipe(f"{model}+3x", 0), imagenet.recipe(model, 0)
        assert longer.iterations == 3 * usual.iterations
        assert longer.lr_drops == tuple(3 * drop for drop in usual.lr_drops)


def test_three_seeds_of_each_net_on_cifar10_are_a_file_away(config):
    config = {**config, "scale": "paper", "sections": ["cifar10"]}
    wanted = yaml.safe_load((WORKFLOW / "seeds.yaml").read_text())
    seeds = load({**config, **wanted}, WORKFLOW).cifar10.seeds
    assert seeds.keys() == load(config, WORKFLOW).cifar10.seeds.keys()
    assert {model for model, runs in seeds.items() if not 3 <= len(runs) <= 5} == {"resnet-1202"}


def test_values_from_the_command_line_are_text(config):
    config["data"]["coco"] |= {"year": "2017", "folder": "null"}
    config["hardware"] |= {"workers": "null", "compile": "true", "threads": "1"}
    config["imagenet"] = {"recipe": {"stride_in_3x3": "true"}, "ensemble": [{"model": "resnet-50", "seed": "0"}]}
    config["detector"] = "null"
    loaded = load(config, WORKFLOW)
    assert (loaded.data["coco"]["year"], loaded.data["coco"]["folder"]) == (2017, None)
    assert (loaded.hardware.workers, loaded.hardware.compile, loaded.hardware.threads) == (None, "true", 1)
    assert loaded.imagenet.recipe("resnet-50", 0).stride_in_3x3 is True
    assert loaded.imagenet.settings["ensemble"] == [{"model": "resnet-50", "seed": 0}]
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
        (
            "hardware.threads",
            "two",
            "hardware.threads is 'two'; it must be a whole number, at least 1 and at most 1024",
        ),
        ("scale", "papper", "config.yaml: scale is 'papper'; it must be one of demo, paper, short"),
        ("data.cifar10.folder", 7, "config.yaml: data.cifar10.folder is 7; it must be null or text"),
        ("data.cifar10.md5", "xyz", "config.yaml: data.cifar10.md5 is 'xyz'; it must be 32 hexadecimal digits"),
        ("cifar10.recipe.iteration", 5, "unknown key cifar10.recipe.iteration; did you mean iterations?"),
        ("workers", 3, "config.yaml: unknown key workers; did you mean hardware.workers?"),
        ("iterations", 3, "unknown key iterations; did you mean cifar10.recipe.iterations or imagenet.recipe.iter"),
        ("data.coco.year", 2015, "config.yaml: data.coco.year is 2015; it must be one of 2014, 2017"),
        ("hardware", 7, "config.yaml: hardware is 7; it must be a mapping of keys to values"),
        (
            "hardware.checkpoint_seconds",
            float("nan"),
            "checkpoint_seconds is nan; it must be a number, above 0",
        ),
        ("cifar10.recipe.lr", "fast", "cifar10.recipe.lr is 'fast'; it must be a number, above 0"),
        ("cifar10.recipe.lr", float("inf"), "cifar10.recipe.lr is inf; it must be a number, above 0"),
        ("cifar10.recipe.warmup_lr", -1, "cifar10.recipe.warmup_lr is -1; it must be null or a number, above 0"),
        (
            "cifar10.seeds.resnet-20",
            [0, 0],
            "cifar10.seeds.resnet-20 is [0, 0]; it must be a list of whole numbers, each once",
        ),
        ("cifar10.seeds", {20: [0]}, "cifar10, 20: unknown model '20': expected plain-<depth> or resnet-<depth>"),
        (
            "imagenet.multiscale_shorter_sides",
            [],
            "imagenet.multiscale_shorter_sides is []; it must be a list of whole numbers that is not empty",
        ),
        ("detector.overrides.vco", {}, "detector, vco: unknown model 'vco': expected plain-<18"),
        ("data.imagenet", {"folder": "a", "archives": "b", "weights": None}, "name folder or archives, not both"),
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


def test_archives_of_another_year_of_coco_are_seen_before_they_are_downloaded(config):
    config |= {"scale": "short"}
    load(config, WORKFLOW)
    config["data"]["coco"]["year"] = 2017
    with pytest.raises(UserError, match=r"data\.coco\.year is 2017, but .*/train2014\.zip is of 2014"):
        load(config, WORKFLOW)
    for archive, name in zip(config["data"]["coco"]["archives"], ("train2017.zip", "v.zip", "2017.zip"), strict=True):
        archive["url"] = f"http://mirror/{name}"
    load(config, WORKFLOW)


@pytest.mark.parametrize("key", ["scale", "data", "data.coco", "data.coco.archives", "data.cifar10.md5"])
def test_a_missing_key_is_named(config, key):
    *parents, last = key.split(".")
    del functools.reduce(lambda inner, name: inner[name], parents, config)[last]
    with pytest.raises(UserError, match=rf"config\.yaml: missing key {re.escape(key)}$"):
        load(config, WORKFLOW)


def test_flags_are_read_back_as_they_were():
    recipe = CifarRecipe(model="plain-110", ghost_batch_size=64, lr_drops=(), warmup_lr=None)
    parser = argparse.ArgumentParser()
    add_arguments(parser, CifarRecipe)
    assert from_arguments(CifarRecipe, parser.parse_args(to_flags(recipe).split())) == recipe


def test_the_fingerprint_follows_what_matters():
    data, versions = {"data_batch_1.bin": "a"}, {"train_cifar10": 1}
    first = fingerprint(CifarRecipe(), data, versions)
    assert first == fingerprint(CifarRecipe(), dict(data), dict(versions))
    assert first != fingerprint(CifarRecipe(lr=0.2), data, versions)
    assert first != fingerprint(CifarRecipe(seed=1), data, versions)
    assert first != fingerprint(CifarRecipe(), {"data_batch_1.bin": "b"}, versions)
    assert first != fingerprint(CifarRecipe(), data, {"train_cifar10": 2})
    # As before there was branch_scale: earlier runs go on.
    assert first.startswith("af6a9de085922786")
    assert first != fingerprint(CifarRecipe(branch_scale=0.5), data, versions)


def test_conda_and_pip_have_the_same_pins():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert conda["dependencies"][-1]["pip"] == pins
    assert all("==" in pin for pin in pins)
    locked = (ROOT / "constraints.txt").read_text().lower().splitlines()
    assert {pin.split(";")[0] for pin in pins if ";" not in pin} <= set(locked)
    assert all("==" in line for line in locked[1:])


def test_recipes_of_imagenet_survive_the_command_line():
    recipe = ImageNetRecipe(model="resnet-34-C", stride_in_3x3=True, plateau=3, ghost_batch_size=32, width=0.5)
    parser = argparse.ArgumentParser()
    add_arguments(parser, ImageNetRecipe)
    assert from_arguments(ImageNetRecipe, parser.parse_args(to_flags(recipe).split())) == recipe


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": {"resnet-34": [0]}}, "say which shortcuts it has: resnet-34-A, resnet-34-B or resnet-34-C"),
        ({"seeds": {"plain-34-A": [0]}}, "plain nets have no shortcuts"),
        ({"recipe": {"scale_min": 32}}, "scale_min must be at least image_size (64), not 32"),
        ({"recipe": {"scale_max": 100, "scale_min": 110}}, "scale_max must be at least scale_min (110), not 100"),
        ({"ensemble": [{"model": "resnet-152", "seed": 7}]}, "resnet-152 with seed 7 is not a run of imagenet.seeds"),
        (
            {"ensemble": [{"model": "resnet-50", "seed": 0}] * 2},
            "ensemble: resnet-50 with seed 0 is there twice",
        ),
        ({"recipe": {"widht": 2}}, "unknown key imagenet.recipe.widht; did you mean width?"),
    ],
)
def test_wrong_settings_of_imagenet_are_named(config, changes, message):
    config["imagenet"] = changes
    with pytest.raises(UserError) as error:
        load(config, WORKFLOW)
    assert message in str(error.value)


@pytest.mark.parametrize("text", ["a: 1\nb: 2\na: 3\n", "a: {c: 1}\nb: []\na: {d: 2}\n", '{"a": 1,\n"b": 2,\n"a": 2}'])
def test_a_key_that_is_given_twice_is_named_with_its_lines(config, tmp_path, text):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(UserError) as error:
        load(config, WORKFLOW, [tmp_path / "mine.yaml"])
    assert str(error.value) == f"{tmp_path}/mine.yaml: key a is there twice (lines 1 and 3); put both into one"


def test_keys_that_are_given_twice_are_found_at_every_depth(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("a: {b: 1}\nc: [{d: 1, e: 2}, {d: 3,\n  d: 4}]\n")
    with pytest.raises(UserError, match=r"key c\.1\.d is there twice \(lines 2 and 3\)"):
        check_keys(file)
    file.write_text("a: {b: 1}\nc: {b: 1}\nd: [{b: 1}, {b: 1}]\n")
    check_keys(file)
    for scale in WORKFLOW.glob("scales/*.yaml"):
        check_keys(scale)


def test_home_is_found(config, monkeypatch):
    monkeypatch.setenv("HOME", "/home/jane")
    config["data"]["cifar10"]["folder"] = "~/cifar"
    config["data"]["voc"]["test2012"] = "~/voc.tar"
    data = load(config, WORKFLOW).data
    assert (data["cifar10"]["folder"], data["voc"]["test2012"]) == ("/home/jane/cifar", "/home/jane/voc.tar")


def test_the_years_of_coco_are_those_of_the_program():
    schema, _ = schemas(WORKFLOW / "scales")
    years = schema["properties"]["data"]["properties"]["coco"]["properties"]["year"]["enum"]
    assert [str(year) for year in years] == list(coco.WHOLE)


@pytest.mark.parametrize("scale", ["demo", "short", "paper"])
def test_every_setting_of_a_scale_has_an_effect(config, scale):
    config["data"]["imagenet"]["folder"] = None if scale == "demo" else "/imagenet"
    assert load({**config, "scale": scale}, WORKFLOW).notes == ()


@pytest.mark.parametrize(
    ("path", "value", "note"),
    [
        ("cifar10.overrides.resnet-1022", {"lr": 1}, "cifar10.overrides.resnet-1022 has no effect: it is not among"),
        ("cifar10.overrides.plain-20", {"warmup_lr": 0.1}, "plain-20.warmup_lr has no effect: nets below warmup_from"),
        ("cifar10.overrides.plain-20", {"shortcut": "B"}, "shortcut has no effect: plain nets have no shortcuts"),
        (
            "cifar10.recipe",
            {"validation_fraction": 0, "split_seed": 3},
            "split_seed has no effect: no images are",
        ),
        (
            "cifar10.recipe",
            {"iterations": 140, "lr_drops": [100, 140]},
            "lr_drops 140 have no effect in 140 iterations (plain-20, plain",
        ),
        ("cifar10.recipe", {"warmup_from_depth": 2000, "warmup_error": 70}, "recipe.warmup_error has no effect: there"),
        ("imagenet.overrides.resnet-34-A", {"stride_in_3x3": True}, "stride_in_3x3 has no effect: only nets of 50"),
        ("imagenet.recipe", {"plateau": 2, "lr_drops": [100]}, "imagenet.recipe.lr_drops has no effect: plateau takes"),
        ("imagenet.seeds", {"resnet-152": []}, "imagenet.ensemble (Table 5) is without resnet-152, left out in"),
        ("imagenet.seeds", {"vgg-16": []}, "there are no detectors with vgg-16, left out in imagenet.seeds"),
        ("detector.overrides.resnet-50", {"lr": 1}, "detector.overrides.resnet-50 has no effect: it is not among"),
        ("detector.overrides.resnet-101", {"dropout": 0.1}, "resnet-101.dropout has no effect: only VGG nets"),
        ("detector", {"weights": "torchvision", "bn_statistics": {"size": 96}}, "detector.bn_statistics has no effect"),
        ("data.cifar10.folder", "/cifar", "data.cifar10.folder has no effect: cifar10.dataset is digits"),
        ("data.imagenet.archives", "/x", "data.imagenet.archives has no effect: imagenet.dataset is handwriting"),
        ("data.imagenet.weights", "/x", "data.imagenet.weights has no effect: neither imagenet.weights nor"),
        ("data.voc.test2012", "/x", "data.voc.test2012 has no effect: detector.data.voc is scenes-voc"),
        ("data.coco.folder", "/x", "data.coco.folder has no effect: detector.data.coco is scenes-coco"),
    ],
)
def test_a_setting_without_effect_is_mentioned(config, path, value, note):
    change(config, path, value)
    notes = load(config, WORKFLOW).notes
    assert [note in line for line in notes] == [True], notes


def test_a_folder_that_is_not_there_is_mentioned_where_it_is_used(config, tmp_path):
    config["data"]["cifar10"]["folder"] = "/cifar"
    config["data"]["imagenet"]["archives"] = str(tmp_path)
    assert missing_folders(load(config, WORKFLOW)) == []
    assert missing_folders(load({**config, "scale": "paper"}, WORKFLOW)) == [
        "data.cifar10.folder is /cifar, which is no folder on this machine"
    ]


def test_a_setting_that_exceptions_replace_everywhere_is_mentioned(config):
    overrides = {"voc": {"lr": 0.1}, "coco": {"lr": 0.2}, "det": {"lr": 0.3}}
    config["detector"] = {"recipe": {"lr": 0.5}, "overrides": overrides}
    assert load(config, WORKFLOW).notes == ("detector.recipe.lr has no effect: overrides give every run another value",)


@pytest.mark.parametrize("part", ["cifar10", "imagenet", "detector"])
def test_a_network_without_seeds_is_left_out(config, part):
    model = {"cifar10": "resnet-1202", "imagenet": "plain-18", "detector": "vgg-16"}[part]
    config[part] = {"seeds": {model: []}}
    loaded = load(config, WORKFLOW)
    assert model not in getattr(loaded, part).seeds
    assert loaded.notes == ()


def test_a_network_that_is_left_out_is_left_out_of_what_is_made_of_it(config):
    config["imagenet"] = {"seeds": {"resnet-101": []}}
    loaded = load(config, WORKFLOW)
    assert list(loaded.detector.seeds) == ["vgg-16"]
    assert "resnet-101" not in str(loaded.imagenet.settings["ensemble"])
    assert len(loaded.imagenet.settings["ensemble"]) == 5


@pytest.mark.parametrize(
    ("changes", "made"),
    [
        ({"scale": "demo"}, ["imagenet", "cifar10", "detection"]),
        ({"scale": "paper"}, ["cifar10"]),
        ({"scale": "paper", "data.imagenet.archives": "/archives"}, ["imagenet", "cifar10", "detection"]),
        ({"scale": "short", "detector": {"weights": "torchvision"}}, ["cifar10", "detection"]),
        ({"scale": "demo", "imagenet": {"dataset": "imagenet"}}, ["cifar10"]),
        ({"scale": "paper", "sections": ["imagenet", "cifar10"]}, ["cifar10"]),
        ({"scale": "demo", "sections": ["detection"]}, ["detection"]),
    ],
)
def test_a_section_without_data_is_left_out_with_a_reason_and_keeps_no_other(config, changes, made):
    for path, value in changes.items():
        change(config, path, value)
    loaded = load(config, WORKFLOW)
    assert loaded.made == made
    missing = [section for section in config["sections"] if section not in made]
    assert list(loaded.left_out) == missing
    assert [note.split(":")[0] for note in loaded.notes] == [f"section {section} is left out" for section in missing]
    assert all("data.imagenet" in reason for reason in loaded.left_out.values())


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ("cifar10", "sections is 'cifar10'; it must be a list of imagenet, cifar10, detection, appendix that is not"),
        ([], "sections is []; it must be a list of imagenet, cifar10, detection, appendix that is not empty, each"),
        (["cifar"], "sections.0 is 'cifar'; it must be one of imagenet, cifar10, detection, appendix"),
        (["imagenet"], "sections: there is none that can be made: ILSVRC2012 needs a registration, and data.imagenet"),
    ],
)
def test_sections_that_cannot_be_are_one_error(config, sections, message):
    with pytest.raises(UserError) as error:
        load({**config, "scale": "paper", "sections": sections}, WORKFLOW)
    assert str(error.value).startswith(f"config.yaml: {message}")


def test_the_sections_of_the_configuration_are_those_of_the_report():
    schema, _ = schemas(WORKFLOW / "scales")
    assert schema["properties"]["sections"]["items"]["enum"] == list(SECTIONS)


@pytest.mark.parametrize(
    ("hardware", "message"),
    [
        ({"processes": 3}, "imagenet, plain-18: batch_size 256 cannot be split evenly over 3 processes"),
        ({"accumulate": 3}, "cifar10, plain-20: accumulate 3 must divide the 128 images of a process"),
    ],
)
def test_a_batch_that_cannot_be_split_is_seen_before_the_training(config, hardware, message):
    config["scale"] = "paper"
    config["hardware"] |= hardware
    with pytest.raises(UserError) as error:
        load(config, WORKFLOW)
    assert message in str(error.value)


def test_ghost_batches_must_divide_what_is_computed_at_once():
    recipe = ImageNetRecipe(ghost_batch_size=32)
    check_shares(recipe, 4, 2)
    with pytest.raises(
        UserError, match=r"ghost_batch_size 32 must divide the 16 images .* \(4 processes, accumulate 4\)"
    ):
        check_shares(recipe, 4, 4)


def test_no_more_threads_and_workers_are_used_than_there_are_cores(capsys):
    cores = os.cpu_count()
    parser = argparse.ArgumentParser()
    add_arguments(parser, Hardware)
    hardware = read_hardware(parser.parse_args(["--threads", str(cores + 1), "--workers", "0"]))
    assert (hardware.threads, hardware.workers) == (cores, 0)
    assert capsys.readouterr().out == f"threads is {cores + 1}, but this machine has {cores} cores: {cores} are used\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--seed -1", "argument --seed: -1 is not a whole number, at least 0 and at most 4294967295 (see --help)"),
        ("--momentum -1", "argument --momentum: -1 is not a number, at least 0 and below 1 (see --help)"),
        ("--lr nan", "argument --lr: nan is not a number, above 0 (see --help)"),
        (
            "--threads 1000000",
            "argument --threads: 1000000 is not a whole number, at least 1 and at most 1024 (see",
        ),
        ("--shortcut D", "argument --shortcut: D is not one of A, B, C (see --help)"),
        ("--lr-drops 3 0", "argument --lr-drops: 0 is not a whole number, at least 1 (see --help)"),
        ("--sede 1", "unrecognized arguments: --sede 1 (see --help)"),
    ],
)
def test_an_option_out_of_range_is_one_line_that_names_it(arguments, message):
    parser = ArgumentParser()
    add_arguments(parser, CifarRecipe)
    add_arguments(parser, Hardware)
    with pytest.raises(UserError) as error:
        parser.parse_args(arguments.split())
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_program_says_so_in_one_line():
    code, output = run_program("train_cifar10", "--data", "x", "--run-folder", "y", "--weight-decay", -1)
    assert code == 1
    assert output == "train_cifar10: error: argument --weight-decay: -1 is not a number, at least 0 (see --help)\n"


def test_settings_are_checked_however_they_are_made():
    with pytest.raises(UserError, match="momentum is nan; it must be a number, at least 0 and below 1"):
        CifarRecipe(momentum=float("nan"))
    with pytest.raises(UserError, match=r"anchor_sizes is \(\); it must be a list of whole numbers that is not empty"):
        DetectorRecipe(anchor_sizes=())
    with pytest.raises(UserError, match=f"experiment is 'voc'; it must be one of {', '.join(EXPERIMENTS)}"):
        DetectorRecipe(experiment="voc")
    assert requirement(rules_of(BatchNormStatistics)["images"]) == "null or a whole number, at least 1"

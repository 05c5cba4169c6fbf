"""From config.yaml and a scale file to the settings of every run, with errors that name the key."""

import contextlib
import copy
import dataclasses
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from resnet.checked import check_keys, checked
from resnet.errors import UserError
from resnet.files import read_yaml
from resnet.idle import idle_data, idle_settings
from resnet.rules import Rule, with_defaults
from resnet.schema import schemas
from resnet.sections import DEFAULT_SECTIONS, Config, DetectorSection, LocalisationSection, Section
from resnet.settings import (
    EXPERIMENTS,
    LOCALISER_STAGES,
    CifarRecipe,
    Hardware,
    ImageNetRecipe,
    check_shares,
    network_of,
    parse_imagenet_model,
)

RECIPES = {"cifar10": CifarRecipe, "imagenet": ImageNetRecipe}
SECTIONS_OF_SCALES = (*RECIPES, "detector", "localisation")


def check_year(coco: dict[str, Any]) -> None:
    """Check that the archives of COCO, where they are named as the official ones, are of the year that is to be read.

    Raises:
        UserError: one is not.
    """
    for archive in [] if coco["folder"] else coco["archives"]:
        found = re.search(r"(?:train|val)(\d{4})\.zip", archive["url"])
        if found and found[1] != str(coco["year"]):
            raise UserError(
                f"config.yaml: data.coco.year is {coco['year']}, but {archive['url']} is of {found[1]}; name the "
                "archives of that year and their md5"
            )


def load(config: dict[str, Any], workflow: Path, files: Iterable[Path] = ()) -> Config:
    """Check a configuration, read its scale from the ``workflow`` folder and combine the two.

    Args:
        config: what Snakemake made of its configuration files and command line.
        workflow: the folder of the scales.
        files: the configuration files, which are looked through for keys that are given twice.

    Raises:
        UserError: a key is unknown, missing, given twice or has a wrong value; the message names file, key and fix.
    """
    for file in files:
        check_keys(Path(file))
    config_schema, scale_schema = schemas(workflow / "scales")
    config = {name: {} for name in SECTIONS_OF_SCALES} | checked(config, config_schema, "config.yaml")
    config |= {
        key: with_defaults(config.get(key, {}), config_schema["properties"][key]) for key in ("data", "hardware")
    }
    config.setdefault("sections", list(DEFAULT_SECTIONS))
    scale = read_scale(workflow / "scales", config["scale"], scale_schema)
    where = f"({workflow}/scales/{config['scale']}.yaml or config.yaml)"
    if config["data"]["imagenet"]["folder"] and config["data"]["imagenet"]["archives"]:
        raise UserError("config.yaml: data.imagenet: name folder or archives, not both")
    hardware = dict(config["hardware"])
    processes, trainings_per_gpu = (hardware.pop(key) for key in ("processes", "trainings_per_gpu"))
    hardware = Hardware(**hardware)
    values = {
        name: with_defaults(merge(scale.get(name, {}), config[name]), scale_schema["properties"][name])
        for name in SECTIONS_OF_SCALES
    }
    notes = leave_out(values, config["data"]["imagenet"], config["sections"])
    classifiers = {name: load_section(name, values[name], where) for name in RECIPES}
    check_ensemble("imagenet", classifiers["imagenet"].settings["ensemble"], classifiers["imagenet"].seeds, where)
    for name, world_size in (("cifar10", 1), ("imagenet", processes)):
        for model in classifiers[name].seeds:
            with named(f"{name}, {model}", "(hardware in config.yaml)"):
                check_shares(classifiers[name].recipe(model, 0), world_size, hardware.accumulate)
    detector = load_detector_section(values["detector"], classifiers["imagenet"], where)
    localisation = load_localisation_section(values["localisation"], classifiers["imagenet"], where)
    if detector.data["coco"] == "coco":
        check_year(config["data"]["coco"])
    cifar10, imagenet, sections = classifiers["cifar10"], classifiers["imagenet"], config["sections"]
    left_out = without_data(sections, config["data"]["imagenet"], imagenet, detector)
    notes += [f"section {section} is left out: {reason}" for section, reason in left_out.items()]
    loaded = Config(
        scale=config["scale"],
        hardware=hardware,
        processes=processes,
        trainings_per_gpu=trainings_per_gpu,
        data=config["data"],
        cifar10=cifar10,
        imagenet=imagenet,
        detector=detector,
        localisation=localisation,
        sections=sections,
        left_out=left_out,
    )
    notes += idle_data(loaded) + idle_settings(loaded, {name: config[name] for name in SECTIONS_OF_SCALES})
    return dataclasses.replace(loaded, notes=tuple(notes))


def read_scale(folder: Path, name: str, schema: Rule, above: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return what a scale says: its base, and what differs from it (see ``merge``).

    Args:
        folder: where the scales are.
        name: of the scale.
        schema: of every scale.
        above: the scales that it is the base of.

    Raises:
        UserError: it does not fit its schema, or is its own base.
    """
    file = folder / f"{name}.yaml"
    if name in above:
        raise UserError(f"{file}: its base is {' of '.join((name, *reversed(above)))}, so it has none; name another")
    check_keys(file)
    scale = checked(read_yaml(file), schema, str(file))
    base = scale.pop("base", None)
    return merge(read_scale(folder, base, schema, (*above, name)), scale) if base else scale


def leave_out(values: dict[str, dict[str, Any]], data: dict[str, Any], sections: list[str]) -> list[str]:
    """Take out what cannot be without networks that have no seeds on ImageNet, data, or an engine; say what that is."""
    notes = []
    has_detection, has_appendix = "detection" in sections, "appendix" in sections
    without = {model for model, seeds in values["imagenet"]["seeds"].items() if not seeds}
    members = values["imagenet"]["ensemble"]
    values["imagenet"]["ensemble"] = [member for member in members if member["model"] not in without]
    if missing := sorted({member["model"] for member in members} & without):
        notes.append(f"imagenet.ensemble (Table 5) is without {', '.join(missing)}, left out in imagenet.seeds")
    detectors = values["detector"]["seeds"]
    if values["detector"]["weights"] == "trained":
        for model in sorted(without & {model for model, seeds in detectors.items() if seeds}):
            notes += [f"there are no detectors with {model}, left out in imagenet.seeds"] * has_detection
            detectors[model] = []
        for seeds in values["detector"]["appendix"].values():
            seeds |= {model: [] for model in seeds if network_of(model) in without}
    if values["detector"]["engine"] == "detectron2":
        overrides = given(values["detector"]["overrides"])
        with_context = {model for model, override in overrides.items() if override.get("context")}
        for seeds in values["detector"]["appendix"].values():
            seeds |= {model: [] for model in seeds if model in with_context}
        reason = "engine detectron2 computes no context"
        notes += [f"there are no {', '.join(sorted(with_context))}: {reason}"] * (has_appendix and bool(with_context))
    localisers = values["localisation"]
    for model in sorted(without & {model for model, seeds in localisers["seeds"].items() if seeds}):
        notes += [f"there are no localisers with {model}, left out in imagenet.seeds"] * has_appendix
        localisers["seeds"][model] = []
    if localisers["data"] == "imagenet" and not has_annotations(data):
        notes += ["there are no localisers: data.imagenet.annotations names no folder of CLS-LOC/"] * has_appendix
        localisers["seeds"] = {model: [] for model in localisers["seeds"]}
    run = [model for model, seeds in localisers["seeds"].items() if seeds]
    localisers["ensemble"] = [member for member in localisers["ensemble"] if member["model"] in run]
    return notes


def has_annotations(data: dict[str, Any]) -> bool:
    """Return whether ILSVRC's boxes for localisation are at hand."""
    folder = data["annotations"] or (data["folder"] and Path(data["folder"]) / "Annotations")
    return bool(folder) and (Path(folder) / "CLS-LOC").is_dir()


def without_data(
    sections: list[str], data: dict[str, Any], imagenet: Section, detector: DetectorSection
) -> dict[str, str]:
    """Return the sections among some that cannot be made, each with the reason: all but ImageNet is downloaded.

    Raises:
        UserError: none can.
    """
    if imagenet.dataset != "imagenet" or data["folder"] or data["archives"]:
        return {}
    registration = "ILSVRC2012 needs a registration, and data.imagenet in config.yaml names no folder and no archives"
    reasons = {"imagenet": registration, "appendix": registration}
    if detector.weights == "trained":
        reasons["detection"] = (
            "its detectors start with our networks on ImageNet, which data.imagenet in config.yaml does not name; "
            "detector: {weights: torchvision} starts with published ones"
        )
    left_out = {section: reasons[section] for section in sections if section in reasons}
    if len(left_out) == len(sections):
        raise UserError(f"config.yaml: sections: there is none that can be made: {'; '.join(left_out.values())}")
    return left_out


def those_run(seeds: dict[str, list[int]]) -> dict[str, list[int]]:
    """Return the seeds of the models that have any."""
    return {model: numbers for model, numbers in seeds.items() if numbers}


def given(overrides: dict[str, dict[str, Any] | None]) -> dict[str, dict[str, Any]]:
    """Return overrides without those that are null, as they take out what is not there."""
    return {key: values for key, values in overrides.items() if values is not None}


def load_section(name: str, values: dict[str, Any], where: str) -> Section:
    """Return the settings of one section of the paper.

    Raises:
        UserError: a recipe is out of range; the message names the model and the key.
    """
    values = dict(values)
    recipe, overrides = values.pop("recipe"), given(values.pop("overrides"))
    dataset, seeds = values.pop("dataset"), values.pop("seeds")
    section = Section(dataset, list(seeds), those_run(seeds), values, RECIPES[name], recipe, overrides)
    for model in [*section.models, *overrides]:
        with named(f"{name}, {model}", where):
            section.recipe(model, 0)
    return section


def check_ensemble(name: str, ensemble: list[dict[str, Any]], seeds: dict[str, list[int]], where: str) -> None:
    """Check that the members of a section's ensemble are different runs of it.

    Raises:
        UserError: one is not run, or there twice.
    """
    members = [(member["model"], member["seed"]) for member in ensemble]
    for model, seed in members:
        if seed not in seeds.get(model, []):
            raise UserError(f"{name}.ensemble: {model} with seed {seed} is not a run of {name}.seeds {where}")
        if members.count((model, seed)) > 1:
            raise UserError(f"{name}.ensemble: {model} with seed {seed} is there twice {where}")


def load_detector_section(values: dict[str, Any], imagenet: Section, where: str) -> DetectorSection:
    """Return the settings of the detectors.

    Raises:
        UserError: a recipe is out of range, or a detector's classifier is not trained; the message names the key.
    """
    values = dict(values)
    recipe, overrides, seeds = values.pop("recipe"), given(values.pop("overrides")), values.pop("seeds")
    appendix = values.pop("appendix")
    check_appendix(appendix, values["multiscale_shorter_sides"], where)
    models = list(dict.fromkeys([*seeds, *(model for more in appendix.values() for model in more)]))
    section = DetectorSection(
        **values,
        models=models,
        seeds=those_run(seeds),
        appendix={experiment: those_run(more) for experiment, more in appendix.items()},
        _recipe=recipe,
        _overrides=overrides,
    )
    groups = {*EXPERIMENTS, *(experiment.data for experiment in EXPERIMENTS.values())}
    runs = {"seeds": section.seeds, **{f"appendix.{key}": more for key, more in section.appendix.items()}}
    for name, more in runs.items():
        for model in more:
            if section.weights == "trained" and network_of(model) not in imagenet.seeds:
                raise UserError(f"detector.{name}: {model} starts with a network that is not in imagenet.seeds {where}")
    check_starts(section, where)
    for model in [*section.models, *(key for key in overrides if key not in groups)]:
        with named(f"detector, {model}", f"(data sets and experiments: {', '.join(sorted(groups))}) {where}"):
            parse_imagenet_model(model)
        for experiment in EXPERIMENTS:
            with named(f"detector, {experiment}, {model}", where):
                section.recipe(experiment, model, 0)
    return section


def check_starts(section: DetectorSection, where: str) -> None:
    """Check that each detector that starts with another one has it: the same network, run, from a classifier.

    Raises:
        UserError: one has not.
    """
    runs = {name: section.runs(name) for name in EXPERIMENTS}
    for name, model in ((name, model) for name, models in runs.items() for model in models):
        if (start := section.start(name, model)) is None:
            continue
        experiment, _, other = start.partition("/")
        where_it_is = f"detector, {name}, {model}: starts_with is {start}, which"
        if other not in runs.get(experiment, {}):
            raise UserError(f"{where_it_is} is not run; give it a seed, or leave both out {where}")
        if network_of(other) != network_of(model):
            raise UserError(f"{where_it_is} is another network {where}")
        if section.start(experiment, other):
            raise UserError(f"{where_it_is} itself starts with a detector; name one that does not {where}")


def check_appendix(appendix: dict[str, dict[str, list[int]]], sides: list[int], where: str) -> None:
    """Check the runs of the appendix, and the sizes of its multi-scale test.

    Raises:
        UserError: an experiment is unknown, or the sizes are not two or more, increasing.
    """
    if unknown := sorted(set(appendix) - set(EXPERIMENTS)):
        raise UserError(f"detector.appendix: {unknown[0]} is none of {', '.join(EXPERIMENTS)} {where}")
    if len(sides) < 2 or sides != sorted(set(sides)):
        raise UserError(f"detector.multiscale_shorter_sides must be two sizes or more, increasing, not {sides} {where}")


def load_localisation_section(values: dict[str, Any], imagenet: Section, where: str) -> LocalisationSection:
    """Return the settings of the localisers.

    Raises:
        UserError: a recipe is out of range, or a localiser's classifier is not trained; the message names the key.
    """
    values = dict(values)
    recipe, overrides, seeds = values.pop("recipe"), given(values.pop("overrides")), values.pop("seeds")
    lists = {"models": list(seeds), "seeds": those_run(seeds)}
    section = LocalisationSection(**values, **lists, _recipe=recipe, _overrides=overrides)
    for model in section.seeds:
        if model not in imagenet.seeds:
            raise UserError(f"localisation.seeds: {model} starts with a network that is not in imagenet.seeds {where}")
    for model in [*section.models, *(key for key in overrides if key not in LOCALISER_STAGES)]:
        for stage in LOCALISER_STAGES:
            with named(f"localisation, {stage}, {model}", where):
                section.recipe(stage, model, 0)
    check_ensemble("localisation", section.ensemble, section.seeds, where)
    return section


@contextlib.contextmanager
def named(what: str, where: str) -> Iterator[None]:
    """Say in an error of the block what it is about and where it can be mended."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{what}: {error} {where}") from None


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``changes`` laid over it.

    What is a mapping in both is merged key by key; everything else replaces what was there, lists too; null in place of
    a mapping takes it out. Among seeds, ``others`` stands for all networks that ``base`` runs and ``changes`` does not
    name.
    """
    merged = copy.deepcopy(base)
    for key, value in changes.items():
        if value is None and isinstance(merged.get(key), dict):
            del merged[key]
            continue
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        if both and key == "seeds" and "others" in value:
            others = dict.fromkeys(those_run(merged[key]), value["others"])
            value = others | {model: seeds for model, seeds in value.items() if model != "others"}
        merged[key] = merge(merged[key], value) if both else value
    return merged

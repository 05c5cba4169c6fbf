"""From config.yaml and a scale file to the settings of every run, with errors that name the key."""

import copy
import dataclasses
import difflib
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from resnet.errors import UserError
from resnet.settings import EXPERIMENTS, CifarRecipe, DetectorRecipe, Hardware, ImageNetRecipe, Recipe


@dataclasses.dataclass(frozen=True)
class Part:
    """The settings of one half of the paper, checked.

    Attributes:
        dataset: name of its data set.
        seeds: the seeds of every model.
        settings: what else the scale says of it.
    """

    dataset: str
    seeds: dict[str, list[int]]
    settings: dict[str, Any]
    _kind: type[Recipe]
    _recipe: dict[str, Any]
    _exceptions: dict[str, dict[str, Any]]

    def recipe(self, model: str, seed: int) -> Any:
        """Return the recipe of one run."""
        values = {**self._recipe, **self._exceptions.get(model, {}), "model": model, "seed": seed}
        return self._kind(**{**values, "lr_drops": tuple(values["lr_drops"])})


@dataclasses.dataclass(frozen=True)
class DetectorPart:
    """The settings of the detectors, checked.

    Attributes:
        engine: whose detector: torchvision or detectron2.
        weights: what they start with: trained (our runs on ImageNet) or torchvision (its published weights).
        data: the data set that stands for voc and for coco.
        statistics: on how many training pictures of which side batch normalisation is measured.
        seeds: the seeds of every model.
    """

    engine: str
    weights: str
    data: dict[str, str]
    statistics: dict[str, int | None]
    seeds: dict[str, list[int]]
    _recipe: dict[str, Any]
    _exceptions: dict[str, dict[str, Any]]

    def recipe(self, experiment: str, model: str, seed: int) -> DetectorRecipe:
        """Return the recipe of one run: exceptions of the experiment, then of the model."""
        kind = EXPERIMENTS[experiment].data
        exceptions = [self._exceptions.get(key, {}) for key in (kind, experiment, model)]
        values = {**self._recipe, **{key: value for one in exceptions for key, value in one.items()}}
        lists = {key: tuple(values[key]) for key in ("lr_drops", "anchor_sizes")}
        return DetectorRecipe(
            **{**values, **lists, "engine": self.engine, "experiment": experiment, "model": model, "seed": seed}
        )


@dataclasses.dataclass(frozen=True)
class Config:
    """The settings of a workflow, checked.

    Attributes:
        scale: name of the scale.
        hardware: where to train.
        processes: how many processes train an ImageNet net together.
        data: where the real data come from.
        cifar10: section 4.2.
        imagenet: section 4.1.
        detector: section 4.3.
    """

    scale: str
    hardware: Hardware
    processes: int
    data: dict[str, Any]
    cifar10: Part
    imagenet: Part
    detector: DetectorPart


RECIPES = {"cifar10": CifarRecipe, "imagenet": ImageNetRecipe}
PARTS = (*RECIPES, "detector")


def load(config: dict[str, Any], workflow: Path) -> Config:
    """Check a configuration, read its scale from the ``workflow`` folder and combine the two.

    Raises:
        UserError: a key is unknown, missing or has a wrong value; the message names file, key and fix.
    """
    config = {**config, **{key: _typed(config[key]) for key in ("hardware", *PARTS) if key in config}}
    check(config, workflow / "schemas/config.schema.yaml", "config.yaml")
    scale_file = workflow / f"scales/{config['scale']}.yaml"
    scale = yaml.safe_load(scale_file.read_text(encoding="utf-8"))
    schema = workflow / "schemas/scale.schema.yaml"
    check(scale, schema, str(scale_file))
    check({part: config[part] for part in PARTS}, schema, "config.yaml")
    hardware = {key: _switch(value) for key, value in config["hardware"].items()}
    processes = hardware.pop("processes")
    parts = {name: load_part(name, merge(scale[name], config[name]), scale_file) for name in RECIPES}
    if missing := [
        member for member in parts["imagenet"].settings["ensemble"] if not _is_run(member, parts["imagenet"].seeds)
    ]:
        raise UserError(f"imagenet.ensemble: {missing[0]} is not a run of imagenet.seeds ({scale_file} or config.yaml)")
    detector = load_detector_part(merge(scale["detector"], config["detector"]), parts["imagenet"], scale_file)
    return Config(config["scale"], Hardware(**hardware), processes, config["data"], **parts, detector=detector)


def load_part(name: str, values: dict[str, Any], scale_file: Path) -> Part:
    """Return the settings of one half of the paper.

    Raises:
        UserError: a recipe is out of range; the message names model and key.
    """
    values = dict(values)
    dataset, seeds, recipe, exceptions = (values.pop(key) for key in ("dataset", "seeds", "recipe", "exceptions"))
    part = Part(dataset, seeds, values, RECIPES[name], recipe, exceptions)
    for model in [*seeds, *exceptions]:
        try:
            part.recipe(model, 0)
        except UserError as error:
            raise UserError(f"{name}, {model}: {error} ({scale_file} or config.yaml)") from None
    return part


def load_detector_part(values: dict[str, Any], imagenet: Part, scale_file: Path) -> DetectorPart:
    """Return the settings of the detectors.

    Raises:
        UserError: a recipe is out of range, or a detector's classifier is not trained; the message names the key.
    """
    values = dict(values)
    recipe, exceptions = values.pop("recipe"), values.pop("exceptions")
    part = DetectorPart(**values, _recipe=recipe, _exceptions=exceptions)
    where = f"({scale_file} or config.yaml)"
    for model in part.seeds:
        if part.weights == "trained" and model not in imagenet.seeds:
            raise UserError(f"detector.seeds: {model} starts with a network that is not in imagenet.seeds {where}")
        for experiment in EXPERIMENTS:
            try:
                part.recipe(experiment, model, 0)
            except UserError as error:
                raise UserError(f"detector, {experiment}, {model}: {error} {where}") from None
    return part


def _is_run(member: dict[str, Any], seeds: dict[str, list[int]]) -> bool:
    return member["seed"] in seeds.get(member["model"], [])


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``changes`` laid over it, key by key."""
    merged = copy.deepcopy(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def check(value: Any, schema_file: Path, name: str) -> None:
    """Check ``value``, the content of the file ``name``, against a JSON schema.

    Raises:
        UserError: it does not fit; the message has a line for each key that is wrong.
    """
    schema = yaml.safe_load(schema_file.read_text(encoding="utf-8"))
    lines = []
    for error in Draft202012Validator(schema).iter_errors(value):
        lines += [f"{name}: {line}" for line in _explain(error)]
    if lines:
        raise UserError("\n".join(lines))


def _typed(value: Any) -> Any:
    """Return a value with numbers, null and truth values as such: ``snakemake --config`` gives nested ones as text."""
    if isinstance(value, dict):
        return {key: _typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_typed(item) for item in value]
    if not isinstance(value, str):
        return value
    read = yaml.safe_load(value)
    return read if read is None or isinstance(read, int | float) else value


def _switch(value: Any) -> Any:
    """Return YAML's true and false as the words of the command line."""
    return str(value).lower() if isinstance(value, bool) else value


def _explain(error: ValidationError) -> list[str]:
    """Say what is wrong with which key, and what was probably meant."""
    path = ".".join(map(str, error.absolute_path))
    if error.validator == "additionalProperties" and error.schema.get("additionalProperties") is False:
        known = error.schema["properties"]
        lines = []
        for key in (key for key in error.instance if key not in known):
            close = difflib.get_close_matches(str(key), known, 1)
            hint = f"did you mean {close[0]}?" if close else f"known keys: {', '.join(known)}"
            lines.append(f"unknown key {_join(path, key)}; {hint}")
        return lines
    if error.validator == "required":
        return [f"missing key {_join(path, key)}" for key in error.validator_value if key not in error.instance]
    if error.validator == "enum":
        allowed = ", ".join(map(str, error.validator_value))
        return [f"{path} is {error.instance!r}; it must be one of {allowed}"]
    if error.validator == "type":
        wanted = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
        return [f"{path} is {error.instance!r}; it must be of type {' or '.join(wanted)}"]
    return [f"{path or 'the file'}: {error.message}"]


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)

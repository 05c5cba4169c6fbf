"""Settings that have no effect: allowed, as a configuration outlives its parts, but said once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from resnet.sections import Config
from resnet.settings import EXPERIMENTS, LOCALISER_STAGES, Recipe, parse_imagenet_model, parse_model

# Where a setting can apply. Those that are not named here always do.
Condition = Callable[[Any], bool]
CONDITIONS: dict[str, dict[str, tuple[Condition, str]]] = {
    "cifar10": {
        "shortcut": (lambda recipe: parse_model(recipe.model)[0] == "resnet", "plain nets have no shortcuts"),
        "layers_per_block": (
            lambda recipe: parse_model(recipe.model)[0] == "resnet",
            "plain nets have no shortcuts",
        ),
        "split_seed": (lambda recipe: recipe.validation_fraction > 0, "no images are held out"),
        "warmup_lr": (
            lambda recipe: parse_model(recipe.model)[1] >= recipe.warmup_from_depth,
            "nets below warmup_from_depth have no warm-up",
        ),
        "warmup_error": (lambda recipe: recipe.warmup is not None, "there is no warm-up"),
        "warmup_from_depth": (lambda recipe: recipe.warmup_lr is not None, "warmup_lr is null"),
    },
    "imagenet": {
        "stride_in_3x3": (
            lambda recipe: not recipe.model.startswith("vgg") and parse_imagenet_model(recipe.model)[1] >= 50,
            "only nets of 50 layers and more have bottlenecks",
        ),
        "dropout": (lambda recipe: recipe.model.startswith("vgg"), "only VGG nets have dropout"),
        "lr_drops": (lambda recipe: recipe.plateau is None, "plateau takes their place"),
    },
    "detector": {"dropout": (lambda recipe: recipe.model.startswith("vgg"), "only VGG nets have dropout")},
    "localisation": {
        key: (lambda recipe: recipe.stage == "rpn", "only the proposal network has it")
        for key in ("anchor_sizes", "proposals", "evaluation_images")
    },
}


def idle_settings(config: Config, changes: dict[str, dict[str, Any]]) -> list[str]:
    """Return a line for each of config.yaml's changes to the scale that no run feels."""
    lines = []
    for section, changed in ((section, changed) for section, changed in changes.items() if changed):
        runs = recipes_of(config, section)
        lines += late_drops(section, runs)
        for model, override in changed.get("overrides", {}).items():
            if override is None:
                continue
            own = {name: recipe for name, recipe in runs.items() if model in name}
            if not own:
                lines.append(f"{section}.overrides.{model} has no effect: it is not among {section}.seeds")
            else:
                lines += idle_keys(section, f"{section}.overrides.{model}", override, own)
        lines += idle_keys(section, f"{section}.recipe", changed.get("recipe", {}), runs)
    resnets = any(model.startswith("resnet") for model in config.detector.seeds)
    if "bn_statistics" in changes["detector"] and not (resnets and config.detector.weights == "trained"):
        lines.append("detector.bn_statistics has no effect: they are measured of trained ResNets only")
    return lines


def recipes_of(config: Config, section: str) -> dict[tuple[str, ...], Recipe]:
    """Return the recipe of each network that a section trains, by all the names that overrides may have for it."""
    if section == "detector":
        return {
            (experiment.data, name, model): config.detector.recipe(name, model, seeds[0])
            for name, experiment in EXPERIMENTS.items()
            for model, seeds in config.detector.runs(name).items()
        }
    settings = getattr(config, section)
    if section == "localisation":
        return {
            (stage, model): settings.recipe(stage, model, seeds[0])
            for stage in LOCALISER_STAGES
            for model, seeds in settings.seeds.items()
        }
    return {(model,): settings.recipe(model, seeds[0]) for model, seeds in settings.seeds.items()}


def late_drops(section: str, runs: dict[tuple[str, ...], Recipe]) -> list[str]:
    """Return a line for each group of runs that ends before its learning rate has dropped."""
    found: dict[tuple[tuple[int, ...], int], list[str]] = {}
    for names, recipe in runs.items():
        late = tuple(drop for drop in recipe.lr_drops if drop >= recipe.iterations)
        if late and recipe.patience is None:
            found.setdefault((late, recipe.iterations), []).append(" ".join(names[-2:]))
    return [
        f"{section}: lr_drops {', '.join(map(str, late))} have no effect in {iterations} iterations "
        f"({', '.join(models)})"
        for (late, iterations), models in found.items()
    ]


def idle_keys(section: str, path: str, values: dict[str, Any], runs: dict[tuple[str, ...], Recipe]) -> list[str]:
    """Return a line for each of some settings that applies to none of the runs, or that overrides replace in all."""
    lines = []
    for key, value in values.items():
        applies, reason = CONDITIONS[section].get(key, (lambda _: True, ""))
        if not any(map(applies, runs.values())):
            lines.append(f"{path}.{key} has no effect: {reason if runs else 'there are no runs'}")
        elif not any(_equal(getattr(recipe, key), value) for recipe in runs.values()):
            lines.append(f"{path}.{key} has no effect: overrides give every run another value")
    return lines


def _equal(used: Any, given: Any) -> bool:
    return used == (tuple(given) if isinstance(given, list) else given)


def idle_data(config: Config) -> list[str]:
    """Return a line for each place of real data that is named but not used."""
    data = config.data
    idle = {f"data.{name}.{key}": why for name, key, used, why in places(config) if data[name][key] and not used}
    return [f"{key} has no effect: {reason}" for key, reason in idle.items()]


def missing_folders(config: Config) -> list[str]:
    """Return a line for each folder of real data that would be used and is not there."""
    named = {f"data.{name}.{key}": config.data[name][key] for name, key, used, _ in places(config) if used}
    return [
        f"{key} is {path}, which is no folder on this machine"
        for key, path in named.items()
        if path and key.endswith((".folder", ".archives", ".weights")) and not Path(path).is_dir()
    ]


def places(config: Config) -> list[tuple[str, str, bool, str]]:
    """Return where real data may be: the keys of config.yaml, whether that place is used, and why it is not."""
    data, detector, imagenet = config.data, config.detector, config.imagenet
    published = "torchvision" in (imagenet.settings["weights"], detector.weights)
    return [
        ("cifar10", "folder", config.cifar10.dataset == "cifar10", f"cifar10.dataset is {config.cifar10.dataset}"),
        ("imagenet", "folder", imagenet.dataset == "imagenet", f"imagenet.dataset is {imagenet.dataset}"),
        ("imagenet", "archives", imagenet.dataset == "imagenet", f"imagenet.dataset is {imagenet.dataset}"),
        ("imagenet", "weights", published, "neither imagenet.weights nor detector.weights is torchvision"),
        *(
            (name, key, detector.data[name] == name, f"detector.data.{name} is {detector.data[name]}")
            for name, key in (("voc", "folder"), ("voc", "test2012"), ("coco", "folder"), ("det", "folder"))
        ),
        ("voc", "test2012", not data["voc"]["folder"], "it is for archives; unpack it into data.voc.folder"),
    ]

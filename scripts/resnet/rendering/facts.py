"""What was measured, as the claims need it: numbers with their uncertainty, and what sets runs apart; no torch.

``METRICS`` names what can be compared. A metric of a network that was not trained raises ``MissingError``.
"""

import dataclasses
import functools
import math
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

from resnet.config import RECIPES, load_detector_section, load_localisation_section, load_section
from resnet.rendering.comparisons import Measured
from resnet.rendering.layer_signals import smallest_and_largest
from resnet.settings import EXPERIMENTS, DetectorRecipe, LocaliserRecipe, network_of, updated

SETS = {"cifar10": "CIFAR-10", "imagenet": "ImageNet"}
# The error of guessing among ten classes.
GUESSING = 90
PROTOCOLS = {"10crop": "10-crop", "multiscale": "multi-scale"}
# What does not set a run apart from the paper's: names, what is logged, and choices where the paper is silent.
SILENT = {
    "model", "seed", "experiment", "engine", "precision", "log_interval", "evaluation_interval", "evaluation_images",
    "ghost_batch_size", "validation_fraction", "split_seed", "plateau", "stride_in_3x3",
}  # fmt: skip


KINDS = {**RECIPES, "detector": DetectorRecipe, "localisation": LocaliserRecipe}


class MissingError(Exception):
    """Something was not measured; the message says what."""


@dataclasses.dataclass(frozen=True)
class Run:
    """A run's ``result.json`` and ``config.yaml``."""

    result: dict[str, Any]
    config: dict[str, Any]


class RunResult(TypedDict):
    """What must be in a ``result.json``."""

    model: str
    iterations: int


class DatasetName(TypedDict):
    """What must be said of a run's data set."""

    name: str


class RunConfig(TypedDict):
    """What must be in a ``config.yaml``."""

    recipe: dict[str, Any]
    resolved: dict[str, Any]
    dataset: DatasetName


@dataclasses.dataclass(frozen=True)
class Paper:
    """The paper's recipes, from its scale.

    Attributes:
        recipes: per section (cifar10, imagenet, detector), what returns the settings of a network's runs.
        datasets: per section or kind of detection data, the name of the data set.
        images: per section or experiment, how many images the test set has.
        sides: the sizes of the multi-scale test.
        detection_sides: those of detectors.
    """

    recipes: dict[str, Callable[..., dict[str, Any]]]
    datasets: dict[str, str]
    images: dict[str, int]
    sides: list[int]
    detection_sides: list[int]

    @classmethod
    def read(cls, scale: dict[str, Any], file: Path, images: dict[str, int]) -> "Paper":
        """Return what ``workflow/scales/paper.yaml`` says."""
        cifar10, imagenet = (load_section(name, scale[name], str(file)) for name in SETS)
        detector = load_detector_section(scale["detector"], imagenet, str(file))
        localisation = load_localisation_section(scale["localisation"], imagenet, str(file))
        parts = {"cifar10": cifar10, "imagenet": imagenet, "detector": detector, "localisation": localisation}
        return cls(
            {name: functools.cache(functools.partial(_settings, part.recipe)) for name, part in parts.items()},
            {"cifar10": cifar10.dataset, "imagenet": imagenet.dataset, **detector.data},
            images,
            imagenet.settings["multiscale_shorter_sides"],
            detector.multiscale_shorter_sides,
        )


@dataclasses.dataclass(frozen=True)
class Facts:
    """What was measured.

    Attributes:
        paper: the paper's recipes.
        noise: per data set, the standard deviation between runs of an error (``deviation``) around ``at`` percent, and
            of a median response in percent of it (``responses``), and of the power of ten by which one signal of a
            layer is above another (``signals``).
        runs: per section (cifar10, imagenet), the runs of each network.
        responses: per model, the standard deviation of each layer's response.
        architectures: per model, its row of ``cifar_architectures.csv``.
        evaluations: per protocol and model, ``evaluation/<protocol>.json`` of each run.
        curves: per model of Fig. 4, and of footnote 5, the rows of ``metrics.csv``.
        table1: per method, its row of ``table1.csv``.
        detections: per ``<experiment>/<model>``, ``evaluation/average_precision.json`` of each run; of a test with what
            improves it, per ``<experiment>/<model>/<test>``.
        detectors: per ``<experiment>/<model>``, ``config.yaml`` of each run.
        localisations: per ``<stage>/<model>/<protocol>``, the localisation errors of each run, or of an ensemble.
        localisers: per ``<stage>/<model>``, ``config.yaml`` of each run.
        counts: what ``counts.csv`` counts of the modules.
        signals: per section (cifar10, imagenet) and model, its rows of ``layer_signals.csv``.
        printed: per table, numbers that the paper prints and that follow from each other.
    """

    paper: Paper
    noise: dict[str, dict[str, float]]
    runs: dict[str, dict[str, list[Run]]]
    responses: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    architectures: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    evaluations: dict[str, dict[str, list[dict[str, Any]]]] = dataclasses.field(default_factory=dict)
    curves: dict[str, list[dict[str, Any]]] = dataclasses.field(default_factory=dict)
    table1: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    detections: dict[str, list[dict[str, Any]]] = dataclasses.field(default_factory=dict)
    detectors: dict[str, list[dict[str, Any]]] = dataclasses.field(default_factory=dict)
    localisations: dict[str, list[dict[str, Any]]] = dataclasses.field(default_factory=dict)
    localisers: dict[str, list[dict[str, Any]]] = dataclasses.field(default_factory=dict)
    counts: dict[str, float] = dataclasses.field(default_factory=dict)
    signals: dict[str, dict[str, list[dict[str, Any]]]] = dataclasses.field(default_factory=dict)
    printed: dict[str, Any] = dataclasses.field(default_factory=dict)

    def of(self, section: str, model: str) -> list[Run]:
        """Return the runs of a network.

        Raises:
            MissingError: there is none.
        """
        return found(self.runs.get(section, {}), model, f"no run of {model} on {SETS[section]}")

    def differs(self, section: str, model: str) -> tuple[str, ...]:
        """Return what sets the runs of a network apart from the paper's."""
        split = {"cifar10": "test", "imagenet": "val"}[section]
        texts = []
        for run in self.of(section, model):
            images = images_of(run.config, split)
            texts += self._differences(section, run.config, self.paper.datasets[section], images, section, model)
        return tuple(dict.fromkeys(texts))

    def detector_differs(self, name: str) -> tuple[str, ...]:
        """Return what sets detectors, and the classifiers that they start with, apart from the paper's.

        Args:
            name: of ``detections``.
        """
        experiment, model, *_test = name.split("/")
        dataset = self.paper.datasets[EXPERIMENTS[experiment].data]
        texts: list[str] = []
        first = self.detections[name][0]
        members = {Path(folder).parent.name: None for folder in first.get("members", ())} or {model: None}
        for member in members:
            for config in self.detectors.get(f"{experiment}/{member}", []):
                texts += self._differences("detector", config, dataset, first["images"], experiment, experiment, member)
                texts += self._start_differs(config["recipe"].get("starts_with"))
        sides = first.get("shorter_sides") or self.paper.detection_sides
        if sides != self.paper.detection_sides:
            texts.append(f"sizes of the test {_text(sides)} (paper: {_text(self.paper.detection_sides)})")
        for classifier in dict.fromkeys(map(network_of, members)):
            if first["source"] == "reproduced" and classifier in self.runs.get("imagenet", {}):
                texts += [f"the classifier's {text}" for text in self.differs("imagenet", classifier)]
        return tuple(dict.fromkeys(texts))

    def localiser_differs(self, name: str) -> tuple[str, ...]:
        """Return what sets localisers, and the classifiers that they start with, apart from the paper's."""
        stage, model, _ = name.split("/")
        first, dataset = self.localisations[name][0], self.paper.datasets["imagenet"]
        models = [Path(path).parent.name for path in first.get("members", [])] or [model]
        texts: list[str] = []
        for each in models:
            for config in self.localisers.get(f"{stage}/{each}", []):
                texts += self._differences("localisation", config, dataset, first["images"], "imagenet", stage, each)
            if each in self.runs.get("imagenet", {}):
                texts += [f"the classifier's {text}" for text in self.differs("imagenet", each)]
        return tuple(dict.fromkeys(texts))

    def _start_differs(self, start: str | None) -> list[str]:
        """Return what sets the detector that another one starts with apart from the paper's."""
        experiment, _, model = (start or "").partition("/")
        texts = []
        for config in self.detectors.get(start or "", []):
            dataset, images = self.paper.datasets[EXPERIMENTS[experiment].data], self.paper.images[experiment]
            found = self._differences("detector", config, dataset, images, experiment, experiment, model)
            texts += [f"{text} of {start}" for text in found]
        return texts

    def _differences(
        self, section: str, config: dict[str, Any], dataset: str, images: int, images_of: str, *run: str
    ) -> list[str]:
        """Return what sets one run apart: its data set, the size of its test set, its recipe."""
        pairs = {
            "data set": (config["dataset"]["name"], dataset),
            "test images": (images, self.paper.images[images_of]),
        }
        theirs = self.paper.recipes[section](*run)
        ours = updated(config["recipe"], KINDS[section])
        pairs |= {key: (ours[key], theirs[key]) for key in theirs if key in ours and key not in SILENT}
        return [
            f"{key} {_text(a)} (paper: {_text(b)})" for key, (a, b) in pairs.items() if a != b and _text(a) != _text(b)
        ]

    def deviation(self, dataset: str, percent: float) -> float:
        """Return the standard deviation between runs that is expected of an error or an average precision.

        It is known at one value, and grows with e as sqrt(e(1-e)), as the images that runs disagree on do.
        """
        noise = self.noise.get(dataset, self.noise["other"])
        at = noise["at"]
        inside = min(max(percent, 0), 100)
        return noise["deviation"] * math.sqrt(inside * (100 - inside) / (at * (100 - at)))


def found(values: dict[str, Any], key: str, otherwise: str) -> Any:
    """Return a value that must be there and not be empty.

    Raises:
        MissingError: it is not; the message is ``otherwise``.
    """
    if not values.get(key):
        raise MissingError(otherwise)
    return values[key]


def images_of(config: dict[str, Any], split: str) -> int:
    """Return how many images a run was tested on.

    Raises:
        MissingError: its config does not say.
    """
    return found(config["resolved"], f"{split}_images", f"a run does not say how many {split} images it was tested on")


def proportion(
    facts: Facts,
    name: str,
    values: list[float | None],
    samples: int,
    dataset: str,
    differs: tuple[str, ...],
    source: str,
) -> Measured:
    """Return errors or average precisions (percent) of a network's runs.

    Raises:
        MissingError: a value is not a number.
    """
    numbers = tuple(value for value in values if value is not None and math.isfinite(value))
    if len(numbers) < len(values):
        raise MissingError(f"{name} has a run without a number")
    return Measured(name, numbers, samples, facts.deviation(dataset, statistics.mean(numbers)), differs, source)


def last_error(section: str, split: str) -> Callable[[Facts, str], list[Measured]]:
    """Return the metric of the last error of a split."""

    def metric(facts: Facts, model: str) -> list[Measured]:
        runs = facts.of(section, model)
        config = runs[0].config
        # The training error is the mean over the images since the log point before.
        samples = _window(config) if split == "train" else images_of(config, split)
        values = [run.result.get(split, {}).get("top1_error") for run in runs]
        differs = facts.differs(section, model)
        return [proportion(facts, model, values, samples, config["dataset"]["name"], differs, section)]

    return metric


def tested(protocol: str, key: str) -> Callable[[Facts, str], list[Measured]]:
    """Return the metric of an error on ImageNet's validation images by one of section 3.4's tests."""

    def metric(facts: Facts, model: str) -> list[Measured]:
        missing = f"no {PROTOCOLS[protocol]} test of {model} on ImageNet"
        runs = found(facts.evaluations.get(protocol, {}), model, missing)
        members = [Path(path).parent.name for run in runs for path in run.get("members", [])] or [model]
        differs = [text for member in dict.fromkeys(members) for text in facts.differs("imagenet", member)]
        sides = runs[0].get("sides", facts.paper.sides)
        if protocol == "multiscale" and sides != facts.paper.sides:
            differs.append(f"sizes of the test {_text(sides)} (paper: {_text(facts.paper.sides)})")
        values = [run[f"{key}_error"] for run in runs]
        texts = tuple(dict.fromkeys(differs))
        return [proportion(facts, model, values, runs[0]["images"], runs[0]["dataset"], texts, "imagenet")]

    return metric


def detected(experiment: str, key: str) -> Callable[[Facts, str], list[Measured]]:
    """Return the metric of a detector's mean average precision."""

    def metric(facts: Facts, model: str) -> list[Measured]:
        name = f"{experiment}/{model}"
        runs = found(facts.detections, name, f"no detector {name}")
        values = [run[key] for run in runs]
        differs = facts.detector_differs(name)
        # Taken as a proportion of the objects, which it is not quite.
        return [proportion(facts, model, values, runs[0]["objects"], runs[0]["dataset"], differs, experiment)]

    return metric


def localised(facts: Facts, name: str) -> list[Measured]:
    """Return a localisation error, ``<stage>/<model>/<protocol>/<error>``: that of gt_class, or of top5."""
    tested, _, error = name.rpartition("/")
    runs = found(facts.localisations, tested, f"no localisation by {tested}")
    values = [run.get(f"{error}_error") for run in runs]
    differs = facts.localiser_differs(tested)
    return [proportion(facts, name, values, runs[0]["images"], runs[0]["dataset"], differs, "localisation")]


def by_tenth(facts: Facts, model: str) -> list[Measured]:
    """Return the mean training error on ImageNet of each tenth of the training but the first."""
    rows = [row for row in _curve(facts, model) if row["split"] == "train"]
    last, parts = rows[-1]["iteration"], {}
    for row in rows:
        parts.setdefault(min(9, 10 * (row["iteration"] - 1) // last), []).append(row["top1_error"])
    config = facts.of("imagenet", model)[0].config
    return [
        proportion(
            facts,
            model,
            [statistics.mean(parts[part])],
            len(parts[part]) * _window(config),
            config["dataset"]["name"],
            facts.differs("imagenet", model),
            "imagenet",
        )
        for part in sorted(parts)
        if part
    ]


def before_first_drop(facts: Facts, model: str) -> list[Measured]:
    """Return the mean validation error on ImageNet over the evaluations before the rate's first drop."""
    rows = [row for row in _curve(facts, model) if row["split"] == "val"]
    errors = [row["top1_error"] for row in rows if row["lr"] == rows[0]["lr"]]
    config = facts.of("imagenet", model)[0].config
    images, dataset = images_of(config, "val"), config["dataset"]["name"]
    differs = facts.differs("imagenet", model)
    return [proportion(facts, model, [statistics.mean(errors)], images, dataset, differs, "imagenet")]


def warmup_end(facts: Facts, model: str) -> list[Measured]:
    """Return the iteration at which the warm-up ended; the last one where it never did."""
    runs = facts.of("cifar10", model)
    ends = tuple(run.result["warmup_ended_at"] or run.result["iterations"] for run in runs)
    return [Measured(model, ends, differs=facts.differs("cifar10", model), source="cifar10")]


def parameters(facts: Facts, model: str) -> list[Measured]:
    """Return how many parameters a network for CIFAR-10 has."""
    row = found(facts.architectures, model, f"{model} was not counted")
    return [Measured(model, (row["parameters"],))]


def response(facts: Facts, model: str) -> list[Measured]:
    """Return the median over layers of the responses' standard deviations, in a network's first run."""
    median = statistics.median(found(facts.responses, model, f"no responses of {model} were measured"))
    dataset = facts.of("cifar10", model)[0].config["dataset"]["name"]
    share = facts.noise.get(dataset, facts.noise["other"])["responses"]
    differs = facts.differs("cifar10", model)
    return [Measured(model, (median,), deviation=median * share / 100, differs=differs, source="cifar10")]


def counted(facts: Facts, name: str) -> list[Measured]:
    """Return a count of ``counts.csv``."""
    if name not in facts.counts:
        raise MissingError(f"{name} was not counted")
    return [Measured(name.replace("_", " "), (facts.counts[name],))]


def flops(facts: Facts, method: str) -> list[Measured]:
    """Return the FLOPs (10⁹) of a network of Table 1."""
    row = found(facts.table1, method, f"{method} was not counted")
    return [Measured(method, (row["flops_1e9"],))]


def smallest_signal(section: str, key: str) -> Callable[[Facts, str], list[Measured]]:
    """Return the metric of a network's smallest signal by that of its last layer, as a power of ten.

    It is the smallest over the layers and all measured updates.
    """

    def metric(facts: Facts, model: str) -> list[Measured]:
        missing = f"no signals of {model} on {SETS[section]} were measured"
        rows = found(facts.signals.get(section, {}), model, missing)
        smallest, _ = smallest_and_largest(rows, key)
        dataset = facts.of(section, model)[0].config["dataset"]["name"]
        deviation = facts.noise.get(dataset, facts.noise["other"])["signals"]
        # What is exactly zero has vanished altogether.
        power = math.log10(max(smallest, sys.float_info.min))
        return [Measured(model, (power,), deviation=deviation, differs=facts.differs(section, model), source=section)]

    return metric


def begins(facts: Facts, model: str) -> list[Measured]:
    """Return the epochs after which a training error on CIFAR-10 is below 90 %, that of guessing; or all epochs."""
    rows = [row for row in _curve(facts, model, "cifar10") if row["split"] == "train"]
    first = next((row for row in rows if row["top1_error"] < GUESSING), rows[-1])
    return [Measured(model, (first["epoch"],), differs=facts.differs("cifar10", model), source="cifar10")]


@dataclasses.dataclass(frozen=True)
class Metric:
    """Something that can be compared between networks.

    Attributes:
        label: what it is called in a sentence.
        of: returns the numbers of a network: one, or one of each part of the training.
        digits: after the point; None for as many as there are, up to five in all.
    """

    label: str
    of: Callable[[Facts, str], list[Measured]]
    digits: int | None = 2

    def text(self, number: float) -> str:
        """Return a number as evidence shows it."""
        return f"{number:z,.5g}" if self.digits is None else f"{number:z,.{self.digits}f}"


METRICS = {
    "cifar10.train": Metric("training error (%)", last_error("cifar10", "train")),
    "cifar10.test": Metric("test error (%)", last_error("cifar10", "test")),
    "cifar10.warmup": Metric("iterations of warm-up", warmup_end, 0),
    "cifar10.parameters": Metric("parameters", parameters, 0),
    "cifar10.response": Metric("median std of the responses", response),
    "cifar10.begins": Metric("epochs until the training error is below 90 %", begins, 1),
    "counted": Metric("counted", counted, None),
    "imagenet.flops": Metric("FLOPs (10⁹)", flops),
    **{
        f"{section}.{name}": Metric(f"smallest {label} of a layer by the last layer's (power of ten)", smallest)
        for section in SETS
        for name, label, smallest in (
            ("forward", "deviation", smallest_signal(section, "std")),
            ("backward", "gradient", smallest_signal(section, "gradient")),
        )
    },
    "imagenet.train": Metric("training error (%)", last_error("imagenet", "train")),
    "imagenet.train_by_tenth": Metric("training error (%) by tenths of the training, from the second", by_tenth),
    "imagenet.val_before_first_drop": Metric(
        "mean validation error (%) before the rate's first drop", before_first_drop
    ),
    **{
        f"imagenet.{protocol}.{key}": Metric(f"{name} {key.replace('top', 'top-')} error (%)", tested(protocol, key))
        for protocol, name in PROTOCOLS.items()
        for key in ("top1", "top5")
    },
    "voc07.map50": Metric("mAP (%) on VOC 2007 test", detected("voc07", "map50")),
    "voc12.map50": Metric("mAP (%) on VOC 2012 val", detected("voc12", "map50")),
    "coco.map50": Metric("mAP@.5 (%) on COCO val", detected("coco", "map50")),
    "localisation": Metric("localisation error (%)", localised),
    "coco.map": Metric("mAP@[.5, .95] (%) on COCO val", detected("coco", "map")),
}


def _settings(recipe: Callable[..., Any], *run: str) -> dict[str, Any]:
    return dataclasses.asdict(recipe(*run, 0))


def _window(config: dict[str, Any]) -> int:
    return config["recipe"]["log_interval"] * config["recipe"]["batch_size"]


def _curve(facts: Facts, model: str, section: str = "imagenet") -> list[dict[str, Any]]:
    return found(facts.curves, model, f"no curve of {model} on {SETS[section]}")


def _text(value: Any) -> str:
    """Return a setting as a person writes it; lists and tuples, 1 and 1.0 are the same."""
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    if value is None:
        return "none"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value).lower()
    return f"{value:,.10g}"

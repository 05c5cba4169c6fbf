"""The configuration once it is checked: what each section of the paper is run with."""

import dataclasses
from typing import Any

from resnet.settings import EXPERIMENTS, DetectorRecipe, Hardware, LocaliserRecipe, Recipe, network_of

# What a report calls them, in the paper's order.
SECTIONS = {
    "imagenet": "ImageNet (section 4.1)",
    "cifar10": "CIFAR-10 (section 4.2)",
    "detection": "PASCAL VOC and MS COCO (section 4.3)",
    "appendix": "Appendix",
}
# Made only where they are asked for: the appendix takes as long as all the others.
OPTIONAL = ("appendix",)
DEFAULT_SECTIONS = tuple(section for section in SECTIONS if section not in OPTIONAL)


@dataclasses.dataclass(frozen=True)
class Section:
    """The settings of one section of the paper, checked.

    Attributes:
        dataset: name of its data set.
        models: every model that the configuration names.
        seeds: the seeds of those that are run.
        settings: what else the scale says of it.
    """

    dataset: str
    models: list[str]
    seeds: dict[str, list[int]]
    settings: dict[str, Any]
    _kind: type[Recipe]
    _recipe: dict[str, Any]
    _overrides: dict[str, dict[str, Any]]

    def recipe(self, model: str, seed: int) -> Any:
        """Return the recipe of one run; a variation has its network's overrides, and its own."""
        overrides = [self._overrides.get(name, {}) for name in (network_of(model), model)]
        values: dict[str, Any] = {**self._recipe, **overrides[0], **overrides[1], "model": model, "seed": seed}
        values |= {"lr_drops": tuple(values["lr_drops"])}
        return self._kind(**values)


@dataclasses.dataclass(frozen=True)
class DetectorSection:
    """The settings of the detectors, those of the appendix too, checked.

    Attributes:
        engine: whose detector: torchvision or detectron2.
        weights: what they start with: trained (our runs on ImageNet) or torchvision (its published weights).
        data: the data set that stands for voc, for coco and for det.
        bn_statistics: on how many training images of which size batch normalisation is measured.
        models: every model that the configuration names.
        seeds: the seeds of those that are run.
        appendix: the same of appendix B, by experiment.
        multiscale_shorter_sides: the sizes of its multi-scale test.
    """

    engine: str
    weights: str
    data: dict[str, str]
    bn_statistics: dict[str, int | None]
    models: list[str]
    seeds: dict[str, list[int]]
    appendix: dict[str, dict[str, list[int]]]
    multiscale_shorter_sides: list[int]
    _recipe: dict[str, Any]
    _overrides: dict[str, dict[str, Any]]

    def recipe(self, experiment: str, model: str, seed: int) -> DetectorRecipe:
        """Return the recipe of one run: overrides of the experiment, then of the network and its variation.

        A detector that starts with another one has its anchors.
        """
        values = self._values(experiment, model)
        if start := values.get("starts_with"):
            values["anchor_sizes"] = self._values(*start.split("/"))["anchor_sizes"]
        values |= {key: tuple(values[key]) for key in ("lr_drops", "anchor_sizes")}
        values |= {"engine": self.engine, "experiment": experiment, "model": model, "seed": seed}
        return DetectorRecipe(**values)

    def runs(self, experiment: str) -> dict[str, list[int]]:
        """Return the seeds of the models that are trained for an experiment, those of the appendix too."""
        own = self.seeds if EXPERIMENTS[experiment].section == "detection" else {}
        return own | self.appendix.get(experiment, {})

    def start(self, experiment: str, model: str) -> str | None:
        """Return the detector that one starts with, <experiment>/<model>; None where it is a classifier."""
        return self._values(experiment, model).get("starts_with")

    def _values(self, experiment: str, model: str) -> dict[str, Any]:
        kind = EXPERIMENTS[experiment].data
        overrides = [self._overrides.get(key, {}) for key in (kind, experiment, network_of(model), model)]
        return {**self._recipe, **{key: value for one in overrides for key, value in one.items()}}


@dataclasses.dataclass(frozen=True)
class LocalisationSection:
    """The settings of localisers, checked.

    Attributes:
        data: the name of the data set.
        shorter_sides: of whole images in the dense test.
        ensemble: its networks, each with model and seed.
        models: every model that the configuration names.
        seeds: the seeds of those that are run.
    """

    data: str
    shorter_sides: list[int]
    ensemble: list[dict[str, Any]]
    models: list[str]
    seeds: dict[str, list[int]]
    _recipe: dict[str, Any]
    _overrides: dict[str, dict[str, Any]]

    def recipe(self, stage: str, model: str, seed: int) -> LocaliserRecipe:
        """Return the recipe of one run: overrides of the stage, then of the network and its variation."""
        overrides = [self._overrides.get(key, {}) for key in (stage, network_of(model), model)]
        values: dict[str, Any] = {**self._recipe, **{key: value for one in overrides for key, value in one.items()}}
        values |= {key: tuple(values[key]) for key in ("lr_drops", "anchor_sizes")}
        values |= {"stage": stage, "model": model, "seed": seed}
        return LocaliserRecipe(**values)


@dataclasses.dataclass(frozen=True)
class Config:
    """The settings of a workflow, checked.

    Attributes:
        scale: name of the scale.
        hardware: where to train.
        processes: how many processes train an ImageNet net together.
        trainings_per_gpu: how many trainings on CIFAR-10 run on a GPU at once.
        data: where the real data come from.
        cifar10: section 4.2.
        imagenet: section 4.1.
        detector: section 4.3.
        localisation: appendix C.
        sections: those of ``SECTIONS`` that are asked for.
        left_out: those among them that cannot be made, each with the reason.
        notes: what a person should know of the settings, a line each: those that have no effect, and what is left out
            with a network or for want of data.
    """

    scale: str
    hardware: Hardware
    processes: int
    trainings_per_gpu: int
    data: dict[str, Any]
    cifar10: Section
    imagenet: Section
    detector: DetectorSection
    localisation: LocalisationSection
    sections: list[str]
    left_out: dict[str, str]
    notes: tuple[str, ...] = ()

    @property
    def made(self) -> list[str]:
        """The sections that are made."""
        return [section for section in self.sections if section not in self.left_out]

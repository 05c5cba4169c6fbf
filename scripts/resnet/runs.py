"""The runs of a configuration as one sheet, from which the rules select rows; no torch."""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from resnet.artefacts import Artefact
from resnet.sections import Config
from resnet.settings import EXPERIMENTS, LOCALISER_STAGES, is_published


@dataclasses.dataclass(frozen=True)
class Run:
    """One trained network, or published weights of one: a row of ``results/runs.csv``.

    Attributes:
        section: cifar10, imagenet, detection, or appendix: a localiser, or a detector that section 4.3 does not have.
        dataset: name of the data set that it is trained on.
        experiment: of a detector, what it is trained and tested on; of a localiser, its stage; empty for classifiers.
        model: the network.
        seed: None for published weights.
        source: the folder's name below that of the network: seed<k>, or torchvision for published weights.
        folder: where its files are.
        in_paper: the paper has this network.
    """

    section: str
    dataset: str
    experiment: str
    model: str
    seed: int | None
    source: str
    folder: str
    in_paper: bool

    @property
    def is_published(self) -> bool:
        """Whether it has weights that torchvision publishes, rather than trained ones."""
        return self.seed is None


COLUMNS = tuple(field.name for field in dataclasses.fields(Run))


def run_folder(
    config: Config, section: str, model: str = "{model}", source: str = "{source}", experiment: str = "{experiment}"
) -> str:
    """Return the folder of a run; what is not given stays a wildcard.

    Engines and initial weights of detectors have folders of their own, as a run with the one must not replace a run
    with the other.
    """
    runs = f"results/runs/{config.scale}"
    if experiment in (*LOCALISER_STAGES, "{stage}"):
        return f"{runs}/localiser/{experiment}/{model}/{source}"
    if section in ("detection", "appendix"):
        detector = config.detector
        return f"{runs}/detector-{detector.engine}-{detector.weights}/{experiment}/{model}/{source}"
    return f"{runs}/{getattr(config, section).dataset}/{model}/{source}"


def sheet(config: Config, paper: Mapping[str, Any]) -> list[Run]:
    """Return every run of a configuration, section by section: each network's seeds, then its published weights.

    Args:
        config: the configuration.
        paper: the paper's scale (``workflow/scales/paper.yaml``), whose networks are those that the paper has.
    """
    published = {
        "imagenet": [
            *(config.imagenet.seeds if config.imagenet.settings["weights"] == "torchvision" else ()),
            *(config.detector.seeds if config.detector.weights == "torchvision" else ()),
        ]
    }
    runs = []
    for section in ("imagenet", "cifar10"):
        part = getattr(config, section)
        seeds = [(model, seed) for model, numbers in part.seeds.items() for seed in numbers]
        weights = [(model, None) for model in dict.fromkeys(published.get(section, ())) if is_published(model)]
        runs += [_run(config, section, part.dataset, paper[section], model, seed) for model, seed in seeds + weights]
    detector = config.detector
    runs += [
        _run(config, "detection", detector.data[EXPERIMENTS[name].data], paper["detector"], model, seed, name)
        for name in experiments(config)
        if EXPERIMENTS[name].section == "detection"
        for model, numbers in detector.seeds.items()
        for seed in numbers
    ]
    runs += [
        _run(
            config,
            "appendix",
            detector.data[EXPERIMENTS[name].data],
            {"seeds": paper["detector"].get("appendix", {}).get(name, {})},
            model,
            seed,
            name,
        )
        for name in experiments(config)
        for model, numbers in detector.appendix.get(name, {}).items()
        for seed in numbers
    ]
    localisation = config.localisation
    runs += [
        Run(
            section="appendix",
            dataset=localisation.data,
            experiment=stage,
            model=model,
            seed=seed,
            source=f"seed{seed}",
            folder=run_folder(config, "appendix", model, f"seed{seed}", stage),
            in_paper=model in paper["localisation"]["seeds"],
        )
        for stage in LOCALISER_STAGES
        for model, numbers in localisation.seeds.items()
        for seed in numbers
    ]
    return runs


def _run(
    config: Config,
    section: str,
    dataset: str,
    paper: Mapping[str, Any],
    model: str,
    seed: int | None,
    experiment: str = "",
) -> Run:
    source = "torchvision" if seed is None else f"seed{seed}"
    folder = run_folder(config, section, model, source, experiment)
    return Run(section, dataset, experiment, model, seed, source, folder, model in paper["seeds"])


def experiments(config: Config) -> list[str]:
    """Return what detectors are trained and tested on.

    For PASCAL's server that is only where its images are at hand, and on DET where its files are.
    """
    voc, det = config.data["voc"], config.data["det"]
    if config.detector.data["voc"] != "voc":
        has_server = True
    elif voc["folder"]:
        has_server = (Path(voc["folder"]) / "VOC2012/ImageSets/Main/test.txt").exists()
    else:
        has_server = voc["test2012"] is not None
    has_det = config.detector.data["det"] != "det" or None not in (det["folder"], det["val1"], det["val2"])
    at_hand = {"voc12-server": has_server, "det": has_det}
    return [name for name in EXPERIMENTS if at_hand.get(name, True)]


def select(runs: Iterable[Run], **wanted: Any) -> list[Run]:
    """Return the runs whose columns have the values that are wanted, or one of several.

    ``select(runs, section="cifar10", model=["plain-20", "plain-56"])``
    """
    sets = {
        column: set(value) if isinstance(value, Iterable) and not isinstance(value, str) else {value}
        for column, value in wanted.items()
    }
    return [run for run in runs if all(getattr(run, column) in values for column, values in sets.items())]


def first_of_each(runs: Iterable[Run]) -> list[Run]:
    """Return the first run of each network in each experiment: the one that figures show."""
    first: dict[tuple[str, str, str], Run] = {}
    for run in runs:
        first.setdefault((run.section, run.experiment, run.model), run)
    return list(first.values())


def shown(artefact: Artefact, runs: Iterable[Run], weights: str = "trained") -> list[Run]:
    """Return the runs that an artefact shows: all of each of its networks in a table, the first in a figure.

    Networks that the paper does not have come last. Where ``weights`` are published ones, tables of errors on ImageNet
    show those, unless their files say ``weights: trained``.
    """
    tests_weights = artefact.kind == "evaluation_table" and artefact.section == "imagenet"
    source = artefact.values.get("weights", weights) if tests_weights else "trained"
    # The appendix shows what its improvements are compared with, too.
    sections = ["detection", "appendix"] if artefact.section == "appendix" else artefact.section
    found = select(runs, section=sections, is_published=source != "trained")
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in found:
        groups.setdefault((run.experiment, run.model), []).append(run)
    experiments, models = artefact.experiments or [""], artefact.models
    if artefact.shows_others:
        models += dict.fromkeys(run.model for run in found if not run.in_paper and run.model not in models)
    found = [run for pair in itertools.product(experiments, models) for run in groups.get(pair, ())]
    return first_of_each(found) if artefact.is_figure else found

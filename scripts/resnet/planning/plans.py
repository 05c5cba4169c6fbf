"""What the jobs of a dry run would cost: seconds, disk, downloads.

Networks take what ``steps`` says of them. The rest is an estimate: that an image of 224 pixels takes about two
milliseconds to decode, and a program that computes nothing takes as long as this one to start.
"""

import dataclasses
import itertools
import os
import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from resnet.classification.layer_signals import early_updates
from resnet.errors import UserError
from resnet.planning.steps import ASPECT, PAPERS, TRAINING, Rates, Step, classifier_in, network_of, recipe_in, step_of
from resnet.settings import (
    ArgumentParser,
    CifarRecipe,
    DetectorRecipe,
    Hardware,
    ImageNetRecipe,
    LocaliserRecipe,
    Recipe,
    add_arguments,
    from_arguments,
)

TRAININGS = {
    "train_cifar10": CifarRecipe,
    "train_imagenet": ImageNetRecipe,
    "train_detector": DetectorRecipe,
    "train_localiser": LocaliserRecipe,
}
TESTS = (
    "evaluate_imagenet", "measure_responses", "measure_bn_statistics", "detect_objects", "improve_detections",
    "ensemble_detections",
)  # fmt: skip
# Training images of each data set, and those that are tested.
IMAGES = {
    "digits": (1500, 297),
    "cifar10": (50_000, 10_000),
    "handwriting": (1600, 440),
    "imagenet": (1_281_167, 50_000),
    "scattered": (1600, 200),
    "scenes-voc": (320, 100),
    "voc": (16_551, 5_823),
    "scenes-coco": (320, 140),
    "coco": (82_783, 40_504),
    "scenes-det": (280, 100),
    # val1 and val2 as halves.
    "det": (343_609, 10_061),
}
# GB of downloads, by the beginning of their names, and what unpacked data take beside them.
DOWNLOADS = {
    "cifar-10": 0.17, "VOCtrainval_06": 0.46, "VOCtest_06": 0.45, "VOCtrainval_11": 2.0, "train2014": 13.5,
    "val2014": 6.6, "train2017": 19.3, "val2017": 0.8, "annotations": 0.25, "torchvision-vgg-16": 0.55,
    "torchvision-resnet-34": 0.09, "torchvision-resnet-50": 0.1, "torchvision-resnet-101": 0.18,
    "torchvision-resnet-152": 0.24,
}  # fmt: skip
# Weights, and a checkpoint that has them and their momentum, in float32; probabilities of 1000 classes.
BYTES_PER_PARAMETER, BYTES_PER_PREDICTION = 12, 4000
# Of an image that is decoded and cropped: always, and per pixel of the crop (benchmarks/imagenet_input.py: 481 images
# of 224 pixels a second).
DECODE_SECONDS, DECODE_SECONDS_PER_PIXEL = 0.0003, 0.0018 / 224**2
# Tests of localisers: proposals are made for the true class and five predicted ones.
LOCALISING, CLASSES_OF_IMAGE = ("predict_classes", "propose_boxes", "refine_boxes"), 6
# Images that are computed together in a test.
TEST_BATCH = 100


@dataclasses.dataclass
class Job:
    """A job of a dry run: its rule, the command line of its program, what it makes and how many GPUs it takes."""

    rule: str
    words: list[str]
    output: str
    gpus: int

    def option(self, name: str, default: str = "") -> str:
        """Return the value of an option of its program."""
        return self.words[self.words.index(name) + 1] if name in self.words else default

    def values(self, name: str) -> list[str]:
        """Return the values of an option that takes several."""
        words = self.words[self.words.index(name) + 1 :] if name in self.words else []
        return list(itertools.takewhile(lambda word: not word.startswith("--"), words))

    @property
    def images(self) -> tuple[int, int]:
        """The images that its data set has to train on, and to test."""
        return IMAGES.get(Path(self.option("--data")).parent.name, (0, 0))

    def settings(self, kind: type) -> Any:
        """Return the settings of a class that its command line holds."""
        parser = ArgumentParser(allow_abbrev=False)
        add_arguments(parser, kind)
        return from_arguments(kind, parser.parse_known_args(self.words)[0])


@dataclasses.dataclass
class Estimate:
    """What a job takes: seconds, and how they are known; GPUs; bytes that it leaves on the disk, and downloads."""

    rule: str
    seconds: float
    known: str
    gpus: int
    disk: float
    download: float


def read_jobs(text: str) -> Iterator[Job]:
    """Yield the jobs that ``snakemake -n -p`` prints."""
    for block in re.split(r"\n(?=(?:local)?rule \w+:\n)", text)[1:]:
        rule = re.match(r"(?:local)?rule (\w+):", block)
        command = re.search(r"scripts/\w+\.py (.*)", block)
        output = re.search(r"^ +output: (.*)", block, re.MULTILINE)
        gpus = re.search(r"^ +resources: .*\bgpu=(\d+)", block, re.MULTILINE)
        if rule and command and output:
            yield Job(rule[1], shlex.split(command[1]), output[1].split(", ")[0], int(gpus[1]) if gpus else 0)


class Plan:
    """The jobs of a dry run, and the training steps among them.

    Args:
        jobs: what would run.
        start: seconds in which a program that imports torch begins.
    """

    def __init__(self, jobs: Iterable[Job], start: float) -> None:
        self.jobs, self.start = list(jobs), start
        trainings = [job for job in self.jobs if job.rule in TRAININGS]
        self.hardware: Hardware = trainings[0].settings(Hardware) if trainings else Hardware()
        self._recipes = {job.option("--run-folder"): job.settings(TRAININGS[job.rule]) for job in trainings}
        # What each starts with: a classifier, or another detector.
        self._starts = {
            job.option("--run-folder"): job.option("--classifier") or job.option("--detector") for job in trainings
        }
        self._proposals = LocaliserRecipe.proposals
        for run, recipe in self._recipes.items():
            if isinstance(recipe, LocaliserRecipe):
                self._proposals = recipe.proposals
                self._recipes[run] = as_classifier(recipe, self.recipe(self._starts[run]))
        self.steps = {self.step(job.option("--run-folder"), job.gpus) for job in trainings}

    def recipe(self, run: str) -> Recipe:
        """Return the recipe of a run in the plan or on the disk; for published weights, the paper's."""
        try:
            return self._recipes.get(run) or recipe_in(Path(run))
        except (UserError, KeyError, TypeError):
            return ImageNetRecipe(model=Path(run).parent.name)

    def step(self, run: str, processes: int = 1) -> Step:
        """Return the training step of a run in one of several processes, each on a GPU of its own."""
        start = run
        while self._starts.get(start):
            start = self._starts[start]
        first = self.recipe(start)
        if isinstance(first, ImageNetRecipe):
            shape = (first.width, first.image_size)
        else:
            shape = classifier_in(Path(start)) if (Path(start) / "config.yaml").exists() else PAPERS
        return step_of(self.recipe(run), max(1, processes), shape)

    def estimates(self, rates: Rates) -> list[Estimate]:
        """Return what each job takes."""
        return [self._estimate(job, rates) for job in self.jobs]

    def _estimate(self, job: Job, rates: Rates) -> Estimate:
        seconds, known, disk, download = 0.0, "estimated", 0.0, 0.0
        if job.rule in TRAININGS:
            seconds, known = self._training(job, rates)
            disk = BYTES_PER_PARAMETER * network_of(self.step(job.option("--run-folder"))).parameters
        elif job.rule in (*TESTS, *LOCALISING):
            runs = job.values("--run-folders") or [job.option("--run-folder")]
            seconds, known = sum(self._test(job, rates, run) for run in runs), "estimated from training steps"
            disk = BYTES_PER_PREDICTION * job.images[1] if job.rule == "evaluate_imagenet" else 0
        elif job.rule == "measure_layer_signals":
            seconds, known = self._repeated(job, rates), "estimated from training steps"
        elif job.rule == "measure_image_statistics":
            seconds = decoding(job.images[0], int(job.option("--image-size"))) / int(job.option("--workers", "1"))
        elif job.rule in ("prepare_voc", "prepare_coco", "prepare_det"):
            images = sum(IMAGES[job.rule.removeprefix("prepare_")])
            seconds = decoding(images, ImageNetRecipe.image_size) / (os.cpu_count() or 1)
        elif job.rule.startswith("download_"):
            name = Path(job.output).name
            # Digits of its md5 may stand before it.
            named = re.compile(f"(?:[0-9a-f]+-)?({'|'.join(map(re.escape, DOWNLOADS))})")
            download = 1e9 * DOWNLOADS[found[1]] if (found := named.match(name)) else 0
            # The archive, and what it is unpacked to.
            disk = 2 * download
        return Estimate(job.rule, self.start + seconds, known, job.gpus, disk, download)

    def _training(self, job: Job, rates: Rates) -> tuple[float, str]:
        """Return the seconds of a training with its evaluations, and how they are known."""
        run = job.option("--run-folder")
        recipe, step = self.recipe(run), self.step(run, job.gpus)
        seconds, known = rates.seconds(step)
        if "earlier" not in known:
            tested = recipe.evaluation_images if isinstance(recipe, DetectorRecipe) else job.images[1]
            if isinstance(recipe, CifarRecipe):
                tested += round(recipe.validation_fraction * job.images[0])
            evaluations = recipe.iterations // recipe.evaluation_interval
            batches = evaluations * tested / max(1, job.gpus) / step.batch
            # An evaluation is forward only.
            seconds += seconds / TRAINING * batches / recipe.iterations
            if not isinstance(recipe, CifarRecipe):
                seconds += self._decoding(step.batch * (1 + batches / recipe.iterations), step.size, job, seconds)
        return seconds * recipe.iterations, known

    def _decoding(self, images: float, size: int, job: Job, computing: float) -> float:
        """Return the seconds that decoding adds: all of it on a CPU, what computing does not hide on a GPU."""
        seconds = decoding(images, size)
        if not job.gpus:
            return seconds
        workers = self.hardware.workers or max(1, (os.cpu_count() or 1) // job.gpus - 1)
        return max(0.0, seconds / workers - computing)

    def _test(self, job: Job, rates: Rates, run: str) -> float:
        """Return the seconds of computing and decoding what a run's network is tested or measured on."""
        recipe, step = self.recipe(run), self.step(run)
        network, images, size, views = network_of(step), job.images[1], step.size, 1.0
        if job.rule == "measure_bn_statistics":
            wanted = job.option("--images", "none")
            images = job.images[0] if wanted == "none" else min(int(wanted), job.images[0])
            size = int(job.option("--size", str(size)))
            views = (size / step.size) ** 2
        elif job.rule in ("evaluate_imagenet", "predict_classes"):
            views = self._views(job, step.size)
        elif job.rule == "propose_boxes":
            images = job.images[0] if job.option("--split") == "train" else images
            sides = map(int, job.values("--shorter-sides")) if job.option("--protocol") == "dense" else ()
            views = sum(ASPECT * (side / size) ** 2 for side in sides) or 1.0
        elif job.rule == "refine_boxes":
            views = CLASSES_OF_IMAGE * self._proposals * len(job.values("--proposals"))
        elif isinstance(recipe, DetectorRecipe):
            views = looks(job, step.size)
        flops, layers = images * views * network.flops, images / TEST_BATCH * views * network.layers
        computing = rates.compute(type(recipe), flops, layers)
        sizes = sum(5 if protocol == "multiscale" else 1 for protocol in job.values("--protocols") or [""])
        read = 0 if isinstance(recipe, CifarRecipe) else images * sizes
        return computing + self._decoding(read, size, job, computing)

    def _repeated(self, job: Job, rates: Rates) -> float:
        """Return the seconds of the updates that are made again to measure the signals of trainings."""
        seconds = 0.0
        for run in job.values("--run-folders"):
            recipe, step = self.recipe(run), self.step(run)
            early = early_updates(map(int, job.values("--iterations")), recipe)
            each, _ = rates.seconds(step)
            if not isinstance(recipe, CifarRecipe):
                each += self._decoding(step.batch, step.size, job, each)
            # One more is made with the final weights.
            seconds += each * (max(early, default=-1) + 2)
        return seconds

    def _views(self, job: Job, size: int) -> float:
        """Return how many training crops protocols compute of an image; at each size, it and its mirror image."""
        sides = [int(side) for side in job.values("--multiscale-shorter-sides")]
        views = {"center": 1, "10crop": 10, "multiscale": sum(2 * ASPECT * (side / size) ** 2 for side in sides)}
        return sum(views[protocol] for protocol in job.values("--protocols"))


def as_classifier(recipe: LocaliserRecipe, classifier: Recipe) -> ImageNetRecipe:
    """Return the recipe of a classifier whose training step costs what a localiser's does, nearly."""
    assert isinstance(classifier, ImageNetRecipe)
    same = ("batch_size", "iterations", "lr", "lr_drops", "log_interval", "evaluation_interval")
    values = {name: getattr(recipe, name) for name in same}
    shape = {"width": classifier.width, "image_size": classifier.image_size}
    return ImageNetRecipe.of_network(model=recipe.model, **shape, **values)


def looks(job: Job, size: int) -> float:
    """Return how often a test of detectors computes what one of them does at its own size, roughly."""
    sides = [int(side) for side in job.values("--shorter-sides")]
    pyramid = 1 + sum((side / size) ** 2 for side in sides)
    return len(job.values("--run-folder")) * pyramid * (2 if "--box-refinement" in job.words else 1)


def decoding(images: float, size: int) -> float:
    """Return the seconds of decoding images for crops of a size, on one core."""
    return images * (DECODE_SECONDS + DECODE_SECONDS_PER_PIXEL * size**2)

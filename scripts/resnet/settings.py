"""Every setting of a training run, with the paper's value as its default (sections 3.4, 4.1 and 4.2).

``Recipe`` is what decides the numbers: changing any of it means another experiment. ``Hardware`` is where and how fast
it runs. Both are the command line of the training program, and the recipe is the fingerprint of its checkpoints. What a
setting may be is written here and nowhere else: the configuration is checked by the same rules.
"""

import argparse
import contextlib
import dataclasses
import functools
import hashlib
import json
import math
import os
import re
import typing
from pathlib import Path
from typing import Any, Literal, NoReturn, Self

from resnet.errors import UserError
from resnet.rules import Fault, faults, limits_of, reader, requirement, rules_of, setting

Metric = Literal["11-point", "area", "coco", "server"]
SWITCH = ("auto", "true", "false")
# NumPy's and torch's generators take more, but not all of them the same.
LARGEST_SEED = 2**32 - 1
# No machine has more cores, and no sound configuration asks for more.
MOST_CORES = 1024
# A name may end in what sets its runs apart from the network's other ones, such as resnet-110+no-warmup: the settings
# of its overrides.
VARIATION = r"(?:\+[a-z0-9-]+)?"
MODEL_PATTERN = re.compile(rf"(plain|resnet)-(\d+){VARIATION}")
IMAGENET_PATTERN = re.compile(rf"(?:(plain|resnet)-(18|34|50|101|152)(?:-([ABC]))?|vgg-(16|19)){VARIATION}")


def network_of(model: str) -> str:
    """Return the name of a network without that of a variation."""
    return model.partition("+")[0]


def parse_model(model: str) -> tuple[str, int]:
    """Split ``plain-20``, ``resnet-110`` or ``resnet-110+<variation>`` into kind and depth.

    Raises:
        UserError: the name has another form, or the depth is not 6n+2 with n ≥ 1 (section 4.2).
    """
    match = MODEL_PATTERN.fullmatch(model)
    if match is None:
        raise UserError(f"unknown model {model!r}: expected plain-<depth> or resnet-<depth>, such as resnet-56")
    kind, depth = match[1], int(match[2])
    if depth < 8 or (depth - 2) % 6:
        below = max(8, depth - (depth - 2) % 6)
        raise UserError(f"model {model!r}: the depth must be 6n+2 (8, 14, 20, …); the nearest are {below}, {below + 6}")
    return kind, depth


def parse_imagenet_model(model: str) -> tuple[str, int, str | None]:
    """Split ``plain-18``, ``resnet-34-A``, ``resnet-50`` or ``vgg-16`` into kind, depth and shortcut option.

    ResNet-18 and -34 name their option, as the paper trains several; from 50 layers on it is B unless named. Plain nets
    of 50 layers and more are those of footnote 4, with bottlenecks. ``+<variation>`` may follow.

    Raises:
        UserError: the name has another form.
    """
    match = IMAGENET_PATTERN.fullmatch(model)
    if match is None:
        raise UserError(
            f"unknown model {model!r}: expected plain-<18|34|50|101|152>, resnet-<18|34>-<A|B|C>, "
            "resnet-<50|101|152>, vgg-16 or vgg-19"
        )
    if match[4]:
        return "vgg", int(match[4]), None
    kind, depth, option = match[1], int(match[2]), match[3]
    if kind == "plain":
        if option:
            raise UserError(f"model {model!r}: plain nets have no shortcuts")
        return kind, depth, None
    if option is None and depth < 50:
        raise UserError(f"model {model!r}: say which shortcuts it has: {model}-A, {model}-B or {model}-C (section 4.1)")
    return kind, depth, option or "B"


def is_published(model: str) -> bool:
    """Whether torchvision publishes weights of a network for ImageNet."""
    kind, _, option = parse_imagenet_model(model)
    return kind != "plain" and option in (None, "B") and network_of(model) == model


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The settings that decide a run's numbers; those that both data sets share."""

    model: str = setting("", "name of the network", identity=True)
    seed: int = setting(
        0,
        "seeds the initial weights, the order of the images and the augmentation",
        minimum=0,
        maximum=LARGEST_SEED,
        identity=True,
    )
    batch_size: int = setting(128, "images per update, over all processes", minimum=1)
    ghost_batch_size: int | None = setting(
        None,
        "images per batch-normalisation statistic; the paper's GPUs saw 64 on CIFAR-10, 32 on ImageNet; none: all "
        "that a process computes at once",
        minimum=1,
    )
    iterations: int = setting(64000, "number of updates", minimum=1, maximum=10**9)
    lr: float = setting(0.1, "learning rate at the start", above=0)
    lr_drops: tuple[int, ...] = setting(
        (32000, 48000), "iterations at which the learning rate is divided by 10", minimum=1
    )
    momentum: float = setting(0.9, "momentum of SGD", minimum=0, below=1)
    weight_decay: float = setting(1e-4, "weight decay, on every parameter", minimum=0)
    precision: str = setting(
        "auto",
        "bf16 is autocast; auto is bf16 on a GPU that has it, and on a CPU in 5000 iterations and more where a trial "
        "finds it 1.3 times as fast; else, and for nets of more than 56 layers on CIFAR-10, float32",
        choices=("auto", "float32", "bf16"),
    )
    log_interval: int = setting(100, "iterations over which the training error is averaged and logged", minimum=1)
    evaluation_interval: int = setting(1000, "iterations between evaluations", minimum=1)

    def __post_init__(self) -> None:
        """Check every setting by its rule, and what concerns several.

        Raises:
            UserError: a value is out of range; the message names the key.
        """
        check_settings(self)
        self._require(list(self.lr_drops) == sorted(set(self.lr_drops)), "lr_drops", "must increase")
        ghost = self.ghost_batch_size
        divides = ghost is None or self.batch_size % ghost == 0
        self._require(divides, "ghost_batch_size", f"must divide batch_size ({self.batch_size})")

    @property
    def warmup(self) -> tuple[float, float] | None:
        """The rate and the end (training error in percent) of the warm-up; None where this net has none."""
        return None

    @property
    def patience(self) -> int | None:
        """Evaluations without a lower error after which the rate drops; None where it drops at ``lr_drops``."""
        return None

    def _require(self, condition: bool, key: str, rule: str) -> None:
        if not condition:
            raise UserError(f"{key} {rule}, not {getattr(self, key)!r}")


@dataclasses.dataclass(frozen=True)
class ClassifierRecipe(Recipe):
    """The settings that decide a classifier's numbers on both data sets."""

    branch_scale: float = setting(
        1.0,
        "scale at which the last batch normalisation of each residual branch begins; below 1, deep nets train in fewer "
        "iterations",
        minimum=0,
        added=True,
    )


@dataclasses.dataclass(frozen=True)
class CifarRecipe(ClassifierRecipe):
    """The settings that decide a run's numbers (section 4.2)."""

    model: str = setting("resnet-20", "plain-<depth> or resnet-<depth>, depth = 6n+2", identity=True)
    shortcut: str = setting(
        "A",
        "shortcuts of a residual net: A (zero padding), B or C (projections), section 3.3",
        choices=("A", "B", "C"),
    )
    layers_per_block: int = setting(
        2, "layers that a shortcut goes around; 1 shows no advantage (section 3.2)", choices=(1, 2), added=True
    )
    image_size: int = setting(32, "side to which the 32-pixel images are shrunk", unit="pixels", choices=(4, 8, 16, 32))
    padding: int = setting(4, "zero padding of the augmentation, on each side", unit="pixels", minimum=0)
    validation_fraction: float = setting(
        0.1, "part of the training images held out: 0.1 is the paper's 45k/5k", minimum=0, below=1
    )
    split_seed: int = setting(0, "seeds the choice of the held-out images", minimum=0, maximum=LARGEST_SEED)
    warmup_lr: float | None = setting(0.01, "learning rate at the start of deep nets; none is no warm-up", above=0)
    warmup_from_depth: int = setting(110, "the depth from which a net starts with warmup_lr", minimum=8)
    warmup_error: float = setting(80.0, "training error below which the warm-up ends", unit="%", minimum=0, maximum=100)

    def __post_init__(self) -> None:
        """Check every setting by its rule, and what concerns several.

        Raises:
            UserError: a value is out of range; the message names the key.
        """
        super().__post_init__()
        parse_model(self.model)
        self._require(self.padding <= self.image_size, "padding", f"must be at most image_size ({self.image_size})")

    @property
    def warmup(self) -> tuple[float, float] | None:
        """The rate and the end (training error in percent) of the warm-up; None where this net has none."""
        deep = parse_model(self.model)[1] >= self.warmup_from_depth
        return (self.warmup_lr, self.warmup_error) if deep and self.warmup_lr is not None else None


@dataclasses.dataclass(frozen=True)
class ImageNetRecipe(ClassifierRecipe):
    """The settings that decide a run's numbers (sections 3.4 and 4.1)."""

    model: str = setting(
        "resnet-50",
        "plain-<18|34|50|101|152>, resnet-<18|34>-<A|B|C>, resnet-<50|101|152>, vgg-16, vgg-19",
        identity=True,
    )
    stride_in_3x3: bool = setting(False, "bottlenecks stride in the 3x3 layer (torchvision) instead of the first 1x1")
    width: float = setting(1.0, "multiplies the number of filters of every layer", above=0)
    dropout: float = setting(0.0, "dropout between the fc layers of a VGG net", minimum=0, below=1)
    image_size: int = setting(224, "side of the training crop", unit="pixels", minimum=32, multiple_of=32)
    scale_min: int = setting(
        256,
        "shorter side of a training image, drawn from scale_min to scale_max",
        unit="pixels",
        minimum=32,
        was="min_side",
    )
    scale_max: int = setting(
        480,
        "shorter side of a training image, drawn from scale_min to scale_max",
        unit="pixels",
        minimum=32,
        was="max_side",
    )
    pca_colour_std: float = setting(0.1, "standard deviation of the PCA colour augmentation", minimum=0, was="colour")
    test_shorter_side: int = setting(
        256,
        "shorter side of a test image of which one or ten crops are taken",
        unit="pixels",
        minimum=32,
        was="test_side",
    )
    batch_size: int = setting(256, "images per update, over all processes", minimum=1)
    iterations: int = setting(600000, "number of updates", minimum=1, maximum=10**9)
    lr_drops: tuple[int, ...] = setting(
        (150000, 300000), "iterations at which the learning rate is divided by 10", minimum=1
    )
    plateau: int | None = setting(
        None,
        "instead of lr_drops, divide by 10 after so many evaluations without a lower validation error",
        minimum=1,
    )
    evaluation_interval: int = setting(5000, "iterations between evaluations", minimum=1)

    def __post_init__(self) -> None:
        """Check every setting by its rule, and what concerns several.

        Raises:
            UserError: a value is out of range; the message names the key.
        """
        super().__post_init__()
        parse_imagenet_model(self.model)
        self._require(
            self.scale_min >= self.image_size, "scale_min", f"must be at least image_size ({self.image_size})"
        )
        self._require(self.scale_max >= self.scale_min, "scale_max", f"must be at least scale_min ({self.scale_min})")
        self._require(
            self.test_shorter_side >= self.image_size,
            "test_shorter_side",
            f"must be at least image_size ({self.image_size})",
        )

    @classmethod
    def of_network(cls, *, image_size: int, **settings: Any) -> Self:
        """Return the recipe of a network that is not trained here: what is not given suits its images' size."""
        for name in ("scale_min", "scale_max", "test_shorter_side"):
            settings.setdefault(name, max(getattr(cls, name), image_size))
        return cls(image_size=image_size, **settings)

    @property
    def patience(self) -> int | None:
        """``plateau``."""
        return self.plateau


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A column of Table 7 or 8: what a detector is trained and tested on.

    Attributes:
        data: voc, coco or det.
        train: the sets that it is trained on.
        test: the set that it is tested on.
        metric: 11-point or area (mAP of PASCAL VOC until 2009 and since), coco, or server: its objects are not public.
        section: where its runs belong: detection (4.3) or appendix.
    """

    data: str
    train: tuple[str, ...]
    test: str
    metric: Metric
    section: str = "detection"


EXPERIMENTS = {
    "voc07": Experiment("voc", ("voc2007_trainval", "voc2012_trainval"), "voc2007_test", "11-point"),
    # The measured number beside the paper's one on 2012 test: trained without 2012 val, tested on it.
    "voc12": Experiment("voc", ("voc2007_trainval", "voc2007_test", "voc2012_train"), "voc2012_val", "area"),
    "voc12-server": Experiment(
        "voc", ("voc2007_trainval", "voc2007_test", "voc2012_trainval"), "voc2012_test", "server"
    ),
    "coco": Experiment("coco", ("train",), "val", "coco"),
    # Table 12. ILSVRC's own test asks for less overlap with small objects.
    "det": Experiment("det", ("train", "val1"), "val2", "area", section="appendix"),
}
# Those whose test sets' objects are public.
MEASURED = [name for name, experiment in EXPERIMENTS.items() if experiment.metric != "server"]


def test_of(*, box_refinement: bool, multiscale: bool) -> str:
    """Return the name of a test of detectors by what of appendix B improves it; that of section 4.3 is empty."""
    return "-".join(["refined"] * box_refinement + ["multiscale"] * multiscale)


# How a trained detector can be tested.
TESTS = [test_of(box_refinement=one, multiscale=other) for other in (False, True) for one in (False, True)]


@dataclasses.dataclass(frozen=True)
class DetectorRecipe(Recipe):
    """The settings that decide a detector's numbers (section 4.3, appendix A; else Faster R-CNN [32])."""

    model: str = setting("resnet-101", "vgg-16, or resnet-<50|101|152>: the network of the detector", identity=True)
    experiment: str = setting("voc07", "what it is trained and tested on", choices=tuple(EXPERIMENTS), identity=True)
    engine: str = setting("torchvision", "whose detector", choices=("torchvision", "detectron2"), identity=True)
    shorter_side: int = setting(600, "shorter side of an image after the resize", unit="pixels", minimum=1, was="side")
    max_size: int = setting(
        1000,
        "longest side after the resize; longer images get a smaller shorter side",
        unit="pixels",
        minimum=1,
        was="max_side",
    )
    anchor_sizes: tuple[int, ...] = setting(
        (128, 256, 512), "square roots of the anchors' areas", unit="pixels", minimum=1, empty=False
    )
    pooling: str = setting(
        "pool",
        "pool: the RoI max pooling of the paper; align: RoIAlign, without rounding",
        choices=("pool", "align"),
    )
    rois: int = setting(128, "regions per image that the head is trained on, a quarter of them objects", minimum=1)
    rpn_pre_nms_top_n_train: int = setting(
        12000, "proposals per image before NMS, in training", minimum=1, was="before_nms"
    )
    rpn_pre_nms_top_n_test: int = setting(
        6000,
        "proposals per image before NMS, in the test",
        minimum=1,
        added=lambda recipe: math.ceil(recipe["rpn_pre_nms_top_n_train"] / 2),
    )
    rpn_post_nms_top_n_train: int = setting(
        2000, "proposals per image after NMS, in training", minimum=1, was="training_proposals"
    )
    rpn_post_nms_top_n_test: int = setting(
        300, "proposals per image after NMS, in the test", minimum=1, was="proposals"
    )
    frozen_stages: int = setting(
        2, "stages from the input on that stay as they are: 2 is conv1 and conv2_x", minimum=0, maximum=4
    )
    dropout: float = setting(0.5, "dropout after fc6 and fc7 of a VGG net", minimum=0, below=1)
    context: bool = setting(
        False,
        "the features of the whole image, as a region, stand beside those of each region (appendix B); only by engine "
        "torchvision",
        added=True,
    )
    starts_with: str | None = setting(
        None,
        "the detector whose weights it starts with, <experiment>/<model>; none: a classifier",
        pattern=rf"^({'|'.join(EXPERIMENTS)})/[^/]+$",
        added=True,
    )
    batch_size: int = setting(1, "images per update, over all processes", minimum=1)
    ghost_batch_size: None = setting(None, "always none: batch normalisation is fixed")
    iterations: int = setting(80000, "number of updates", minimum=1, maximum=10**9)
    lr: float = setting(0.001, "learning rate at the start", above=0)
    lr_drops: tuple[int, ...] = setting((60000,), "iterations at which the learning rate is divided by 10", minimum=1)
    weight_decay: float = setting(5e-4, "weight decay, on every parameter that is trained", minimum=0)
    precision: str = setting(
        "float32",
        "bf16 is autocast (boxes and losses stay float32); auto is bf16 on a GPU that has it, else float32",
        choices=("auto", "float32", "bf16"),
    )
    evaluation_interval: int = setting(5000, "iterations between evaluations", minimum=1)
    evaluation_images: int = setting(
        500, "images of the test set that an evaluation during the training looks at", minimum=1
    )

    def __post_init__(self) -> None:
        """Check every setting by its rule, and what concerns several.

        Raises:
            UserError: a value is out of range; the message names the key.
        """
        super().__post_init__()
        kind, depth, _ = parse_imagenet_model(self.model)
        known = kind == "vgg" or (kind == "resnet" and depth >= 50)
        self._require(known, "model", "must be a VGG net, or a ResNet of 50 layers and more")
        self._require(
            self.max_size >= self.shorter_side, "max_size", f"must be at least shorter_side ({self.shorter_side})"
        )


LOCALISER_STAGES = ("rpn", "rcnn")
# How proposals are made in a test: of one crop, or of whole images at several scales.
LOCALISER_PROTOCOLS = ("center", "dense")


@dataclasses.dataclass(frozen=True)
class LocaliserRecipe(Recipe):
    """The settings that decide a localiser's numbers (appendix C); sizes of crops are those of its classifier."""

    model: str = setting(
        "resnet-101", "plain or residual net of section 4.1: the network of the localiser", identity=True
    )
    stage: str = setting(
        "rpn",
        "rpn: proposals from whole images; rcnn: their regions, one by one",
        choices=LOCALISER_STAGES,
        identity=True,
    )
    anchor_sizes: tuple[int, ...] = setting(
        (64, 128, 256), "square roots of the anchors' areas", unit="pixels", minimum=1, empty=False
    )
    proposals: int = setting(200, "proposals of each class that R-CNN is trained and tested on", minimum=1)
    batch_size: int = setting(256, "images or regions per update, over all processes", minimum=1)
    ghost_batch_size: None = setting(None, "always none: batch normalisation is fixed")
    iterations: int = setting(60000, "number of updates", minimum=1, maximum=10**9)
    lr: float = setting(0.01, "learning rate at the start", above=0)
    lr_drops: tuple[int, ...] = setting(
        (30000, 50000), "iterations at which the learning rate is divided by 10", minimum=1
    )
    evaluation_interval: int = setting(5000, "iterations between evaluations", minimum=1)
    evaluation_images: int = setting(
        5000, "validation images that an evaluation during the training looks at", minimum=1
    )

    def __post_init__(self) -> None:
        """Check every setting by its rule, and what concerns several.

        Raises:
            UserError: a value is out of range; the message names the key.
        """
        super().__post_init__()
        self._require(parse_imagenet_model(self.model)[0] != "vgg", "model", "must be a plain or residual net")


@dataclasses.dataclass(frozen=True)
class BatchNormStatistics:
    """How batch normalisation is measured on ImageNet for a detector (appendix A)."""

    size: int = setting(224, "size of the training images' squares", unit="pixels", minimum=32, was="side")
    images: int | None = setting(None, "so many images, drawn at random; none is all of them", minimum=1)


@dataclasses.dataclass(frozen=True)
class Hardware:
    """Where a run is computed and how fast.

    None of it changes what is computed, but that batch normalisation sees what a process computes at once
    (``accumulate``, and the number of processes) where the recipe's ``ghost_batch_size`` does not say otherwise.
    """

    device: str = setting("auto", "auto is cuda where torch sees a GPU", choices=("auto", "cpu", "cuda"))
    threads: int = setting(1, "threads of the CPU", minimum=1, maximum=MOST_CORES)
    compile: str = setting(
        "auto",
        "true: torch.compile; cuda-graphs: each update is one CUDA graph, on CIFAR-10; auto, on a GPU: cuda-graphs on "
        "CIFAR-10, else true where that saves more time than compiling takes",
        choices=(*SWITCH, "cuda-graphs"),
    )
    recompute: str = setting(
        "auto",
        "recompute activations in the backward pass to save memory; auto: when they are large",
        choices=SWITCH,
    )
    checkpoint_seconds: float = setting(300.0, "time between checkpoints", unit="s", above=0)
    workers: int | None = setting(
        None,
        "processes that decode ImageNet's images, for each training process; none is its share of the cores on a GPU "
        "(fewer where /dev/shm is small), else 0: the process itself",
        minimum=0,
        maximum=MOST_CORES,
    )
    scratch: str | None = setting(
        None,
        "folder on the machine's own disk, to which ImageNet's images are copied first; $VARIABLES are those of the "
        "machine; none reads them where they are",
    )
    accumulate: int = setting(
        1,
        "parts into which a process splits its batch where memory is short; batch normalisation sees a part, unless "
        "ghost_batch_size says how many images",
        minimum=1,
    )

    def __post_init__(self) -> None:
        """Check every setting by its rule.

        Raises:
            UserError: a value is out of range; the message names the key.
        """
        check_settings(self)


def check_settings(settings: Recipe | Hardware) -> None:
    """Check every setting by its rule.

    Raises:
        UserError: a value is out of range; the message names the key.
    """
    for name, value in vars(settings).items():
        for fault in _faults_of(type(settings), name, value):
            key = f"{name}.{fault.key}" if fault.key else name
            raise UserError(f"{key} is {fault.value!r}; it must be {requirement(fault.rule)}")


@functools.lru_cache(maxsize=None, typed=True)
def _faults_of(kind: type, name: str, value: Any) -> tuple[Fault, ...]:
    """Return what is wrong with a setting; most of a hundred runs' settings have the same value in all of them."""
    return tuple(faults(value, rules_of(kind)[name]))


def check_shares(recipe: Recipe, processes: int, accumulate: int) -> None:
    """Check that the batch can be split evenly over the processes, and there into parts.

    Raises:
        UserError: it cannot; the message names the key.
    """
    whole, ghost = recipe.batch_size, recipe.ghost_batch_size
    if whole % processes:
        raise UserError(f"batch_size {whole} cannot be split evenly over {processes} processes")
    share = whole // processes
    if share % accumulate:
        raise UserError(f"accumulate {accumulate} must divide the {share} images of a process")
    if ghost and (share // accumulate) % ghost:
        raise UserError(
            f"ghost_batch_size {ghost} must divide the {share // accumulate} images that a process computes at once "
            f"({processes} processes, accumulate {accumulate})"
        )


# What checksums of data were called when there were runs already.
CHECKSUMS_WERE = {"image_statistics": "pixels", "bn_statistics": "statistics"}


def fingerprint(recipe: Recipe, data_checksums: dict[str, str], versions: dict[str, int]) -> str:
    """Return a digest of everything that decides a run's result: recipe, data and the versions of the code.

    Names are those that a setting had at first, and what was added since is left out where earlier runs had it, too.
    """
    values, settings = dataclasses.asdict(recipe), {}
    for field in dataclasses.fields(recipe):
        if values[field.name] != _implied(field, values):
            settings[field.metadata["was"] or field.name] = values[field.name]
    data = {CHECKSUMS_WERE.get(name, name): checksum for name, checksum in data_checksums.items()}
    facts: dict[str, Any] = {"recipe": settings, "data": data, "recipe_version": 1}
    # Versions of 1 are left out, so that runs from before there was more than a recipe_version go on.
    if raised := {kind: version for kind, version in versions.items() if version > 1}:
        facts["versions"] = raised
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def updated(recipe: dict[str, Any], kind: type[Recipe]) -> dict[str, Any]:
    """Return a recipe that an earlier run has written, with today's names and the settings that were added since."""
    values = dict(recipe)
    for field in dataclasses.fields(kind):
        if field.metadata["was"] in values and field.name not in values:
            values[field.name] = values.pop(field.metadata["was"])
    for field in dataclasses.fields(kind):
        if field.metadata["added"] and field.name not in values:
            with contextlib.suppress(KeyError):
                values[field.name] = _implied(field, values)
    return values


def _implied(field: dataclasses.Field[Any], values: dict[str, Any]) -> Any:
    """Return what runs had from before a setting was added; MISSING where there always was one."""
    added = field.metadata["added"]
    if callable(added):
        return added(values)
    return field.default if added else dataclasses.MISSING


class ArgumentParser(argparse.ArgumentParser):
    """A parser whose errors are one line, as the rules' are."""

    def error(self, message: str) -> NoReturn:
        """Stop with a message.

        Raises:
            UserError: always.
        """
        raise UserError(f"{message} (see --help)")


def add_arguments(parser: argparse.ArgumentParser, settings: type, names: tuple[str, ...] = ()) -> None:
    """Add one option per field of a settings class, or of those with the given names."""
    group = parser if names else parser.add_argument_group(settings.__name__.lower(), settings.__doc__)
    rules = rules_of(settings)
    for field in dataclasses.fields(settings):
        if names and field.name not in names:
            continue
        several = typing.get_origin(field.type) is tuple
        rule = rules[field.name]
        item = rule["items"] if several else rule
        details = [field.metadata["unit"], limits_of(item), f"default: {_text(field.default)}"]
        group.add_argument(
            "--" + field.name.replace("_", "-"),
            type=reader(item),
            default=field.default,
            nargs="*+"[rule["minItems"]] if several else None,
            metavar="{" + ",".join(map(str, item["enum"])) + "}" if "enum" in item else None,
            help=f"{field.metadata['help']} ({'; '.join(filter(None, details))})".replace("%", "%%"),
        )


def from_arguments(settings: type, arguments: argparse.Namespace) -> Any:
    """Build a settings object from parsed arguments."""
    values = {field.name: getattr(arguments, field.name) for field in dataclasses.fields(settings)}
    return settings(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def read_hardware(arguments: argparse.Namespace) -> Hardware:
    """Build the hardware from parsed arguments, with no more threads and workers than this machine has cores."""
    hardware: Hardware = from_arguments(Hardware, arguments)
    threads = at_most_cores("threads", hardware.threads)
    workers = None if hardware.workers is None else at_most_cores("workers", hardware.workers)
    return dataclasses.replace(hardware, threads=threads, workers=workers)


def at_most_cores(name: str, count: int) -> int:
    """Return how many threads or processes are used of those asked for, and say so where they are fewer."""
    cores = os.cpu_count() or 1
    if count <= cores:
        return count
    print(f"{name} is {count}, but this machine has {cores} cores: {cores} are used", flush=True)
    return cores


def read_training_arguments(
    description: str, recipe: type, *files: tuple[str, dict[str, Any]]
) -> tuple[argparse.Namespace, Any, Hardware]:
    """Read the command line of a training program: its files, with the given ones, the recipe and the hardware."""
    parser = ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="dataset.json of a prepared data set")
    for flag, options in files:
        parser.add_argument(flag, **options)
    parser.add_argument("--run-folder", type=Path, required=True, help="folder of the run")
    parser.add_argument("--wait", action="store_true", help="wait for another process that trains in the folder")
    add_arguments(parser, recipe)
    add_arguments(parser, Hardware)
    arguments = parser.parse_args()
    return arguments, from_arguments(recipe, arguments), read_hardware(arguments)


def to_flags(settings: Recipe | Hardware) -> str:
    """Return the command-line options of every setting, as a person would type them."""
    values = dataclasses.asdict(settings).items()
    return " ".join(f"--{name.replace('_', '-')} {_text(value)}".rstrip() for name, value in values)


def _text(value: Any) -> str:
    """Return a value as the command line takes it."""
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)

"""Every setting of a training run, with the paper's value as its default (sections 3.4, 4.1 and 4.2).

``Recipe`` is what decides the numbers: changing any of it means another experiment. ``Hardware`` is where and how fast
it runs. Both are the command line of the training program, and the recipe is the fingerprint of its checkpoints.
"""

import argparse
import dataclasses
import hashlib
import json
import re
import types
import typing
from pathlib import Path
from typing import Any

from resnet.errors import UserError

SWITCH = ("auto", "true", "false")
MODEL_PATTERN = re.compile(r"(plain|resnet)-(\d+)")
IMAGENET_PATTERN = re.compile(r"(plain|resnet)-(18|34|50|101|152)(?:-([ABC]))?|vgg-(16|19)")


def describe(default: Any, text: str) -> Any:
    """Return a dataclass field with a default and the text of its command-line help."""
    return dataclasses.field(default=default, metadata={"help": text})


def parse_model(model: str) -> tuple[str, int]:
    """Split ``plain-20`` or ``resnet-110`` into kind and depth.

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

    ResNet-18 and -34 name their option, as the paper trains several; from 50 layers on it is B unless named.

    Raises:
        UserError: the name has another form.
    """
    match = IMAGENET_PATTERN.fullmatch(model)
    if match is None:
        raise UserError(
            f"unknown model {model!r}: expected plain-18, plain-34, resnet-<18|34>-<A|B|C>, resnet-<50|101|152>, "
            "vgg-16 or vgg-19"
        )
    if match[4]:
        return "vgg", int(match[4]), None
    kind, depth, option = match[1], int(match[2]), match[3]
    if kind == "plain":
        if option or depth > 34:
            raise UserError(f"model {model!r}: plain nets have 18 or 34 layers and no shortcuts")
        return kind, depth, None
    if option is None and depth < 50:
        raise UserError(f"model {model!r}: say which shortcuts it has: {model}-A, {model}-B or {model}-C (section 4.1)")
    return kind, depth, option or "B"


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The settings that decide a run's numbers; those that both data sets share."""

    model: str = describe("", "name of the network")
    seed: int = describe(0, "seeds the initial weights, the order of the images and the augmentation")
    batch_size: int = describe(128, "images per update, over all processes")
    ghost_batch_size: int | None = describe(
        None,
        "images per batch-normalisation statistic; the paper's GPUs saw 64 on CIFAR-10, 32 on ImageNet (default: all "
        "of a process)",
    )
    iterations: int = describe(64000, "number of updates")
    lr: float = describe(0.1, "learning rate at the start")
    lr_drops: tuple[int, ...] = describe((32000, 48000), "iterations at which the learning rate is divided by 10")
    momentum: float = describe(0.9, "momentum of SGD")
    weight_decay: float = describe(1e-4, "weight decay, on every parameter")
    precision: str = describe("auto", "float32, bf16 (autocast) or auto: bf16 on a GPU that has it, else float32")
    log_interval: int = describe(100, "iterations over which the training error is averaged and logged")
    evaluation_interval: int = describe(1000, "iterations between evaluations")

    def __post_init__(self) -> None:
        """Check what types cannot say.

        Raises:
            UserError: a value is out of range; the message names the key.
        """
        self._require(self.precision in ("auto", "float32", "bf16"), "precision", "must be auto, float32 or bf16")
        for key in ("batch_size", "iterations", "lr", "log_interval", "evaluation_interval"):
            self._require(getattr(self, key) > 0, key, "must be positive")
        drops = self.lr_drops
        self._require(list(drops) == sorted(set(drops)) and all(d > 0 for d in drops), "lr_drops", "must increase")
        ghost = self.ghost_batch_size
        divides = ghost is None or (ghost > 0 and self.batch_size % ghost == 0)
        self._require(divides, "ghost_batch_size", f"must divide batch_size ({self.batch_size})")

    def _require(self, condition: bool, key: str, rule: str) -> None:
        if not condition:
            raise UserError(f"{key} {rule}, not {getattr(self, key)!r}")


@dataclasses.dataclass(frozen=True)
class CifarRecipe(Recipe):
    """The settings that decide a run's numbers (section 4.2)."""

    model: str = describe("resnet-20", "plain-<depth> or resnet-<depth>, depth = 6n+2")
    shortcut: str = describe("A", "shortcuts of a residual net: A (zero padding), B or C (projections), section 3.3")
    image_size: int = describe(32, "side in pixels to which the 32-pixel pictures are shrunk")
    padding: int = describe(4, "zero padding of the augmentation, in pixels on each side")
    validation_fraction: float = describe(0.1, "part of the training images held out: 0.1 is the paper's 45k/5k")
    split_seed: int = describe(0, "seeds the choice of the held-out images")
    warmup_lr: float | None = describe(0.01, "learning rate at the start of deep nets")
    warmup_from_depth: int = describe(110, "the depth from which a net starts with warmup_lr")
    warmup_error: float = describe(80.0, "training error in percent below which the warm-up ends")

    def __post_init__(self) -> None:
        """Check what types cannot say.

        Raises:
            UserError: a value is out of range; the message names the key.
        """
        parse_model(self.model)
        self._require(self.shortcut in ("A", "B", "C"), "shortcut", "must be A, B or C")
        self._require(self.image_size >= 4 and 32 % self.image_size == 0, "image_size", "must be 4, 8, 16 or 32")
        self._require(0 <= self.padding <= self.image_size, "padding", "must lie between 0 and image_size")
        self._require(0 <= self.validation_fraction < 1, "validation_fraction", "must be at least 0 and below 1")
        super().__post_init__()

    # The paper drops the rate at fixed iterations here.
    plateau = None

    @property
    def warmup(self) -> tuple[float, float] | None:
        """The rate and the end (training error in percent) of the warm-up; None where this net has none."""
        deep = parse_model(self.model)[1] >= self.warmup_from_depth
        return (self.warmup_lr, self.warmup_error) if deep and self.warmup_lr is not None else None


@dataclasses.dataclass(frozen=True)
class ImageNetRecipe(Recipe):
    """The settings that decide a run's numbers (sections 3.4 and 4.1)."""

    model: str = describe(
        "resnet-50", "plain-18, plain-34, resnet-<18|34>-<A|B|C>, resnet-<50|101|152>, vgg-16, vgg-19"
    )
    stride_in_3x3: bool = describe(False, "bottlenecks stride in the 3x3 layer (torchvision) instead of the first 1x1")
    width: float = describe(1.0, "multiplies the number of filters of every layer")
    dropout: float = describe(0.0, "dropout between the fc layers of a VGG net")
    image_size: int = describe(224, "side of the training crop in pixels, a multiple of 32")
    min_side: int = describe(256, "shorter side of a training image, drawn from min_side to max_side")
    max_side: int = describe(480, "shorter side of a training image, drawn from min_side to max_side")
    colour: float = describe(0.1, "standard deviation of the PCA colour augmentation")
    test_side: int = describe(256, "shorter side of a test image of which one or ten crops are taken")
    batch_size: int = describe(256, "images per update, over all processes")
    iterations: int = describe(600000, "number of updates")
    lr_drops: tuple[int, ...] = describe((150000, 300000), "iterations at which the learning rate is divided by 10")
    plateau: int | None = describe(
        None,
        "instead of lr_drops, divide by 10 after so many evaluations without a lower validation error (default: none)",
    )
    evaluation_interval: int = describe(5000, "iterations between evaluations")

    def __post_init__(self) -> None:
        """Check what types cannot say.

        Raises:
            UserError: a value is out of range; the message names the key.
        """
        parse_imagenet_model(self.model)
        super().__post_init__()
        self._require(self.width > 0, "width", "must be positive")
        self._require(0 <= self.dropout < 1, "dropout", "must be at least 0 and below 1")
        self._require(self.image_size >= 32 and self.image_size % 32 == 0, "image_size", "must be a multiple of 32")
        self._require(self.min_side >= self.image_size, "min_side", f"must be at least image_size ({self.image_size})")
        self._require(self.max_side >= self.min_side, "max_side", f"must be at least min_side ({self.min_side})")
        self._require(self.test_side >= self.image_size, "test_side", f"must be at least {self.image_size}")
        self._require(self.colour >= 0, "colour", "must not be negative")
        self._require(self.plateau is None or self.plateau > 0, "plateau", "must be positive or none")

    @property
    def warmup(self) -> None:
        """No warm-up on ImageNet."""
        return None


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A column of Table 7 or 8: what a detector is trained and tested on.

    Attributes:
        data: voc or coco.
        train: the sets that it is trained on.
        test: the set that it is tested on.
        metric: 11-point or area (mAP of PASCAL VOC until 2009 and since), coco, or server: its objects are not public.
    """

    data: str
    train: tuple[str, ...]
    test: str
    metric: str


EXPERIMENTS = {
    "voc07": Experiment("voc", ("voc2007_trainval", "voc2012_trainval"), "voc2007_test", "11-point"),
    # The measured number beside the paper's one on 2012 test: trained without 2012 val, tested on it.
    "voc12": Experiment("voc", ("voc2007_trainval", "voc2007_test", "voc2012_train"), "voc2012_val", "area"),
    "voc12-server": Experiment(
        "voc", ("voc2007_trainval", "voc2007_test", "voc2012_trainval"), "voc2012_test", "server"
    ),
    "coco": Experiment("coco", ("train",), "val", "coco"),
}


@dataclasses.dataclass(frozen=True)
class DetectorRecipe(Recipe):
    """The settings that decide a detector's numbers (section 4.3, appendix A, and [32] where they are silent)."""

    model: str = describe("resnet-101", "vgg-16, or resnet-<50|101|152>: the network of the detector")
    experiment: str = describe("voc07", f"what it is trained and tested on: {', '.join(EXPERIMENTS)}")
    engine: str = describe("torchvision", "whose detector: torchvision or detectron2")
    side: int = describe(600, "shorter side of a picture after the resize, in pixels")
    max_side: int = describe(1000, "longest side after the resize; longer pictures get a smaller shorter side")
    anchor_sizes: tuple[int, ...] = describe((128, 256, 512), "square roots of the anchors' areas, in pixels")
    pooling: str = describe("pool", "pool: the RoI max pooling of the paper; align: RoIAlign, without rounding")
    rois: int = describe(128, "regions per picture that the head is trained on, a quarter of them objects")
    before_nms: int = describe(12000, "proposals per picture before NMS in training; half of it in the test")
    training_proposals: int = describe(2000, "proposals per picture after NMS in training")
    proposals: int = describe(300, "proposals per picture after NMS in the test")
    frozen_stages: int = describe(2, "stages from the input on that stay as they are: 2 is conv1 and conv2_x")
    dropout: float = describe(0.5, "dropout after fc6 and fc7 of a VGG net")
    batch_size: int = describe(1, "pictures per update, over all processes")
    iterations: int = describe(80000, "number of updates")
    lr: float = describe(0.001, "learning rate at the start")
    lr_drops: tuple[int, ...] = describe((60000,), "iterations at which the learning rate is divided by 10")
    weight_decay: float = describe(5e-4, "weight decay, on every parameter that is trained")
    precision: str = describe("float32", "float32, or bf16 (autocast; boxes and losses stay float32), or auto")
    evaluation_interval: int = describe(5000, "iterations between evaluations")
    evaluation_images: int = describe(500, "pictures of the test set that an evaluation during the training looks at")

    # No warm-up, and fixed drops.
    warmup = None
    plateau = None

    def __post_init__(self) -> None:
        """Check what types cannot say.

        Raises:
            UserError: a value is out of range; the message names the key.
        """
        kind, depth, _ = parse_imagenet_model(self.model)
        known = kind == "vgg" or (kind == "resnet" and depth >= 50)
        self._require(known, "model", "must be a VGG net, or a ResNet of 50 layers and more")
        self._require(self.experiment in EXPERIMENTS, "experiment", f"must be one of {', '.join(EXPERIMENTS)}")
        self._require(self.engine in ("torchvision", "detectron2"), "engine", "must be torchvision or detectron2")
        self._require(self.pooling in ("pool", "align"), "pooling", "must be pool or align")
        super().__post_init__()
        for key in ("side", "rois", "before_nms", "training_proposals", "proposals", "evaluation_images"):
            self._require(getattr(self, key) > 0, key, "must be positive")
        self._require(self.max_side >= self.side, "max_side", f"must be at least side ({self.side})")
        sizes = self.anchor_sizes
        self._require(bool(sizes) and min(sizes) > 0, "anchor_sizes", "must be positive numbers")
        self._require(0 <= self.frozen_stages <= 4, "frozen_stages", "must lie between 0 and 4")
        self._require(0 <= self.dropout < 1, "dropout", "must be at least 0 and below 1")
        self._require(self.ghost_batch_size is None, "ghost_batch_size", "must be none: batch normalisation is fixed")


@dataclasses.dataclass(frozen=True)
class Hardware:
    """Where a run is computed and how fast; none of it changes what is computed."""

    device: str = describe("auto", "cpu, cuda or auto: cuda when there is one")
    threads: int = describe(1, "threads of the CPU")
    compile: str = describe("auto", "torch.compile: true, false, cuda-graphs, or auto: true for long runs on a GPU")
    recompute: str = describe(
        "auto", "recompute activations in the backward pass to save memory: true, false or auto: when they are large"
    )
    checkpoint_seconds: float = describe(300.0, "seconds between checkpoints")
    workers: int | None = describe(
        None,
        "processes that decode ImageNet's images, for each training process (default: its share of the cores on a GPU, "
        "else 0: the process itself)",
    )
    accumulate: int = describe(1, "parts into which a process splits its batch where memory is short")

    def __post_init__(self) -> None:
        """Check the words.

        Raises:
            UserError: a value is not one of those allowed; the message names the key.
        """
        allowed = {"device": ("auto", "cpu", "cuda"), "compile": (*SWITCH, "cuda-graphs"), "recompute": SWITCH}
        for key, words in allowed.items():
            if (value := getattr(self, key)) not in words:
                raise UserError(f"{key} must be {', '.join(words[:-1])} or {words[-1]}, not {value!r}")
        if (self.workers or 0) < 0 or self.accumulate < 1:
            raise UserError("workers must not be negative, and accumulate must be at least 1")


def fingerprint(recipe: Recipe, data_checksums: dict[str, str], versions: dict[str, int]) -> str:
    """Return a digest of everything that decides a run's result: recipe, data and the versions of the code."""
    facts = {"recipe": dataclasses.asdict(recipe), "data": data_checksums, "recipe_version": 1}
    # Versions of 1 are left out, so that runs from before there was more than a recipe_version go on.
    if raised := {kind: version for kind, version in versions.items() if version > 1}:
        facts["versions"] = raised
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def add_arguments(parser: argparse.ArgumentParser, settings: type) -> None:
    """Add one option per field of a settings class."""
    group = parser.add_argument_group(settings.__name__.lower(), settings.__doc__)
    for field in dataclasses.fields(settings):
        flag = "--" + field.name.replace("_", "-")
        options: dict[str, Any] = {"type": _scalar_type(field.type), "default": field.default}
        if typing.get_origin(field.type) is tuple:
            options["nargs"] = "*"
        shown = " ".join(map(str, field.default)) if isinstance(field.default, tuple) else field.default
        group.add_argument(flag, help=f"{field.metadata['help']} (default: {shown})", **options)


def from_arguments(settings: type, arguments: argparse.Namespace) -> Any:
    """Build a settings object from parsed arguments."""
    values = {field.name: getattr(arguments, field.name) for field in dataclasses.fields(settings)}
    return settings(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def read_training_arguments(
    description: str, recipe: type, *files: tuple[str, dict[str, Any]]
) -> tuple[argparse.Namespace, Any, Hardware]:
    """Read the command line of a training program: its files, with the given ones, the recipe and the hardware."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="dataset.json of a prepared data set")
    for flag, options in files:
        parser.add_argument(flag, **options)
    parser.add_argument("--run-folder", type=Path, required=True, help="folder of the run")
    parser.add_argument("--wait", action="store_true", help="wait for another process that trains in the folder")
    add_arguments(parser, recipe)
    add_arguments(parser, Hardware)
    arguments = parser.parse_args()
    return arguments, from_arguments(recipe, arguments), from_arguments(Hardware, arguments)


def to_flags(settings: Recipe | Hardware) -> str:
    """Return the command-line options of every setting, as a person would type them."""
    flags = []
    for name, value in dataclasses.asdict(settings).items():
        text = " ".join(map(str, value)) if isinstance(value, tuple) else "none" if value is None else value
        text = str(text).lower() if isinstance(value, bool) else text
        flags.append(f"--{name.replace('_', '-')} {text}".rstrip())
    return " ".join(flags)


def _scalar_type(annotation: Any) -> Any:
    """Return what argparse calls to read a value: the scalar inside ``X | None`` or ``tuple[X, ...]``."""
    if isinstance(annotation, types.UnionType):
        inner = next(a for a in typing.get_args(annotation) if a is not types.NoneType)
        return _optional(inner)
    if typing.get_origin(annotation) is tuple:
        return typing.get_args(annotation)[0]
    return _truth if annotation is bool else annotation


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"expected true or false, not {text!r}")
    return text.lower() == "true"


def _optional(inner: type) -> Any:
    def read(text: str) -> Any:
        return None if text.lower() == "none" else inner(text)

    read.__name__ = f"{inner.__name__} or none"
    return read

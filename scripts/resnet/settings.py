"""Every setting of a training run, with the paper's value as its default (section 4.2).

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
from typing import Any

from resnet.errors import UserError

# Raise it when the code of training changes so that old results no longer stand for the new code: finished runs are
# then trained again. Nothing else in the source files causes that.
RECIPE_VERSION = 1

SWITCH = ("auto", "true", "false")
MODEL_PATTERN = re.compile(r"(plain|resnet)-(\d+)")


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


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The settings that decide a run's numbers."""

    model: str = describe("resnet-20", "plain-<depth> or resnet-<depth>, depth = 6n+2")
    seed: int = describe(0, "seeds the initial weights, the order of the images and the augmentation")
    shortcut: str = describe("A", "shortcuts of a residual net: A (zero padding), B or C (projections), section 3.3")
    image_size: int = describe(32, "side in pixels to which the 32-pixel pictures are shrunk")
    padding: int = describe(4, "zero padding of the augmentation, in pixels on each side")
    validation_fraction: float = describe(0.1, "part of the training images held out: 0.1 is the paper's 45k/5k")
    split_seed: int = describe(0, "seeds the choice of the held-out images")
    batch_size: int = describe(128, "images per update")
    ghost_batch_size: int | None = describe(
        None, "images per batch-normalisation statistic; 64 is what the paper's two GPUs saw (default: the batch)"
    )
    iterations: int = describe(64000, "number of updates")
    lr: float = describe(0.1, "learning rate at the start")
    lr_drops: tuple[int, ...] = describe((32000, 48000), "iterations at which the learning rate is divided by 10")
    warmup_lr: float | None = describe(0.01, "learning rate at the start of deep nets")
    warmup_from_depth: int = describe(110, "the depth from which a net starts with warmup_lr")
    warmup_error: float = describe(80.0, "training error in percent below which the warm-up ends")
    momentum: float = describe(0.9, "momentum of SGD")
    weight_decay: float = describe(1e-4, "weight decay, on every parameter")
    precision: str = describe("auto", "float32, bf16 (autocast) or auto: bf16 on a GPU that has it, else float32")
    log_interval: int = describe(100, "iterations over which the training error is averaged and logged")
    evaluation_interval: int = describe(1000, "iterations between evaluations on validation and test images")

    def __post_init__(self) -> None:
        """Check what types cannot say.

        Raises:
            UserError: a value is out of range; the message names the key.
        """
        parse_model(self.model)
        self._require(self.shortcut in ("A", "B", "C"), "shortcut", "must be A, B or C")
        self._require(self.precision in ("auto", "float32", "bf16"), "precision", "must be auto, float32 or bf16")
        self._require(self.image_size >= 4 and 32 % self.image_size == 0, "image_size", "must be 4, 8, 16 or 32")
        self._require(0 <= self.padding <= self.image_size, "padding", "must lie between 0 and image_size")
        self._require(0 <= self.validation_fraction < 1, "validation_fraction", "must be at least 0 and below 1")
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

    @property
    def depth(self) -> int:
        """The number of weighted layers, 6n+2."""
        return parse_model(self.model)[1]


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

    def __post_init__(self) -> None:
        """Check the words.

        Raises:
            UserError: a value is not one of those allowed; the message names the key.
        """
        allowed = {"device": ("auto", "cpu", "cuda"), "compile": (*SWITCH, "cuda-graphs"), "recompute": SWITCH}
        for key, words in allowed.items():
            if (value := getattr(self, key)) not in words:
                raise UserError(f"{key} must be {', '.join(words[:-1])} or {words[-1]}, not {value!r}")


def fingerprint(recipe: Recipe, data_checksums: dict[str, str]) -> str:
    """Return a digest of everything that decides a run's result: recipe, data and the version of the code's recipe."""
    facts = {"recipe": dataclasses.asdict(recipe), "data": data_checksums, "recipe_version": RECIPE_VERSION}
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


def to_flags(settings: Recipe | Hardware) -> str:
    """Return the command-line options of every setting, as a person would type them."""
    flags = []
    for name, value in dataclasses.asdict(settings).items():
        text = " ".join(map(str, value)) if isinstance(value, tuple) else "none" if value is None else value
        flags.append(f"--{name.replace('_', '-')} {text}".rstrip())
    return " ".join(flags)


def _scalar_type(annotation: Any) -> Any:
    """Return what argparse calls to read a value: the scalar inside ``X | None`` or ``tuple[X, ...]``."""
    if isinstance(annotation, types.UnionType):
        inner = next(a for a in typing.get_args(annotation) if a is not types.NoneType)
        return _optional(inner)
    if typing.get_origin(annotation) is tuple:
        return typing.get_args(annotation)[0]
    return annotation


def _optional(inner: type) -> Any:
    def read(text: str) -> Any:
        return None if text.lower() == "none" else inner(text)

    read.__name__ = f"{inner.__name__} or none"
    return read

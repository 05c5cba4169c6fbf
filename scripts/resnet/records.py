"""What the pipeline's own files hold of which programs that read them make use; no torch.

A person may have edited such a file, or given that of another kind of run: it is compared with these when it is read.
"""

from typing import NotRequired, TypedDict


class Errors(TypedDict):
    """A split's part of ``result.json``."""

    top1_error: float


class Result(TypedDict):
    """``result.json`` of any run."""

    model: str


class CifarResult(Result):
    """What tables of errors on CIFAR-10 need of it."""

    seed: int
    dataset: str
    layers: int
    parameters: int
    test: Errors
    lowest_test_top1_error: float


class ReportedResult(Result):
    """What the report needs of it."""

    seed: int
    dataset: str
    iterations: int


class ClassifierResult(ReportedResult):
    """The same of a classifier."""

    warmup_ended_at: int | None
    train: Errors
    val: NotRequired[Errors]
    test: NotRequired[Errors]


class Loss(TypedDict):
    """The training's part of a detector's ``result.json``."""

    loss: float


class DetectorResult(ReportedResult):
    """The same of a detector."""

    experiment: str
    engine: str
    source: str
    train: Loss


class Dataset(TypedDict):
    """The data set that a run was trained on."""

    name: str


class Config(TypedDict):
    """What the report needs of ``config.yaml``."""

    dataset: Dataset
    fingerprint: str


class RunEnvironment(TypedDict):
    """What it needs of ``environment.json``."""

    seconds: float
    images_per_second: float


class Detection(TypedDict):
    """An entry of ``detections.json``; its box is left, top, width and height in pixels."""

    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    score: float


# Columns of claims.csv.
CLAIMS = {
    **dict.fromkeys(
        ("number", "claim", "about", "statement", "section", "verdict", "reason", "evidence", "closest"), str
    ),
    **dict.fromkeys(("difference", "margin"), float | None),
    **dict.fromkeys(("runs", "samples"), int | None),
}
# Columns of metrics.csv, of responses.csv, and of a detector's metrics.csv and classes.csv.
CURVE = {"iteration": int, "split": str, "top1_error": float}
RESPONSES = {"layer": int, "std": float}
DETECTOR_CURVE = {"iteration": int, "split": str, "loss": float | None, "map50": float | None}
CLASSES = {"class": str, "objects": int, "ap50": float | None, "ap": float | None}
# Columns of operations.csv.
OPERATIONS = {
    "network": str,
    "number": int,
    "kind": str,
    "inputs": str,
    **dict.fromkeys(("kernel", "stride"), int | None),
    "channels": int,
    "side": int | None,
    **dict.fromkeys(("parameters", "multiply_adds"), int),
}
# Columns of layer_signals.csv.
LAYER_SIGNALS = {"model": str, "iteration": int, "layer": int, "name": str, "std": float, "gradient": float}

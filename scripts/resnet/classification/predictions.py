"""Stored class probabilities: written once per network, averaged in an ensemble for nothing; no torch."""

import dataclasses
from pathlib import Path

import numpy as np

from resnet.errors import UserError
from resnet.files import read_arrays, write_text


@dataclasses.dataclass(frozen=True)
class Predictions:
    """What a network says of images.

    Attributes:
        paths: the images, in order.
        labels: their classes (N,), -1 where unknown.
        probabilities: (N, classes) float32.
    """

    paths: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray

    def errors(self) -> dict[str, float]:
        """Return top1_error and top5_error in percent over the images whose class is known."""
        known = self.labels >= 0
        best = np.argsort(-self.probabilities[known], axis=1, kind="stable")[:, :5]
        hits = best == self.labels[known, None]
        return {
            "top1_error": 100 * float(1 - hits[:, 0].mean()),
            "top5_error": 100 * float(1 - hits.any(1).mean()),
        }


def average(files: list[Path]) -> Predictions:
    """Return the mean of several networks' probabilities.

    Raises:
        UserError: the files are of different images or classes.
    """
    first, *others = [read_arrays(path, Predictions) for path in files]
    total = first.probabilities.astype(np.float64)
    for path, other in zip(files[1:], others, strict=True):
        same = other.probabilities.shape == total.shape and np.array_equal(first.paths, other.paths)
        if not same:
            raise UserError(f"{path} and {files[0]} are of different images or classes; evaluate both again")
        total += other.probabilities
    return Predictions(first.paths, first.labels, (total / len(files)).astype(np.float32))


def write_submission(path: Path, predictions: Predictions, ids: tuple[int, ...]) -> int:
    """Write the test server's file: per test image, in order, the devkit's numbers of the five likeliest classes.

    Returns the number of test images, which are those without a label; no file is written when there is none.
    """
    unknown = predictions.labels < 0
    best = np.argsort(-predictions.probabilities[unknown], axis=1, kind="stable")[:, :5]
    if len(best):
        write_text(path, "".join(" ".join(str(ids[label]) for label in row) + "\n" for row in best))
    return len(best)

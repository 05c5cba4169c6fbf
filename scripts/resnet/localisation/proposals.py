"""Boxes of classes in images, as networks propose or refine them; the errors of the best ones; no torch.

ILSVRC's measure: an image is right where the box of its class overlaps one of its objects by half or more, intersection
over union. By the true class, or by five predicted ones, one of which must be the true class. (The devkit counts
pixels, from the first to the last one of a box: as continuous boxes do.)
"""

import dataclasses
from pathlib import Path

import numpy as np

from resnet.classification.predictions import Predictions, average
from resnet.data.imagenet import Index
from resnet.data.located import Boxes
from resnet.errors import UserError

LEAST_IOU = 0.5
PREDICTED = 5


@dataclasses.dataclass(frozen=True)
class Proposals:
    """Boxes of some classes in the images of a split that have boxes, in their order.

    Attributes:
        classes: (N, C) int64: in the first column that of the image; in the others, if any, those that are predicted.
        boxes: (N, C, K, 4) float32: left, top, right, bottom in pixels of the image.
        scores: (N, C, K) float32: from 0 to 1.
    """

    classes: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray

    def best(self) -> np.ndarray:
        """Return the box with the highest score of each class (N, C, 4)."""
        first = self.scores.argmax(2)[:, :, None, None]
        return np.take_along_axis(self.boxes, first, 2)[:, :, 0]


def classes_of(index: Index, images: np.ndarray, predictions: list[Path]) -> np.ndarray:
    """Return the class of images, and the five that networks say it is: (N, 6) int64; (N, 1) without predictions.

    Args:
        index: the split.
        images: numbers of some of its images.
        predictions: what each network says of all of them, as npz; it is averaged.

    Raises:
        UserError: they are of other images.
    """
    own = np.array(index.labels, np.int64)[images][:, None]
    if not predictions:
        return own
    found: Predictions = average(predictions)
    if found.paths[: len(index)].tolist() != index.paths:
        raise UserError(f"{predictions[0]} is of other images than those with boxes; evaluate the network again")
    likeliest = np.argsort(-found.probabilities[: len(index)][images], axis=1, kind="stable")[:, :PREDICTED]
    return np.concatenate([own, likeliest], 1)


def united(several: list[Proposals], names: list[Path]) -> Proposals:
    """Return the proposals of several networks for the same classes together.

    Raises:
        UserError: they are for different classes.
    """
    first = several[0]
    for one, name in zip(several, names, strict=True):
        if not np.array_equal(one.classes, first.classes):
            raise UserError(f"{name} and {names[0]} are for different classes; propose both again")
    boxes, scores = (np.concatenate([getattr(one, part) for one in several], 2) for part in ("boxes", "scores"))
    return Proposals(first.classes, boxes, scores)


def mean_of(several: list[Proposals], names: list[Path]) -> Proposals:
    """Return what several networks make of the same proposals: the mean of their scores and boxes.

    Raises:
        UserError: they are of different proposals.
    """
    first = several[0]
    for one, name in zip(several, names, strict=True):
        if one.boxes.shape != first.boxes.shape or not np.array_equal(one.classes, first.classes):
            raise UserError(f"{name} and {names[0]} are of different proposals; refine them again")
    boxes, scores = (np.mean([getattr(one, part) for one in several], 0) for part in ("boxes", "scores"))
    return Proposals(first.classes, boxes, scores)


def localisation_errors(truth: Boxes, found: Proposals) -> dict[str, float]:
    """Return errors in percent.

    ``gt_class_error`` is that of the box of the true class; where classes were predicted, ``top5_error`` that of the
    five, and ``class_error`` that of the classes alone.

    Args:
        truth: the boxes of all images, N of them.
        found: of the same images.

    Raises:
        UserError: of another number of images.
    """
    if len(found.classes) != len(truth):
        raise UserError(f"{len(found.classes)} images were tested, but {len(truth)} have boxes; test them again")
    hits = best_overlaps(truth, found.best()) >= LEAST_IOU
    errors = {"gt_class_error": 100 * float(1 - hits[:, 0].mean())}
    if found.classes.shape[1] > 1:
        right = found.classes[:, 1:] == found.classes[:, :1]
        errors |= {
            "top5_error": 100 * float(1 - (right & hits[:, 1:]).any(1).mean()),
            "class_error": 100 * float(1 - right.any(1).mean()),
        }
    return errors


def best_overlaps(truth: Boxes, boxes: np.ndarray) -> np.ndarray:
    """Return how far each box (N, C, 4) overlaps that object of its image which it overlaps most: (N, C)."""
    image = np.repeat(np.arange(len(truth)), truth.counts)
    ours, theirs = boxes.astype(np.float64)[image], truth.boxes[:, None]
    sides = np.minimum(ours[..., 2:], theirs[..., 2:]) - np.maximum(ours[..., :2], theirs[..., :2])
    intersection = sides.clip(0).prod(-1)
    areas = [(each[..., 2:] - each[..., :2]).prod(-1) for each in (ours, theirs)]
    return np.maximum.reduceat(intersection / (areas[0] + areas[1] - intersection), truth.starts, axis=0)

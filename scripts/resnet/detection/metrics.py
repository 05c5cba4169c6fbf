"""Average precision of detections, as PASCAL VOC and MS COCO measure it, and VOC's files of results; no torch.

Ground truth is a set of images as ``resnet.data.objects`` writes it. Detections are in the form of COCO's files of
results: a list of image_id, category_id, bbox (left, top, width, height in pixels, continuous) and score. VOC counts
pixels from 1 and names the last one of a box: the continuous (left, top, right, bottom) is (left + 1, top + 1, right,
bottom) there, and (xmax - xmin + 1) pixels wide. Every precision is in percent; one of a class without objects is None.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from resnet.errors import UserError
from resnet.files import write_text

Method = Literal["11-point", "area"]

# COCO's twelve numbers in its own order. APs, APm, APl: objects of up to 32x32 pixels, up to 96x96, and larger ones;
# AR1, AR10, AR100: recall with that many detections per image and class.
COCO_METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


@dataclasses.dataclass(frozen=True)
class ClassObjects:
    """The objects of one class.

    Attributes:
        images: (N,) int64: the number of the image that each is in.
        boxes: (N, 4) float64: xmin, ymin, xmax, ymax in VOC's pixels.
        difficult: (N,) bool: neither to be found nor an error when found.
    """

    images: np.ndarray
    boxes: np.ndarray
    difficult: np.ndarray


@dataclasses.dataclass(frozen=True)
class ClassDetections:
    """The detections of one class: as ``ClassObjects``, with ``scores`` (M,) float64. Equal scores keep their order."""

    images: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray


def class_average_precision(
    objects: ClassObjects, detections: ClassDetections, method: Method, threshold: float = 0.5
) -> float | None:
    """Return VOC's average precision of one class in percent, or None where no object counts.

    The development kit's VOCevaldet.m: by decreasing score, a detection belongs to the object of its image that it
    overlaps most, found by others or not, if intersection over union is at least ``threshold``. The first one of an
    object is right, later ones are wrong, those of a difficult object do not count at all.
    """
    positives = int(np.count_nonzero(~objects.difficult))
    if not positives:
        return None
    right = _right(objects, detections, threshold)
    return 100 * INTEGRALS[method](right, positives)


def eleven_point_precision(right: np.ndarray, positives: int) -> float:
    """Return the mean of the highest precision at a recall of at least 0, 0.1, ..., 1 (VOC up to 2009).

    ``right`` (K,) bool: whether each detection that counts is right, by decreasing score; ``positives``: objects.
    The levels are k x 0.1 in floating point, as in Fast R-CNN's voc_eval.py and Padilla's tool, whose numbers these
    are: three of them are a bit above 0.3, 0.6 and 0.7, so that a recall of exactly 0.3 (3 objects of 10) falls short.
    """
    recall = np.cumsum(right) / positives
    first = np.searchsorted(recall, np.linspace(0, 1, 11), side="left")
    # The level that no detection reaches has precision 0.
    return float(np.append(_envelope(right), 0.0)[first].mean())


def area_precision(right: np.ndarray, positives: int) -> float:
    """Return the area under precision over recall, made monotonic (VOC since 2010); parameters as for 11 points."""
    # Recall grows by 1 / positives at every right detection and nowhere else.
    return float(_envelope(right)[right].sum() / positives)


INTEGRALS: dict[str, Callable[[np.ndarray, int], float]] = {
    "11-point": eleven_point_precision,
    "area": area_precision,
}


def _envelope(right: np.ndarray) -> np.ndarray:
    """Return the highest precision (K,) at each detection's recall or a larger one."""
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    return np.maximum.accumulate(precision[::-1])[::-1]


def _right(objects: ClassObjects, detections: ClassDetections, threshold: float) -> np.ndarray:
    """Return whether each detection that counts is right, by decreasing score, (K,) bool."""
    nearest, overlaps = _nearest(objects, detections)
    order = np.argsort(-detections.scores, kind="stable")
    nearest, matched = nearest[order], overlaps[order] >= threshold
    difficult = np.zeros(len(order), bool)
    difficult[matched] = objects.difficult[nearest[matched]]
    _, first = np.unique(nearest[matched], return_index=True)
    right = np.zeros(len(order), bool)
    right[np.flatnonzero(matched)[first]] = True
    return right[~difficult]


def _nearest(objects: ClassObjects, detections: ClassDetections) -> tuple[np.ndarray, np.ndarray]:
    """Return the object that each detection overlaps most, (M,) int64, the first of equals, and how much, (M,).

    Where a detection's image has no object, the overlap is 0.
    """
    nearest, overlaps = np.zeros(len(detections.scores), np.int64), np.zeros(len(detections.scores))
    order = np.argsort(objects.images, kind="stable")
    images = objects.images[order]
    start = np.searchsorted(images, detections.images, side="left")
    count = np.searchsorted(images, detections.images, side="right") - start
    # Every pair of a detection and an object of its image, in one row.
    detection = np.repeat(np.arange(len(count)), count)
    within = np.arange(len(detection)) - np.repeat(np.cumsum(count) - count, count)
    partner = order[np.repeat(start, count) + within]
    values = pixel_overlaps(detections.boxes[detection], objects.boxes[partner])
    by_overlap = np.lexsort((-values, detection))
    found, first = np.unique(detection[by_overlap], return_index=True)
    nearest[found] = partner[by_overlap[first]]
    overlaps[found] = values[by_overlap[first]]
    return nearest, overlaps


def pixel_overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return intersection over union (N,) of each box (N, 4) with the other of the same row, in VOC's pixels."""
    sides = np.minimum(boxes[:, 2:], others[:, 2:]) - np.maximum(boxes[:, :2], others[:, :2]) + 1
    intersection = np.maximum(sides, 0).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2] + 1).prod(axis=1) + (others[:, 2:] - others[:, :2] + 1).prod(axis=1)
    return intersection / (areas - intersection)


def voc_average_precision(
    ground_truth: dict[str, Any], detections: list[dict[str, Any]], method: Method, threshold: float = 0.5
) -> dict[str, float | None]:
    """Return VOC's average precision per class name in percent, None for a class without objects that count.

    COCO's crowds are taken as difficult objects.

    Raises:
        UserError: a detection names an image or a class that the set does not have.
    """
    _check_numbers(ground_truth, detections)
    annotations = ground_truth["annotations"]
    ignored = np.array([_ignored(annotation) for annotation in annotations], bool)
    scores = np.array([detection["score"] for detection in detections], np.float64)
    object_images, object_labels, object_boxes = _columns(annotations)
    images, labels, boxes = _columns(detections)
    precisions = {}
    for category in ground_truth["categories"]:
        ours, theirs = object_labels == category["id"], labels == category["id"]
        precisions[category["name"]] = class_average_precision(
            ClassObjects(object_images[ours], object_boxes[ours], ignored[ours]),
            ClassDetections(images[theirs], boxes[theirs], scores[theirs]),
            method,
            threshold,
        )
    return precisions


def mean_over_classes(precisions: dict[str, float | None]) -> float | None:
    """Return the mean over the classes that have objects, or None if there are none."""
    values = [value for value in precisions.values() if value is not None]
    return float(np.mean(values)) if values else None


def coco_average_precision(ground_truth: dict[str, Any], detections: list[dict[str, Any]]) -> dict[str, Any]:
    """Return COCO's metrics of boxes in percent: ``COCO_METRICS``, and per class name AP and AP50 under ``classes``.

    None stands for what no object counts for. VOC's difficult objects are taken as crowds, which do not count. The
    work is done by faster-coco-eval, whose numbers are those of pycocotools
    (``benchmarks/coco_average_precision.py``).

    Raises:
        UserError: a detection names an image or a class that the set does not have.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    _check_numbers(ground_truth, detections)
    objects = COCO(_for_library(ground_truth))
    # The library writes into the detections that it is given.
    evaluation = COCOeval_faster(objects, objects.loadRes([dict(one) for one in detections]), "bbox")
    evaluation.run()
    # Threshold (0.5 to 0.95), recall, class by number, size (first: all), detections per image (last: 100).
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    names = {category["id"]: category["name"] for category in ground_truth["categories"]}
    classes = {
        names[number]: {"AP": _percent(precision[:, :, index].mean()), "AP50": _percent(precision[0, :, index].mean())}
        for index, number in enumerate(sorted(names))
    }
    metrics = zip(COCO_METRICS, evaluation.stats[: len(COCO_METRICS)], strict=True)
    return {**{name: _percent(value) for name, value in metrics}, "classes": classes}


def write_voc_submission(folder: Path, ground_truth: dict[str, Any], detections: list[dict[str, Any]]) -> list[Path]:
    """Write ``comp4_det_test_<class>.txt`` of every class for the PASCAL server and return the files.

    A line is the image's name without suffix, the score, and xmin, ymin, xmax, ymax in VOC's pixels. The file of a
    class without detections is empty: the server asks for all.

    Raises:
        UserError: a detection names an image or a class that the set does not have, a class has no name for a file,
            or the disk is full.
    """
    _check_numbers(ground_truth, detections)
    for category in ground_truth["categories"]:
        if "/" in category["name"] or "\0" in category["name"]:
            raise UserError(f"class {category['name']!r} cannot be part of a file's name, as the server's files need")
    stems = {image["id"]: Path(image["file_name"]).stem for image in ground_truth["images"]}
    lines: dict[int, list[str]] = {category["id"]: [] for category in ground_truth["categories"]}
    _, _, boxes = _columns(detections)
    for detection, box in zip(detections, boxes.tolist(), strict=True):
        corners = " ".join(f"{value:.1f}" for value in box)
        lines[detection["category_id"]].append(f"{stems[detection['image_id']]} {detection['score']:.6f} {corners}\n")
    files = []
    for category in ground_truth["categories"]:
        files.append(folder / f"comp4_det_test_{category['name']}.txt")
        write_text(files[-1], "".join(lines[category["id"]]))
    return files


def _check_numbers(ground_truth: dict[str, Any], detections: list[dict[str, Any]]) -> None:
    for key, kind in (("image_id", "images"), ("category_id", "categories")):
        unknown = {detection[key] for detection in detections} - {known["id"] for known in ground_truth[kind]}
        if unknown:
            raise UserError(
                f"{len(unknown)} {key} of the detections are not among the {kind} of the set, {min(unknown)} for one; "
                "were they made on another set?"
            )


def _columns(rows: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return image_id (N,), category_id (N,) and the boxes in VOC's pixels (N, 4)."""
    images = np.array([row["image_id"] for row in rows], np.int64)
    labels = np.array([row["category_id"] for row in rows], np.int64)
    boxes = np.array([row["bbox"] for row in rows], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    boxes[:, :2] += 1
    return images, labels, boxes


def _ignored(annotation: dict[str, Any]) -> bool:
    return bool(annotation["iscrowd"] or annotation["difficult"])


def _for_library(ground_truth: dict[str, Any]) -> dict[str, Any]:
    """Return a copy for a COCO library, which writes into it and takes an object numbered 0 for none."""
    annotations = [
        {**annotation, "id": number, "iscrowd": int(_ignored(annotation))}
        for number, annotation in enumerate(ground_truth["annotations"], start=1)
    ]
    return {"images": ground_truth["images"], "annotations": annotations, "categories": ground_truth["categories"]}


def _percent(value: float) -> float | None:
    # The library's sign for "no objects" is -1.
    return None if value < 0 else 100 * float(value)

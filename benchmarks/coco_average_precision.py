"""Seconds to evaluate detections: this project's COCO metrics against pycocotools used directly, in one run.

The detections are synthetic: 80 classes, about 7 objects and 75 detections per image, of which some surround an
object and the others lie anywhere. Both take turns in one process, each on its own copy. Also printed: the largest
difference of any of COCO's twelve numbers and of any class's AP and AP50, and the seconds of VOC's average precision.

    pip install pycocotools==2.0.11
    PYTHONPATH=scripts python benchmarks/coco_average_precision.py
"""

import argparse
import contextlib
import copy
import io
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from resnet.detection.metrics import COCO_METRICS, coco_average_precision, voc_average_precision

CLASSES, SIDE = 80, 640


def boxes_anywhere(count: int, random: np.random.RandomState) -> np.ndarray:
    """Return boxes (count, 4) of 8 to 400 pixels: left, top, width, height."""
    sides = np.exp(random.uniform(np.log(8), np.log(400), (count, 2)))
    return np.hstack([random.uniform(0, 1, (count, 2)) * (SIDE - sides), sides])


def synthetic(images: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the ground truth of a set and detections on it."""
    random, annotations, detections = np.random.RandomState(0), [], []

    def detect(image: int, labels: np.ndarray, boxes: np.ndarray, scores: np.ndarray) -> None:
        for label, box, score in zip(labels.tolist(), boxes.tolist(), scores.round(3).tolist(), strict=True):
            detections.append({"image_id": image, "category_id": label, "bbox": box, "score": score})

    for image in range(1, images + 1):
        count = random.poisson(7)
        objects, labels = boxes_anywhere(count, random), random.randint(1, CLASSES + 1, count)
        for label, box, crowd in zip(labels.tolist(), objects.tolist(), random.rand(count) < 0.01, strict=True):
            # As with outlines, the area is less than the box's.
            place = {"id": len(annotations) + 1, "image_id": image, "category_id": label, "bbox": box}
            annotations.append({**place, "area": 0.6 * box[2] * box[3], "iscrowd": int(crowd), "difficult": 0})
        around = np.repeat(np.arange(count), random.randint(1, 6, count))
        shaken = objects[around] + random.normal(0, 0.08, (len(around), 4)) * np.tile(objects[around, 2:], 2)
        shaken[:, 2:] = np.maximum(shaken[:, 2:], 1)
        detect(image, labels[around], shaken, random.beta(3, 2, len(around)))
        others = random.randint(30, 80)
        detect(image, random.randint(1, CLASSES + 1, others), boxes_anywhere(others, random), random.beta(1, 4, others))
    entries = [{"id": n, "file_name": f"{n}.jpg", "width": SIDE, "height": SIDE} for n in range(1, images + 1)]
    categories = [{"id": n, "name": f"class {n}"} for n in range(1, CLASSES + 1)]
    return {"images": entries, "annotations": annotations, "categories": categories}, detections


def by_pycocotools(ground_truth: dict[str, Any], detections: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what ``coco_average_precision`` returns, by pycocotools alone."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        objects = COCO()
        objects.dataset = ground_truth
        objects.createIndex()
        evaluation = COCOeval(objects, objects.loadRes(detections), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision = evaluation.eval["precision"][:, :, :, 0, 2]
    classes = {
        category["name"]: {"AP": 100 * precision[:, :, index].mean(), "AP50": 100 * precision[0, :, index].mean()}
        for index, category in enumerate(ground_truth["categories"])
    }
    return {**dict(zip(COCO_METRICS, 100 * evaluation.stats, strict=True)), "classes": classes}


def largest_difference(ours: dict[str, Any], theirs: dict[str, Any]) -> float:
    """Return the largest difference of any number in percentage points; None (ours) is pycocotools' -1."""

    def flat(metrics: dict[str, Any]) -> np.ndarray:
        values = [metrics[name] for name in COCO_METRICS]
        values += [each[name] for each in metrics["classes"].values() for name in ("AP", "AP50")]
        return np.array([-100 if value is None else value for value in values])

    return float(np.abs(flat(ours) - flat(theirs)).max())


def timed(function: Callable, *arguments: Any) -> tuple[float, Any]:
    """Return the seconds that a call took and what it returned."""
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000, help="images (default: 5000, as COCO's val2017)")
    parser.add_argument("--turns", type=int, default=3, help="turns of each (default: 3)")
    arguments = parser.parse_args()
    try:
        import pycocotools  # noqa: F401
    except ImportError:
        sys.exit("this benchmark compares with pycocotools: pip install pycocotools==2.0.11")
    ground_truth, detections = synthetic(arguments.images)
    print(f"{arguments.images} images, {len(ground_truth['annotations'])} objects, {len(detections)} detections")
    seconds: dict[str, list[float]] = {"ours": [], "pycocotools": [], "VOC": []}
    difference = 0.0
    for _ in range(arguments.turns):
        # pycocotools writes into what it is given; the copies are not timed.
        copies = copy.deepcopy((ground_truth, detections))
        taken, theirs = timed(by_pycocotools, *copies)
        del copies
        seconds["pycocotools"].append(taken)
        taken, ours = timed(coco_average_precision, ground_truth, detections)
        seconds["ours"].append(taken)
        seconds["VOC"].append(timed(voc_average_precision, ground_truth, detections, "area")[0])
        difference = max(difference, largest_difference(ours, theirs))
    for name, values in seconds.items():
        print(f"{name:11} {statistics.median(values):7.2f} s ({min(values):.2f}-{max(values):.2f})")
    ratios = [theirs / ours for ours, theirs in zip(seconds["ours"], seconds["pycocotools"], strict=True)]
    print(f"ours {statistics.median(ratios):.1f} times as fast ({min(ratios):.1f}-{max(ratios):.1f})")
    print(f"largest difference to pycocotools: {difference:.1e} percentage points; AP {ours['AP']:.3f} %")


if __name__ == "__main__":
    main()

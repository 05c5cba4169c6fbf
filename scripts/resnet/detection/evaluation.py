"""Average precision of detections by the metric of an experiment; no torch."""

from typing import Any

from resnet.data.objects import Scene
from resnet.detection.metrics import coco_average_precision, mean_over_classes, voc_average_precision


def subset(ground_truth: dict[str, Any], scenes: list[Scene]) -> dict[str, Any]:
    """Return the part of a set's file that is about some of its scenes."""
    kept = {scene.id for scene in scenes}
    return {
        "images": [image for image in ground_truth["images"] if image["id"] in kept],
        "annotations": [one for one in ground_truth["annotations"] if one["image_id"] in kept],
        "categories": ground_truth["categories"],
    }


def average_precision(ground_truth: dict[str, Any], detections: list[dict[str, Any]], metric: str) -> dict[str, Any]:
    """Return what a metric (of ``Experiment``) says, in percent.

    Returns:
        ``map50``: mAP at an IoU of 0.5; by ``coco`` also ``map`` (mAP@[.5, .95]) and the other means of COCO; and per
        class, under ``classes``, its AP by the same names. None stands for a class without objects.
    """
    if metric == "coco":
        found = coco_average_precision(ground_truth, detections)
        names = {"AP": "map", "AP50": "map50", "AP75": "map75"}
        classes = {name: {"ap50": values["AP50"], "ap": values["AP"]} for name, values in found.pop("classes").items()}
        return {names.get(key, f"map_{key.removeprefix('AP').strip('_')}"): value for key, value in found.items()} | {
            "classes": classes
        }
    precisions = voc_average_precision(ground_truth, detections, metric)
    return {
        "map50": mean_over_classes(precisions),
        "classes": {name: {"ap50": value} for name, value in precisions.items()},
    }

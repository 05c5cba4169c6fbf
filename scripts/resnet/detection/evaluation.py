"""Average precision of detections by the metric of an experiment; no torch."""

from typing import Any, Literal

from resnet.data.objects import Scene
from resnet.detection.metrics import Method, coco_average_precision, mean_over_classes, voc_average_precision


def subset(ground_truth: dict[str, Any], scenes: list[Scene]) -> dict[str, Any]:
    """Return the part of a set's file that is about some of its scenes."""
    kept = {scene.id for scene in scenes}
    return {
        "images": [image for image in ground_truth["images"] if image["id"] in kept],
        "annotations": [one for one in ground_truth["annotations"] if one["image_id"] in kept],
        "categories": ground_truth["categories"],
    }


# COCO's names of its means, and ours.
COCO_NAMES = {
    "AP": "map",
    "AP50": "map50",
    "AP75": "map75",
    "APs": "map_small",
    "APm": "map_medium",
    "APl": "map_large",
    "AR1": "recall_1",
    "AR10": "recall_10",
    "AR100": "recall_100",
    "ARs": "recall_small",
    "ARm": "recall_medium",
    "ARl": "recall_large",
}


def average_precision(
    ground_truth: dict[str, Any], detections: list[dict[str, Any]], metric: Method | Literal["coco"]
) -> dict[str, Any]:
    """Return what a metric (of ``Experiment``) says, in percent.

    Returns:
        ``map50``: mAP at an IoU of 0.5; by ``coco`` also ``map`` (mAP@[.5, .95]) and COCO's other means; and per
        class, under ``classes``, ``ap50`` and perhaps ``ap``. None stands for a class without objects.
    """
    if metric == "coco":
        found = coco_average_precision(ground_truth, detections)
        classes = {name: {"ap50": one["AP50"], "ap": one["AP"]} for name, one in found["classes"].items()}
        return {ours: found[theirs] for theirs, ours in COCO_NAMES.items()} | {"classes": classes}
    precisions = voc_average_precision(ground_truth, detections, metric)
    return {
        "map50": mean_over_classes(precisions),
        "classes": {name: {"ap50": value} for name, value in precisions.items()},
    }

"""Measure the average precision of detections, per class and in the mean."""

import argparse
from pathlib import Path

from resnet.data.objects import read_description, set_file
from resnet.detection.evaluation import average_precision
from resnet.detection.metrics import write_voc_submission
from resnet.errors import UserError, run_program
from resnet.files import read_json, write_json, write_rows
from resnet.settings import EXPERIMENTS

COLUMNS = ("class", "objects", "ap50", "ap")


def main() -> None:
    """Read the detections and write what is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="dataset.json of a prepared data set")
    parser.add_argument("--experiment", choices=EXPERIMENTS, required=True, help="what was tested on, and how")
    parser.add_argument("--result", type=Path, required=True, help="result.json of the detector's run")
    parser.add_argument("--detections", type=Path, required=True, help="the detections, as COCO's results")
    parser.add_argument("--output", type=Path, help="JSON to write; not where the objects are not public")
    parser.add_argument("--classes", type=Path, help="CSV to write: average precision of each class")
    parser.add_argument("--submission", type=Path, help="folder of the files for PASCAL's server")
    arguments = parser.parse_args()
    description, experiment = read_description(arguments.data), EXPERIMENTS[arguments.experiment]
    truth = read_json(set_file(arguments.data, description, experiment.test))
    detections = read_json(arguments.detections)
    if arguments.submission is not None:
        files = write_voc_submission(arguments.submission, truth, detections)
        print(f"wrote {len(files)} files for the server; register at http://host.robots.ox.ac.uk:8080")
        return
    if experiment.metric == "server" or arguments.output is None or arguments.classes is None:
        raise UserError(
            f"{arguments.experiment} needs "
            + ("--submission" if experiment.metric == "server" else "--output and --classes")
        )
    found = average_precision(truth, detections, experiment.metric)
    run = read_json(arguments.result)
    counted = objects_per_class(truth)
    classes = found.pop("classes")
    write_rows(
        arguments.classes, COLUMNS, [{"class": name, "objects": counted[name], **classes[name]} for name in classes]
    )
    identity = {key: run[key] for key in ("model", "seed", "experiment", "engine", "source", "dataset")}
    write_json(
        arguments.output,
        {
            **identity,
            "test_set": experiment.test,
            "metric": experiment.metric,
            "images": len(truth["images"]),
            "objects": sum(counted.values()),
            "classes_without_objects": [name for name, count in counted.items() if not count],
            **found,
        },
    )


def objects_per_class(truth: dict) -> dict[str, int]:
    """Return how many objects of each class count: difficult ones and crowds do not."""
    names = {category["id"]: category["name"] for category in truth["categories"]}
    counted = dict.fromkeys(names.values(), 0)
    for one in truth["annotations"]:
        counted[names[one["category_id"]]] += not (one["difficult"] or one["iscrowd"])
    return counted


if __name__ == "__main__":
    run_program(main)

"""Measure the average precision of detections: VOC's or COCO's, of each class and in the mean."""

import argparse
from pathlib import Path
from typing import Any

from resnet.artefact_kinds import ENSEMBLE
from resnet.errors import UserError, run_program
from resnet.files import REMAKE, read_json, write_json, write_rows
from resnet.records import Detection
from resnet.run_folder import RunFolder
from resnet.settings import EXPERIMENTS, test_of

COLUMNS = ("class", "objects", "ap50", "ap")
IDENTITY = {"model": str, "seed": int, "experiment": str, "engine": str, "source": str, "dataset": str}
# What environment.json beside the detections says of the test; files from before it did are of the plain one.
IMPROVEMENTS = {"box_refinement": False, "shorter_sides": []}


def main() -> None:
    """Read the detections and write what is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="dataset.json of a prepared data set")
    results = "result.json of the detector's run; of each, where they are an ensemble"
    parser.add_argument("--result", type=Path, nargs="+", required=True, help=results)
    parser.add_argument("--detections", type=Path, required=True, help="the detections, as COCO's results")
    parser.add_argument("--environment", type=Path, help="environment.json that says how they were found")
    parser.add_argument("--output", type=Path, required=True, help="JSON to write")
    parser.add_argument("--classes", type=Path, required=True, help="CSV to write: the average precision of each class")
    arguments = parser.parse_args()

    # What takes long to import comes after the arguments, so that --help and a wrong one are answered at once.
    from resnet.data.objects import ObjectsDescription, set_file
    from resnet.detection.evaluation import average_precision

    first = arguments.result[0]
    run = RunFolder.of(first).result(IDENTITY)
    if run["experiment"] not in EXPERIMENTS:
        raise UserError(f"{first}: {run['experiment']!r} is none of {', '.join(EXPERIMENTS)}; {REMAKE}")
    experiment = EXPERIMENTS[run["experiment"]]
    if experiment.metric == "server":
        raise UserError(f"the objects of {experiment.test} are not public: use write_submission.py")
    truth = read_json(set_file(arguments.data, ObjectsDescription.read(arguments.data), experiment.test))
    found = average_precision(truth, read_json(arguments.detections, list[Detection]), experiment.metric)
    counted, classes = objects_per_class(truth), found.pop("classes")
    rows = [{"class": name, "objects": counted[name], **values} for name, values in classes.items()]
    write_rows(arguments.classes, COLUMNS, rows)
    if len(arguments.result) > 1:
        run |= {"model": ENSEMBLE, "members": [str(path.parent) for path in arguments.result]}
    said = read_json(arguments.environment, dict[str, Any]) if arguments.environment else {}
    tested: dict[str, Any] = IMPROVEMENTS | said
    facts = {
        **{key: run[key] for key in (*IDENTITY, "members") if key in run},
        **{key: tested[key] for key in IMPROVEMENTS},
        "tested": test_of(box_refinement=tested["box_refinement"], multiscale=bool(tested["shorter_sides"])),
        "test_set": experiment.test,
        "metric": experiment.metric,
        "images": len(truth["images"]),
        "objects": sum(counted.values()),
        "classes_without_objects": [name for name, count in counted.items() if not count],
    }
    write_json(arguments.output, {**facts, **found})


def objects_per_class(truth: dict[str, Any]) -> dict[str, int]:
    """Return how many objects of each class count: difficult ones and crowds do not."""
    names = {category["id"]: category["name"] for category in truth["categories"]}
    counted = dict.fromkeys(names.values(), 0)
    for one in truth["annotations"]:
        counted[names[one["category_id"]]] += not (one["difficult"] or one["iscrowd"])
    return counted


if __name__ == "__main__":
    run_program(main)

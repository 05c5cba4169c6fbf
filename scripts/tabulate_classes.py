"""Write the average precision of every class of every detector as one table."""

import argparse
from pathlib import Path

from resnet.errors import run_program
from resnet.files import read_json, read_rows, write_rows
from resnet.records import CLASSES

COLUMNS = ("experiment", "test_set", "model", "engine", "seed", "class", "objects", "ap50", "ap", "scale")

RUN = {"experiment": str, "test_set": str, "model": str, "engine": str, "seed": int}


def main() -> None:
    """Read the classes of each run and write them one after another."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--classes", type=Path, nargs="*", default=[], help="evaluation/classes.csv of each run")
    parser.add_argument("--evaluations", type=Path, nargs="*", default=[], help="average_precision.json, same order")
    parser.add_argument("--scale", required=True, help="name of the scale")
    parser.add_argument("--output", type=Path, required=True, help="CSV to write")
    arguments = parser.parse_args()
    rows = []
    for path, evaluation in zip(arguments.classes, arguments.evaluations, strict=True):
        facts = read_json(evaluation, RUN)
        run = {key: facts[key] for key in RUN}
        rows += [{**run, **row, "scale": arguments.scale} for row in read_rows(path, CLASSES)]
    write_rows(arguments.output, COLUMNS, rows)


if __name__ == "__main__":
    run_program(main)

"""Write the average precision of every class of every detector as one table."""

import argparse
from pathlib import Path

from resnet.artefacts import read_artefact
from resnet.errors import run_program
from resnet.files import read_json, read_rows
from resnet.records import CLASSES
from resnet.rendering.exhibits import NOT_IN_PAPER, add_table_arguments, exhibit, write_table
from resnet.rendering.tables import in_paper

COLUMNS = ("experiment", "test_set", "model", "engine", "seed", "class", "objects", "ap50", "ap", "scale", "in_paper")
HEADINGS = ("test set", "detector", "class", "objects", "AP@.5 (%)", "AP@[.5, .95] (%)")
RUN = {"experiment": str, "test_set": str, "model": str, "engine": str, "seed": int}


def main() -> None:
    """Read the classes of each run and write them one after another."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_table_arguments(parser)
    parser.add_argument("--classes", type=Path, nargs="*", default=[], help="evaluation/classes.csv of each run")
    parser.add_argument("--evaluations", type=Path, nargs="*", default=[], help="average_precision.json, same order")
    arguments = parser.parse_args()
    table = read_artefact(arguments.artefact)
    rows, cells = [], []
    for path, evaluation in zip(arguments.classes, arguments.evaluations, strict=True):
        facts = read_json(evaluation, RUN)
        run = {key: facts[key] for key in RUN}
        known = run["model"] not in arguments.others
        mark = "" if known else f" ({NOT_IN_PAPER})"
        for row in read_rows(path, CLASSES):
            rows.append({**run, **row, "scale": arguments.scale, "in_paper": in_paper(known)})
            numbers = ["–" if row[key] is None else f"{row[key]:.2f}" for key in ("ap50", "ap")]
            detector = f"{run['model']}, seed {run['seed']}{mark}"
            cells.append([run["test_set"], detector, row["class"], str(row["objects"]), *numbers])
    write_table(arguments, COLUMNS, rows, exhibit(table, HEADINGS, cells, texts=3), digits=None)


if __name__ == "__main__":
    run_program(main)

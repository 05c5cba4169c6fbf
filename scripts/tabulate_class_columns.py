"""Write the average precision of each class of several detectors, a column for each class, beside the paper's."""

import argparse
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from resnet.artefacts import read_artefact
from resnet.errors import run_program
from resnet.files import read_json, read_rows
from resnet.records import CLASSES
from resnet.rendering.exhibits import add_table_arguments, exhibit, write_table
from resnet.rendering.tables import FACTS, NOT_TRAINED, in_paper, labelled

RUN = {"model": str, "dataset": str, "source": str, "map50": float | None}
# The tests of each network, by its name and that of the test.
Found = dict[tuple[str, str], list[dict[str, Any]]]


def main() -> None:
    """Read the classes of each test and write the rows of the table, the means over several runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_table_arguments(parser)
    parser.add_argument("--classes", type=Path, nargs="*", default=[], help="classes.csv of each test")
    parser.add_argument("--evaluations", type=Path, nargs="*", default=[], help="average_precision.json, same order")
    arguments = parser.parse_args()
    table = read_artefact(arguments.artefact)
    found = read_tests(arguments.classes, arguments.evaluations)
    headings = class_columns(table.values["classes"], found)
    rows = [row_of(row, table.values["classes"], headings, found) for row in table.values["rows"]]
    rows = [{**row, "scale": arguments.scale, "in_paper": in_paper(True)} for row in rows]
    numbers = [column for name in ("map", *headings) for column in (name, f"paper_{name}")]
    cells = [line for row in rows for line in lines_of(row, ("map", *headings))]
    shown = exhibit(table, ("system", "trained on", "mAP", *headings.values(), "runs"), cells, texts=2)
    write_table(arguments, ("method", "data", *numbers, *FACTS), rows, shown)


def read_tests(classes: list[Path], evaluations: list[Path]) -> Found:
    """Read what was measured in each test."""
    found: Found = {}
    for path, evaluation in zip(classes, evaluations, strict=True):
        facts = read_json(evaluation, RUN)
        precisions = {row["class"]: row["ap50"] for row in read_rows(path, CLASSES)}
        found.setdefault((facts["model"], facts.get("tested", "")), []).append({**facts, "classes": precisions})
    return found


def class_columns(paper: dict[str, str], found: Found) -> dict[str, str]:
    """Return the classes that have columns, and their headings: the paper's; where others were measured, those."""
    measured = dict.fromkeys(name for runs in found.values() for run in runs for name in run["classes"])
    return paper if measured.keys() <= paper.keys() else {name: name for name in measured}


def row_of(published: dict[str, Any], paper: dict[str, str], headings: dict[str, str], found: Found) -> dict[str, Any]:
    """Return a row: what was measured, and under ``paper_…`` what the paper has."""
    theirs = dict(zip(paper, published["classes"], strict=True))
    row = {"method": published["method"], "data": published["data"], "paper_map": published["map"]}
    row |= {f"paper_{name}": theirs.get(name) for name in headings} | {"source": NOT_TRAINED}
    if runs := found.get((published["model"], published.get("tested", ""))):
        row |= {key: runs[0][key] for key in ("dataset", "source")} | {"runs": len(runs)}
        row |= {name: mean(run["classes"].get(name) for run in runs) for name in headings}
        row["map"] = mean(run["map50"] for run in runs)
    return row


def mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of some numbers; None where there are none, as of a class without objects."""
    numbers = [value for value in values if value is not None]
    return statistics.mean(numbers) if numbers else None


def lines_of(row: dict[str, Any], names: tuple[str, ...]) -> list[list[str]]:
    """Return the two printed lines of a row: ours, and the paper's."""
    ours, theirs = (
        ["–" if (value := row.get(f"{prefix}{name}")) is None else f"{value:.1f}" for name in names]
        for prefix in ("", "paper_")
    )
    return [
        [labelled(row), row["data"], *ours, str(row.get("runs", ""))],
        [f"{row['method']}, paper", row["data"], *theirs, ""],
    ]


if __name__ == "__main__":
    run_program(main)

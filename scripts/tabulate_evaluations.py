"""Write a table of evaluations beside the paper's: errors on ImageNet, or average precision of detectors."""

import argparse
from pathlib import Path

from resnet.artefacts import read_artefact
from resnet.errors import run_program
from resnet.rendering.exhibits import add_table_arguments, exhibit, write_table
from resnet.rendering.tables import (
    evaluated,
    evaluation_cells,
    evaluation_columns,
    evaluation_headings,
    evaluation_rows,
    read_evaluations,
)


def main() -> None:
    """Read the evaluations and write CSV, Markdown and JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_table_arguments(parser)
    parser.add_argument("--evaluations", type=Path, nargs="*", default=[], help="evaluation/*.json of runs")
    parser.add_argument("--weights", default="trained", help="trained, or whose weights were tested (default: trained)")
    arguments = parser.parse_args()
    table = read_artefact(arguments.artefact)
    evaluations = read_evaluations(arguments.evaluations, evaluated(table))
    rows = evaluation_rows(table, evaluations, arguments.scale, arguments.weights, arguments.others)
    cells = [evaluation_cells(table, row) for row in rows]
    write_table(arguments, evaluation_columns(table), rows, exhibit(table, evaluation_headings(table), cells))


if __name__ == "__main__":
    run_program(main)

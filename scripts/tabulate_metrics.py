"""Write Table 2, 3, 4, 5, 7 or 8 beside the paper's: errors on ImageNet, or average precision of detectors."""

import argparse
from pathlib import Path

from resnet.errors import run_program
from resnet.rendering.tables import (
    measure_cells,
    measure_columns,
    measure_headings,
    measured,
    metric_table,
    read_evaluations,
    read_paper,
    scale_note,
    write_markdown,
    write_table,
)


def main() -> None:
    """Read the evaluations and write CSV and Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--paper", type=Path, required=True, help="the published table: workflow/paper/table<n>.yaml")
    parser.add_argument("--evaluations", type=Path, nargs="*", default=[], help="evaluation/*.json of runs")
    parser.add_argument("--weights", default="trained", help="trained, or whose weights were tested (default: trained)")
    parser.add_argument("--scale", required=True, help="name of the scale")
    parser.add_argument("--csv", type=Path, required=True, help="CSV to write")
    parser.add_argument("--md", type=Path, required=True, help="Markdown to write")
    arguments = parser.parse_args()
    paper = read_paper(arguments.paper)
    rows = metric_table(
        paper, read_evaluations(arguments.evaluations, measured(paper)), arguments.scale, arguments.weights
    )
    write_table(measure_columns(paper), rows, arguments.csv)
    note = " ".join([scale_note(arguments.scale), paper["note"]])
    cells = [measure_cells(paper, row) for row in rows]
    write_markdown(arguments.md, paper["title"], note, measure_headings(paper), cells)


if __name__ == "__main__":
    run_program(main)

"""Write Table 6: test errors of the residual nets on CIFAR-10, beside the paper's."""

import argparse
from pathlib import Path

from resnet.errors import run_program
from resnet.records import CifarResult
from resnet.rendering.tables import (
    TABLE6_COLUMNS,
    TABLE6_HEADINGS,
    read_paper,
    read_results,
    scale_note,
    table6,
    table6_cells,
    write_markdown,
    write_table,
)


def main() -> None:
    """Read the results and write CSV and Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--paper", type=Path, required=True, help="the published table: workflow/paper/table6.yaml")
    parser.add_argument("--results", type=Path, nargs="*", default=[], help="result.json of every run")
    parser.add_argument("--scale", required=True, help="name of the scale")
    parser.add_argument("--csv", type=Path, required=True, help="CSV to write")
    parser.add_argument("--md", type=Path, required=True, help="Markdown to write")
    arguments = parser.parse_args()
    paper = read_paper(arguments.paper)
    rows = table6(paper, read_results(arguments.results, CifarResult), arguments.scale)
    write_table(TABLE6_COLUMNS, rows, arguments.csv)
    note = (
        f"{scale_note(arguments.scale)} Errors are those of the last iteration; several runs show best (mean±std). "
        "Quoted rows are numbers that the paper takes from others; they are not reproduced here."
    )
    write_markdown(arguments.md, paper["title"], note, TABLE6_HEADINGS, [table6_cells(row) for row in rows])


if __name__ == "__main__":
    run_program(main)

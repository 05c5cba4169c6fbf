"""Write a table of the networks that the paper mentions without numbers, beside those they are compared with."""

import argparse
from pathlib import Path

from resnet.artefacts import read_artefact
from resnet.errors import run_program
from resnet.records import ClassifierResult
from resnet.rendering.exhibits import add_table_arguments, exhibit, write_table
from resnet.rendering.footnotes import COLUMNS, HEADINGS, footnote_cells, footnote_rows
from resnet.rendering.tables import read_results


def main() -> None:
    """Read the results and write CSV, Markdown and JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_table_arguments(parser)
    parser.add_argument("--results", type=Path, nargs="*", default=[], help="result.json of every run")
    arguments = parser.parse_args()
    table = read_artefact(arguments.artefact)
    rows = footnote_rows(table, read_results(arguments.results, ClassifierResult), arguments.scale)
    write_table(arguments, COLUMNS, rows, exhibit(table, HEADINGS, map(footnote_cells, rows), texts=2))


if __name__ == "__main__":
    run_program(main)

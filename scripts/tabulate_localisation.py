"""Write a table of localisation errors on ImageNet beside the paper's (Tables 13 and 14)."""

import argparse
from pathlib import Path

from resnet.artefacts import read_artefact
from resnet.errors import run_program
from resnet.rendering.exhibits import add_table_arguments, exhibit, write_table
from resnet.rendering.localisation import (
    localisation_cells,
    localisation_columns,
    localisation_headings,
    localisation_rows,
    read_localisations,
)


def main() -> None:
    """Read the errors and write CSV, Markdown and JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_table_arguments(parser)
    parser.add_argument("--evaluations", type=Path, nargs="*", default=[], help="evaluation/<protocol>.json of runs")
    arguments = parser.parse_args()
    table = read_artefact(arguments.artefact)
    rows = localisation_rows(table, read_localisations(arguments.evaluations), arguments.scale)
    cells = [localisation_cells(table, row) for row in rows]
    texts = 1 + len(table.values.get("texts", ()))
    shown = exhibit(table, localisation_headings(table), cells, texts=texts)
    write_table(arguments, localisation_columns(table), rows, shown)


if __name__ == "__main__":
    run_program(main)

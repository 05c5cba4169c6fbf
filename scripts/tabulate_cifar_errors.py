"""Write a table of test errors on CIFAR-10 beside the paper's."""

import argparse
from pathlib import Path

from resnet.artefacts import read_artefact
from resnet.errors import run_program
from resnet.records import CifarResult
from resnet.rendering.exhibits import add_table_arguments, exhibit, write_table
from resnet.rendering.tables import (
    CIFAR_ERROR_COLUMNS,
    CIFAR_ERROR_HEADINGS,
    cifar_error_cells,
    cifar_error_rows,
    read_results,
)


def main() -> None:
    """Read the results and write CSV, Markdown and JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_table_arguments(parser)
    parser.add_argument("--results", type=Path, nargs="*", default=[], help="result.json of every run")
    arguments = parser.parse_args()
    table = read_artefact(arguments.artefact)
    results = read_results(arguments.results, CifarResult)
    rows = cifar_error_rows(table, results, arguments.scale, arguments.others)
    shown = exhibit(table, CIFAR_ERROR_HEADINGS, map(cifar_error_cells, rows))
    write_table(arguments, CIFAR_ERROR_COLUMNS, rows, shown)


if __name__ == "__main__":
    run_program(main)

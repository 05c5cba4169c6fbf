"""Write what the paper says of its networks in numbers, counted from the built modules; and the times of its blocks.

Times are measured on this machine, with one thread.
"""

import argparse
from typing import Any

from resnet.artefacts import read_artefact
from resnet.errors import run_program
from resnet.rendering.exhibits import add_table_arguments, exhibit, write_table

COLUMNS = ("count", "value", "paper", "unit", "says")
HEADINGS = ("", "counted", "the paper", "unit")


def main() -> None:
    """Count, and write CSV, Markdown and JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_table_arguments(parser)
    arguments = parser.parse_args()

    # What takes long to import comes after the arguments, so that --help and a wrong one are answered at once.
    import torch

    from resnet.detection.counts import count

    torch.set_num_threads(1)
    table = read_artefact(arguments.artefact)
    rows = [{**published, "value": count(published["count"])} for published in table.values["rows"]]
    write_table(arguments, COLUMNS, rows, exhibit(table, HEADINGS, map(_cells, rows)))


def _cells(row: dict[str, Any]) -> list[str]:
    return [row["says"], f"{row['value']:.5g}", f"{row.get('paper', '')}", row.get("unit", "")]


if __name__ == "__main__":
    run_program(main)

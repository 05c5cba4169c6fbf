"""Write the operations of networks, and of parts of them, read from the built modules: what Figs. 2, 3 and 5 draw."""

import argparse
import dataclasses
from pathlib import Path

from resnet.errors import run_program
from resnet.files import write_rows
from resnet.records import OPERATIONS


def main() -> None:
    """Build the networks and write a row per operation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--networks",
        nargs="+",
        required=True,
        help="networks of section 4.1, each perhaps with a part of it: vgg-19, resnet-50/stages.0.1",
    )
    parser.add_argument("--csv", type=Path, required=True, help="CSV to write")
    arguments = parser.parse_args()

    from resnet.operations import operations_of

    rows = [
        {"network": name, **dataclasses.asdict(one), "inputs": " ".join(map(str, one.inputs))}
        for name in arguments.networks
        for one in operations_of(name)
    ]
    write_rows(arguments.csv, tuple(OPERATIONS), rows)


if __name__ == "__main__":
    run_program(main)

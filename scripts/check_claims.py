"""Test the paper's claims about CIFAR-10 on what was measured, one row per claim."""

import argparse
import csv
from pathlib import Path

from resnet.claims import COLUMNS, Facts, check_claims
from resnet.errors import run_program
from resnet.files import write_rows
from resnet.tables import read_paper, read_results


def main() -> None:
    """Read the measurements and write the verdicts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--claims", type=Path, required=True, help="workflow/paper/claims.yaml")
    parser.add_argument("--results", type=Path, nargs="+", required=True, help="result.json of every run")
    parser.add_argument("--responses", type=Path, nargs="+", required=True, help="responses.csv of each model's run")
    parser.add_argument("--architectures", type=Path, required=True, help="cifar_architectures.csv")
    parser.add_argument("--scale", required=True, help="name of the scale")
    parser.add_argument("--output", type=Path, required=True, help="CSV to write")
    arguments = parser.parse_args()
    facts = Facts(
        read_results(arguments.results),
        {path.parent.parent.name: [float(row["std"]) for row in read_csv(path)] for path in arguments.responses},
        {row["method"]: as_numbers(row) for row in read_csv(arguments.architectures)},
    )
    rows = check_claims(read_paper(arguments.claims)["claims"], facts, arguments.scale)
    write_rows(arguments.output, COLUMNS, rows)


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read the rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def as_numbers(row: dict[str, str]) -> dict[str, int | str]:
    """Return a row with its whole numbers as such."""
    return {key: int(value) if value.isdecimal() else value for key, value in row.items()}


if __name__ == "__main__":
    run_program(main)

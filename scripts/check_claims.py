"""Test the paper's claims on what was measured, one row per claim."""

import argparse
import contextlib
import csv
from pathlib import Path
from typing import Any

from resnet.claims import COLUMNS, Facts, check_claims
from resnet.errors import run_program
from resnet.files import model_of, write_rows
from resnet.tables import read_evaluations, read_paper, read_results


def main() -> None:
    """Read the measurements and write the verdicts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--claims", type=Path, required=True, help="workflow/paper/claims.yaml")
    parser.add_argument("--results", type=Path, nargs="+", required=True, help="result.json of every run on CIFAR-10")
    parser.add_argument("--responses", type=Path, nargs="+", required=True, help="responses.csv of each model's run")
    parser.add_argument("--architectures", type=Path, required=True, help="cifar_architectures.csv")
    parser.add_argument("--imagenet", type=Path, nargs="+", required=True, help="result.json of every run on ImageNet")
    parser.add_argument("--evaluations", type=Path, nargs="+", required=True, help="evaluation/<protocol>.json of them")
    parser.add_argument("--metrics", type=Path, nargs="+", required=True, help="metrics.csv of the networks of Fig. 4")
    parser.add_argument("--table1", type=Path, required=True, help="table1.csv")
    parser.add_argument("--detections", type=Path, nargs="+", required=True, help="average_precision.json of detectors")
    parser.add_argument("--detectors", type=Path, nargs="+", required=True, help="config.yaml of them")
    parser.add_argument("--scale", required=True, help="name of the scale")
    parser.add_argument("--output", type=Path, required=True, help="CSV to write")
    arguments = parser.parse_args()
    protocols = {path.stem for path in arguments.evaluations}
    facts = Facts(
        read_results(arguments.results),
        {model_of(path): [row["std"] for row in read_csv(path)] for path in arguments.responses},
        {row["method"]: row for row in read_csv(arguments.architectures)},
        imagenet=read_results(arguments.imagenet),
        evaluations={
            protocol: read_evaluations([path for path in arguments.evaluations if path.stem == protocol])
            for protocol in protocols
        },
        curves={model_of(path): read_csv(path) for path in arguments.metrics},
        table1={row["method"]: row for row in read_csv(arguments.table1)},
        detections=read_evaluations(arguments.detections),
        detectors=read_configs(arguments.detectors),
    )
    rows = check_claims(read_paper(arguments.claims)["claims"], facts, arguments.scale)
    write_rows(arguments.output, COLUMNS, rows)


def read_configs(paths: list[Path]) -> dict[str, list[dict[str, Any]]]:
    """Read ``config.yaml`` of detectors, grouped by ``<experiment>/<model>``."""
    configs: dict[str, list[dict[str, Any]]] = {}
    for path in paths:
        config = read_paper(path)
        configs.setdefault(f"{config['recipe']['experiment']}/{config['recipe']['model']}", []).append(config)
    return configs


def read_csv(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a CSV file, numbers as such."""
    with path.open(newline="", encoding="utf-8") as file:
        return [{key: as_number(value) for key, value in row.items()} for row in csv.DictReader(file)]


def as_number(text: str) -> int | float | str:
    """Return a number where a text is one."""
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


if __name__ == "__main__":
    run_program(main)

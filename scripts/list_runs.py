"""Write the runs of a configuration as one sheet: section, data set, network, seed, folder."""

import argparse
import dataclasses
import json
from pathlib import Path

from resnet.config import load
from resnet.errors import run_program
from resnet.files import read_yaml, write_rows
from resnet.runs import COLUMNS, sheet


def main() -> None:
    """Read the configuration and write its runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=json.loads, required=True, help="config.yaml as Snakemake read it, as JSON")
    parser.add_argument("--workflow", type=Path, required=True, help="the folder of the scales")
    parser.add_argument("--output", type=Path, required=True, help="CSV to write")
    arguments = parser.parse_args()
    config = load(arguments.config, arguments.workflow)
    runs = sheet(config, read_yaml(arguments.workflow / "scales/paper.yaml"))
    rows = [dataclasses.asdict(run) | {"in_paper": "yes" if run.in_paper else "no"} for run in runs]
    write_rows(arguments.output, COLUMNS, rows)


if __name__ == "__main__":
    run_program(main)

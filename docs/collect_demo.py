"""Add the numbers of the demo's runs to docs/reproduction/demo.csv, from which docs/generate.py makes ranges.

A run that the table has, of one processor, instruction set and seed, gets its new numbers. How the table was made:

    snakemake --cores all --config cifar10='{seeds: {resnet-20: [0, 1, 2], …}}' …
    python docs/collect_demo.py results/runs/demo
    # The same elsewhere, or as processors without AVX-512 compute, in another copy of the project:
    ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 snakemake --cores all
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from resnet.errors import UserError, run_program  # noqa: E402
from resnet.files import read_json, read_rows, read_yaml, write_rows  # noqa: E402

TABLE = ROOT / "docs/reproduction/demo.csv"
RUN = ("processor", "isa", "seed", "model", "dataset")
COLUMNS = (*RUN, "metric", "value", "n")
# Of classifiers: errors in result.json, what they are called, and how config.yaml names the number of their images.
ERRORS = (
    ("train", "training error %", None),
    ("test", "test error %", "test_images"),
    ("val", "validation error %", "val_images"),
)


def rows_of(run: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a run folder.

    Raises:
        UserError: a file of it is missing or damaged.
    """
    result, environment = read_json(run / "result.json"), read_json(run / "environment.json")
    config = read_yaml(run / "config.yaml", dict[str, Any])
    last = environment["slices"][-1]
    about = {
        "processor": last["device"],
        "isa": last.get("instructions", ""),
        "seed": result["seed"],
        "model": result["model"],
        "dataset": result["dataset"],
    }
    if (detected := run / "evaluation/average_precision.json").exists():
        found = read_json(detected)
        about["dataset"] = found["experiment"]
        yield about | {"metric": "mAP@.5 %", "value": round(found["map50"], 1), "n": found["objects"]}
    elif "experiment" not in result:
        # The official validation images test ImageNet's networks; a part of the training images, CIFAR-10's.
        for split, name, images in ERRORS if "test" not in result else ERRORS[:2]:
            if split in result:
                recipe = config["recipe"]
                n = config["resolved"][images] if images else recipe["log_interval"] * recipe["batch_size"]
                yield about | {"metric": name, "value": round(result[split]["top1_error"], 1), "n": n}


def merged(rows: list[dict[str, Any]], more: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows, in order, with those of some runs added or in the place of earlier ones."""
    table = {tuple(str(row[key]) for key in (*RUN, "metric")): row for row in [*rows, *more]}
    return [table[key] for key in sorted(table)]


def main() -> None:
    """Read the runs and write the table.

    Raises:
        UserError: there is no run.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="+", help="folders of runs")
    parser.add_argument("--table", type=Path, default=TABLE, help=f"CSV to add to (default: {TABLE.relative_to(ROOT)})")
    arguments = parser.parse_args()
    runs = sorted(path.parent for folder in arguments.folder for path in folder.rglob("result.json"))
    if not runs:
        raise UserError(f"no result.json below {', '.join(map(str, arguments.folder))}")
    found = [row for run in runs for row in rows_of(run)]
    earlier = read_rows(arguments.table, {}) if arguments.table.exists() else []
    write_rows(arguments.table, COLUMNS, merged(earlier, found))
    print(f"{len(found)} numbers of {len(runs)} runs are in {arguments.table}")


if __name__ == "__main__":
    run_program(main)

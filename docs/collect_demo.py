"""Add the numbers of the demo's runs to docs/reproduction/demo.csv, from which docs/generate.py makes ranges.

All that the demo trains, with one seed, in a folder of its own, where the same command goes on; as any processor
computes it, or as those without AVX-512 do:

    python docs/collect_demo.py --seed 1
    python docs/collect_demo.py --seed 1 --isa AVX2

Runs that are there already: python docs/collect_demo.py results/runs/demo

A run that the table has, of one processor, instruction set and seed, gets its new numbers. The column recipe is a
checksum of the settings but the seed, of a detector with those of its classifier: rows of a network by an earlier
recipe are left out when some by today's are added.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from resnet.config import load  # noqa: E402
from resnet.errors import UserError, run_program  # noqa: E402
from resnet.files import read_json, read_rows, read_yaml, write_rows  # noqa: E402
from resnet.runs import select, sheet  # noqa: E402
from resnet.settings import MEASURED, network_of  # noqa: E402

TABLE = ROOT / "docs/reproduction/demo.csv"
RUN = ("processor", "isa", "seed", "model", "dataset")
COLUMNS = (*RUN, "metric", "value", "n", "recipe")
NOT_LEARNT_FROM = ("seed", "evaluation_interval", "evaluation_images")
# Of classifiers: errors in result.json, what they are called, and how config.yaml names the number of their images.
ERRORS = (
    ("train", "training error %", None),
    ("test", "test error %", "test_images"),
    ("val", "validation error %", "val_images"),
)


def make(seed: int, isa: str | None, folder: Path) -> Path:
    """Train all that the demo trains with a seed, and return the folder of the runs.

    Args:
        seed: of every network.
        isa: the instruction set to compute with; the processor's own, if none is given.
        folder: where Snakemake runs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "config.yaml", folder)
    workflow, values = ROOT / "workflow", read_yaml(ROOT / "config.yaml", dict[str, Any])
    before = load(values, workflow)
    seeds = {
        section: {"seeds": {model: [seed] for model, own in getattr(before, section).seeds.items() if own}}
        for section in ("cifar10", "imagenet", "detector")
    }
    # Table 5's has other seeds.
    seeds["imagenet"]["ensemble"] = [{"model": before.imagenet.settings["ensemble"][0]["model"], "seed": seed}]
    runs = sheet(load({**values, **seeds}, workflow), read_yaml(workflow / "scales/paper.yaml"))
    targets = [f"{run.folder}/result.json" for run in select(runs, section=["cifar10", "imagenet"])]
    tested = select(runs, section="detection", experiment=MEASURED)
    targets += [f"{run.folder}/evaluation/average_precision.json" for run in tested]
    options = [f"{section}={json.dumps(changed)}" for section, changed in seeds.items()]
    as_if = {"ONEDNN_MAX_CPU_ISA": isa, "ATEN_CPU_CAPABILITY": isa.lower()} if isa else {}
    command = ["snakemake", "--cores", "all", "--directory", folder, "--snakefile", workflow / "Snakefile"]
    subprocess.run([*command, "--config", *options, "--", *targets], check=True, env=os.environ | as_if)
    return folder / "results/runs"


def recipe_of(run: Path) -> str:
    """Return a checksum of the settings that what a run learns depends on, but the seed, and of the code's versions."""
    config = read_yaml(run / "config.yaml", dict[str, Any])
    recipe = {key: value for key, value in config["recipe"].items() if key not in NOT_LEARNT_FROM}
    return _checksum([recipe, config.get("versions")])


def _checksum(settings: Any) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]


def rows_of(run: Path, classifiers: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a run folder.

    Args:
        run: the folder.
        classifiers: the recipe of each network on ImageNet, with which detectors start.

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
        "recipe": recipe_of(run),
    }
    if (detected := run / "evaluation/average_precision.json").exists():
        found = read_json(detected)
        about["dataset"] = found["experiment"]
        about["recipe"] = _checksum([about["recipe"], classifiers.get(network_of(result["model"]))])
        yield about | {"metric": "mAP@.5 %", "value": round(found["map50"], 1), "n": found["objects"]}
    elif "experiment" not in result:
        # The official validation images test ImageNet's networks; a part of the training images, CIFAR-10's.
        for split, name, images in ERRORS if "test" not in result else ERRORS[:2]:
            if "top1_error" in result.get(split, ()):
                recipe = config["recipe"]
                n = config["resolved"][images] if images else recipe["log_interval"] * recipe["batch_size"]
                yield about | {"metric": name, "value": round(result[split]["top1_error"], 1), "n": n}


def merged(rows: list[dict[str, Any]], more: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows, in order, with those of some runs added or in the place of earlier ones, or of an earlier recipe."""
    today = {(row["model"], row["dataset"]): row["recipe"] for row in more}
    kept = [row for row in rows if today.get((row["model"], row["dataset"]), row.get("recipe")) == row.get("recipe")]
    table = {tuple(str(row[key]) for key in (*RUN, "metric")): row for row in [*kept, *more]}
    return [table[key] for key in sorted(table)]


def main() -> None:
    """Read the runs and write the table.

    Raises:
        UserError: there is no run.
        subprocess.CalledProcessError: a training failed.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="*", help="folders of runs")
    parser.add_argument("--seed", type=int, help="train all networks of the demo with this seed")
    parser.add_argument("--isa", help="as a processor with this instruction set computes (AVX2)")
    parser.add_argument("--table", type=Path, default=TABLE, help=f"CSV to add to (default: {TABLE.relative_to(ROOT)})")
    arguments = parser.parse_args()
    folders = arguments.folder
    if arguments.seed is not None:
        place = ROOT / f"results/demo-seed{arguments.seed}{f'-{arguments.isa}' if arguments.isa else ''}"
        folders = [*folders, make(arguments.seed, arguments.isa, place)]
    runs = sorted(path.parent for folder in folders for path in folder.rglob("result.json"))
    if not runs:
        raise UserError(f"no result.json below {', '.join(map(str, folders)) or 'no folder'}: name a folder, or --seed")
    results = {run: read_json(run / "result.json") for run in runs}
    on_imagenet = {run: one for run, one in results.items() if "top1_error" in one.get("val", ()) and "test" not in one}
    classifiers = {one["model"]: recipe_of(run) for run, one in on_imagenet.items()}
    found = [row for run in runs for row in rows_of(run, classifiers)]
    earlier = read_rows(arguments.table, {}) if arguments.table.exists() else []
    write_rows(arguments.table, COLUMNS, merged(earlier, found))
    print(f"{len(found)} numbers of {len(runs)} runs are in {arguments.table}")


if __name__ == "__main__":
    run_program(main)

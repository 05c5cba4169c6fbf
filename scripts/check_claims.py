"""Judge the paper's claims on what was measured, one row per claim; what was not measured leaves claims untested."""

import argparse
from pathlib import Path
from typing import Any

from resnet.artefacts import read_artefact
from resnet.errors import run_program
from resnet.files import read_rows, read_yaml, write_rows
from resnet.rendering.claims import COLUMNS, judge
from resnet.rendering.facts import Facts, Paper, Run, RunConfig, RunResult
from resnet.rendering.layer_signals import read_signals
from resnet.rendering.localisation import read_localisations
from resnet.rendering.tables import read_evaluations
from resnet.run_folder import RunFolder
from resnet.sections import SECTIONS

# What claims are about in tables and curves.
COUNTED = dict.fromkeys(("n", "parameters", "multiply_adds", "shortcuts"), int)
COUNTS = {"count": str, "value": float}
FLOPS = dict.fromkeys(("flops_1e9", "conv_flops_1e9", "paper_flops_1e9"), float)
CURVE = {"iteration": int, "epoch": float, "split": str, "lr": float, "top1_error": float}
# And in the files of a test.
SET = {"dataset": str, "source": str, "images": int}
ERRORS = SET | {"top1_error": float, "top5_error": float}
DETECTIONS = SET | {"experiment": str, "map50": float, "objects": int}


def main() -> None:
    """Read the measurements and write the verdicts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--artefact", type=Path, required=True, help="the claims: workflow/artefacts/claims.yaml")
    parser.add_argument("--paper", type=Path, required=True, help="the paper's recipes: workflow/scales/paper.yaml")
    files = {"type": Path, "nargs": "*", "default": []}
    parser.add_argument("--results", **files, help="result.json of every run on CIFAR-10; config.yaml lies beside it")
    parser.add_argument("--responses", **files, help="responses.csv of each network's first run")
    parser.add_argument("--architectures", **files, help="the counted networks for CIFAR-10, as CSV")
    parser.add_argument("--imagenet", **files, help="result.json of every run on ImageNet; config.yaml lies beside it")
    parser.add_argument("--evaluations", **files, help="evaluation/<protocol>.json of them")
    parser.add_argument("--metrics", **files, help="metrics.csv of each network's first run on ImageNet")
    parser.add_argument("--table1", **files, help="the counted networks for ImageNet, as CSV")
    parser.add_argument("--detections", **files, help="average_precision.json of detectors")
    parser.add_argument("--detectors", **files, help="config.yaml of them")
    parser.add_argument("--localisations", **files, help="evaluation/<protocol>.json of localisers")
    parser.add_argument("--localisers", **files, help="config.yaml of them")
    parser.add_argument("--counts", **files, help="counts.csv")
    parser.add_argument("--cifar10-signals", **files, help="layer_signals.csv of runs on CIFAR-10")
    parser.add_argument("--imagenet-signals", **files, help="layer_signals.csv of runs on ImageNet")
    parser.add_argument("--printed", **files, help="artefacts of tables whose printed numbers are compared")
    parser.add_argument("--sections", nargs="*", choices=SECTIONS, default=list(SECTIONS), help="what was made")
    parser.add_argument("--left-out", nargs="*", default=[], help="<section>=<why it could not be made>")
    parser.add_argument("--scale", required=True, help="name of the scale")
    parser.add_argument("--output", type=Path, required=True, help="CSV to write")
    arguments = parser.parse_args()
    file = read_artefact(arguments.artefact).values
    protocols = {path.stem for path in arguments.evaluations}
    facts = Facts(
        Paper.read(read_yaml(arguments.paper, dict[str, Any], "correct it"), arguments.paper, file["test_images"]),
        file["noise"],
        runs={"cifar10": read_runs(arguments.results), "imagenet": read_runs(arguments.imagenet)},
        responses={
            RunFolder.of(path).model: [row["std"] for row in RunFolder.of(path).rows(path.name, {"std": float})]
            for path in arguments.responses
        },
        architectures={row["method"]: row for path in arguments.architectures for row in read_rows(path, COUNTED)},
        evaluations={
            protocol: read_evaluations([path for path in arguments.evaluations if path.stem == protocol], ERRORS)
            for protocol in protocols
        },
        curves={RunFolder.of(path).model: RunFolder.of(path).rows(path.name, CURVE) for path in arguments.metrics},
        table1={row["method"]: row for path in arguments.table1 for row in read_rows(path, FLOPS)},
        detections=read_evaluations(arguments.detections, DETECTIONS),
        detectors=read_configs(arguments.detectors),
        localisations={"/".join(test): runs for test, runs in read_localisations(arguments.localisations).items()},
        localisers=read_configs(arguments.localisers, "stage"),
        counts={row["count"]: row["value"] for path in arguments.counts for row in read_rows(path, COUNTS)},
        signals={
            section: {model: rows for path in paths for model, rows in read_signals(path).items()}
            for section, paths in (
                ("cifar10", arguments.cifar10_signals),
                ("imagenet", arguments.imagenet_signals),
            )
        },
        printed={table.stem: read_printed(table) for table in arguments.printed},
    )
    left_out = dict(text.split("=", 1) for text in arguments.left_out)
    claims = [claim for claim in file["claims"] if claim["about"] in {*arguments.sections, *left_out}]
    rows = judge(claims, file["thresholds"], facts, arguments.scale, left_out)
    write_rows(arguments.output, COLUMNS, rows)


def read_runs(results: list[Path]) -> dict[str, list[Run]]:
    """Read ``result.json`` and ``config.yaml`` of many runs, grouped by model."""
    runs: dict[str, list[Run]] = {}
    for path in results:
        folder = RunFolder.of(path)
        run = Run(folder.result(RunResult), folder.config_as(RunConfig))
        runs.setdefault(run.result["model"], []).append(run)
    return runs


def read_printed(table: Path) -> dict[str, dict[str, Any]]:
    """Read what the paper prints in a table, by its rows."""
    return {row["method"]: row for row in read_artefact(table).values["rows"]}


def read_configs(paths: list[Path], key: str = "experiment") -> dict[str, list[dict[str, Any]]]:
    """Read ``config.yaml`` of detectors, grouped by ``<experiment>/<model>``, or by another key than experiment."""
    configs: dict[str, list[dict[str, Any]]] = {}
    for path in paths:
        config = RunFolder.of(path).config_as(RunConfig)
        configs.setdefault(f"{config['recipe'][key]}/{config['recipe']['model']}", []).append(config)
    return configs


if __name__ == "__main__":
    run_program(main)

"""Networks that the paper mentions without numbers, beside those they are compared with; no torch."""

import statistics
from typing import Any

from resnet.artefacts import Artefact
from resnet.rendering.tables import NOT_TRAINED

COLUMNS = ("says", "model", "iterations", "train_top1_error", "top1_error", "top1_error_std", "runs", "scale", "source")
HEADINGS = ("", "network", "iterations", "training error (%)", "test or validation error (%)", "runs")


def footnote_rows(table: Artefact, results: dict[str, list[dict[str, Any]]], scale: str) -> list[dict[str, Any]]:
    """Return the rows of a table: the errors at the last iteration, means over a network's runs.

    ``top1_error`` is that on the test images of CIFAR-10 or the validation images of ImageNet; its standard deviation
    (n-1) is given where there are several runs. A network without runs has a row without numbers.
    """
    rows = []
    for listed in table.values["rows"]:
        row = {"says": listed["says"], "model": listed["model"], "scale": scale}
        if runs := results.get(listed["model"]):
            errors = [run.get("test", run.get("val"))["top1_error"] for run in runs]
            row |= {
                "iterations": runs[0]["iterations"],
                "train_top1_error": statistics.mean(run["train"]["top1_error"] for run in runs),
                "top1_error": statistics.mean(errors),
                "top1_error_std": statistics.stdev(errors) if len(errors) > 1 else None,
                "runs": len(runs),
            }
        rows.append(row | {"source": "reproduced" if runs else NOT_TRAINED})
    return rows


def footnote_cells(row: dict[str, Any]) -> list[str]:
    """Return the printed cells of a row."""
    if row["source"] == NOT_TRAINED:
        return [row["says"], row["model"], NOT_TRAINED, "–", "–", ""]
    spread = "" if row["top1_error_std"] is None else f" ± {row['top1_error_std']:.2f}"
    errors = [f"{row['train_top1_error']:.2f}", f"{row['top1_error']:.2f}{spread}"]
    return [row["says"], row["model"], f"{row['iterations']:,}", *errors, str(row["runs"])]

"""Tables of the paper beside what was measured: their rows, and the cells that are printed; no torch."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from resnet.artefacts import Artefact
from resnet.files import read_json
from resnet.records import Result
from resnet.rendering.exhibits import NOT_IN_PAPER, difference_cell
from resnet.run_folder import RunFolder

Row = dict[str, Any]
PUBLISHED = ("parameters_millions", "top1_error", "top1_error_mean", "top1_error_std")
CIFAR_ERROR_COLUMNS = (
    "method", "layers", "parameters_millions", "paper_parameters_millions", "top1_error", "top1_error_mean",
    "top1_error_std", "paper_top1_error", "paper_top1_error_mean", "paper_top1_error_std", "lowest_top1_error", "runs",
    "dataset", "scale", "source", "in_paper",
)  # fmt: skip
CIFAR_ERROR_HEADINGS = (
    "method", "# layers", "# params", "# params (paper)", "error (%)", "error (%), paper", "difference", "runs",
)  # fmt: skip
# What tables of evaluations say of a row beside its numbers, as CSV.
FACTS = ("runs", "dataset", "scale", "source", "in_paper")
NOT_TRAINED = "not trained"


def in_paper(answer: bool) -> str:
    """Return what a table's column ``in_paper`` says of a row."""
    return "yes" if answer else "no"


def read_results(paths: list[Path], kind: type[Result]) -> dict[str, list[Row]]:
    """Read ``result.json`` of many runs, grouped by model, in order of their seeds.

    Raises:
        UserError: a file is absent, or not of this kind.
    """
    results: dict[str, list[Row]] = {}
    for path in paths:
        result = RunFolder.of(path).result(kind)
        results.setdefault(result["model"], []).append(result)
    return {model: sorted(runs, key=lambda run: run["seed"]) for model, runs in results.items()}


def cifar_error_rows(
    table: Artefact, results: dict[str, list[Row]], scale: str, others: Sequence[str] = ()
) -> list[Row]:
    """Return the rows of a table of errors on CIFAR-10: the paper's in its order, then those of other networks.

    ``top1_error`` is the best of a model's runs, each at its last iteration, as the paper prints it; mean and standard
    deviation (n-1) are given where there are several runs. ``lowest_top1_error`` is the lowest test error at any
    evaluation, which is selection on the test set and never the reported number. A model without runs has a row
    without numbers.
    """
    rows = []
    for published in table.values["rows"]:
        row = {"method": published["method"], "layers": published.get("layers"), "scale": scale}
        row |= {f"paper_{key}": published.get(key) for key in PUBLISHED} | {"in_paper": in_paper(True)}
        if "quoted_from" in published:
            rows.append(row | {"source": f"quoted: {published['quoted_from']}"})
            continue
        runs = results.get(published["model"])
        rows.append(row | ({**_measured(runs), "source": "reproduced"} if runs else {"source": NOT_TRAINED}))
    empty = {f"paper_{key}": None for key in PUBLISHED}
    for model in others:
        row = {"method": model, "scale": scale, **empty, **_measured(results[model])}
        rows.append(row | {"source": "reproduced", "in_paper": in_paper(False)})
    return rows


def _measured(runs: list[Row]) -> Row:
    errors = [run["test"]["top1_error"] for run in runs]
    several = len(errors) > 1
    return {
        "layers": runs[0]["layers"],
        "parameters_millions": runs[0]["parameters"] / 1e6,
        "top1_error": min(errors),
        "top1_error_mean": statistics.mean(errors) if several else None,
        "top1_error_std": statistics.stdev(errors) if several else None,
        "lowest_top1_error": min(run["lowest_test_top1_error"] for run in runs),
        "runs": len(runs),
        "dataset": runs[0]["dataset"],
    }


def error_cell(best: float | None, mean: float | None, deviation: float | None) -> str:
    """Return an error as Table 6 prints it: ``8.75``, or best (mean±std)."""
    if best is None:
        return ""
    return f"{best:.2f}" if mean is None else f"{best:.2f} ({mean:.2f}±{deviation:.2f})"


def parameters_cell(millions: float) -> str:
    """Return millions of parameters to the paper's digits: two below one million, else one."""
    return f"{millions:.2f}M" if millions < 1 else f"{millions:.1f}M"


def cifar_error_cells(row: Row) -> list[str]:
    """Return the printed cells of a row of errors: measured, published, and the difference of the means."""
    keys = ("top1_error", "top1_error_mean", "top1_error_std")
    ours, theirs = ([row.get(f"{prefix}{key}") for key in keys] for prefix in ("", "paper_"))
    measured = row["source"] == "reproduced"
    return [
        labelled(row),
        "" if row["layers"] is None else str(row["layers"]),
        parameters_cell(row["parameters_millions"]) if measured else "",
        "" if row["paper_parameters_millions"] is None else f"{row['paper_parameters_millions']}M",
        error_cell(*ours) if measured else "–",
        error_cell(*theirs),
        # The best of five runs is lower than one run, so it is not compared with it.
        difference_cell(row.get("dataset"), *((best if mean is None else mean) for best, mean, _ in (ours, theirs))),
        str(row["runs"]) if measured else "",
    ]


def labelled(row: Row) -> str:
    """Return a row's method, and why it has no number here, or none in the paper."""
    source = row["source"].split(":")[0]
    marks = [source] if source in ("quoted", NOT_TRAINED) else []
    marks += [NOT_IN_PAPER] if row["in_paper"] == in_paper(False) else []
    return row["method"] + "".join(f" ({mark})" for mark in marks)


def read_evaluations(paths: list[Path], kind: dict[str, Any]) -> dict[str, list[Row]]:
    """Read ``evaluation/*.json`` of many runs, grouped by model, or ``<experiment>/<model>[/<test>]`` of detectors.

    Args:
        paths: the files.
        kind: what they must hold beside the model, by key.

    Raises:
        UserError: a file is absent, or lacks something.
    """
    evaluations: dict[str, list[Row]] = {}
    for path in paths:
        evaluation = read_json(path, {"model": str, **kind})
        name = "/".join(evaluation[key] for key in ("experiment", "model", "tested") if evaluation.get(key))
        evaluations.setdefault(name, []).append(evaluation)
    return evaluations


def evaluated(table: Artefact) -> dict[str, Any]:
    """Return what a table takes from an evaluation, by key."""
    metrics = {column["metric"]: float for column in table.values["columns"] if "metric" in column}
    return {"dataset": str, "source": str, **metrics, **dict.fromkeys(_details(table), str)}


def evaluation_columns(table: Artefact) -> tuple[str, ...]:
    """Return the columns of a table of evaluations as CSV."""
    return ("method", *number_columns(table), *_details(table), *FACTS)


def number_columns(table: Artefact) -> list[str]:
    """Return the columns of a table's numbers as CSV: what is measured, its standard deviation, and the paper's."""
    numbers = []
    for column in table.values["columns"]:
        name = column["name"]
        numbers += [name, f"{name}_std"] if "metric" in column else []
        numbers.append(f"paper_{name}")
    return numbers


def measured_cell(row: Row, name: str) -> str:
    """Return a measured mean as it is printed, with its standard deviation where there is one; a dash for none."""
    ours, deviation = row.get(name), row.get(f"{name}_std")
    spread = f" ± {deviation:.2f}" if deviation is not None else ""
    return "–" if ours is None else f"{ours:.2f}{spread}"


def runs_and_source(row: Row) -> list[str]:
    """Return the last printed cells of a row: how many runs it is of, and whose numbers it has."""
    source = "quoted" if row["source"].startswith("quoted") else row["source"]
    if row.get("engine"):
        source = f"{source} ({row['engine']} engine)"
    return ["" if row.get("runs") is None else str(row["runs"]), source]


def evaluation_rows(
    table: Artefact, evaluations: dict[str, list[Row]], scale: str, weights: str, others: Sequence[str] = ()
) -> list[Row]:
    """Return the rows of a table of evaluations: the paper's in its order, then those of other networks.

    Numbers are means over a model's runs, with their standard deviation (n-1) where there are several. What was not
    trained, or has no published ``weights``, has no number.
    """
    weights = table.values.get("weights", weights) if table.section == "imagenet" else "trained"
    missing = {"source": NOT_TRAINED if weights == "trained" else f"no weights from {weights}"}
    columns, rows = table.values["columns"], []
    for published in table.values["rows"]:
        row: Row = {"method": published["method"], "scale": scale, "runs": None, "in_paper": in_paper(True)}
        row |= {f"paper_{column['name']}": published.get(column["name"]) for column in columns}
        if "quoted_from" in published:
            rows.append(row | {"source": f"quoted: {published['quoted_from']}"})
            continue
        rows.append(missing | row | _evaluated(table, published, evaluations))
    for model in others:
        row = {"method": model, "scale": scale, "in_paper": in_paper(False)}
        rows.append(row | _evaluated(table, {"model": model}, evaluations))
    return rows


def _evaluated(table: Artefact, networks: dict[str, str], evaluations: dict[str, list[Row]]) -> Row:
    """Return what was measured of a row's networks, column by column."""
    row: Row = {}
    for column in table.values["columns"]:
        names = (column.get("experiment"), networks.get(column.get("of", "model")), networks.get("tested"))
        runs = evaluations.get("/".join(filter(None, names)))
        if not runs or "metric" not in column:
            continue
        values = [run[column["metric"]] for run in runs]
        row |= {column["name"]: statistics.mean(values), "runs": _joined(row.get("runs"), len(runs))}
        row |= {key: runs[0][key] for key in ("dataset", "source")}
        if len(values) > 1:
            row[f"{column['name']}_std"] = statistics.stdev(values)
        row |= {key: _joined(row.get(key), runs[0][key]) for key in _details(table)}
    return row


def _details(table: Artefact) -> list[str]:
    """Return what a table says of an evaluation beside its numbers."""
    return table.values.get("details", [])


def _joined(known: Any, new: Any) -> Any:
    """Return what is known of a row's earlier columns and of a new one: the same, or both."""
    return new if known in (None, new) else f"{known}; {new}"


def evaluation_headings(table: Artefact) -> tuple[str, ...]:
    """Return the printed headings of a table of evaluations."""
    headings = []
    for column in table.values["columns"]:
        headings.append(column["heading"])
        if "metric" in column:
            headings.append(column.get("paper_heading", "paper"))
            headings += ["difference"] if _same_images(column) else []
    return ("method", *headings, "runs", "source")


def _same_images(column: dict[str, Any]) -> bool:
    """Whether the paper's numbers in a column are of the images that ours are of."""
    return column.get("same_images", True)


def evaluation_cells(table: Artefact, row: Row) -> list[str]:
    """Return the printed cells of a row: per metric, measured, published, and the difference."""
    cells = [labelled(row)]
    for column in table.values["columns"]:
        name = column["name"]
        theirs = row.get(f"paper_{name}")
        cells += [measured_cell(row, name)] if "metric" in column else []
        cells.append("–" if theirs is None else f"{theirs:.2f}")
        if "metric" in column and _same_images(column):
            cells.append(difference_cell(row.get("dataset"), row.get(name), theirs))
    return [*cells, *runs_and_source(row)]


def architecture_grid(table: Artefact, rows: list[Row]) -> tuple[list[str], list[list[str]]]:
    """Return headings and cells of Table 1 as the paper prints it: a network per column, and whether both agree."""
    nets = [row for row in rows if row["conv1"]]
    lines = []
    for stage in table.values["stages"]:
        size = nets[0][f"output_{stage}"]
        same = all(row[stage] == row[f"paper_{stage}"] for row in nets)
        sized = all(row[f"output_{stage}"] == table.values["output_sizes"][stage] for row in nets)
        mark = "as in the paper" if same and sized else "not as in the paper"
        lines.append([stage, f"{size}×{size}", *(row[stage] for row in nets), mark])
    lines.append(["FLOPs (10⁹)", "", *(f"{row['flops_1e9']:.3f}" for row in nets), "convolutions and fc layers"])
    lines.append(["FLOPs (10⁹), paper", "", *(f"{row['paper_flops_1e9']:g}" for row in nets), ""])
    return ["layer", "output size", *(row["method"] for row in nets), ""], lines

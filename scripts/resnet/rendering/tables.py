"""Tables of the paper beside what was measured, as CSV and Markdown; no torch."""

import statistics
from pathlib import Path
from typing import Any

from resnet.files import read_json, read_yaml, write_rows, write_text
from resnet.records import Result

TABLE6_COLUMNS = (
    "method",
    "layers",
    "parameters_millions",
    "paper_parameters_millions",
    "top1_error",
    "top1_error_mean",
    "top1_error_std",
    "paper_top1_error",
    "paper_top1_error_mean",
    "paper_top1_error_std",
    "lowest_top1_error",
    "runs",
    "dataset",
    "scale",
    "source",
)
TABLE6_KINDS = {
    "method": str,
    "source": str,
    "layers": int | None,
    "runs": int | None,
    "dataset": str | None,
    **{
        f"{paper}{key}": float | None
        for paper in ("", "paper_")
        for key in ("parameters_millions", "top1_error", "top1_error_mean", "top1_error_std")
    },
}
TABLE6_HEADINGS = (
    "method",
    "# layers",
    "# params",
    "# params (paper)",
    "error (%)",
    "error (%), paper",
    "difference",
    "runs",
)
TABLE6_PUBLISHED = ("parameters_millions", "top1_error", "top1_error_mean", "top1_error_std")
# A number and the paper's have a difference only where both were measured on the same images.
PAPERS_DATASETS = ("cifar10", "imagenet", "voc", "coco")
NOT_TRAINED = "not trained"


def read_paper(path: Path) -> dict[str, Any]:
    """Read a YAML file: of published values (``workflow/paper/*.yaml``), or a run's settings.

    Raises:
        UserError: it is absent or not YAML.
    """
    return read_yaml(path, dict[str, Any], "correct it")


def read_results(paths: list[Path], kind: type[Result]) -> dict[str, list[dict[str, Any]]]:
    """Read ``result.json`` of many runs, grouped by model, in order of their seeds.

    Raises:
        UserError: a file is absent, or not of this kind.
    """
    results: dict[str, list[dict[str, Any]]] = {}
    for path in paths:
        result = read_json(path, kind)
        results.setdefault(result["model"], []).append(result)
    return {model: sorted(runs, key=lambda run: run["seed"]) for model, runs in results.items()}


def final_error(result: dict[str, Any]) -> float:
    """Return a run's test error in percent at its last iteration."""
    return result["test"]["top1_error"]


def table6(paper: dict[str, Any], results: dict[str, list[dict[str, Any]]], scale: str) -> list[dict[str, Any]]:
    """Return the rows of Table 6 in the paper's order.

    ``top1_error`` is the best of a model's runs, each at its last iteration, as the paper prints it; mean and standard
    deviation (n-1) are given where there are several runs. ``lowest_top1_error`` is the lowest test error at any
    evaluation, which is selection on the test set and never the reported number. A model without runs has a row
    without numbers.
    """
    rows = []
    for published in paper["rows"]:
        row = {"method": published["method"], "layers": published.get("layers"), "scale": scale}
        row |= {f"paper_{key}": published.get(key) for key in TABLE6_PUBLISHED}
        if "quoted_from" in published:
            rows.append(row | {"source": f"quoted: {published['quoted_from']}"})
            continue
        runs = results.get(published["model"])
        rows.append(row | ({**_measured(runs), "source": "reproduced"} if runs else {"source": NOT_TRAINED}))
    return rows


def _measured(runs: list[dict[str, Any]]) -> dict[str, Any]:
    errors = [final_error(run) for run in runs]
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


def table6_cells(row: dict[str, Any]) -> list[str]:
    """Return the printed cells of a row of Table 6: measured, published, and the difference of the means."""
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
        difference_cell(row, *((best if mean is None else mean) for best, mean, _ in (ours, theirs))),
        str(row["runs"]) if measured else "",
    ]


def labelled(row: dict[str, Any]) -> str:
    """Return a row's method, and why it has no number here."""
    source = row["source"].split(":")[0]
    return row["method"] + (f" ({source})" if source in ("quoted", NOT_TRAINED) else "")


def difference_cell(row: dict[str, Any], ours: float | None, theirs: float | None) -> str:
    """Return how far a number is from the paper's, if it was measured on the paper's data."""
    if ours is None or theirs is None or row.get("dataset") not in PAPERS_DATASETS:
        return ""
    return f"{ours - theirs:+z.2f}"


def read_evaluations(paths: list[Path], kind: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Read ``evaluation/*.json`` of many runs, grouped by model, or ``<experiment>/<model>`` of detectors.

    Args:
        paths: the files.
        kind: what they must hold beside the model, by key.

    Raises:
        UserError: a file is absent, or lacks something.
    """
    evaluations: dict[str, list[dict[str, Any]]] = {}
    for path in paths:
        evaluation = read_json(path, {"model": str, **kind})
        name = "/".join(evaluation[key] for key in ("experiment", "model") if key in evaluation)
        evaluations.setdefault(name, []).append(evaluation)
    return evaluations


def measured(paper: dict[str, Any]) -> dict[str, Any]:
    """Return what Table 2, 3, 4, 5, 7 or 8 takes from an evaluation, by key."""
    metrics = {column["metric"]: float for column in paper["columns"]}
    return {"dataset": str, "source": str, **metrics, **dict.fromkeys(paper.get("facts", ()), str)}


def measure_columns(paper: dict[str, Any]) -> tuple[str, ...]:
    """Return the columns of Table 2, 3, 4, 5, 7 or 8 as CSV."""
    names = [column["name"] for column in paper["columns"]]
    metrics = (part for n in names for part in (n, f"{n}_std", f"paper_{n}"))
    return ("method", *metrics, *paper.get("facts", ()), "runs", "dataset", "scale", "source")


def measure_kinds(paper: dict[str, Any]) -> dict[str, Any]:
    """Return what the columns of Table 2, 3, 4, 5, 7 or 8 as CSV hold."""
    numbers = dict.fromkeys(measure_columns(paper), float | None)
    facts = dict.fromkeys(("dataset", *paper.get("facts", ())), str | None)
    return numbers | facts | dict.fromkeys(("method", "scale", "source"), str) | {"runs": int | None}


def metric_table(
    paper: dict[str, Any], evaluations: dict[str, list[dict[str, Any]]], scale: str, weights: str
) -> list[dict[str, Any]]:
    """Return the rows of Table 2, 3, 4, 5, 7 or 8 in the paper's order.

    Numbers are means over a model's runs, with their standard deviation (n-1) where there are several. What was not
    trained, or has no published ``weights``, has no number.
    """
    rows = []
    for published in paper["rows"]:
        row: dict[str, Any] = {"method": published["method"], "scale": scale, "runs": None}
        row |= {f"paper_{column['name']}": published.get(column["name"]) for column in paper["columns"]}
        if "quoted_from" in published:
            rows.append(row | {"source": f"quoted: {published['quoted_from']}"})
            continue
        for column in paper["columns"]:
            runs = evaluations.get(published[column["model"]])
            if not runs:
                continue
            values = [run[column["metric"]] for run in runs]
            row |= {column["name"]: statistics.mean(values), "runs": _together(row["runs"], len(runs))}
            row |= {key: runs[0][key] for key in ("dataset", "source")}
            if len(values) > 1:
                row[f"{column['name']}_std"] = statistics.stdev(values)
            for fact in paper.get("facts", ()):
                row[fact] = _together(row.get(fact), runs[0][fact])
        rows.append({"source": NOT_TRAINED if weights == "trained" else f"no weights from {weights}"} | row)
    return rows


def _together(found: Any, new: Any) -> Any:
    """Return what is known of a row's earlier columns and of a new one: the same, or both."""
    return new if found in (None, new) else f"{found}; {new}"


def measure_headings(paper: dict[str, Any]) -> tuple[str, ...]:
    """Return the printed headings of Table 2, 3, 4, 5, 7 or 8."""
    headings = []
    for column in paper["columns"]:
        headings += [column["heading"], column.get("paper_heading", "paper")]
        headings += ["difference"] if _same_images(column) else []
    return ("method", *headings, "runs", "source")


def _same_images(column: dict[str, Any]) -> bool:
    """Whether the paper's numbers in a column are of the images that ours are of."""
    return column.get("same_images", True)


def measure_cells(paper: dict[str, Any], row: dict[str, Any]) -> list[str]:
    """Return the printed cells of a row: per metric, measured, published, and the difference."""
    cells = [labelled(row)]
    for column in paper["columns"]:
        name = column["name"]
        ours, deviation, theirs = (row.get(key) for key in (name, f"{name}_std", f"paper_{name}"))
        spread = f" ± {deviation:.2f}" if deviation is not None else ""
        cells += [
            "–" if ours is None else f"{ours:.2f}{spread}",
            "–" if theirs is None else f"{theirs:.2f}",
        ]
        cells += [difference_cell(row, ours, theirs)] if _same_images(column) else []
    source = "quoted" if row["source"].startswith("quoted") else row["source"]
    if row.get("engine"):
        source = f"{source} ({row['engine']} engine)"
    return [*cells, "" if row.get("runs") is None else str(row["runs"]), source]


def flops_cell(row: dict[str, Any], key: str) -> str:
    """Return multiply-adds in 10⁹ with three digits after the point."""
    return f"{row[key]:.3f}"


def architecture_grid(paper: dict[str, Any], rows: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Return headings and cells of Table 1 as the paper prints it: a network per column; "=" where both agree."""
    nets = [row for row in rows if row["conv1"]]
    lines = []
    for stage in paper["stages"]:
        size = nets[0][f"output_{stage}"]
        same = all(row[stage] == row[f"paper_{stage}"] for row in nets)
        sized = all(row[f"output_{stage}"] == paper["output_sizes"][stage] for row in nets)
        mark = "as in the paper" if same and sized else "not as in the paper"
        lines.append([stage, f"{size}×{size}", *(row[stage] for row in nets), mark])
    lines.append(["FLOPs (10⁹)", "", *(flops_cell(row, "flops_1e9") for row in nets), "convolutions and fc layers"])
    lines.append(["FLOPs (10⁹), paper", "", *(f"{row['paper_flops_1e9']:g}" for row in nets), ""])
    return ["layer", "output size", *(row["method"] for row in nets), ""], lines


def write_table(columns: tuple[str, ...], rows: list[dict[str, Any]], path: Path) -> None:
    """Write rows as CSV, numbers rounded to six digits after the point, empty cells empty."""
    rounded = [{key: round(v, 6) if isinstance(v, float) else v for key, v in row.items()} for row in rows]
    write_rows(path, columns, rounded)


def write_markdown(path: Path, title: str, note: str, headings: tuple[str, ...], cells: list[list[str]]) -> None:
    """Write a table under a title to ``path``."""
    lines = ["| " + " | ".join(row) + " |" for row in [list(headings), ["---"] * len(headings), *cells]]
    write_text(path, f"# {title}\n\n{note}\n\n" + "\n".join(lines) + "\n")


def scale_note(scale: str) -> str:
    """Return what a scale means for reading numbers beside the paper's."""
    return {
        "demo": "Demo scale: small images of handwritten digits and a few hundred iterations. The numbers cannot be "
        "compared with the paper's, and single runs end far apart. Claims about which of two nets is better can be "
        "tested, with care: so short a run shows how hard a net is to optimise, not where it would end after the "
        "paper's iterations.",
        "short": "Short scale: a tenth of the paper's iterations. Errors are expected to lie above the paper's.",
        "paper": "Paper scale: the paper's schedules on CIFAR-10, ImageNet, PASCAL VOC and MS COCO.",
    }[scale]

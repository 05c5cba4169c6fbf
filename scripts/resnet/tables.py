"""Tables of the paper beside what was measured, as CSV and Markdown; no torch."""

import statistics
from pathlib import Path
from typing import Any

import yaml

from resnet.errors import UserError
from resnet.files import read_json, write_rows, write_text

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
    "scale",
    "source",
)
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


def read_paper(path: Path) -> dict[str, Any]:
    """Read a file of published values (``workflow/paper/*.yaml``)."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def read_results(paths: list[Path]) -> dict[str, list[dict[str, Any]]]:
    """Read ``result.json`` of many runs, grouped by model, in order of their seeds."""
    results: dict[str, list[dict[str, Any]]] = {}
    for path in paths:
        result = read_json(path)
        results.setdefault(result["model"], []).append(result)
    return {model: sorted(runs, key=lambda run: run["seed"]) for model, runs in results.items()}


def test_error(result: dict[str, Any]) -> float:
    """Return a run's test error in percent at its last iteration."""
    return result["test"]["top1_error"]


def table6(paper: dict[str, Any], results: dict[str, list[dict[str, Any]]], scale: str) -> list[dict[str, Any]]:
    """Return the rows of Table 6 in the paper's order.

    ``top1_error`` is the best of a model's runs, each at its last iteration, as the paper prints it; mean and standard
    deviation (n-1) are given where there are several runs. ``lowest_top1_error`` is the lowest test error at any
    evaluation, which is selection on the test set and never the reported number.

    Raises:
        UserError: a model of the table has no results.
    """
    rows = []
    for published in paper["rows"]:
        row = {"method": published["method"], "layers": published.get("layers"), "scale": scale}
        row |= {f"paper_{key}": published.get(key) for key in TABLE6_PUBLISHED}
        if "quoted_from" in published:
            rows.append(row | {"source": f"quoted: {published['quoted_from']}"})
            continue
        if published["model"] not in results:
            raise UserError(f"Table 6 needs a result of {published['model']}, but none is given")
        rows.append(row | _measured(results[published["model"]]) | {"source": "reproduced"})
    return rows


def _measured(runs: list[dict[str, Any]]) -> dict[str, Any]:
    errors = [test_error(run) for run in runs]
    several = len(errors) > 1
    return {
        "layers": runs[0]["layers"],
        "parameters_millions": runs[0]["parameters"] / 1e6,
        "top1_error": min(errors),
        "top1_error_mean": statistics.mean(errors) if several else None,
        "top1_error_std": statistics.stdev(errors) if several else None,
        "lowest_top1_error": min(run["lowest_test_top1_error"] for run in runs),
        "runs": len(runs),
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
    """Return the printed cells of a row of Table 6: measured, then published, then their difference."""
    ours = error_cell(*(row.get(key) for key in ("top1_error", "top1_error_mean", "top1_error_std")))
    theirs = error_cell(*(row.get(f"paper_{key}") for key in ("top1_error", "top1_error_mean", "top1_error_std")))
    quoted = row["source"] != "reproduced"
    return [
        row["method"] + (" (quoted)" if quoted else ""),
        "" if row["layers"] is None else str(row["layers"]),
        "" if quoted else parameters_cell(row["parameters_millions"]),
        "" if row["paper_parameters_millions"] is None else f"{row['paper_parameters_millions']}M",
        "–" if quoted else ours,
        theirs,
        "" if quoted else f"{row['top1_error'] - row['paper_top1_error']:+.2f}",
        "" if quoted else str(row["runs"]),
    ]


def read_evaluations(paths: list[Path]) -> dict[str, list[dict[str, Any]]]:
    """Read ``evaluation/*.json`` of many runs, grouped by model, or ``<experiment>/<model>`` of detectors."""
    evaluations: dict[str, list[dict[str, Any]]] = {}
    for path in paths:
        evaluation = read_json(path)
        name = "/".join(evaluation[key] for key in ("experiment", "model") if key in evaluation)
        evaluations.setdefault(name, []).append(evaluation)
    return evaluations


def measure_columns(paper: dict[str, Any]) -> tuple[str, ...]:
    """Return the columns of Table 2, 3, 4, 5, 7 or 8 as CSV."""
    names = [column["name"] for column in paper["columns"]]
    measures = (part for n in names for part in (n, f"{n}_std", f"paper_{n}"))
    return ("method", *measures, *paper.get("facts", ()), "runs", "scale", "source")


def measure_table(
    paper: dict[str, Any], evaluations: dict[str, list[dict[str, Any]]], scale: str, weights: str
) -> list[dict[str, Any]]:
    """Return the rows of Table 2, 3, 4, 5, 7 or 8 in the paper's order.

    Numbers are means over a model's runs, with their standard deviation (n-1) where there are several.

    Raises:
        UserError: a model of the table has not been evaluated, and ``weights`` is ``trained``.
    """
    rows = []
    for published in paper["rows"]:
        row: dict[str, Any] = {"method": published["method"], "scale": scale, "runs": None}
        row |= {f"paper_{column['name']}": published.get(column["name"]) for column in paper["columns"]}
        if "quoted_from" in published:
            rows.append(row | {"source": f"quoted: {published['quoted_from']}"})
            continue
        for column in paper["columns"]:
            runs = evaluations.get(published[column["model"]], [])
            if not runs and weights == "trained":
                raise UserError(f"{paper['title']} needs an evaluation of {published[column['model']]}")
            values = [run[column["measure"]] for run in runs]
            if values:
                row |= {column["name"]: statistics.mean(values), "runs": len(runs), "source": runs[0]["source"]}
            if len(values) > 1:
                row[f"{column['name']}_std"] = statistics.stdev(values)
            for fact in paper.get("facts", ()):
                row[fact] = _together(row.get(fact), runs[0][fact])
        rows.append({"source": f"no weights from {weights}"} | row)
    return rows


def _together(found: str | None, new: str) -> str:
    """Return what is known of a row's earlier columns and of a new one: the same, or both."""
    return new if found in (None, new) else f"{found}; {new}"


def measure_headings(paper: dict[str, Any]) -> tuple[str, ...]:
    """Return the printed headings of Table 2, 3, 4, 5, 7 or 8."""
    groups = ((one["heading"], one.get("paper_heading", "paper"), "difference") for one in paper["columns"])
    return ("method", *(heading for group in groups for heading in group), "runs", "source")


def measure_cells(paper: dict[str, Any], row: dict[str, Any]) -> list[str]:
    """Return the printed cells of a row: per measure, measured, published, and the difference."""
    cells = [row["method"] + (" (quoted)" if row["source"].startswith("quoted") else "")]
    for column in paper["columns"]:
        name = column["name"]
        ours, deviation, theirs = (row.get(key) for key in (name, f"{name}_std", f"paper_{name}"))
        spread = f" ± {deviation:.2f}" if deviation is not None else ""
        cells += [
            "–" if ours is None else f"{ours:.2f}{spread}",
            "–" if theirs is None else f"{theirs:.2f}",
            "" if ours is None or theirs is None else f"{ours - theirs:+.2f}",
        ]
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
        "demo": "Demo scale: small pictures of handwritten digits and a few hundred iterations. The numbers cannot be "
        "compared with the paper's. The claims can, with care: so short a run shows how hard a net is to optimise, not "
        "where it would end after the paper's iterations.",
        "short": "Short scale: a tenth of the paper's iterations. Errors are expected to lie above the paper's.",
        "paper": "Paper scale: the paper's schedules on CIFAR-10, ImageNet, PASCAL VOC and MS COCO.",
    }[scale]

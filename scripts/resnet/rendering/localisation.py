"""Tables of localisation errors beside the paper's: their rows, and the cells that are printed; no torch."""

import statistics
from pathlib import Path
from typing import Any

from resnet.artefacts import Artefact
from resnet.files import read_json
from resnet.rendering.exhibits import difference_cell
from resnet.rendering.tables import (
    FACTS,
    NOT_TRAINED,
    Row,
    in_paper,
    labelled,
    measured_cell,
    number_columns,
    runs_and_source,
)

TEXTS = ("network", "testing", "classifier")
LOCALISATION = {"stage": str, "model": str, "protocol": str, "dataset": str, "source": str, "images": int}
# What only a row with predicted classes shows.
OF_PREDICTED = "top5_error"


def read_localisations(paths: list[Path]) -> dict[tuple[str, str, str], list[Row]]:
    """Read the errors of many runs, by stage, network and protocol.

    Raises:
        UserError: a file is absent, or lacks something.
    """
    found: dict[tuple[str, str, str], list[Row]] = {}
    for path in paths:
        one = read_json(path, {**LOCALISATION, "gt_class_error": float})
        found.setdefault((one["stage"], one["model"], one["protocol"]), []).append(one)
    return found


def localisation_columns(table: Artefact) -> tuple[str, ...]:
    """Return the columns of a table as CSV."""
    return ("method", *TEXTS, *number_columns(table), *FACTS)


def localisation_rows(table: Artefact, found: dict[tuple[str, str, str], list[Row]], scale: str) -> list[Row]:
    """Return the rows of a table in the paper's order; numbers are means over a network's runs.

    What was not trained has no number.
    """
    rows = []
    for published in table.values["rows"]:
        row: Row = {"method": published["method"], "scale": scale, "source": NOT_TRAINED, "in_paper": in_paper(True)}
        row |= {key: published.get(key, "") for key in TEXTS}
        row |= {f"paper_{column['name']}": published.get(column["name"]) for column in table.values["columns"]}
        if "quoted_from" in published:
            row["source"] = f"quoted: {published['quoted_from']}"
        elif runs := found.get((published["experiment"], published["model"], published["protocol"])):
            row |= _measured(table, runs, bool(row["classifier"]))
        rows.append(row)
    return rows


def _measured(table: Artefact, runs: list[Row], is_predicted: bool) -> Row:
    row: Row = {"runs": len(runs), **{key: runs[0][key] for key in ("dataset", "source")}}
    for column in table.values["columns"]:
        metric = column.get("metric")
        if metric is None or (metric == OF_PREDICTED and not is_predicted):
            continue
        values = [run[metric] for run in runs]
        row[column["name"]] = statistics.mean(values)
        if len(values) > 1:
            row[f"{column['name']}_std"] = statistics.stdev(values)
    return row


def localisation_headings(table: Artefact) -> list[str]:
    """Return the printed headings of a table."""
    headings: list[str] = []
    for column in table.values["columns"]:
        headings += (
            [column["heading"], "paper", "difference"] if "metric" in column else [f"{column['heading']}, paper"]
        )
    return ["method", *_texts(table), *headings, "runs", "source"]


def localisation_cells(table: Artefact, row: Row) -> list[str]:
    """Return the printed cells of a row: per error, measured, published, and the difference."""
    cells = [labelled(row), *(row[key] for key in _texts(table))]
    for column in table.values["columns"]:
        name = column["name"]
        theirs = row.get(f"paper_{name}")
        cells += [measured_cell(row, name)] if "metric" in column else []
        cells.append("–" if theirs is None else f"{theirs:.1f}")
        cells += [difference_cell(row.get("dataset"), row.get(name), theirs)] if "metric" in column else []
    return [*cells, *runs_and_source(row)]


def _texts(table: Artefact) -> list[Any]:
    return table.values.get("texts", [])

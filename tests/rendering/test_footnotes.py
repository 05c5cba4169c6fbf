"""The table of networks that the paper mentions without numbers."""

import csv
import json

from conftest import ROOT, run_program

from resnet.artefacts import read_artefact
from resnet.rendering.footnotes import footnote_cells, footnote_rows

ARTEFACTS = ROOT / "workflow/artefacts"


def result(model, seed, train, test, split="test"):
    errors = {"train": {"top1_error": train}, split: {"top1_error": test}}
    return {"model": model, "seed": seed, "dataset": "digits", "iterations": 720, "warmup_ended_at": None, **errors}


def test_errors_are_means_over_runs_and_what_is_not_trained_says_so():
    table = read_artefact(ARTEFACTS / "footnotes-cifar10.yaml")
    runs = [result("resnet-20+single-layer", 0, 4, 10), result("resnet-20+single-layer", 1, 6, 12)]
    rows = footnote_rows(table, {"resnet-20+single-layer": runs, "plain-20": [result("plain-20", 0, 3, 9.5)]}, "demo")
    cells = {row["model"]: footnote_cells(row)[2:] for row in rows}
    assert cells["resnet-20+single-layer"] == ["720", "5.00", "11.00 ± 1.41", "2"]
    assert cells["plain-20"] == ["720", "3.00", "9.50", "1"]
    assert cells["resnet-110+no-warmup"] == ["not trained", "–", "–", ""]
    assert [row["model"] for row in rows] == table.models


def test_the_program_writes_a_row_per_network(tmp_path):
    path = tmp_path / "plain-34+3x/seed0/result.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(result("plain-34+3x", 0, 30.5, 29.25, "val")))
    outputs = [part for form in ("csv", "md", "json") for part in (f"--{form}", tmp_path / f"table.{form}")]
    code, text = run_program(
        "tabulate_footnotes", "--artefact", ARTEFACTS / "footnotes-imagenet.yaml", "--results", path, "--scale", "demo",
        *outputs,
    )  # fmt: skip
    assert code == 0, text
    rows = {row["model"]: row for row in csv.DictReader((tmp_path / "table.csv").open())}
    assert (rows["plain-34+3x"]["top1_error"], rows["plain-34+3x"]["iterations"]) == ("29.25", "720")
    assert rows["plain-101"]["source"] == "not trained"

"""Tables 9 to 11: the improvements of detectors beside the paper."""

import json

import pandas as pd
import pytest
from conftest import ROOT, run_program

from resnet.artefacts import read_artefact
from resnet.rendering.tables import evaluation_cells, evaluation_headings, evaluation_rows, read_evaluations

ARTEFACTS = ROOT / "workflow/artefacts"


def write_test(folder, classes=None, **facts):
    """Write what a test of a detector measured; return the file."""
    folder.mkdir(parents=True)
    known = {"experiment": "coco", "model": "resnet-101", "engine": "torchvision", "test_set": "val", "dataset": "coco"}
    path = folder / "average_precision.json"
    path.write_text(json.dumps({**known, "source": "reproduced", "map50": 50.0, "map": 30.0, "tested": "", **facts}))
    if classes:
        rows = [{"class": name, "objects": 3, "ap50": value, "ap": None} for name, value in classes.items()]
        pd.DataFrame(rows).to_csv(folder / "classes.csv", index=False)
    return path


def test_a_row_is_a_network_and_how_it_is_tested(tmp_path):
    table = read_artefact(ARTEFACTS / "table9.yaml")
    files = [
        write_test(tmp_path / "a"),
        write_test(tmp_path / "b", tested="refined", map50=52.0),
        write_test(tmp_path / "c", model="ensemble", tested="refined-multiscale", map50=60.0),
    ]
    rows = evaluation_rows(table, read_evaluations(files, {}), "paper", "trained")
    assert [row.get("map50") for row in rows] == [None, 50.0, 52.0, None, None, 60.0]
    assert [row["source"] for row in rows][3:] == ["not trained", "not trained", "reproduced"]
    headings, ensemble = evaluation_headings(table), evaluation_cells(table, rows[-1])
    assert headings[-4:-2] == ("paper, test-dev, @.5", "paper, test-dev, @[.5, .95]")
    assert len(headings) == len(ensemble)
    # On val the paper has no number of the ensemble; on test-dev, we have none.
    assert ensemble[:4] == ["ensemble", "60.00", "–", ""]
    assert ensemble[-4:-2] == ["59.00", "37.40"]
    assert evaluation_cells(table, rows[2])[1:4] == ["52.00", "49.90", "+2.10"]


@pytest.mark.parametrize("are_papers", [True, False])
def test_classes_have_columns_beside_the_papers_where_they_are_the_papers(tmp_path, are_papers):
    table = read_artefact(ARTEFACTS / "table10.yaml").values
    names = list(table["classes"]) if are_papers else ["one", "two"]
    tests = [("vgg-16", "", 10), ("resnet-101+coco", "refined-multiscale", 30), ("resnet-101+coco", "", 99)]
    files = [
        write_test(
            tmp_path / f"{model}{tested}", dict.fromkeys(names, value) | {names[-1]: None},
            model=model, tested=tested, map50=value,
        )
        for model, tested, value in tests
    ]  # fmt: skip
    code, output = run_program(
        "tabulate_class_columns", "--artefact", ARTEFACTS / "table10.yaml", "--scale", "paper",
        "--classes", *(path.with_name("classes.csv") for path in files), "--evaluations", *files,
        "--csv", tmp_path / "t.csv", "--md", tmp_path / "t.md", "--json", tmp_path / "t.json",
    )  # fmt: skip
    assert code == 0, output
    rows = pd.read_csv(tmp_path / "t.csv")
    assert rows.method.tolist() == ["baseline VGG-16", "baseline ResNet-101", "baseline+++ ResNet-101"]
    assert rows["map"].fillna(-1).tolist() == [10, -1, 30]
    assert rows.paper_map.tolist() == [73.2, 76.4, 85.6]
    assert rows[names[0]].fillna(-1).tolist() == [10, -1, 30]
    assert rows[names[-1]].isna().all(), "a class without objects"
    assert rows[f"paper_{names[0]}"].fillna(-1).tolist() == ([76.5, 79.8, 90.0] if are_papers else [-1] * 3)
    lines = [line for line in (tmp_path / "t.md").read_text().splitlines() if line.startswith("| ")]
    assert len(lines) == 2 + 2 * 3
    assert lines[0].split(" | ")[3] == ("aero" if are_papers else "one")
    assert lines[4].startswith("| baseline ResNet-101 (not trained) | 07+12 | – |")
    assert lines[7].startswith(
        "| baseline+++ ResNet-101, paper | COCO+07+12 | 85.6 | " + ("90.0" if are_papers else "–")
    )

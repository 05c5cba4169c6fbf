"""Tables of localisation errors."""

import csv
import json

import pytest
from conftest import ROOT, run_program

from resnet.artefacts import read_artefact
from resnet.errors import UserError
from resnet.rendering.localisation import localisation_cells, localisation_rows

ARTEFACTS = ROOT / "workflow/artefacts"


def errors(stage, model, protocol, gt_class, top5=None, **facts):
    known = {"stage": stage, "model": model, "protocol": protocol, "dataset": "scattered", "source": "reproduced"}
    return {**known, "images": 200, "gt_class_error": gt_class, "top5_error": top5, **facts}


def test_a_row_shows_the_error_of_its_test_and_only_of_predicted_classes_the_top_5_one():
    table = read_artefact(ARTEFACTS / "table13.yaml")
    found = {
        ("rpn", "resnet-101", "center"): [errors("rpn", "resnet-101", "center", 20.0), errors("", "", "", 22.0)],
        ("rpn", "resnet-101", "dense"): [errors("rpn", "resnet-101", "dense", 11.7, 14.9, dataset="imagenet")],
        ("rcnn", "ensemble", "dense"): [errors("rcnn", "ensemble", "dense", 7.0, 9.0)],
    }
    rows = localisation_rows(table, found, "demo")
    assert [row["paper_gt_class_error"] for row in rows] == [33.1, 13.3, 11.7, None, None, None]
    assert [row["paper_top5_error"] for row in rows] == [None, None, None, 14.4, 10.6, 8.9]
    cells = [localisation_cells(table, row) for row in rows]
    assert cells[0] == ["VGG's (quoted)", "VGG-16", "1-crop", "", "–", "33.1", "", "–", "–", "", "", "quoted"]
    assert cells[1][4:] == ["21.00 ± 1.41", "13.3", "", "–", "–", "", "2", "reproduced"]
    assert cells[2][4:] == ["11.70", "11.7", "+0.00", "–", "–", "", "1", "reproduced"]
    assert cells[3][3:] == ["ResNet-101", "11.70", "–", "", "14.90", "14.4", "+0.50", "1", "reproduced"]
    assert cells[4][0] == "RPN+RCNN (not trained)"
    assert (cells[5][0], cells[5][7]) == ("RPN+RCNN, ensemble", "9.00")


def test_the_program_writes_what_is_measured_and_what_only_the_server_knows(tmp_path):
    path = tmp_path / "dense.json"
    path.write_text(json.dumps(errors("rcnn", "ensemble", "dense", 7.0, 9.25)))
    outputs = [part for form in ("csv", "md", "json") for part in (f"--{form}", tmp_path / f"table.{form}")]
    command = ("tabulate_localisation", "--artefact", ARTEFACTS / "table14.yaml", "--scale", "demo", *outputs)
    code, text = run_program(*command, "--evaluations", path)
    assert code == 0, text
    rows = list(csv.DictReader((tmp_path / "table.csv").open()))
    assert (rows[-1]["top5_error"], rows[-1]["paper_test_top5_error"]) == ("9.25", "9.0")
    assert (rows[1]["paper_top5_error"], rows[1]["paper_test_top5_error"]) == ("", "26.7")
    assert "gt_class_error" not in rows[0]
    path.write_text("{}")
    code, text = run_program(*command, "--evaluations", path)
    assert code == 1
    assert "dense.json" in text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("experiment: rpn", "experiment: voc07", "rows.1.experiment is 'voc07'; it must be one of rpn, rcnn"),
        ("protocol: center", "protocol: 10crop", "rows.1.protocol is '10crop'"),
        ("metric: top5_error", "metric: map", "columns.1.metric is 'map'"),
        ("gt_class_error: 13.3", "error: 13.3", "unknown key rows.1.error"),
    ],
)
def test_a_wrong_key_of_a_table_is_one_error(tmp_path, old, new, message):
    text = (ARTEFACTS / "table13.yaml").read_text()
    assert old in text
    (tmp_path / "mine.yaml").write_text(text.replace(old, new, 1))
    with pytest.raises(UserError) as error:
        read_artefact(tmp_path / "mine.yaml")
    assert message in str(error.value)

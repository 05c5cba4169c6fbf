"""Curves for TensorBoard."""

import importlib.util

import pytest
from conftest import run_program

from resnet.files import write_rows

COLUMNS = ("iteration", "epoch", "split", "loss", "top1_error", "lr")


@pytest.fixture
def runs(tmp_path):
    rows = [{"iteration": i, "epoch": i / 10, "split": "train", "loss": 2 / i, "lr": 0.1} for i in (10, 20)]
    write_rows(tmp_path / "digits/plain-20/seed0/metrics.csv", COLUMNS, rows)
    return tmp_path


def test_a_folder_without_runs_is_said(tmp_path):
    code, output = run_program("export_tensorboard", tmp_path)
    assert code == 1
    assert output.endswith("holds no run with a metrics.csv\n")


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is not None, reason="TensorBoard is installed")
def test_without_tensorboard_one_line_says_what_to_install(runs):
    code, output = run_program("export_tensorboard", runs)
    assert code == 1
    assert output == "export_tensorboard: error: TensorBoard is not installed: pip install tensorboard\n"


def test_curves_are_written_once_however_often(runs):
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for _ in range(2):
        code, output = run_program("export_tensorboard", runs)
        assert code == 0, output
    read = accumulators.EventAccumulator(str(runs / "digits/plain-20/seed0/tensorboard"))
    read.Reload()
    assert set(read.Tags()["scalars"]) == {"lr/train", "loss/train"}
    assert [(one.step, round(one.value, 4)) for one in read.Scalars("loss/train")] == [(10, 0.2), (20, 0.1)]

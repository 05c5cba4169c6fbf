"""The figure of signals along trainings."""

import pytest

from resnet.errors import UserError
from resnet.files import write_rows
from resnet.records import LAYER_SIGNALS
from resnet.rendering.layer_signals import cells, draw_layer_signals, read_signals, smallest_and_largest

PANELS = {"panels": [{"model": model, "title": model.title()} for model in ("plain-20", "resnet-20")]}


@pytest.fixture
def signals(tmp_path):
    # By layer, the last one's is 1 and 2 in the two updates.
    values = {0: (100, 10, 1), 8: (0.02, 0.2, 2)}
    rows = [
        {"model": "plain-20", "iteration": update, "layer": layer, "name": "conv", "std": 1, "gradient": value}
        for update, norms in values.items()
        for layer, value in reversed([*enumerate(norms, start=1)])
    ]
    write_rows(tmp_path / "layer_signals.csv", tuple(LAYER_SIGNALS), rows)
    return read_signals(tmp_path / "layer_signals.csv")


def test_signals_are_compared_with_the_last_layers_of_the_same_update(signals):
    assert smallest_and_largest(signals["plain-20"], "gradient") == pytest.approx((0.01, 100))
    assert cells(PANELS, signals) == [["Plain-20", "1", "1", "0.01", "1e+02"]]


def test_a_signal_that_is_zero_has_vanished_in_the_last_layer_too(signals):
    for row in signals["plain-20"]:
        if row["layer"] == 3:
            row["gradient"] = 0
    assert smallest_and_largest(signals["plain-20"], "gradient") == (0, float("inf"))
    for row in signals["plain-20"]:
        row["gradient"] = 0
    assert smallest_and_largest(signals["plain-20"], "gradient") == (0, 0)


def test_each_update_is_a_line_from_the_first_layer_to_the_last(signals):
    figure = draw_layer_signals(PANELS, signals, "a note")
    top, bottom = figure.axes
    assert top.get_title() == "Plain-20"
    assert [line.get_ydata().tolist() for line in bottom.lines] == [[100, 10, 1], [0.02, 0.2, 2]]
    assert [line.get_label() for line in bottom.lines] == ["0", "8 (end)"]
    assert [line.get_xdata().tolist() for line in top.lines] == [[1, 2, 3]] * 2
    assert figure.get_supxlabel() == "a note; not trained: resnet-20"


def test_a_figure_of_nothing_is_one_clear_error(signals):
    with pytest.raises(UserError, match="the figure shows resnet-20, but plain-20 were measured"):
        draw_layer_signals({"panels": PANELS["panels"][1:]}, signals, "")


@pytest.mark.parametrize("count", [1, 2, 8, 12])
def test_every_measured_update_has_a_colour_of_its_own(signals, count):
    (first, *_) = signals["plain-20"]
    rows = [{**first, "iteration": update, "layer": layer} for update in range(count) for layer in (1, 2)]
    top, _ = draw_layer_signals(PANELS, {"plain-20": rows}, "").axes
    assert len({str(line.get_color()) for line in top.lines}) == count

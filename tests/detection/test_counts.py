"""What the paper counts of its networks."""

import pytest
import torch
from conftest import ROOT

from resnet.architectures import CifarNet, initialise
from resnet.artefacts import read_artefact
from resnet.detection.counts import COUNTS, count, deepened
from resnet.errors import UserError

ROWS = read_artefact(ROOT / "workflow/artefacts/counts.yaml").values["rows"]
PRINTED = [row for row in ROWS if isinstance(row.get("paper"), int)]


def test_every_count_has_a_row():
    assert sorted(row["count"] for row in ROWS) == sorted(COUNTS)


@pytest.mark.parametrize(
    "row", [row for row in ROWS if isinstance(row.get("paper"), int)], ids=lambda row: row["count"]
)
def test_counts_are_those_of_the_paper(row):
    assert count(row["count"]) == pytest.approx(row["paper"], abs=1 if row["count"] == "flops_34_of_vgg_19" else 1e-9)


def test_a_projection_nearly_doubles_the_bottleneck_block_which_costs_as_much_as_the_basic_one():
    # Multiply-adds per position: 2 x 9 x 64 x 64; 64 x 256 twice and 9 x 64 x 64; and 256 x 256.
    assert count("bottleneck_flops_ratio") == pytest.approx(69632 / 73728)
    assert count("projection_flops_ratio") == pytest.approx((69632 + 65536) / 69632)
    assert 1.9 < count("projection_parameters_ratio") < 2


def test_a_deeper_net_is_made_of_any_shallower_one():
    shallow = CifarNet("plain-14").double()
    initialise(shallow, torch.Generator().manual_seed(1))
    images = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    deep = deepened(shallow, "plain-26")
    torch.testing.assert_close(deep.eval()(images), shallow.eval()(images))


def test_an_unknown_count_is_named():
    with pytest.raises(UserError, match="unknown count 'layers'; there are depth_ratio, "):
        count("layers")

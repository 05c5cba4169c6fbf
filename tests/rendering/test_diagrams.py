"""Figs. 2, 3 and 5: what is drawn follows from the operations."""

import pytest
from conftest import ROOT

from resnet.artefacts import read_artefact
from resnet.errors import UserError
from resnet.files import write_rows
from resnet.records import OPERATIONS
from resnet.rendering.diagrams import draw_blocks, draw_networks, flops_beside_the_papers, layer_text, read_diagrams

ARTEFACTS = ROOT / "workflow/artefacts"
# A residual net as deep as its name: a stem and two blocks, of which the second one increases dimensions.
STEM = [("input", "", 3, 32, None, None), ("conv", "0", 16, 16, 3, 2), ("relu", "1", 16, 16, None, None)]
BLOCKS = [
    ("conv", "2", 16, 16, 3, 1), ("relu", "3", 16, 16, None, None), ("conv", "4", 16, 16, 3, 1),
    ("add", "5 2", 16, 16, None, None), ("relu", "6", 16, 16, None, None),
    ("conv", "7", 32, 8, 3, 2), ("relu", "8", 32, 8, None, None), ("conv", "9", 32, 8, 3, 1),
    ("zero padding", "7", 32, 8, None, 2), ("add", "10 11", 32, 8, None, None), ("relu", "12", 32, 8, None, None),
]  # fmt: skip
END = [("average pool", "13", 32, None, None, None), ("fc", "14", 10, None, None, None)]


@pytest.fixture
def diagrams(tmp_path):
    rows = [
        {"network": network, "number": number, "kind": kind, "inputs": inputs, "channels": channels, "side": side,
         "kernel": kernel, "stride": stride, "parameters": 0, "multiply_adds": 10**9 if kind == "conv" else 0}
        for network, operations in {"net": STEM + BLOCKS + END, "block": [STEM[0], *plain_block()]}.items()
        for number, (kind, inputs, channels, side, kernel, stride) in enumerate(operations)
    ]  # fmt: skip
    write_rows(tmp_path / "operations.csv", tuple(OPERATIONS), rows)
    return read_diagrams(tmp_path / "operations.csv")


def plain_block():
    return [("conv", "0", 64, 56, 1, 1), ("relu", "1", 64, 56, None, None), ("conv", "2", 64, 56, 3, 1),
            ("add", "3 0", 64, 56, None, None), ("relu", "4", 64, 56, None, None)]  # fmt: skip


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_a_shortcut_goes_from_where_the_branches_part_to_the_addition(diagrams):
    net = diagrams["net"]
    assert [(one.start, one.end, one.grows) for one in net.shortcuts] == [(2, 6, False), (7, 12, True)]
    assert net.path == [number for number in range(16) if number != 11]
    assert net.multiply_adds == 5 * 10**9


def test_networks_are_drawn_in_rows_of_a_size_with_dotted_shortcuts_where_dimensions_grow(diagrams):
    figure = draw_networks({"networks": [{"network": "net", "title": "A net"}]}, diagrams)
    shown = texts(figure)
    assert [text for text in shown if "conv" in text] == [
        "3×3 conv, 16, /2", "3×3 conv, 16", "3×3 conv, 16", "3×3 conv, 32, /2", "3×3 conv, 32"
    ]  # fmt: skip
    assert [text for text in shown if "size" in text] == [f"output\nsize: {size}" for size in (16, 8, 1)]
    assert {"A net", "5.0 billion FLOPs", "image", "avg pool", "fc 10"} <= set(shown)
    heights = [text.get_position()[1] for text in figure.axes[0].texts if "conv" in text.get_text()]
    assert heights == sorted(heights, reverse=True)
    lines = [patch for patch in figure.axes[0].patches if type(patch).__name__ == "PathPatch"]
    assert [isinstance(patch.get_linestyle(), str) for patch in lines] == [True, False]


def test_blocks_are_drawn_with_their_layers_or_in_general(diagrams):
    figure = draw_blocks({"blocks": [{"part": "block"}]}, diagrams)
    assert texts(figure) == ["3-d", "1×1, 64", "relu", "3×3, 64", "relu"]
    general = texts(draw_blocks({"blocks": [{"part": "block"}], "general": True}, diagrams))
    assert general.count("weight layer") == general.count("relu") == 2
    assert {"$\\mathbf{x}$", "$\\mathbf{x}$\nidentity", "$\\mathcal{F}(\\mathbf{x})+\\mathbf{x}$"} <= set(general)


def test_a_layer_is_named_as_in_the_paper(diagrams):
    net = diagrams["net"].operations
    assert [layer_text(net[number]) for number in (1, 3, 14, 15)] == [
        "3×3 conv, 16, /2", "3×3 conv, 16", "avg pool", "fc 10"
    ]  # fmt: skip


def test_counted_flops_stand_beside_those_of_the_papers_caption(diagrams):
    fig3 = read_artefact(ARTEFACTS / "fig3.yaml").values
    drawing = {"networks": [column | {"network": "net"} for column in fig3["networks"]]}
    _, rows = flops_beside_the_papers(drawing, diagrams)
    assert rows[0] == ["VGG-19", "5.00", "19.6"]


def test_a_network_without_operations_is_named(diagrams):
    with pytest.raises(UserError, match="there are no operations of vgg-19; there are net, block"):
        draw_networks({"networks": [{"network": "vgg-19", "title": ""}]}, diagrams)

"""The layers in a per-class form, anchors, and the samples of them, against slow versions."""

import pytest
import torch

from localisation.conftest import small_localiser
from resnet.architectures import BatchNorm2d
from resnet.localisation.boxes import anchor_boxes, losses, overlaps, sample_anchors
from resnet.localisation.net import PerClass


def test_a_class_says_what_its_part_of_the_whole_layers_says():
    """Channels go class by class, then anchor by anchor; anchors pixel by pixel, row by row."""
    layers, maps, classes = PerClass(6, 5, 3), torch.randn(2, 6, 2, 4), torch.tensor([[4, 0], [2, 2]])
    scores, offsets = layers(maps, classes)
    assert (scores.shape, offsets.shape) == ((2, 2, 24), (2, 2, 24, 4))
    whole, boxes = layers.cls(maps), layers.reg(maps)
    for n in range(2):
        for k in range(2):
            for row in range(2):
                for column in range(4):
                    for anchor in range(3):
                        place, channel = (row * 4 + column) * 3 + anchor, classes[n, k] * 3 + anchor
                        torch.testing.assert_close(scores[n, k, place], whole[n, channel, row, column])
                        own = boxes[n, channel * 4 : channel * 4 + 4, row, column]
                        torch.testing.assert_close(offsets[n, k, place], own)


def test_only_the_regressor_of_the_class_is_trained():
    net = small_localiser().train()
    scores, offsets = net(torch.randn(2, 3, 64, 64), torch.tensor([[3], [3]]))
    (scores.sum() + offsets.sum()).backward()
    touched = net.siblings.reg.weight.grad.view(5, -1).abs().sum(1) > 0
    assert touched.tolist() == [False, False, False, True, False]
    norms = [module for module in net.modules() if isinstance(module, BatchNorm2d)]
    assert norms
    assert not any(norm.training or norm.weight.requires_grad for norm in norms)


@pytest.mark.parametrize(("stage", "anchors"), [("rpn", 12), ("rcnn", 1)])
def test_each_stage_has_its_anchors_and_its_own_layers(stage, anchors):
    net = small_localiser(stage=stage)
    scores, offsets = net(torch.randn(1, 3, 64, 40), torch.zeros(1, 1, dtype=torch.long))
    assert scores.shape == (1, 1, 4 * 6 if stage == "rpn" else 1)
    assert offsets.shape == (*scores.shape, 4)
    assert hasattr(net, "conv") == (stage == "rpn")
    assert not hasattr(net.trunk, "fc")


def test_anchors_are_around_the_cells_of_the_last_map():
    anchors = anchor_boxes(33, 64, (8, 20), torch.device("cpu"))
    assert anchors.shape == (2 * 2 * 6, 4)
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2
    assert centres.unique(dim=0).tolist() == [[16, 16], [16, 48], [48, 16], [48, 48]]
    assert centres[6].tolist() == [48, 16], "along the rows first"
    sides = anchors[:, 2:] - anchors[:, :2]
    torch.testing.assert_close(sides.prod(1)[:6], torch.tensor([64.0] * 3 + [400.0] * 3))
    torch.testing.assert_close((sides[:, 1] / sides[:, 0])[:3], torch.tensor([0.5, 1, 2]))


def iou(a, b):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(one[2] - one[0]) * (one[3] - one[1]) for one in (a, b)]
    return width * height / (sum(areas) - width * height)


def test_samples_are_the_anchors_that_a_slow_version_calls_positive_and_negative():
    torch.manual_seed(0)
    anchors = anchor_boxes(96, 96, (24, 40), torch.device("cpu"))
    corners = torch.rand(5, 3, 2) * 50
    boxes = torch.cat([corners, corners + 15 + torch.rand(5, 3, 2) * 30], 2)
    # A box that is an anchor, and an image without a box.
    boxes[0, 0], counts = anchors[20], torch.tensor([3, 1, 2, 3, 0])
    seen = [[set(), set()] for _ in range(5)]
    for _ in range(60):
        drawn, weights, nearest = sample_anchors(anchors, boxes, counts)
        assert weights.tolist() == [[1.0] * 8] * 4 + [[0.0] * 4 + [1.0] * 4]
        for image in range(5):
            seen[image][0] |= set(drawn[image, :4].tolist()) if counts[image] else set()
            seen[image][1] |= set(drawn[image, 4:].tolist())
            for place, box in zip(drawn[image, :4], nearest[image], strict=True):
                own = [iou(anchors[place].tolist(), one.tolist()) for one in boxes[image, : counts[image]]]
                assert not own or iou(anchors[place].tolist(), box.tolist()) == pytest.approx(max(own), abs=1e-5)
    for image in range(5):
        table = [[iou(a, b) for b in boxes[image, : counts[image]].tolist()] for a in anchors.tolist()]
        best = {max(range(len(table)), key=lambda p, k=k: table[p][k]) for k in range(counts[image])}
        positive = best | {p for p, row in enumerate(table) if row and max(row) >= 0.7}
        negative = {p for p, row in enumerate(table) if not row or max(row) < 0.3} - positive
        assert seen[image][0] == positive
        assert seen[image][1] <= negative
        assert len(seen[image][1]) > min(20, len(negative) - 1)
    assert 20 in seen[0][0]


def test_overlaps_are_those_of_a_slow_version():
    corners = torch.rand(7, 2) * 10
    boxes = torch.cat([corners, corners + 1 + torch.rand(7, 2) * 5], 1)
    expected = torch.tensor([[iou(a, b) for b in boxes[3:].tolist()] for a in boxes.tolist()])
    torch.testing.assert_close(overlaps(boxes, boxes[3:]), expected, atol=1e-5, rtol=0)


def test_boxes_are_learnt_of_positive_samples_alone_and_samples_without_weight_are_not():
    scores, offsets = torch.tensor([2.0, -1.0, 0.5]), torch.full((3, 4), 3.0)
    positive, weights = torch.tensor([1.0, 0.0, 1.0]), torch.tensor([1.0, 1.0, 0.0])
    own, box = losses("rcnn", scores, offsets, positive, weights, torch.zeros(3, 4))
    expected = (torch.tensor(-2.0).exp().log1p() + torch.tensor(-1.0).exp().log1p()) / 3
    torch.testing.assert_close(own, expected)
    torch.testing.assert_close(box, torch.tensor(4 * (3 - 0.5) / 3))

"""Pooling of regions, against torchvision's."""

import pytest
import torch
from torchvision.ops import roi_align

from resnet.detection import pooling
from resnet.detection.pooling import RegionPool

SIZES = (150.0, 110.0)


def regions(generator, count=20):
    """Regions of all sizes, some of nothing, some beyond the image."""
    corners = torch.rand(2, count, 2, generator=generator) * 1.4 - 0.2
    boxes = torch.cat([corners.amin(0), corners.amax(0)], 1) * torch.tensor(SIZES * 2)
    boxes[0, 2:] = boxes[0, :2]
    boxes[1, 3] = boxes[1, 1]
    return boxes


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("at_once", [pooling.BETWEEN, 1])
def test_roi_align_is_torchvisions_and_so_is_its_gradient(monkeypatch, at_once, autocast):
    monkeypatch.setattr(pooling, "BETWEEN", at_once)
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(2, 3, 7, 10, generator=generator).contiguous(memory_format=torch.channels_last)
    boxes = [regions(generator), regions(generator, 7)]
    ours, theirs = maps.clone().requires_grad_(), maps.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = RegionPool("align", 5, 1 / 16)(ours, boxes)
    expected = roi_align(theirs, boxes, 5, 1 / 16, 0, True)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert expected.abs().max() > 1
    weights = torch.randn(expected.shape, generator=generator)
    for pooled in (found, expected):
        (pooled * weights).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=1e-4)


def test_an_image_may_have_no_regions():
    maps = torch.randn(2, 3, 7, 10, requires_grad=True)
    for boxes in ([torch.zeros(0, 4), torch.zeros(0, 4)], [torch.zeros(0, 4), regions(torch.Generator())]):
        pooled = RegionPool("align", 5, 1 / 16)(maps, boxes)
        assert pooled.shape == (sum(map(len, boxes)), 3, 5, 5)
        pooled.sum().backward()

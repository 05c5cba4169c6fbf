"""Pooling of regions to a grid: the RoI max pooling of Fast R-CNN [7], or RoIAlign.

torchvision computes RoIAlign on a CPU pixel by pixel, on one thread; its gradient takes a quarter of an update. But it
is linear in the maps, and along rows apart from columns, so here it is two products of matrices.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align, roi_pool

# Numbers between the two products that there are at once: 16 MB.
BETWEEN = 2**22


class RegionPool(nn.Module):
    """RoI pooling to a grid of ``size`` x ``size``: max pooling of whole pixels (pool) or RoIAlign (align).

    Args:
        pooling: pool or align.
        size: of the grid.
        scale: pixels of the map per pixel of the image.
    """

    def __init__(self, pooling: str, size: int, scale: float) -> None:
        super().__init__()
        self.pooling, self.size, self.scale = pooling, size, scale

    def forward(self, features: Tensor, boxes: list[Tensor]) -> Tensor:
        """Map features (N, C, H, W) and the boxes of each image to (boxes, C, size, size)."""
        features = features.float()
        if self.pooling == "pool":
            return roi_pool(features, boxes, self.size, self.scale)
        if features.device.type != "cpu":
            return roi_align(features, boxes, self.size, self.scale, sampling_ratio=0, aligned=True)
        with torch.autocast("cpu", enabled=False):
            return align(features, boxes, self.size, self.scale)


def align(features: Tensor, boxes: list[Tensor], size: int, scale: float) -> Tensor:
    """Return what torchvision's ``roi_align`` does of features (N, C, H, W) float32 with as many samples as it needs.

    Args:
        features: the maps of each image.
        boxes: of each image (R, 4), in pixels of the image.
        size: of the grid.
        scale: pixels of the map per pixel of the image.

    Returns:
        (boxes of all images, C, size, size), in the layout channels_last.
    """
    pooled = []
    for maps, own in zip(features.permute(0, 2, 3, 1), boxes, strict=True):
        left, top, right, bottom = (own.float() * scale - 0.5).unbind(1)
        rows, columns = weights(top, bottom, size, maps.shape[0]), weights(left, right, size, maps.shape[1])
        pooled.append(Interpolation.apply(maps, rows, columns))
    # Of one image, as it is: they are many.
    return (pooled[0] if len(pooled) == 1 else torch.cat(pooled)).permute(0, 3, 1, 2)


def weights(start: Tensor, end: Tensor, size: int, length: int) -> Tensor:
    """Return how much each of the ``length`` pixels of an axis counts in each cell of a grid (R, size, length).

    A cell is the mean of samples, one for each pixel begun, each of which lies between two pixels.

    Args:
        start: of each region (R,) along the axis, where the middle of pixel 0 is at 0.
        end: of each region (R,).
        size: cells of the grid.
        length: of the axis.
    """
    cell = (end - start) / size
    samples = cell.ceil()
    number = torch.arange(int(samples.max()) if len(samples) else 0, device=start.device)
    within = (number + 0.5) * (cell / samples.clamp(min=1))[:, None]
    place = (
        start[:, None, None] + torch.arange(size, device=start.device)[:, None] * cell[:, None, None] + within[:, None]
    )
    # Samples further outside than a pixel count nothing.
    counted = (number < samples[:, None])[:, None] & (place >= -1) & (place <= length)
    distance = place.clamp(0, length - 1)[..., None] - torch.arange(length, device=start.device)
    shares = (1 - distance.abs()).clamp(min=0) * counted[..., None]
    return shares.sum(2) / samples.clamp(min=1)[:, None, None]


class Interpolation(torch.autograd.Function):
    """Sums of the pixels of maps, weighted along columns, then along rows.

    What lies between the two products is as large as a map for each column of each region, so that is made for some
    regions at a time, and not kept for the gradient, which does not need it.
    """

    @staticmethod
    def forward(ctx: Any, maps: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Map (H, W, C) with weights (R, P, H) and (R, Q, W) to (R, P, Q, C)."""
        ctx.save_for_backward(rows, columns)
        (regions, down, height), across, channels = rows.shape, columns.shape[1], maps.shape[2]
        pooled = maps.new_empty(regions, down, across * channels)
        for part in parts(regions, height * across * channels):
            between = (columns[part].flatten(0, 1) @ maps).view(height, -1, across * channels)
            torch.bmm(rows[part], between.transpose(0, 1), out=pooled[part])
        return pooled.view(regions, down, across, channels)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient of the maps."""
        (gradient,), (rows, columns) = gradients, ctx.saved_tensors
        (regions, _, height), (_, across, width), channels = rows.shape, columns.shape, gradient.shape[3]
        maps = gradient.new_zeros(height, width, channels)
        for part in parts(regions, height * across * channels):
            between = torch.bmm(rows[part].transpose(1, 2), gradient[part].flatten(2)).transpose(0, 1)
            weighted = columns[part].flatten(0, 1).T.expand(height, -1, -1)
            maps.baddbmm_(weighted, between.reshape(height, -1, channels))
        return maps, None, None


def parts(regions: int, numbers: int) -> list[slice]:
    """Return the regions that are computed at a time, where each has so many numbers between the products."""
    step = max(1, BETWEEN // numbers)
    return [slice(first, first + step) for first in range(0, regions, step)]

"""Anchors, and the samples of them that a class-specific proposal network is trained on (appendix C)."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models.detection._utils import BoxCoder

from resnet.architectures import TOTAL_STRIDE
from resnet.detection.detector import ANCHOR_IOU, BOX_WEIGHTS, DETECTION_BETA, PROPOSAL_BETA, RATIOS

# Appendix C: eight anchors of an image, half of them positive.
ANCHORS_PER_IMAGE = 8
# By stage: what offsets are multiplied by, and where their smooth L1 loss turns linear, as in detectors.
CODERS = {"rpn": BoxCoder((1.0, 1.0, 1.0, 1.0)), "rcnn": BoxCoder(BOX_WEIGHTS)}
BETAS = {"rpn": PROPOSAL_BETA, "rcnn": DETECTION_BETA}


def anchor_boxes(height: int, width: int, sizes: Sequence[int], device: torch.device) -> Tensor:
    """Return the anchors (P, 4) of an image of a height and a width in pixels: of each size three ratios.

    They are around the middle of each cell of the last map, cell by cell, row by row.
    """
    areas = torch.tensor(sizes, dtype=torch.float64).repeat_interleave(len(RATIOS))
    ratios = torch.tensor(RATIOS, dtype=torch.float64).repeat(len(sizes))
    widths, heights = areas / ratios.sqrt(), areas * ratios.sqrt()
    around = torch.stack([-widths, -heights, widths, heights], 1) / 2
    rows, columns = (
        (torch.arange(math.ceil(length / TOTAL_STRIDE), dtype=torch.float64) + 0.5) * TOTAL_STRIDE
        for length in (height, width)
    )
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    places = torch.stack([x, y, x, y], 2).view(-1, 1, 4)
    return (places + around).view(-1, 4).to(device, torch.float32)


def overlaps(boxes: Tensor, others: Tensor) -> Tensor:
    """Return intersection over union (…, P, K) of boxes (…, P, 4) with others (…, K, 4)."""
    boxes, others = boxes[..., :, None, :], others[..., None, :, :]
    sides = torch.minimum(boxes[..., 2:], others[..., 2:]) - torch.maximum(boxes[..., :2], others[..., :2])
    intersection = sides.clamp(min=0).prod(-1)
    areas = [(each[..., 2:] - each[..., :2]).prod(-1) for each in (boxes, others)]
    return intersection / (areas[0] + areas[1] - intersection)


def sample_anchors(anchors: Tensor, boxes: Tensor, counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Draw anchors of each image, as many positive as negative ones, by torch's own generator.

    An anchor is positive that overlaps a box by 0.7 or more, or more than any other one does; negative, one that
    overlaps none by 0.3 [32]. Where there are few of a kind, some are drawn several times; where there are none, the
    samples of that kind have no weight.

    Args:
        anchors: (P, 4).
        boxes: (B, K, 4): of the object that is to be found.
        counts: (B,): how many of the K boxes an image has.

    Returns:
        The numbers (B, 8) of the anchors, the first half of which are positive; their weights (B, 8), 0 or 1; and for
        each positive one the box (B, 4, 4) that it overlaps most.
    """
    there = torch.arange(boxes.shape[1], device=boxes.device) < counts[:, None]
    found = torch.where(there[:, None], overlaps(anchors[None], boxes), -1.0)
    most, nearest = found.max(2)
    best = (found == found.amax(1, keepdim=True)) & (found > 0)
    positive = best.any(2) | (most >= ANCHOR_IOU[1])
    kinds = (positive, ~positive & (most < ANCHOR_IOU[0]))
    # Where there is none of a kind, any will do: it has no weight.
    drawn = [
        torch.multinomial(torch.where(kind.any(1, keepdim=True), kind, True).float(), ANCHORS_PER_IMAGE // 2, True)
        for kind in kinds
    ]
    weights = torch.stack([kind.any(1) for kind in kinds], 1).float().repeat_interleave(ANCHORS_PER_IMAGE // 2, 1)
    own = nearest.gather(1, drawn[0])
    return torch.cat(drawn, 1), weights, boxes.gather(1, own[:, :, None].expand(-1, -1, 4))


def losses(
    stage: str, scores: Tensor, offsets: Tensor, positive: Tensor, weights: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the losses of class and box, both divided by the number of samples.

    Args:
        stage: rpn or rcnn.
        scores: (M,): of the sample's class.
        offsets: (M, 4): by the regressor of that class.
        positive: (M,) of ones and zeros: the sample shows the object.
        weights: (M,): of each sample.
        targets: (M, 4): the offsets that are right, of positive samples.
    """
    own = F.binary_cross_entropy_with_logits(scores, positive, weights, reduction="sum") / len(scores)
    box = F.smooth_l1_loss(offsets, targets, beta=BETAS[stage], reduction="none").sum(1)
    return own, (box * positive * weights).sum() / len(scores)

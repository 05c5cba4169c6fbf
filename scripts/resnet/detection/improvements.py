"""What appendix B improves in the test of a detector: box refinement, several scales, and several detectors.

All of it works on the shared maps and the regions of ``Detector``, in whose form the weights of both engines are
stored; so it is computed by our own network, whichever engine has trained it.
"""

import dataclasses
from collections.abc import Callable, Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torchvision.ops import batched_nms, box_iou, clip_boxes_to_image, remove_small_boxes

from resnet.detection.detector import (
    DETECTION_NMS,
    DETECTIONS_PER_IMAGE,
    SCORE_THRESHOLD,
    Detector,
    padded,
    whole_image,
)

# Box voting [6]: a box that is left is the mean of those of its class that overlap it at least so much.
VOTING_IOU = 0.5
# Boxes of less than a hundredth of a pixel are dropped, as torchvision does.
SMALLEST = 1e-2
# Regions that are computed together, which bounds the memory.
REGIONS = 512

# Boxes (R, 4) to the scores (R, classes) and the regressed boxes (R, classes, 4) of each.
Predict = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclasses.dataclass(frozen=True)
class Candidates:
    """Boxes of single classes, as they are before NMS: boxes (N, 4), scores (N,) and labels (N,) from 0."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor

    def of(self, chosen: Tensor) -> "Candidates":
        """Return some of them."""
        return Candidates(self.boxes[chosen], self.scores[chosen], self.labels[chosen])

    def kept(self) -> "Candidates":
        """Return those that a test looks at: with a score above the threshold, and not empty."""
        sure = self.of(self.scores > SCORE_THRESHOLD)
        return sure.of(remove_small_boxes(sure.boxes, SMALLEST))


def candidates(scores: Tensor, boxes: Tensor) -> Candidates:
    """Return the predictions (R, classes) and (R, classes, 4) of regions class by class."""
    labels = torch.arange(scores.shape[1], device=scores.device).expand_as(scores)
    return Candidates(boxes.reshape(-1, 4), scores.flatten(), labels.flatten()).kept()


def refined(predict: Predict, first: Candidates) -> Candidates:
    """Return ``first`` and, of each, what the head says of its class in its regressed box (appendix B).

    Boxes are regressed per class, so that a region has as many new boxes as classes; those that a test does not look
    at, for their score, are not looked at again.
    """
    if not len(first.boxes):
        return first
    scores, boxes = predict(first.boxes)
    rows = torch.arange(len(first.labels), device=scores.device)
    again = Candidates(boxes[rows, first.labels], scores[rows, first.labels], first.labels).kept()
    both = (torch.cat(pair) for pair in zip(_columns(first), _columns(again), strict=True))
    return Candidates(*both)


def voted(chosen: Candidates, voters: Candidates) -> Candidates:
    """Return some boxes, each as the mean of the voters of its class that overlap it, weighted by their scores [6].

    A box that is among the voters votes, too; scores stay what they are.
    """
    votes = (box_iou(chosen.boxes, voters.boxes) >= VOTING_IOU) & (chosen.labels[:, None] == voters.labels)
    # A product of matrices would be rounded under autocast.
    weights = (votes * voters.scores)[..., None]
    return dataclasses.replace(chosen, boxes=(weights * voters.boxes).sum(1) / weights.sum(1))


def detections(predict: Predict, proposals: Tensor, *, box_refinement: bool) -> Candidates:
    """Return what is found in an image, the surest first, from its proposals (P, 4)."""
    found = candidates(*predict(proposals))
    if box_refinement:
        found = refined(predict, found)
    best = batched_nms(found.boxes, found.scores, found.labels, DETECTION_NMS)[:DETECTIONS_PER_IMAGE]
    return voted(found.of(best), found) if box_refinement else found.of(best)


def first_of_two(boxes: Tensor, factors: Tensor, side: float) -> Tensor:
    """Return the first of the two adjacent sizes of an image at which each region is seen (R,) int64 [33].

    Of the pairs, it is the one between whose sizes the region's area is that of the classifier's images; for larger and
    smaller regions, the one at the end. So the size at which the area is closest to it [12] is one of the two.

    Args:
        boxes: (R, 4), in pixels of the size at which the proposals were made.
        factors: (sizes,) by which each size of the image is larger than that, increasing.
        side: the side of the classifier's images.
    """
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1).sqrt()
    smaller = (sides[:, None] * factors < side).sum(1)
    return (smaller - 1).clamp(0, max(0, len(factors) - 2))


class Look:
    """What a detector computes of an image: its proposals, and the maps from which it predicts.

    Args:
        detector: the detector, in evaluation mode.
        views: the image (3, H, W) at the size at which proposals are made; perhaps at the sizes, increasing, at which
            regions are seen.
    """

    def __init__(self, detector: Detector, views: list[Tensor]) -> None:
        own, *others = (padded([view - detector.mean]) for view in views)
        self.detector, self.size = detector, own.image_sizes[0]
        maps = detector.shared(own.tensors)
        [self.proposals], _ = detector.rpn(own, {"0": maps})
        levels = others or [own]
        self.maps = [maps if level.image_sizes == [self.size] else detector.shared(level.tensors) for level in levels]
        height, width = self.size
        sizes = [level.image_sizes[0] for level in levels]
        self.scales = own.tensors.new_tensor([[w / width, h / height] * 2 for h, w in sizes])

    def predict(self, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores (R, classes) and regressed boxes (R, classes, 4) of some regions (R, 4)."""
        heads = self.detector.heads
        parts = boxes.split(REGIONS) if len(boxes) else [boxes]
        features = torch.cat([self.features(part) for part in parts])
        if heads.context:
            whole = self.features(whole_image(self.size, boxes))
            features = torch.cat([features, whole.expand(len(boxes), -1)], 1)
        logits, offsets = heads.predict(features)
        found = heads.box_coder.decode(offsets, [boxes])
        # The background is torchvision's class 0.
        return logits.softmax(1)[:, 1:], clip_boxes_to_image(found, self.size)[:, 1:]

    def features(self, boxes: Tensor) -> Tensor:
        """Return the features (R, channels) of some regions: of two sizes, the larger value of each (maxout [33])."""
        first = first_of_two(boxes, self.scales.prod(1) ** 0.25, self.detector.classifier_side)
        found: Tensor | None = None
        for number, (maps, scale) in enumerate(zip(self.maps, self.scales, strict=True)):
            rows = ((first == number) | (first == number - 1)).nonzero()[:, 0]
            if not len(rows) and found is not None:
                continue
            here = self.detector.heads.region_features(maps, [boxes[rows] * scale]).float()
            if found is None:
                found = here.new_full((len(boxes), here.shape[1]), -torch.inf)
            found[rows] = found[rows].maximum(here)
        assert found is not None
        return found


class ImprovedDetector(nn.Module):
    """Detectors and what improves their test; called with an image as a ``Detector`` is in evaluation mode.

    Several detectors are an ensemble: their proposals are taken together, and of each region the mean of their scores
    and of their boxes.

    Args:
        detectors: of the same classes.
        box_refinement: look again at the regressed boxes, and vote.
    """

    def __init__(self, detectors: list[Detector], *, box_refinement: bool) -> None:
        super().__init__()
        self.detectors, self.box_refinement = nn.ModuleList(detectors), box_refinement

    def forward(self, views: list[Tensor]) -> list[dict[str, Tensor]]:
        """Return the detections of an image, in pixels of its first size: boxes (D, 4), scores (D,), labels (D,).

        Args:
            views: the image (3, H, W) float32, on the scale from 0 to 1; then at the sizes of the multi-scale test, if
                it is one.
        """
        looks = [Look(detector, views) for detector in cast("Iterable[Detector]", self.detectors)]

        def predict(boxes: Tensor) -> tuple[Tensor, Tensor]:
            scores, found = zip(*(look.predict(boxes) for look in looks), strict=True)
            return torch.stack(scores).mean(0), torch.stack(found).mean(0)

        proposals = torch.cat([look.proposals for look in looks])
        found = detections(predict, proposals, box_refinement=self.box_refinement)
        return [dict(zip(("boxes", "scores", "labels"), _columns(found), strict=True))]


def _columns(found: Candidates) -> tuple[Tensor, Tensor, Tensor]:
    return found.boxes, found.scores, found.labels

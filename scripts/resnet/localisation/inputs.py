"""What localisers are trained on: crops with the boxes in them, and regions around proposals (appendix C)."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from resnet.data.device import to_device
from resnet.data.draws import Draws, EpochPlan
from resnet.data.imagenet import ImageNetDescription, Index
from resnet.data.images import read_image, resized
from resnet.data.loader import ImageFiles, Stream
from resnet.data.located import Boxes
from resnet.data.views import Normalise, TrainingViews
from resnet.detection.detector import REGION_IOU
from resnet.localisation.boxes import CODERS, overlaps
from resnet.localisation.proposals import Proposals

# Boxes of which a crop shows less than this part of its side, either way, are not looked for in it.
SMALLEST = 1 / 14
# R-CNN [8]: pixels around a region that is warped to 224x224 pixels which show what is beside it.
CONTEXT = 16 / 224


class TrainingCrops:
    """Augmented crops of section 3.4, of images that have boxes, and the boxes within them.

    Args:
        views: the crops.
        boxes: of the same images, in their order.
        size: side of a crop.
    """

    def __init__(self, views: TrainingViews, boxes: Boxes, size: int) -> None:
        self.views, self.boxes, self.size = views, boxes, size

    def batch(self, iteration: int) -> tuple[Tensor, ...]:
        """Return what one update is made of.

        Images (B, 3, S, S), their classes (B,), the boxes (B, K, 4) of these in pixels of the crops, and how many each
        crop has (B,).
        """
        images, labels = self.views.batch(iteration)
        draws = self.views.plan.draws(iteration)
        places = zip(*(draws[name].tolist() for name in ("image", "side", "place", "flip")), strict=True)
        found = [self._within(*one) for one in places]
        counts = torch.tensor([len(one) for one in found])
        padded = torch.zeros(len(found), max(1, int(counts.max())), 4)
        for row, one in zip(padded, found, strict=True):
            row[: len(one)] = torch.from_numpy(one)
        return images, labels, to_device(padded, images.device), to_device(counts, images.device)

    def _within(self, image: int, side: int, place: list[float], flip: int) -> np.ndarray:
        """Return the boxes (K, 4) that a crop shows, clipped to it."""
        width, height = (int(length) for length in self.boxes.sizes[image])
        target = resized((width, height), side)
        left, top = (int(part * (length - self.size + 1)) for part, length in zip(place, target, strict=True))
        scale = np.tile([target[0] / width, target[1] / height], 2)
        boxes = (self.boxes.of(image) * scale - [left, top, left, top]).clip(0, self.size)
        if flip and self.views.horizontal_flip:
            boxes = mirrored(boxes, self.size)
        return boxes[((boxes[:, 2:] - boxes[:, :2]) >= SMALLEST * self.size).all(1)].astype(np.float32)


class TrainingRegions:
    """Regions of images around proposals for their class, warped to squares: R-CNN's batches, one region an image.

    Half of them, at random, overlap the object by 0.5 or more, the others less, where the image has such proposals.

    Args:
        description: the data set.
        index: its training images that have boxes.
        boxes: theirs, in their order.
        proposals: of the class of each of them, in their order.
        mean: (3, 1, 1): what is subtracted from the colours.
        size: side of a warped region.
        batch_size, seed: as in the recipe.
        share: the part of each batch that this process takes.
        device: where the batches are finished.
        workers: processes that decode.
    """

    def __init__(
        self,
        description: ImageNetDescription,
        index: Index,
        boxes: Boxes,
        proposals: Proposals,
        *,
        mean: Tensor,
        size: int,
        batch_size: int,
        seed: int,
        share: slice,
        device: torch.device,
        workers: int,
    ) -> None:
        self.boxes, self.proposals, self.device = boxes, proposals, device
        self.labels, self.horizontal_flip = torch.tensor(index.labels), description.horizontal_flip
        self.normalise = Normalise(mean.to(device))
        self.plan = EpochPlan(len(index), self._draw, batch_size=batch_size, seed=seed, share=share)
        images = ImageFiles(description.path, index, partial(regions, size=size, fill=filling(mean)))
        self.stream = Stream(images, self._keys, device, workers, view_bytes=3 * size**2)

    def batch(self, iteration: int) -> tuple[Tensor, ...]:
        """Return what one update is made of.

        Regions (B, 3, S, S), the classes of their images (B,), which are positive (B,), and the offsets (B, 4) that
        lead from a region to the box that it overlaps most.
        """
        draws = self.plan.draws(iteration)
        picked = [self._pick(*one) for one in self._chances(draws)]
        places, nearest = (torch.from_numpy(np.stack([one[part] for one in picked])) for part in (0, 1))
        positive = torch.tensor([one[2] for one in picked])
        # Those that are not positive may be so narrow that they lead nowhere.
        offsets = torch.where(positive[:, None] > 0, CODERS["rcnn"].encode_single(nearest, places), 0.0)
        views = to_device(self.stream.at(iteration)[:, 0], self.device)
        if self.horizontal_flip:
            flips = to_device(draws["flip"].bool(), self.device)
            views = torch.where(flips[:, None, None, None], views.flip(2), views)
            offsets[draws["flip"].bool(), 0] *= -1
        labels = self.labels[draws["image"]]
        return self.normalise(views), *(to_device(one, self.device) for one in (labels, positive, offsets))

    def _draw(self, count: int, generator: torch.Generator) -> Draws:
        """Draw whether the region of each image shall be positive, which of those it is, and whether it is mirrored."""
        return {
            "positive": torch.randint(2, (count,), generator=generator),
            "which": torch.rand(count, generator=generator, dtype=torch.float64),
            "flip": torch.randint(2, (count,), generator=generator),
        }

    @staticmethod
    def _chances(draws: Draws) -> Iterator[tuple[int, int, float]]:
        return zip(*(draws[name].tolist() for name in ("image", "positive", "which")), strict=True)

    def _pick(self, image: int, positive: int, which: float) -> tuple[np.ndarray, np.ndarray, float]:
        """Return the proposal (4,) that is drawn, the box (4,) that it overlaps most, and whether it is positive."""
        proposals = torch.from_numpy(self.proposals.boxes[image, 0]).float()
        boxes = torch.from_numpy(self.boxes.of(image)).float()
        most, nearest = overlaps(proposals, boxes).max(1)
        wanted = ((most >= REGION_IOU) == bool(positive)).nonzero()[:, 0]
        among = wanted if len(wanted) else torch.arange(len(proposals))
        number = among[int(which * len(among))]
        return proposals[number].numpy(), boxes[nearest[number]].numpy(), float(most[number] >= REGION_IOU)

    def _keys(self, iteration: int) -> list[tuple]:
        return [(one[0], self._pick(*one)[0][None].tolist()) for one in self._chances(self.plan.draws(iteration))]


def chosen(index: Index, images: np.ndarray) -> Index:
    """Return some images of an index."""
    return Index(*([values[image] for image in images] for values in (index.paths, index.labels, index.sizes)))


def mirrored(boxes: np.ndarray, width: float) -> np.ndarray:
    """Return boxes (K, 4) of the mirror image."""
    return np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], 1)


def filling(mean: Tensor) -> tuple[int, ...]:
    """Return the colour (3,) from which the mean (3, 1, 1) leaves nothing, nearly."""
    return tuple(min(max(round(255 * value), 0), 255) for value in mean.flatten().tolist())


def regions(path: Path, boxes: list[list[float]], size: int, fill: tuple[int, ...]) -> np.ndarray:
    """Return regions (N, S, S, 3) of an image around boxes, warped to squares as R-CNN [8] does.

    The box fills a square but for a margin, in which is what surrounds it: ``fill`` where the image ends.
    """
    image, *_ = read_image(path)
    return np.stack([warped(image, box, size, fill) for box in boxes])


def warped(image: Image.Image, box: list[float], size: int, fill: tuple[int, ...]) -> np.ndarray:
    """Return a region (S, S, 3) around a box; see ``regions``."""
    margin = round(CONTEXT * size)
    # At least a pixel wide and high.
    left, top, right, bottom = box[0], box[1], max(box[2], box[0] + 1), max(box[3], box[1] + 1)
    scale = np.array([right - left, bottom - top]) / (size - 2 * margin)
    start = np.array([left, top]) - margin * scale
    seen = np.array([start, start + size * scale]).clip(0, image.size)
    ends = ((seen - start) / scale).round().astype(int)
    canvas = np.empty((size, size, 3), np.uint8)
    canvas[:] = fill
    (first, high), (last, low) = ends.tolist()
    if last > first and low > high:
        piece = image.resize((last - first, low - high), Image.Resampling.BILINEAR, tuple(seen.ravel().tolist()))
        canvas[high:low, first:last] = np.asarray(piece)
    return canvas

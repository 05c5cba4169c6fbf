"""Testing localisers: proposals on a centre crop or on whole images at several scales, and R-CNN on them."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from resnet.classification.protocols import BATCH_PIXELS, in_batches, same_shapes
from resnet.data.device import to_device
from resnet.data.imagenet import Index
from resnet.data.images import centre_crop, resized, whole
from resnet.data.loader import ImageFiles, load
from resnet.data.located import Boxes
from resnet.data.views import Normalise
from resnet.localisation.boxes import CODERS, anchor_boxes
from resnet.localisation.inputs import chosen, filling, regions
from resnet.localisation.net import Localiser
from resnet.localisation.proposals import Proposals

# Images whose proposals are held at once.
PART = 512


@dataclasses.dataclass(frozen=True)
class View:
    """What of an image a proposal network sees: all of it, or its middle square.

    Attributes:
        side: the shorter side after the resize.
        crop: side of the square; None for the whole image.
    """

    side: int
    crop: int | None = None

    def shape(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return width and height of the view of an image of some width and height."""
        return resized(size, self.side) if self.crop is None else (self.crop, self.crop)

    def place(self, size: tuple[int, int]) -> tuple[list[float], list[float]]:
        """Return what leads from the view's pixels to the image's: x and y to add, then by which to multiply."""
        target = resized(size, self.side)
        shift = [0.0, 0.0] if self.crop is None else [float((length - self.crop) // 2) for length in target]
        return shift, [length / other for length, other in zip(size, target, strict=True)]


def seen(path: Path, view: View) -> np.ndarray:
    """Return what a view shows of an image (H, W, 3)."""
    return whole(path, view.side) if view.crop is None else centre_crop(path, view.side, view.crop)


@dataclasses.dataclass(frozen=True)
class Images:
    """The images of a split that have boxes, or some of them.

    Attributes:
        folder: the data set's.
        index: these images.
        sizes: (N, 2): their widths and heights.
        device: where they go.
        workers: processes that decode.
    """

    folder: Path
    index: Index
    sizes: np.ndarray
    device: torch.device
    workers: int

    @classmethod
    def of(cls, folder: Path, index: Index, boxes: Boxes, device: torch.device, workers: int) -> "Images":
        """Return the images of a split that have boxes."""
        return cls(folder, chosen(index, boxes.images), boxes.sizes, device, workers)

    def size(self, image: int) -> tuple[int, int]:
        """Return width and height of an image."""
        return int(self.sizes[image, 0]), int(self.sizes[image, 1])

    def views(
        self, view: Callable[..., np.ndarray], batches: Iterable[list[tuple]], bytes_of: Callable[[tuple], int]
    ) -> Iterator[Tensor]:
        """Yield the views (B, …, H, W, 3) uint8 of batches of keys, on the device.

        Args:
            view: makes a view of an image, from its path and what else the key holds.
            batches: keys, the first of each the number of an image.
            bytes_of: returns how large the view of a key is.
        """
        files = ImageFiles(self.folder, self.index, view)
        for one in load(files, batches, self.workers, self.device.type == "cuda", view_bytes=bytes_of):
            yield to_device(one, self.device)


def parts_of(count: int) -> list[range]:
    """Return the numbers of images, in parts that are worked on at once."""
    return [range(start, min(start + PART, count)) for start in range(0, count, PART)]


@torch.inference_mode()
def proposals_of(
    net: Localiser,
    images: Images,
    classes: np.ndarray,
    views: Sequence[View],
    count: int,
    autocast: torch.autocast,
    parts: Sequence[range],
) -> Iterator[tuple[range, Proposals]]:
    """Yield the boxes with the highest scores of each image's classes over all views, part by part.

    Args:
        net: the proposal network; it is left in the mode it was in.
        images: what is tested.
        classes: (N, C): which are looked for in each.
        views: what the network sees of an image.
        count: K, how many of each class; where there are fewer anchors, the last one is there again.
        autocast: the precision.
        parts: numbers of the images.
    """
    was_training, normalise = net.training, Normalise(net.mean)
    net.eval()

    def batches(part: range, view: View) -> list[list[int]]:
        return same_shapes(part, [view.shape(images.size(image)) for image in part])

    # One stream, as workers take seconds to start.
    keys = ([(image, view) for image in batch] for part in parts for view in views for batch in batches(part, view))
    stream = images.views(seen, keys, lambda key: 3 * math.prod(key[1].shape(images.size(key[0]))))
    for part in parts:
        own = torch.from_numpy(classes[part.start : part.stop]).to(images.device)
        boxes = torch.empty(*own.shape, len(views), count, 4, device=images.device)
        scores = torch.empty(boxes.shape[:-1], device=images.device)
        for number, view in enumerate(views):
            for batch, shown in zip(batches(part, view), stream, strict=False):
                rows, (height, width) = torch.tensor(batch, device=images.device) - part.start, shown.shape[1:3]
                with autocast:
                    said, offsets = net(normalise(shown), own[rows])
                anchors = anchor_boxes(height, width, net.anchor_sizes, images.device)
                scores[rows, :, number], found = best_boxes(said, offsets, anchors, (width, height), count)
                boxes[rows, :, number] = in_images(found, view, [images.size(image) for image in batch])
        best, first = scores.flatten(2).sort(dim=2, descending=True, stable=True)
        surest = boxes.flatten(2, 3).gather(2, first[:, :, :count, None].expand(-1, -1, -1, 4))
        arrays = (own, surest, best[:, :, :count].sigmoid())
        yield part, Proposals(*(each.cpu().numpy() for each in arrays))
    net.train(was_training)


def best_boxes(
    scores: Tensor, offsets: Tensor, anchors: Tensor, size: tuple[int, int], count: int
) -> tuple[Tensor, Tensor]:
    """Return the highest scores (B, C, K) of those of all anchors (B, C, P), and their boxes (B, C, K, 4) in the view.

    Args:
        scores: of the anchors.
        offsets: (B, C, P, 4).
        anchors: (P, 4).
        size: width and height of the view, to which boxes are clipped.
        count: K; where there are fewer anchors, the last one is there again.
    """
    kept = min(count, len(anchors))
    best, first = scores.topk(kept, 2)
    offsets = offsets.gather(2, first[..., None].expand(-1, -1, -1, 4))
    boxes = CODERS["rpn"].decode_single(offsets.flatten(0, 2), anchors[first].flatten(0, 2)).view(offsets.shape)
    boxes = boxes.clamp(min=0).minimum(boxes.new_tensor(size * 2))
    again = torch.arange(count, device=boxes.device).clamp(max=kept - 1)
    return best[:, :, again], boxes[:, :, again]


def in_images(boxes: Tensor, view: View, sizes: list[tuple[int, int]]) -> Tensor:
    """Return boxes (B, C, K, 4) of a view in pixels of the images, of which widths and heights are given."""
    places = torch.tensor([view.place(size) for size in sizes], device=boxes.device)
    shift, scale = (places[:, number].repeat(1, 2)[:, None, None] for number in (0, 1))
    return (boxes + shift) * scale


@torch.inference_mode()
def refined(
    net: Localiser, images: Images, proposals: Proposals, size: int, autocast: torch.autocast, parts: Sequence[range]
) -> Iterator[tuple[range, Proposals]]:
    """Yield proposals with the boxes and the scores that R-CNN gives them, part by part.

    Args:
        net: R-CNN, in evaluation mode.
        images: what is tested.
        proposals: of these.
        size: side of a warped region.
        autocast: the precision.
        parts: numbers of the images.
    """
    normalise, view = Normalise(net.mean), partial(regions, size=size, fill=filling(net.mean))
    shape = proposals.scores.shape[1:]
    several = math.prod(shape)
    given, class_of = proposals.boxes.reshape(-1, several, 4), np.arange(several) // shape[1]
    # The regions of an image may be more than are computed at once.
    step = min(several, max(1, BATCH_PIXELS // size**2))

    def batches(part: range) -> list[list[tuple[int, slice]]]:
        return in_batches(
            [(image, slice(first, first + step)) for image in part for first in range(0, several, step)], step * size**2
        )

    keys = ([(image, given[image, own].tolist()) for image, own in batch] for part in parts for batch in batches(part))
    stream = images.views(view, keys, lambda key: 3 * len(key[1]) * size**2)
    for part in parts:
        found = []
        for batch, shown in zip(batches(part), stream, strict=False):
            places = [given[image, own] for image, own in batch]
            labels = [proposals.classes[image, class_of[own]] for image, own in batch]
            boxes, classes = (torch.from_numpy(np.concatenate(each)).to(images.device) for each in (places, labels))
            with autocast:
                scores, offsets = net(normalise(shown.flatten(0, 1)), classes[:, None])
            moved = CODERS["rcnn"].decode_single(offsets[:, 0, 0], boxes)
            sizes = images.sizes[[image for image, _ in batch]].repeat(shown.shape[1], 0)
            limits = torch.from_numpy(np.tile(sizes, 2)).to(moved)
            found.append((moved.clamp(min=0).minimum(limits), scores[:, 0, 0].sigmoid()))
        boxes, scores = (torch.cat(each).cpu().numpy() for each in zip(*found, strict=True))
        own = proposals.classes[part.start : part.stop]
        yield part, Proposals(own, boxes.reshape(len(part), *shape, 4), scores.reshape(len(part), *shape))


def joined(parts: Iterable[Proposals]) -> Proposals:
    """Return the proposals of several parts of the images as one."""
    several = list(parts)
    return Proposals(
        *(np.concatenate([getattr(one, name) for one in several]) for name in ("classes", "boxes", "scores"))
    )

"""Testing localisers: proposals on a centre crop or on whole images at several scales, and R-CNN on them."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from resnet.classification.protocols import in_batches, same_shapes
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

    def read(self, path: Path) -> np.ndarray:
        """Return the view (H, W, 3) of an image."""
        return whole(path, self.side) if self.crop is None else centre_crop(path, self.side, self.crop)

    def shape(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return width and height of the view of an image of some width and height."""
        return resized(size, self.side) if self.crop is None else (self.crop, self.crop)

    def place(self, size: tuple[int, int]) -> tuple[list[float], list[float]]:
        """Return what leads from the view's pixels to the image's: x and y to add, then by which to multiply."""
        target = resized(size, self.side)
        shift = [0.0, 0.0] if self.crop is None else [float((length - self.crop) // 2) for length in target]
        return shift, [length / other for length, other in zip(size, target, strict=True)]


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

    def views(self, view: Callable, batches: list[list[tuple]], view_bytes: int) -> Iterator[Tensor]:
        """Yield the views (B, …, H, W, 3) uint8 of batches of keys, on the device."""
        files = ImageFiles(self.folder, self.index, view)
        for one in load(files, batches, self.workers, self.device.type == "cuda", view_bytes=view_bytes):
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
    parts: Iterable[range],
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
    was_training = net.training
    net.eval()
    for part in parts:
        own = torch.from_numpy(classes[part.start : part.stop]).to(images.device)
        found = [_of_view(net, images, own, view, count, autocast, part) for view in views]
        boxes, scores = (torch.cat(each, 2) for each in zip(*found, strict=True))
        scores, first = scores.sort(dim=2, descending=True, stable=True)
        boxes = boxes.gather(2, first[:, :, :count, None].expand(-1, -1, -1, 4))
        arrays = (own, boxes.float(), scores[:, :, :count].sigmoid().float())
        yield part, Proposals(*(each.cpu().numpy() for each in arrays))
    net.train(was_training)


def _of_view(
    net: Localiser,
    images: Images,
    classes: Tensor,
    view: View,
    count: int,
    autocast: torch.autocast,
    part: range,
) -> tuple[Tensor, Tensor]:
    """Return boxes (N, C, K, 4), in pixels of the images, and scores (N, C, K) of the images of a part by one view."""
    normalise, shapes = Normalise(net.mean), [view.shape(images.size(image)) for image in part]
    batches = same_shapes(part, shapes)
    boxes = torch.empty(*classes.shape, count, 4, device=images.device)
    scores = torch.empty(*classes.shape, count, device=images.device)
    keys = [[(image,) for image in batch] for batch in batches]
    pixels = max(width * height for width, height in shapes)
    for batch, seen in zip(batches, images.views(view.read, keys, 3 * pixels), strict=True):
        rows = torch.tensor(batch, device=images.device) - part.start
        height, width = seen.shape[1:3]
        with autocast:
            found, offsets = net(normalise(seen), classes[rows])
        anchors = anchor_boxes(height, width, net.anchor_sizes, images.device)
        kept = min(count, len(anchors))
        found, first = found.topk(kept, 2)
        offsets = offsets.gather(2, first[..., None].expand(-1, -1, -1, 4))
        within = CODERS["rpn"].decode_single(offsets.flatten(0, 2), anchors[first].flatten(0, 2))
        within = within.view(offsets.shape).clamp(min=0).minimum(within.new_tensor([width, height] * 2))
        places = torch.tensor([view.place(images.size(image)) for image in batch], device=images.device)
        shift, scale = (places[:, number].repeat(1, 2)[:, None, None] for number in (0, 1))
        number = torch.arange(count, device=images.device).clamp(max=kept - 1)
        boxes[rows] = ((within + shift) * scale)[:, :, number]
        scores[rows] = found[:, :, number]
    return boxes, scores


@torch.inference_mode()
def refined(
    net: Localiser, images: Images, proposals: Proposals, size: int, autocast: torch.autocast, parts: Iterable[range]
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
    several = proposals.scores.shape[1] * proposals.scores.shape[2]
    for part in parts:
        batches, found = in_batches(part, several * size**2), []
        keys = [[(image, proposals.boxes[image].reshape(-1, 4).tolist()) for image in batch] for batch in batches]
        for batch, seen in zip(batches, images.views(view, keys, 3 * several * size**2), strict=True):
            of = slice(batch[0], batch[-1] + 1)
            boxes = torch.from_numpy(proposals.boxes[of]).to(images.device)
            classes = torch.from_numpy(proposals.classes[of]).to(images.device)[:, :, None].expand(boxes.shape[:3])
            with autocast:
                scores, offsets = net(normalise(seen.flatten(0, 1)), classes.reshape(-1, 1))
            moved = CODERS["rcnn"].decode_single(offsets[:, 0, 0], boxes.flatten(0, 2)).view(boxes.shape)
            limits = torch.from_numpy(np.tile(images.sizes[of], 2)).to(moved)[:, None, None]
            found.append((moved.clamp(min=0).minimum(limits), scores.view(boxes.shape[:3]).sigmoid()))
        boxes, scores = (torch.cat(each).cpu().numpy() for each in zip(*found, strict=True))
        yield part, Proposals(proposals.classes[part.start : part.stop], boxes, scores)


def joined(parts: Iterable[Proposals]) -> Proposals:
    """Return the proposals of several parts of the images as one."""
    several = list(parts)
    return Proposals(
        *(np.concatenate([getattr(one, name) for one in several]) for name in ("classes", "boxes", "scores"))
    )

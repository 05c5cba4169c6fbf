"""How section 3.4 tests a network: centre crop, ten crops, or whole images at several scales."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from resnet.architectures import ImageNetNet, Vgg
from resnet.data.device import to_device
from resnet.data.imagenet import Index
from resnet.data.images import centre_crop, read_size, resized, whole
from resnet.data.loader import ImageFiles, load
from resnet.data.views import Normalise, ten_crops
from resnet.progress import Progress

# Pixels that are computed at once: 320 crops of 224x224.
BATCH_PIXELS = 320 * 224 * 224

View = Callable[[Path], np.ndarray]
Item = TypeVar("Item")


class Evaluator:
    """Computes the class probabilities that a network gives to images.

    Args:
        net: in evaluation mode, on its device, with ``dense`` for the fully convolutional form.
        normalise: what the network sees of a view.
        folder: the data set's folder.
        device: where the network is.
        autocast: the precision.
        workers: processes that decode.
        mirrors: average over mirror images too; not where they are of another class, as mirrored digits are.
    """

    def __init__(
        self,
        net: ImageNetNet | Vgg,
        normalise: Normalise,
        folder: Path,
        device: torch.device,
        autocast: torch.autocast,
        workers: int,
        mirrors: bool = True,
    ) -> None:
        self.mirrors = mirrors
        self.net, self.normalise, self.folder = net, normalise, folder
        self.device, self.autocast, self.workers = device, autocast, workers

    def centre(self, index: Index, share: range, side: int, size: int, progress: Progress) -> Tensor:
        """Return probabilities (N, classes) from the centre crop of images resized to ``side``."""
        view = partial(centre_crop, side=side, crop=size)
        return self._predict(index, share, in_batches(share, size**2), view, size**2, self._plain, progress)

    def ten_crop(self, index: Index, share: range, side: int, size: int, progress: Progress) -> Tensor:
        """Return the softmax (N, classes) averaged over the four corners and the centre, and their mirror images."""
        pixels = 10 * size**2
        view = partial(_ten_crops, side=side, size=size, mirrors=self.mirrors)
        return self._predict(index, share, in_batches(share, pixels), view, pixels, self._crops, progress)

    def multiscale(self, index: Index, share: range, shorter_sides: list[int], progress: Progress) -> Tensor:
        """Return the softmax (N, classes) averaged over whole images at several sizes, and their mirror images.

        The network is applied in its fully convolutional form; each size has the shorter side of ``shorter_sides``.
        """
        shapes = image_shapes(self.folder, index, share)
        scales = []
        for side in shorter_sides:
            sizes = [resized(shape, side) for shape in shapes]
            pixels = max((width * height for width, height in sizes), default=1)
            view = partial(whole, side=side)
            batches = same_shapes(share, sizes)
            scales.append(self._predict(index, share, batches, view, pixels, self._dense, progress))
        return mean(scales)

    def _predict(
        self,
        index: Index,
        share: range,
        batches: list[list[int]],
        view: View,
        pixels: int,
        probabilities: Callable[[Tensor], Tensor],
        progress: Progress,
    ) -> Tensor:
        """Return probabilities of the images ``share`` in their order, computed in the order of ``batches``.

        Views have at most so many pixels.
        """
        files = ImageFiles(self.folder, index, view)
        keys = [[(image,) for image in batch] for batch in batches]
        rows = []
        for views in load(files, keys, self.workers, self.device.type == "cuda", view_bytes=3 * pixels):
            with torch.inference_mode(), self.autocast:
                rows.append(probabilities(to_device(views, self.device)).float().cpu())
            progress.step(len(views))
        order = torch.tensor([image for batch in batches for image in batch])
        return torch.cat(rows)[order.argsort()]

    def _plain(self, views: Tensor) -> Tensor:
        return self.net(self.normalise(views)).float().softmax(1)

    def _crops(self, views: Tensor) -> Tensor:
        scores = self.net(self.normalise(views.flatten(0, 1))).float()
        return scores.softmax(1).unflatten(0, views.shape[:2]).mean(1)

    def _dense(self, views: Tensor) -> Tensor:
        images = self.normalise(views)
        both = (images, images.flip(3)) if self.mirrors else (images,)
        return mean([self.net.dense(each).float().softmax(1) for each in both])


def mean(tensors: list[Tensor]) -> Tensor:
    """Return the mean of tensors, added in their order."""
    return sum(tensors[1:], tensors[0]) / len(tensors)


def _ten_crops(path: Path, side: int, size: int, mirrors: bool) -> np.ndarray:
    crops = ten_crops(whole(path, side), size)
    return crops if mirrors else crops[:5]


def in_batches(images: Sequence[Item], pixels: int) -> list[list[Item]]:
    """Split images, or pieces of them, into batches; each has views with that many pixels."""
    size = max(1, BATCH_PIXELS // pixels)
    return [list(images[start : start + size]) for start in range(0, len(images), size)]


def same_shapes(share: range, shapes: list[tuple[int, int]]) -> list[list[int]]:
    """Group images by their shapes, so that a batch has one; each image is in exactly one batch."""
    groups: dict[tuple[int, int], list[int]] = {}
    for image, shape in zip(share, shapes, strict=True):
        groups.setdefault(shape, []).append(image)
    return [batch for (width, height), group in groups.items() for batch in in_batches(group, width * height)]


def image_shapes(folder: Path, index: Index, share: range) -> list[tuple[int, int]]:
    """Return width and height of images, from the heads of their files."""
    return [read_size(folder / index.paths[image]) for image in share]

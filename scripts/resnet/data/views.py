"""Views of ImageNet's images: the augmented crops of section 3.4 to train on, and those that a test averages over.

Workers decode and resample, and hand on bytes; everything per pixel (mean, colour, mirroring) is done on the device.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from resnet.data.device import to_device
from resnet.data.draws import Draws, EpochPlan
from resnet.data.image_statistics import ImageStatistics
from resnet.data.imagenet import ImageNetDescription, Index
from resnet.data.images import centre_crop, crop_of_resized
from resnet.data.loader import ImageFiles, Stream, load

# Views that are the same at every evaluation are kept in memory up to this many bytes.
KEEP_BYTES = 2**30
EVALUATION_BATCH = 250


class Normalise:
    """Turns bytes into what a network sees: the training images' per-pixel mean subtracted.

    For views of another size the mean is stretched to that size. (On ImageNet it is nearly flat.)

    Args:
        mean: (3, S, S), or (3, 1, 1), on the scale from 0 to 1.
    """

    def __init__(self, mean: Tensor) -> None:
        self.mean = mean

    def __call__(self, views: Tensor, shift: Tensor | None = None) -> Tensor:
        """Map (N, H, W, 3) uint8 to (N, 3, H, W) float32, in channels_last memory.

        ``shift`` (N, 3), on the same device, is added to the colours of each image.
        """
        count, height, width, _ = views.shape
        mean = self.mean
        if mean.shape[1:] != (height, width):
            mean = F.interpolate(mean[None], (height, width), mode="bilinear")[0]
        # In rows of width * 3 numbers, as loops over three colours are slow.
        rows = views.reshape(count, height, width * 3).float()
        rows.mul_(1 / 255).sub_(mean.permute(1, 2, 0).reshape(height, width * 3))
        if shift is not None:
            rows.add_(shift.repeat(1, width)[:, None])
        return rows.view(count, height, width, 3).permute(0, 3, 1, 2)


class TrainingViews:
    """Augmented training batches of section 3.4: scale, crop, mirroring, mean, PCA colour.

    The batch of an iteration is that of an ``EpochPlan``.

    Args:
        description: the data set.
        index: its training images.
        image_statistics: theirs.
        image_size, scale_min, scale_max, pca_colour_std, batch_size, seed: as in the recipe.
        share: the part of each batch that this process takes.
        device: where the batches are finished.
        workers: processes that decode.
    """

    def __init__(
        self,
        description: ImageNetDescription,
        index: Index,
        image_statistics: ImageStatistics,
        *,
        image_size: int,
        scale_min: int,
        scale_max: int,
        pca_colour_std: float,
        batch_size: int,
        seed: int,
        share: slice,
        device: torch.device,
        workers: int,
    ) -> None:
        self.images = ImageFiles(description.path, index, partial(_crop, image_size))
        self.labels = torch.tensor(index.labels)
        self.horizontal_flip, self.sides = description.horizontal_flip, (scale_min, scale_max + 1)
        self.device, self.view_bytes = device, 3 * image_size**2
        self.plan = EpochPlan(len(index), self._draw, batch_size=batch_size, seed=seed, share=share)
        self.normalise = Normalise(torch.from_numpy(image_statistics.mean).to(device))
        # One column per principal component, as long as its eigenvalue times the deviation of the draws.
        self.components = torch.from_numpy(image_statistics.vectors * image_statistics.values * pca_colour_std)
        self.stream = Stream(self.images, self._keys, device, workers, view_bytes=self.view_bytes)

    def batch(self, iteration: int) -> tuple[Tensor, Tensor]:
        """Return images (B, 3, S, S) float32 and labels (B,) of this process at the update number ``iteration``."""
        views, draws = to_device(self.stream.at(iteration), self.device), self.plan.draws(iteration)
        return self.finish(views, draws), to_device(self.labels[draws["image"]], self.device)

    def finish(self, views: Tensor, draws: dict[str, Tensor]) -> Tensor:
        """Mirror, subtract the mean and shift the colours of views (B, S, S, 3) uint8."""
        if self.horizontal_flip:
            chosen = to_device(draws["flip"].nonzero()[:, 0], self.device)
            views[chosen] = views[chosen].flip(2)
        return self.normalise(views, to_device(self.colour_shift(draws["colour"]), self.device))

    def colour_shift(self, draws: Tensor) -> Tensor:
        """Return what is added to red, green and blue of each image (B, 3): Σ vector · value · draw (AlexNet [21])."""
        return draws @ self.components.T

    def _draw(self, count: int, generator: torch.Generator) -> Draws:
        """Draw the shorter side of each image, the crop's place (2), whether it is mirrored, and its colour (3)."""
        return {
            "side": torch.randint(*self.sides, (count,), generator=generator),
            "place": torch.rand(count, 2, generator=generator),
            "flip": torch.randint(2, (count,), generator=generator),
            "colour": torch.randn(count, 3, generator=generator),
        }

    def _keys(self, iteration: int) -> list[tuple]:
        draws = self.plan.draws(iteration)
        places = map(tuple, draws["place"].tolist())
        return list(zip(draws["image"].tolist(), draws["side"].tolist(), places, strict=True))


def _crop(image_size: int, path: Path, side: int, place: tuple[float, float]) -> np.ndarray:
    return crop_of_resized(path, side, image_size, place)


class CentreViews:
    """The centre crops of some images of a split, such as a process's part of it: single-crop testing (Fig. 4).

    Args:
        folder: the data set's folder.
        index: the split's images.
        normalise: what a network sees of them.
        side: shorter side after the resize.
        size: side of the crop.
        chosen: the numbers of the images, in order.
        device: where the views are finished.
        workers: processes that decode.
    """

    def __init__(
        self,
        folder: Path,
        index: Index,
        normalise: Normalise,
        *,
        side: int,
        size: int,
        chosen: Sequence[int],
        device: torch.device,
        workers: int,
    ) -> None:
        self.device, self.workers, self.normalise = device, workers, normalise
        self.view_bytes = 3 * size**2
        self.images = ImageFiles(folder, index, partial(_centre, side, size))
        self.chosen = chosen
        self.labels = torch.tensor(index.labels)[torch.tensor(chosen)].to(device)
        self.keeps = len(self.chosen) * size * size * 3 <= KEEP_BYTES
        self._kept: list[Tensor] = []

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.chosen)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images (B, 3, S, S) float32 and labels (B,); the last batch may be smaller."""
        starts = range(0, len(self), EVALUATION_BATCH)
        views = self._kept if len(self._kept) == len(starts) else self._load()
        for batch, labels in zip(views, self.labels.split(EVALUATION_BATCH), strict=True):
            yield self.normalise(to_device(batch, self.device)), labels

    def _load(self) -> Iterator[Tensor]:
        self._kept = []
        batches = [
            [(image,) for image in self.chosen[start : start + EVALUATION_BATCH]]
            for start in range(0, len(self), EVALUATION_BATCH)
        ]
        for views in load(self.images, batches, self.workers, self.device.type == "cuda", view_bytes=self.view_bytes):
            if self.keeps:
                # Not in shared memory, of which there may be little.
                self._kept.append(views.clone() if views.is_shared() else views)
            yield views


def _centre(side: int, size: int, path: Path) -> np.ndarray:
    return centre_crop(path, side, size)


def ten_crops(image: np.ndarray, size: int) -> np.ndarray:
    """Return the four corners and the centre of an image (H, W, 3), and their mirror images: (10, S, S, 3)."""
    height, width = image.shape[:2]
    bottom, right = height - size, width - size
    corners = [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)]
    crops = np.stack([image[top : top + size, left : left + size] for top, left in corners])
    return np.concatenate([crops, crops[:, :, ::-1]])

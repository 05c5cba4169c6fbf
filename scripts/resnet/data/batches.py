"""Batches from a data set that lies as one tensor on the training device; no per-image Python, no loading time."""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from resnet.data.cifar10 import CifarDescription, Images, read_split, shrink, split_training, verify
from resnet.data.draws import Draws, EpochPlan


def load_splits(
    description: CifarDescription, image_size: int, validation_fraction: float, split_seed: int
) -> tuple[dict[str, Images], Tensor]:
    """Return the images of the splits train, val and test, shrunk, and the per-pixel mean of train.

    Raises:
        UserError: a file is missing, damaged, or not the one that was described.
    """
    verify(description)
    images = shrink(read_split(description.path, "train"), image_size)
    training, validation = split_training(images, validation_fraction, split_seed)
    test = shrink(read_split(description.path, "test"), image_size)
    return {"train": training, "val": validation, "test": test}, pixel_mean(training)


def pixel_mean(images: Images) -> Tensor:
    """Return the per-pixel mean (3, S, S) of the images, on the scale from 0 to 1."""
    return torch.from_numpy(images.pixels.mean(0, dtype=np.float64) / 255).float()


class TrainingBatches:
    """Augmented training batches (section 4.2): zero padding, random crop, random mirroring, mean subtracted.

    The batch of an iteration is that of an ``EpochPlan``, on any device.

    Args:
        images: the training split.
        mean: per-pixel mean (3, S, S).
        padding: pixels of zeros on each side; there are (2 * padding + 1)² crops.
        horizontal_flip: mirror every second image, at random.
        batch_size: images per batch.
        seed: seeds order and augmentation.
        device: where the images lie and the batches are made.
        share: the part of each batch that this process takes.
    """

    def __init__(
        self,
        images: Images,
        mean: Tensor,
        *,
        padding: int,
        horizontal_flip: bool,
        batch_size: int,
        seed: int,
        device: torch.device,
        share: slice = slice(None),
    ) -> None:
        self.horizontal_flip, self.offsets = horizontal_flip, 2 * padding + 1
        self.plan = EpochPlan(len(images), self._draw, batch_size=batch_size, seed=seed, share=share, device=device)
        self.labels = torch.from_numpy(images.labels).to(device)
        # Views, not copies: crops[image, :, y, x] is the crop at offset (y, x) of a padded image.
        self.crops = _crops(torch.from_numpy(images.pixels).to(device), padding)
        # The mean is padded with zeros too, so that the padding is zero after it has been subtracted.
        self.mean_crops = _crops(mean.to(device)[None], padding)[0].permute(1, 2, 0, 3, 4)

    def batch(self, iteration: int) -> tuple[Tensor, Tensor]:
        """Return images (B, 3, S, S) float32 and labels (B,) of the update number ``iteration``."""
        image, y, x, flip = self.plan.draws(iteration).values()
        pixels = self.crops[image, :, y, x].float().div_(255).sub_(self.mean_crops[y, x])
        if self.horizontal_flip:
            pixels = torch.where(flip.bool()[:, None, None, None], pixels.flip(3), pixels)
        return pixels, self.labels[image]

    def _draw(self, count: int, generator: torch.Generator) -> Draws:
        """Draw the vertical and horizontal offset of each crop, and whether it is mirrored."""
        return {
            "y": torch.randint(self.offsets, (count,), generator=generator),
            "x": torch.randint(self.offsets, (count,), generator=generator),
            "flip": torch.randint(2, (count,), generator=generator),
        }


class EvaluationBatches:
    """Whole images, mean subtracted, in order: the single view of section 4.2."""

    def __init__(
        self, images: Images, mean: Tensor, batch_size: int, device: torch.device, share: slice = slice(None)
    ) -> None:
        self.device = device
        images = images.take(np.arange(len(images))[share])
        self.pixels = torch.from_numpy(images.pixels).to(device)
        self.labels = torch.from_numpy(images.labels).to(device)
        self.mean, self.batch_size = mean.to(device), batch_size

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images (B, 3, S, S) float32 and labels (B,); the last batch may be smaller."""
        for pixels, labels in zip(self.pixels.split(self.batch_size), self.labels.split(self.batch_size), strict=True):
            yield pixels.float().div_(255).sub_(self.mean), labels


def _crops(images: Tensor, padding: int) -> Tensor:
    """View (N, C, S, S), zero-padded, as all its crops (N, C, 2p+1, 2p+1, S, S)."""
    size = images.shape[-1]
    return F.pad(images, (padding,) * 4).unfold(2, size, 1).unfold(3, size, 1)

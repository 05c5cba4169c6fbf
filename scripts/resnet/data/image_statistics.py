"""What the training images' pixels are on average: the per-pixel mean and the colours' principal components."""

import dataclasses
from functools import partial
from pathlib import Path

import numpy as np

from resnet.data.imagenet import Index
from resnet.data.images import centre_crop
from resnet.data.workers import in_processes
from resnet.progress import Progress

# Images that a worker reads in one go.
PIECE = 64


@dataclasses.dataclass(frozen=True)
class ImageStatistics:
    """Statistics of the training images, on the scale from 0 to 1.

    Attributes:
        mean: per-pixel mean (3, S, S) of the centre crops.
        values: eigenvalues (3,) of the covariance of red, green and blue over all pixels.
        vectors: its eigenvectors (3, 3), one per column.
    """

    mean: np.ndarray
    values: np.ndarray
    vectors: np.ndarray


def measure(
    folder: Path, training: Index, others: list[Index], side: int, size: int, workers: int, progress: Progress
) -> ImageStatistics:
    """Read every image once: the statistics of the training images; the others only have to be readable.

    The sums are integers, so the result does not depend on the number of workers.

    Args:
        folder: the data set's folder.
        training: the images that are averaged.
        others: images that are only read, so that a broken file is found before anything is trained.
        side: shorter side after the resize.
        size: side of the centre crop.
        workers: processes.
        progress: counts images.

    Raises:
        UserError: an image cannot be read, and the message names it; or a process was killed.
    """
    total = [np.zeros((size, size, 3), np.int64), np.zeros((3, 3), np.int64)]
    splits = (training.paths, *(index.paths for index in others))
    pieces = [paths[start : start + PIECE] for paths in splits for start in range(0, len(paths), PIECE)]
    averaged = -(-len(training) // PIECE)
    for number, (sums, count) in enumerate(in_processes(partial(sum_up, folder, side, size), pieces, workers)):
        progress.step(count)
        if number < averaged:
            total = [ours + theirs for ours, theirs in zip(total, sums, strict=True)]
    pixels = len(training) * size * size
    average = total[0].sum((0, 1)) / pixels / 255
    values, vectors = np.linalg.eigh(total[1] / pixels / 255**2 - np.outer(average, average))
    mean = (total[0] / len(training) / 255).transpose(2, 0, 1).astype(np.float32)
    return ImageStatistics(mean, values.clip(0).astype(np.float32), vectors.astype(np.float32))


def sum_up(folder: Path, side: int, size: int, paths: list[str]) -> tuple[list[np.ndarray], int]:
    """Return the sum of some centre crops (S, S, 3), that of their pixels' outer products (3, 3), and their number."""
    sums = [np.zeros((size, size, 3), np.int64), np.zeros((3, 3), np.int64)]
    for path in paths:
        crop = centre_crop(folder / path, side, size)
        sums[0] += crop
        # In float64 these sums of integers are exact, and fast.
        flat = crop.reshape(-1, 3).astype(np.float64)
        sums[1] += (flat.T @ flat).astype(np.int64)
    return sums, len(paths)

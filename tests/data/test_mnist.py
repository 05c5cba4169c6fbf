"""The digits of the demo's images and scenes."""

import numpy as np

from resnet.data.mnist import BOX, TRAINING_DIGITS, load_digits


def test_digits_lie_in_the_middle_of_squares_that_they_fill_and_every_part_has_all_of_them():
    digits, labels = load_digits()
    assert digits.shape == (5000, BOX, BOX)
    assert digits.dtype == np.uint8
    for axis in (1, 2):
        ink = digits.any(axis)
        before, after = ink.argmax(1), ink[:, ::-1].argmax(1)
        assert np.isin(after - before, (0, 1)).all()
    filled = np.maximum(digits.any(1).sum(1), digits.any(2).sum(1))
    assert np.median(filled) == BOX
    for part in (slice(TRAINING_DIGITS), slice(TRAINING_DIGITS, 4500), slice(4500, None)):
        assert np.bincount(labels[part], minlength=10).min() > 30


def test_labels_are_those_of_the_digits():
    digits, labels = load_digits()
    flat = digits.reshape(len(digits), -1) / 255
    means = np.stack([flat[:TRAINING_DIGITS][labels[:TRAINING_DIGITS] == digit].mean(0) for digit in range(10)])
    nearest = ((flat[TRAINING_DIGITS:, None] - means) ** 2).sum(2).argmin(1)
    assert (nearest == labels[TRAINING_DIGITS:]).mean() > 0.7

"""The embedded data set of the demo scale: scikit-learn's handwritten digits as 32x32 colour pictures."""

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from resnet.data.cifar10 import SIDE, Images

CLASSES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TRAINING_IMAGES = 1500
# scikit-learn stores grey values from 0 to 16.
GREY_LEVELS = 16


def load_pictures() -> tuple[Images, Images]:
    """Return 1500 training and 297 test pictures: real handwriting, offline, the same bytes every time.

    scikit-learn lists the digits writer by writer; a fixed shuffle mixes the writers over both parts.
    """
    digits = load_digits()
    pixels = np.stack([_picture(image) for image in digits.images])
    order = np.random.RandomState(20151210).permutation(len(pixels))
    images = Images(pixels[order], digits.target.astype(np.int64)[order])
    return images.take(np.arange(TRAINING_IMAGES)), images.take(np.arange(TRAINING_IMAGES, len(images)))


def _picture(image: np.ndarray) -> np.ndarray:
    """Enlarge an 8x8 digit to (3, 32, 32) uint8, the same in red, green and blue."""
    grey = Image.fromarray((image * (255 / GREY_LEVELS)).round().astype(np.uint8))
    large = np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    return np.broadcast_to(large, (3, SIDE, SIDE))

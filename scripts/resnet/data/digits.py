"""The embedded data set of the demo scale: scikit-learn's handwritten digits as 32x32 colour images."""

import numpy as np
from PIL import Image

from resnet.data.cifar10 import SIDE, Images
from resnet.data.packaged import packaged

CLASSES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TRAINING_IMAGES = 1500
# scikit-learn stores 8x8 grey values from 0 to 16.
GREY_SIDE, GREY_LEVELS = 8, 16


def load_greys() -> tuple[np.ndarray, np.ndarray]:
    """Return all digits (1797, 8, 8) uint8 and their labels, shuffled: the first 1500 are those to train on."""
    table = np.loadtxt(packaged("sklearn", "datasets", "data", "digits.csv.gz"), delimiter=",")
    order = np.random.RandomState(20151210).permutation(len(table))
    greys = (table[order, :-1] * (255 / GREY_LEVELS)).round().astype(np.uint8)
    return greys.reshape(-1, GREY_SIDE, GREY_SIDE), table[order, -1].astype(np.int64)


def load_images() -> tuple[Images, Images]:
    """Return 1500 training and 297 test images: real handwriting, offline, the same bytes every time.

    scikit-learn lists the digits writer by writer; a fixed shuffle mixes the writers over both parts.
    """
    greys, labels = load_greys()
    images = Images(np.stack([_image(grey) for grey in greys]), labels)
    return images.take(np.arange(TRAINING_IMAGES)), images.take(np.arange(TRAINING_IMAGES, len(images)))


def _image(grey: np.ndarray) -> np.ndarray:
    """Enlarge an 8x8 digit to (3, 32, 32) uint8, the same in red, green and blue."""
    large = np.asarray(Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    return np.broadcast_to(large, (3, SIDE, SIDE))

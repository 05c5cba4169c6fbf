"""Reading pictures of any size, and resampling no more of them than is needed.

The pixels are those of the file: an EXIF orientation is not applied, as in the Caffe tools of the paper's time and in
torchvision's folders.
"""

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from resnet.errors import UserError

REDUCING_GAP = 2


def read_picture(path: Path, side: int | None = None) -> tuple[Image.Image, tuple[int, int], tuple[float, float]]:
    """Read a picture as RGB: JPEG or PNG whatever its name says; grey, CMYK and transparent ones are converted.

    Returns the picture, its width and height once the shorter is resized to ``side``, and how many of the pixels that
    were decoded it fills: at an odd width, half a pixel of the last column is none of it. With a ``side``, libjpeg may
    have decoded it at 1/2, 1/4 or 1/8 of its size, which is faster, but not below twice that width and height, so that
    the resize that follows gives nearly the same pixels (Pillow's thumbnails keep the same distance).

    Raises:
        UserError: the file is missing, truncated or no picture; the message names it.
    """
    with opened(path) as picture:
        size = picture.size
        target = resized(size, side) if side else size
        if side:
            picture.draft(None, (REDUCING_GAP * target[0], REDUCING_GAP * target[1]))
        picture.load()
        # libjpeg rounds up: its scale is that of the longer side, to the next power of two.
        scale = 2 ** round(math.log2(max(size) / max(picture.size)))
        filled = (size[0] / scale, size[1] / scale)
        # A conversion would copy what is RGB already.
        return picture if picture.mode == "RGB" else picture.convert("RGB"), target, filled


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Open a picture, and name its file in every error."""
    try:
        with Image.open(path) as picture:
            yield picture
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = "no known format" if "cannot identify" in str(error) else error
        raise UserError(f"{path} is truncated or not a picture ({reason}); replace it") from None


def picture_size(path: Path) -> tuple[int, int]:
    """Return width and height from the head of a file.

    Raises:
        UserError: the file is missing or no picture; the message names it.
    """
    with opened(path) as picture:
        return picture.size


def resized(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return width and height after a resize that makes the shorter of them ``side`` pixels."""
    width, height = size
    if width <= height:
        return side, side * height // width
    return side * width // height, side


def crop_of_resized(path: Path, side: int, crop: int, place: tuple[float, float]) -> np.ndarray:
    """Return a crop (crop, crop, 3) uint8 of a picture whose shorter side is resized to ``side``.

    Only the crop's region is resampled, once, with Pillow's antialiased bilinear filter: the same pixels as resizing
    all of the picture and cutting the crop out.

    Args:
        path: the picture.
        side: the shorter side after resizing.
        crop: side of the crop, at most ``side``.
        place: the crop's place across and down, each a number in [0, 1) that is spread over all possible offsets.
    """
    picture, target, filled = read_picture(path, side)
    left, top = (int(part * (length - crop + 1)) for part, length in zip(place, target, strict=True))
    return cut(picture, filled, target, left, top, crop)


def centre_crop(path: Path, side: int, crop: int) -> np.ndarray:
    """Return the middle (crop, crop, 3) uint8 of a picture whose shorter side is resized to ``side``."""
    picture, target, filled = read_picture(path, side)
    left, top = ((length - crop) // 2 for length in target)
    return cut(picture, filled, target, left, top, crop)


def whole(path: Path, side: int) -> np.ndarray:
    """Return a picture (H, W, 3) uint8 whose shorter side is resized to ``side``."""
    picture, target, filled = read_picture(path, side)
    if picture.size == target:
        return np.asarray(picture)
    return np.asarray(picture.resize(target, Image.Resampling.BILINEAR, (0, 0, *filled)))


def cut(
    picture: Image.Image, filled: tuple[float, float], target: tuple[int, int], left: int, top: int, crop: int
) -> np.ndarray:
    """Return the crop at (left, top) of a picture as it would be after a resize of what it fills to ``target``."""
    across, down = filled[0] / target[0], filled[1] / target[1]
    right, bottom = min((left + crop) * across, filled[0]), min((top + crop) * down, filled[1])
    region = (left * across, top * down, right, bottom)
    return np.asarray(picture.resize((crop, crop), Image.Resampling.BILINEAR, region))

"""Reading images of any size, and resampling no more of them than is needed.

An image is JPEG, PNG, GIF, BMP, TIFF or WebP by its content, whatever its name says. Nothing else is opened, as some
of what Pillow knows starts other programs. The pixels become RGB as in torchvision's folders: grey and CMYK ones are
converted, transparency is dropped, and of several images in a file the first counts. Of 16 bits per pixel the upper
eight are taken. An EXIF orientation is not applied, as in the Caffe tools of the paper's time and in torchvision's
folders.
"""

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from resnet.errors import UserError, reason

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP")
# Pillow's names of pixels with a range that the file does not tell.
UNKNOWN_RANGE = ("I", "F")
# How many times longer than the other a side may be: beyond, the resize of the shorter one to 640 pixels gives 20
# million pixels and more, and a network's maps of them gigabytes.
LONGEST = 50
REDUCING_GAP = 2
# Images of at most so many pixels are kept as they were decoded, until they have so many pixels (64 MB) together: a set
# of small images is decoded once in a process, not in every epoch and for every size of a test.
SMALL, KEPT = 2**15, 2**24


class _SmallImages:
    """Small images by their files, as these were when they were decoded."""

    def __init__(self) -> None:
        self.images: dict[tuple[Path, int, int], Image.Image] = {}
        self.room = KEPT

    def __getitem__(self, path: Path) -> Image.Image | None:
        file = self._state(path)
        return self.images.get(file) if file else None

    def keep(self, path: Path, image: Image.Image) -> None:
        """Keep an image of a file, if it is small and there is room."""
        pixels, file = image.width * image.height, self._state(path)
        if file and file not in self.images and pixels <= min(SMALL, self.room):
            self.images[file] = image
            self.room -= pixels

    @staticmethod
    def _state(path: Path) -> tuple[Path, int, int] | None:
        """Return what changes when a file does; None where there is none, which opening it says better."""
        try:
            state = path.stat()
        except OSError:
            return None
        return path, state.st_mtime_ns, state.st_size


_small_images = _SmallImages()


def read_image(path: Path, side: int | None = None) -> tuple[Image.Image, tuple[int, int], tuple[float, float]]:
    """Read an image as RGB.

    Returns the image, its width and height once the shorter is resized to ``side``, and how many of the pixels that
    were decoded it fills: at an odd width, half a pixel of the last column is none of it. With a ``side``, libjpeg may
    have decoded it at 1/2, 1/4 or 1/8 of its size, which is faster, but not below twice that width and height, so that
    the resize that follows gives nearly the same pixels (Pillow's thumbnails keep the same distance). The image is not
    to be changed: a small one is kept for those who read it again.

    Raises:
        UserError: the file is missing, truncated or no image; the message names it.
    """
    kept = _small_images[path]
    if kept and not (side and _is_reduced(kept.size, resized(kept.size, side))):
        return kept, resized(kept.size, side) if side else kept.size, kept.size
    with opened(path) as image:
        size = image.size
        target = resized(size, side) if side else size
        if side:
            image.draft(None, (REDUCING_GAP * target[0], REDUCING_GAP * target[1]))
        image.load()
        # libjpeg rounds up: its scale is that of the longer side, to the next power of two.
        scale = 2 ** round(math.log2(max(size) / max(image.size)))
        filled = (size[0] / scale, size[1] / scale)
        found = as_rgb(image)
    if scale == 1:
        _small_images.keep(path, found)
    return found, target, filled


def _is_reduced(size: tuple[int, int], target: tuple[int, int]) -> bool:
    """Return whether libjpeg would decode an image of a size at half of it, or less, before a resize."""
    return min(length // (REDUCING_GAP * wanted) for length, wanted in zip(size, target, strict=True)) >= 2


def as_rgb(image: Image.Image) -> Image.Image:
    """Return an image with 8 bits each of red, green and blue.

    Raises:
        ValueError: it has pixels of an unknown range.
    """
    if image.mode in UNKNOWN_RANGE:
        raise ValueError("its pixels have 32 bits; save it with 8 or 16")
    if image.mode.startswith("I;16"):
        # Pillow would cut values off at 255; of 16-bit colours it takes the upper half, too.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif "transparency" in image.info:
        # Else Pillow warns of every image.
        image = image.convert("RGBA")
    # A conversion would copy what is RGB already.
    return image if image.mode == "RGB" else image.convert("RGB")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Open an image, and name its file in every error.

    Raises:
        UserError: the file is missing or unreadable, no image, damaged, or too large or too narrow to work with.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            if max(image.size) > LONGEST * min(image.size):
                raise ValueError(f"{image.width}x{image.height} pixels are too narrow")
            yield image
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except Image.UnidentifiedImageError:
        raise UserError(f"{path} is truncated or not an image (known are {', '.join(FORMATS)}); replace it") from None
    except MemoryError:
        raise
    # Damaged files make decoders raise nearly anything.
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise UserError(f"cannot read {reason(error)}") from None
        raise UserError(f"{path} is truncated or not an image ({error}); replace it") from None


def checked_size(path: Path) -> tuple[int, int]:
    """Return width and height of an image, all of which is decoded, as fast as that can be.

    Raises:
        UserError: the file is missing, truncated or no image; the message names it.
    """
    with opened(path) as image:
        size = image.size
        # Of a JPEG, libjpeg reads all of the file for one pixel of 64, and leaves its colours out.
        image.draft("L", (1, 1))
        image.load()
        if image.mode not in ("L", "RGB"):
            as_rgb(image)
        return size


def read_size(path: Path) -> tuple[int, int]:
    """Return width and height from the head of a file.

    Raises:
        UserError: the file is missing or no image; the message names it.
    """
    with opened(path) as image:
        return image.size


def resized(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return width and height after a resize that makes the shorter of them ``side`` pixels."""
    width, height = size
    if width <= height:
        return side, side * height // width
    return side * width // height, side


def crop_of_resized(path: Path, side: int, crop: int, place: tuple[float, float]) -> np.ndarray:
    """Return a crop (crop, crop, 3) uint8 of an image whose shorter side is resized to ``side``.

    Only the crop's region is resampled, once, with Pillow's antialiased bilinear filter: the same pixels as resizing
    all of the image and cutting the crop out.

    Args:
        path: the image.
        side: the shorter side after resizing.
        crop: side of the crop, at most ``side``.
        place: the crop's place across and down, each a number in [0, 1) that is spread over all possible offsets.
    """
    image, target, filled = read_image(path, side)
    left, top = (int(part * (length - crop + 1)) for part, length in zip(place, target, strict=True))
    return cut(image, filled, target, left, top, crop)


def centre_crop(path: Path, side: int, crop: int) -> np.ndarray:
    """Return the middle (crop, crop, 3) uint8 of an image whose shorter side is resized to ``side``."""
    image, target, filled = read_image(path, side)
    left, top = ((length - crop) // 2 for length in target)
    return cut(image, filled, target, left, top, crop)


def whole(path: Path, side: int) -> np.ndarray:
    """Return an image (H, W, 3) uint8 whose shorter side is resized to ``side``."""
    image, target, filled = read_image(path, side)
    if image.size == target:
        return np.asarray(image)
    return np.asarray(image.resize(target, Image.Resampling.BILINEAR, (0, 0, *filled)))


def cut(
    image: Image.Image, filled: tuple[float, float], target: tuple[int, int], left: int, top: int, crop: int
) -> np.ndarray:
    """Return the crop at (left, top) of an image as it would be after a resize of what it fills to ``target``."""
    across, down = filled[0] / target[0], filled[1] / target[1]
    right, bottom = min((left + crop) * across, filled[0]), min((top + crop) * down, filled[1])
    region = (left * across, top * down, right, bottom)
    return np.asarray(image.resize((crop, crop), Image.Resampling.BILINEAR, region))

"""Where the object of each image's class is: ILSVRC's annotations for localisation (appendix C).

``CLS-LOC/train/<wnid>/<image>.xml`` and ``CLS-LOC/val/<image>.xml`` in a folder ``Annotations``, in PASCAL VOC's form.
Nearly half of the training images have one, and every validation image. The official files have oddities, which are
taken as they are meant: objects that go by another name than their class's wnid, boxes that leave their image, boxes
measured on the image at another size, and some without area, which are left out.
"""

import dataclasses
import functools
import re
from functools import partial
from pathlib import Path

import numpy as np

from resnet.data.annotations import objects_in
from resnet.data.imagenet import ImageNetDescription, Index
from resnet.data.images import read_size
from resnet.data.workers import in_processes
from resnet.errors import UserError
from resnet.progress import Progress

FOLDER = "CLS-LOC"
SPLITS = ("train", "val")
WNID = re.compile(r"n\d{8}")
# Images that a worker reads in one go.
PIECE = 256


@dataclasses.dataclass(frozen=True)
class Boxes:
    """The boxes of one split.

    Attributes:
        images: (N,) int64: the numbers, in the split's index, of the images that have any.
        sizes: (N, 2) int64: their widths and heights.
        counts: (N,) int64: how many boxes each has.
        boxes: (M, 4) float64: left, top, right, bottom in pixels, image by image; one that covers the first two pixels
            of a row goes from 0 to 2.
    """

    images: np.ndarray
    sizes: np.ndarray
    counts: np.ndarray
    boxes: np.ndarray

    @functools.cached_property
    def starts(self) -> np.ndarray:
        """Where the boxes of each image begin (N,)."""
        return np.cumsum(self.counts) - self.counts

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def part(self, places: range) -> "Boxes":
        """Return those of some of the images that have any."""
        own = np.array(places, np.int64)
        boxes = np.concatenate([self.of(place) for place in places]) if len(places) else np.empty((0, 4))
        return Boxes(self.images[own], self.sizes[own], self.counts[own], boxes)

    def of(self, place: int) -> np.ndarray:
        """Return the boxes (K, 4) of the image number ``place`` among those that have any."""
        start = self.starts[place]
        return self.boxes[start : start + self.counts[place]]


def annotation_of(folder: Path, split: str, image: str) -> Path:
    """Return the XML of an image, a path of the split's index; val's lie in one folder, however its images lie."""
    path = Path(image).with_suffix(".xml")
    return folder / FOLDER / (path if split == "train" else Path(split) / path.name)


def read_boxes(path: Path, size: tuple[int, int], wnid: str) -> tuple[np.ndarray, int]:
    """Return the boxes (K, 4) of an image's class in its pixels, and how many were left out for want of area.

    An object under another class's wnid is not one of the image's class; one under any other name is.

    Args:
        path: the XML.
        size: width and height of the image.
        wnid: its class.

    Raises:
        UserError: it is no annotation, or a number in it is wrong.
    """
    found, left_out = objects_in(path, size)
    own = [box for name, box in found if name == wnid or not WNID.fullmatch(name)]
    return np.array(own, np.float64).reshape(-1, 4), left_out


def locate(folder: Path, description: ImageNetDescription, index: Index, split: str, workers: int) -> Boxes:
    """Read the boxes of a split.

    Args:
        folder: ``Annotations``.
        description: the data set.
        index: the split's images.
        split: train, where images may be without; or val, where none may.
        workers: processes that read.

    Raises:
        UserError: a file is missing or wrong; the message names it.
    """
    if not (folder / FOLDER / split).is_dir():
        raise UserError(
            f"{folder / FOLDER / split} is not a folder: {folder} must hold {FOLDER}/train/<wnid>/*.xml and "
            f"{FOLDER}/val/*.xml, ILSVRC's boxes for localisation (data.imagenet.annotations)"
        )
    images = [(number, path, description.wnids[index.labels[number]]) for number, path in enumerate(index.paths)]
    # A piece says all of its images: what the function holds is sent to a process with each.
    pieces = [images[start : start + PIECE] for start in range(0, len(images), PIECE)]
    progress = Progress(len(index), title=f"boxes of {split}", unit="images", speed_unit="images")
    read = partial(_read, folder, description.path, split)
    numbers, sizes, boxes, left_out = [], [], [], 0
    for piece, found in zip(pieces, in_processes(read, pieces, workers), strict=True):
        for number, size, own, without_area in found:
            left_out += without_area
            if len(own):
                numbers.append(number)
                sizes.append(size)
                boxes.append(own)
        progress.step(len(piece))
    progress.close()
    if not numbers:
        raise UserError(f"{folder / FOLDER / split} has a box for none of the images of {description.path / split}")
    print(f"{split}: {len(numbers)} of {len(index)} images have boxes, {sum(map(len, boxes))} in all")
    if left_out:
        print(f"left out: {left_out} boxes without area")
    counts = np.array([len(own) for own in boxes], np.int64)
    return Boxes(np.array(numbers, np.int64), np.array(sizes, np.int64), counts, np.concatenate(boxes))


def _read(
    folder: Path, data: Path, split: str, piece: list[tuple[int, str, str]]
) -> list[tuple[int, tuple[int, int], np.ndarray, int]]:
    """Return number, size, boxes, and boxes left out of each image that has an annotation.

    Args:
        folder: ``Annotations``.
        data: the data set's folder.
        split: train or val.
        piece: number, path and class of some images.
    """
    found = []
    for number, image, wnid in piece:
        path = annotation_of(folder, split, image)
        if not path.is_file():
            if split == "train":
                continue
            raise UserError(f"{path} is missing, but {image} is to be tested; put it there")
        size = read_size(data / image)
        boxes, left_out = read_boxes(path, size, wnid)
        if split != "train" and not len(boxes):
            raise UserError(f"{path} has no box of the image's class, {wnid}; put the official file there")
        found.append((number, size, boxes, left_out))
    return found

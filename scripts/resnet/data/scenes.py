"""The embedded VOC and COCO of the demo scale: scenes of handwritten digits, in the official layouts.

Real handwriting (MNIST's digits) at many sizes on pieces of the two photographs that scikit-learn ships. The VOC
devkit has difficult objects and a test set without objects (2012); the COCO folder has crowds, images without
objects, and gaps in the numbers of its classes. What tests a net is written by other hands than what trains it.
"""

import dataclasses
import json
import xml.etree.ElementTree as ElementTree
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from resnet.data.digits import CLASSES
from resnet.data.handwriting import dimmed_piece, enlarged, paint
from resnet.data.mnist import TRAINING_DIGITS, load_digits
from resnet.data.packaged import load_photographs
from resnet.files import atomic_path, write_text
from resnet.progress import Progress

IMAGES = {
    "voc2007_trainval": 240,
    "voc2007_test": 100,
    "voc2012_train": 80,
    "voc2012_val": 100,
    "voc2012_test": 20,
    "coco_train": 320,
    "coco_val": 140,
}
# Whose hands wrote the digits of a set, as the digits' numbers; the others have those to train on. VOC 2007's test set
# trains detectors that are tested on VOC 2012's validation set.
HANDS = {
    "voc2007_test": slice(TRAINING_DIGITS, 4500),
    "voc2012_val": slice(4500, None),
    "voc2012_test": slice(4500, None),
    "coco_val": slice(TRAINING_DIGITS, None),
}
SIZES = ((160, 120), (120, 160), (128, 128), (144, 112), (112, 144))
DIGITS = (2, 3)
HEIGHTS = (56.0, 84.0)
# Where a pixel's share of ink is above this, it belongs to the digit.
INK = 0.25
# A digit may hide no more than this of another's box.
OVERLAP = 0.1
PLACES_TRIED = 30
QUALITY = 90
# As in COCO, numbers are left out.
COCO_IDS = (1, 2, 3, 5, 6, 8, 9, 10, 13, 15)
COCO_YEAR = 2014


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A digit, or a crowd of one kind of them: its class and its box (left, top, right, bottom) in pixels."""

    label: int
    box: tuple[int, int, int, int]
    difficult: bool = False
    crowd: bool = False


class Painter:
    """Draws the scenes of one set of images.

    Args:
        hands: whose digits, as their numbers.
        seed: of what is drawn.
        photographs: what the backgrounds are cut from.
        greys: digits (N, 20, 20) uint8.
        labels: their classes (N,).
    """

    def __init__(
        self, hands: slice, seed: int, photographs: list[Image.Image], greys: np.ndarray, labels: np.ndarray
    ) -> None:
        self.photographs = photographs
        self.digits = [greys[hands][labels[hands] == digit] for digit in range(len(CLASSES))]
        self.random = np.random.RandomState(seed)

    def scene(self, digits: int, difficult: bool = False, crowd: bool = False) -> tuple[Image.Image, list[Drawn]]:
        """Return an image of up to ``digits`` digits, perhaps a difficult one and a crowd, and what is on it."""
        random, drawn = self.random, []
        size = SIZES[random.randint(len(SIZES))]
        pixels = dimmed_piece(self.photographs[random.randint(len(self.photographs))], size, random)
        if crowd:
            self.add_crowd(pixels, drawn)
        for _ in range(digits):
            self.add_digit(pixels, drawn, np.exp(random.uniform(*np.log(HEIGHTS))))
        if difficult:
            # Tiny or faint.
            tiny = random.randint(2)
            height, strength = (random.uniform(9, 14), 1.0) if tiny else (random.uniform(20, 32), 0.25)
            self.add_digit(pixels, drawn, height, strength, difficult=True)
        return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8)), drawn

    def add_digit(
        self, pixels: np.ndarray, drawn: list[Drawn], height: float, strength: float = 1.0, difficult: bool = False
    ) -> None:
        """Draw a digit where it hides none of the others; or none, where there is no such place."""
        label = self.random.randint(len(CLASSES))
        mask = tight(self.digit(label, height, height * self.random.uniform(0.85, 1.15)))
        place = self.free_place(pixels, drawn, mask.shape)
        if place is not None:
            paint(pixels, mask * strength, place, self.ink())
            drawn.append(Drawn(label, box_at(place, mask.shape), difficult=difficult))

    def add_crowd(self, pixels: np.ndarray, drawn: list[Drawn]) -> None:
        """Draw many tiny digits of one kind tightly beside each other."""
        random, label = self.random, self.random.randint(len(CLASSES))
        rows, columns, side = random.randint(3, 5), random.randint(4, 7), random.randint(8, 12)
        tiles = [[self.digit(label, side, side) for _ in range(columns)] for _ in range(rows)]
        mask = tight(np.block(tiles))
        place = self.free_place(pixels, drawn, mask.shape)
        if place is not None:
            paint(pixels, mask, place, self.ink())
            drawn.append(Drawn(label, box_at(place, mask.shape), crowd=True))

    def digit(self, label: int, height: float, width: float) -> np.ndarray:
        """Return how much of each pixel is ink (height, width) in someone's digit."""
        grey = self.digits[label][self.random.randint(len(self.digits[label]))]
        return enlarged(grey, (round(width), round(height)))

    def ink(self) -> np.ndarray:
        """Return a light colour."""
        return self.random.uniform(235, 255, 3).astype(np.float32)

    def free_place(self, pixels: np.ndarray, drawn: list[Drawn], shape: tuple[int, int]) -> tuple[int, int] | None:
        """Return left and top of a place for a mask, if one is found soon."""
        height, width = (length - own for length, own in zip(pixels.shape, shape, strict=False))
        for _ in range(PLACES_TRIED):
            place = self.random.randint(width + 1), self.random.randint(height + 1)
            if all(overlap(box_at(place, shape), other.box) < OVERLAP for other in drawn):
                return place
        return None


def tight(mask: np.ndarray) -> np.ndarray:
    """Cut a mask to the rows and columns that have ink."""
    rows, columns = (np.flatnonzero((mask > INK).any(axis)) for axis in (1, 0))
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def box_at(place: tuple[int, int], shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the box of a mask (height, width) at a place (left, top)."""
    return place[0], place[1], place[0] + shape[1], place[1] + shape[0]


def overlap(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> float:
    """Return which part of the smaller of two boxes lies in the other."""
    sides = [min(one[axis + 2], other[axis + 2]) - max(one[axis], other[axis]) for axis in (0, 1)]
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return max(sides[0], 0) * max(sides[1], 0) / min(areas)


def write_scenes(devkit: Path, coco: Path) -> None:
    """Write VOC's folder and COCO's; the same bytes every time."""
    photographs = load_photographs()
    digits = load_digits()
    painters = {
        name: Painter(HANDS.get(name, slice(TRAINING_DIGITS)), seed, photographs, *digits)
        for seed, name in enumerate(IMAGES)
    }
    progress = Progress(sum(IMAGES.values()), title="scenes", unit="images", speed_unit="images")
    write_year(devkit / "VOC2007", "{:06d}", ("trainval", "test"), painters, progress)
    write_year(devkit / "VOC2012", "2008_{:06d}", ("train", "val", "test"), painters, progress)
    for part, first in (("train", 9), ("val", 42)):
        write_instances(coco, part, first, painters[f"coco_{part}"], progress)
    progress.close()


# VOC


def write_year(
    folder: Path, numbering: str, parts: tuple[str, ...], painters: dict[str, Painter], progress: Progress
) -> None:
    """Write a year of VOC: images, their objects but for 2012's test, and the lists of every set and class."""
    sets: dict[str, dict[str, list[Drawn]]] = {}
    for part in parts:
        name = f"{folder.name.lower()}_{part}"
        first = 1 + sum(map(len, sets.values()))
        sets[part] = {numbering.format(first + place): [] for place in range(IMAGES[name])}
        for key in sets[part]:
            random = painters[name].random
            digits = random.randint(DIGITS[0], DIGITS[1] + 1)
            image, drawn = painters[name].scene(digits, difficult=random.uniform() < 0.2)
            save(image, folder / "JPEGImages" / f"{key}.jpg")
            if name != "voc2012_test":
                write_text(folder / "Annotations" / f"{key}.xml", annotation(folder.name, key, image, drawn))
            sets[part][key] = drawn
            progress.step()
    if "val" in sets:
        sets["trainval"] = {**sets["train"], **sets["val"]}
    unlabelled = ("test",) if "val" in sets else ()
    for part, scenes in sets.items():
        write_lists(folder / "ImageSets/Main", part, scenes, labelled=part not in unlabelled)


def write_lists(folder: Path, part: str, scenes: dict[str, list[Drawn]], labelled: bool) -> None:
    """Write the list of a set, and per class whether an image has it: 1, -1, or 0 for difficult ones only."""
    write_text(folder / f"{part}.txt", "".join(f"{key}\n" for key in scenes))
    for label, name in enumerate(CLASSES if labelled else ()):
        lines = []
        for key, drawn in scenes.items():
            difficult = [one.difficult for one in drawn if one.label == label]
            value = -1 if not difficult else 0 if all(difficult) else 1
            lines.append(f"{key} {value:2d}\n")
        write_text(folder / f"{name}_{part}.txt", "".join(lines))


def annotation(year: str, key: str, image: Image.Image, drawn: list[Drawn]) -> str:
    """Return the XML of an image; VOC counts pixels from 1 and names the last one of a box."""
    source = {"database": f"The {year} Database", "annotation": f"PASCAL {year}", "image": "MNIST"}
    size = {"width": image.width, "height": image.height, "depth": 3}
    root = element("annotation", {"folder": year, "filename": f"{key}.jpg"})
    root.append(element("source", source))
    root.append(element("size", size))
    root.append(element("segmented", 0))
    for one in drawn:
        left, top, right, bottom = one.box
        facts = {"name": CLASSES[one.label], "pose": "Unspecified", "truncated": 0, "difficult": int(one.difficult)}
        thing = element("object", facts)
        thing.append(element("bndbox", {"xmin": left + 1, "ymin": top + 1, "xmax": right, "ymax": bottom}))
        root.append(thing)
    ElementTree.indent(root, "\t")
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def element(tag: str, value: Any) -> ElementTree.Element:
    """Return an XML element of a text, or of one element per entry of a dict."""
    made = ElementTree.Element(tag)
    if isinstance(value, dict):
        made.extend(element(key, inner) for key, inner in value.items())
    else:
        made.text = str(value)
    return made


# COCO


def write_instances(folder: Path, part: str, first: int, painter: Painter, progress: Progress) -> None:
    """Write a set of COCO: its images and ``instances_<part>2014.json``; numbers go up by 10 from ``first``."""
    images, annotations = [], []
    for place in range(IMAGES[f"coco_{part}"]):
        # Few images have no object, and few a crowd.
        digits = 0 if place % 40 == 17 else painter.random.randint(DIGITS[0], DIGITS[1] + 1)
        image, drawn = painter.scene(digits, crowd=place % 12 == 3)
        entry = {
            "license": 1,
            "file_name": f"COCO_{part}{COCO_YEAR}_{first + 10 * place:012d}.jpg",
            "coco_url": "",
            "height": image.height,
            "width": image.width,
            "date_captured": "2014-01-01 00:00:00",
            "flickr_url": "",
            "id": first + 10 * place,
        }
        save(image, folder / f"{part}{COCO_YEAR}" / entry["file_name"])
        images.append(entry)
        for one in drawn:
            number = 10 * len(annotations) + first
            annotations.append({**instance(one, image.size), "image_id": entry["id"], "id": number})
        progress.step()
    categories = [
        {"supercategory": "even" if label % 2 == 0 else "odd", "id": number, "name": name}
        for label, (number, name) in enumerate(zip(COCO_IDS, CLASSES, strict=True))
    ]
    content = {
        "info": {"description": "Handwritten digits on photographs", "version": "1.0", "year": COCO_YEAR},
        "images": images,
        "licenses": [{"url": "", "id": 1, "name": "CC BY-SA 3.0 (MNIST)"}],
        "annotations": annotations,
        "categories": categories,
    }
    write_text(folder / f"annotations/instances_{part}{COCO_YEAR}.json", json.dumps(content) + "\n")


def instance(one: Drawn, size: tuple[int, int]) -> dict[str, Any]:
    """Return an object in COCO's form; its segmentation is its box, as a polygon or for a crowd in runs."""
    left, top, right, bottom = map(float, one.box)
    polygon = [left, top, right, top, right, bottom, left, bottom]
    return {
        "segmentation": runs(one.box, size) if one.crowd else [polygon],
        "area": (right - left) * (bottom - top),
        "iscrowd": int(one.crowd),
        "bbox": [left, top, right - left, bottom - top],
        "category_id": COCO_IDS[one.label],
    }


def runs(box: tuple[int, int, int, int], size: tuple[int, int]) -> dict[str, Any]:
    """Return a box as COCO's run lengths: pixels outside and inside by turns, column by column."""
    (left, top, right, bottom), (width, height) = box, size
    inside = bottom - top
    # From a column's last pixel to the next column's first; a box as high as the image is one run.
    if inside == height:
        counts = [left * height, (right - left) * height, (width - right) * height]
    else:
        between = chain.from_iterable([[inside, height - inside]] * (right - left - 1))
        counts = [left * height + top, *between, inside, (width - right) * height + height - bottom]
    return {"counts": counts if counts[-1] else counts[:-1], "size": [height, width]}


def save(image: Image.Image, path: Path) -> None:
    """Write an image as JPEG."""
    with atomic_path(path) as temporary:
        image.save(temporary, "JPEG", quality=QUALITY)

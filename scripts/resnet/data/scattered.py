"""The embedded set for localisation of the demo scale, in ILSVRC's layout: digits anywhere on photographs.

The classes are those of ``handwriting``; here a digit, or two of its kind, is anywhere on its image and of any size, so
that there is something to find: a box that is the same for all images misses seven of ten (by an IoU of 0.5).
"""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

from resnet.data.handwriting import CLASSES, dimmed_piece, enlarged, paint, save, wnid
from resnet.data.imagenet import GROUND_TRUTH
from resnet.data.located import FOLDER
from resnet.data.mnist import TRAINING_DIGITS, load_digits
from resnet.data.scenes import OVERLAP, PLACES_TRIED, box_at, element, overlap, tight
from resnet.files import write_text
from resnet.progress import Progress

IMAGES = {"train": 80 * len(CLASSES), "val": 10 * len(CLASSES)}
SIZES = ((84, 72), (72, 84), (80, 80), (90, 76), (76, 90))
# Of the image's shorter side.
HEIGHTS = (0.4, 0.8)
# Images with two digits of one kind, both smaller.
PAIRS, SMALLER = 0.15, 0.6

Box = tuple[int, int, int, int]


def write_scattered(folder: Path) -> None:
    """Write the images, their ground truth and their annotations; the same bytes every time."""
    photographs = [Image.fromarray(photograph) for photograph in load_sample_images().images]
    greys, values = load_digits()
    hands = {"train": slice(TRAINING_DIGITS), "val": slice(TRAINING_DIGITS, None)}
    write_text(folder / "synsets.txt", "".join(f"{wnid(label)}\n" for label in range(len(CLASSES))))
    write_text(folder / "synset_words.txt", "".join(f"{wnid(label)} {name}\n" for label, name in enumerate(CLASSES)))
    progress = Progress(sum(IMAGES.values()), title="scattered digits", unit="images", speed_unit="images")
    for seed, (split, count) in enumerate(IMAGES.items(), start=100):
        random = np.random.RandomState(seed)
        digits = [greys[hands[split]][values[hands[split]] == digit] for digit in range(10)]
        labels = random.permutation(np.resize(np.arange(len(CLASSES)), count))
        for place, label in enumerate(labels):
            image, boxes = scatter(digits[label % 10], photographs[label // 10], random)
            name = f"ILSVRC2012_{split}_{place + 1:08d}"
            if split == "train":
                name = f"{wnid(label)}/{wnid(label)}_{place}"
            save(image, folder / split / f"{name}.JPEG", odd=None)
            text = annotation(Path(name), image.size, [(wnid(label), box) for box in boxes])
            write_text(folder / "Annotations" / FOLDER / split / f"{name}.xml", text)
            progress.step()
        if split == "val":
            write_text(folder / GROUND_TRUTH, "".join(f"{label + 1}\n" for label in labels))
    progress.close()


def scatter(
    digits: np.ndarray, photograph: Image.Image, random: np.random.RandomState
) -> tuple[Image.Image, list[Box]]:
    """Return an image of one or two of some digits (N, 20, 20) on a dimmed piece of a photograph, and their boxes."""
    width, height = SIZES[random.randint(len(SIZES))]
    pixels = dimmed_piece(photograph, (width, height), random)
    pair, boxes = random.uniform() < PAIRS, []
    for _ in range(1 + pair):
        tall = min(width, height) * random.uniform(*HEIGHTS) * (SMALLER if pair else 1)
        size = round(tall * random.uniform(0.85, 1.15)), round(tall)
        mask = tight(enlarged(digits[random.randint(len(digits))], size))
        ink = random.uniform(235, 255, 3).astype(np.float32)
        for _ in range(PLACES_TRIED):
            place = random.randint(width - mask.shape[1] + 1), random.randint(height - mask.shape[0] + 1)
            box = box_at(place, mask.shape)
            if all(overlap(box, other) < OVERLAP for other in boxes):
                paint(pixels, mask, place, ink)
                boxes.append(box)
                break
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8)), boxes


def annotation(name: Path, size: tuple[int, int], boxes: list[tuple[str, Box]]) -> str:
    """Return the XML of an image, of classes and boxes; its first pixel is 1, and the last one of a box is in it."""
    head = {
        "folder": name.parent.name or "val",
        "filename": name.name,
        "source": {"database": "ILSVRC_2012"},
        "size": {"width": size[0], "height": size[1], "depth": 3},
        "segmented": 0,
    }
    root = element("annotation", head)
    for name_of_class, (left, top, right, bottom) in boxes:
        thing = element("object", {"name": name_of_class, "pose": "Unspecified", "truncated": 0, "difficult": 0})
        thing.append(element("bndbox", {"xmin": left + 1, "ymin": top + 1, "xmax": right, "ymax": bottom}))
        root.append(thing)
    ElementTree.indent(root, "\t")
    return ElementTree.tostring(root, encoding="unicode") + "\n"

"""The embedded ImageNet of the demo scale: handwritten digits on photographs, as JPEG files.

Real handwriting (MNIST's digits) on pieces of the two photographs that scikit-learn ships, in ILSVRC2012's layout with
its oddities: images of several sizes and shapes, a grey and a CMYK JPEG, a PNG that is named JPEG, and a
ground truth whose numbers are not the alphabetical order of the classes. A class is a digit on one of the photographs.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from resnet.data.imagenet import GROUND_TRUTH
from resnet.data.mnist import TRAINING_DIGITS, load_digits
from resnet.data.packaged import load_photographs
from resnet.files import atomic_path, write_text
from resnet.progress import Progress

PHOTOGRAPHS = ("temple", "flower")
CLASSES = tuple(f"{digit} on the {name}" for name in PHOTOGRAPHS for digit in range(10))
IMAGES = {"train": 80 * len(CLASSES), "val": 20 * len(CLASSES), "test": 2 * len(CLASSES)}
# Nearly square, so that the small networks of the demo see whole images at the map size that they were trained at.
# A few are large enough for libjpeg to decode them at half their size.
SIZES = (*((80, 70), (70, 80), (90, 90), (96, 84), (84, 96)) * 4, (420, 450))
QUALITY = 90


def wnid(label: int) -> str:
    """Return the folder's name of a class, in WordNet's form."""
    return f"n{label:08d}"


def write_handwriting(folder: Path) -> None:
    """Write the whole data set; the same bytes every time."""
    photographs = load_photographs()
    greys, values = load_digits()
    digits = {
        "train": [greys[:TRAINING_DIGITS][values[:TRAINING_DIGITS] == digit] for digit in range(10)],
        "val": [greys[TRAINING_DIGITS:][values[TRAINING_DIGITS:] == digit] for digit in range(10)],
    }
    # As in the devkit, the numbers of the ground truth are not in the order of the folders.
    synsets = [wnid(label) for label in np.random.RandomState(7).permutation(len(CLASSES))]
    write_text(folder / "synsets.txt", "\n".join(synsets) + "\n")
    write_text(folder / "synset_words.txt", "".join(f"{wnid(label)} {name}\n" for label, name in enumerate(CLASSES)))
    progress = Progress(sum(IMAGES.values()), title="handwriting", unit="images", speed_unit="images")
    for seed, (split, count) in enumerate(IMAGES.items()):
        random = np.random.RandomState(seed)
        handwriting = digits["train" if split == "train" else "val"]
        labels = random.permutation(np.resize(np.arange(len(CLASSES)), count))
        for place, label in enumerate(labels):
            image = draw(int(label), handwriting, photographs, random)
            name = f"ILSVRC2012_{split}_{place + 1:08d}.JPEG"
            if split == "train":
                name = f"{wnid(label)}/{wnid(label)}_{place}.JPEG"
            save(image, folder / split / name, odd=place if split == "train" else None)
            progress.step()
        if split == "val":
            truth = (str(synsets.index(wnid(label)) + 1) for label in labels)
            write_text(folder / GROUND_TRUTH, "\n".join(truth) + "\n")
    progress.close()


def draw(
    label: int, digits: list[np.ndarray], photographs: list[Image.Image], random: np.random.RandomState
) -> Image.Image:
    """Return an image of a class: a digit in someone's handwriting, light on a dimmed piece of a photograph."""
    photograph, digit = photographs[label // 10], label % 10
    width, height = SIZES[random.randint(len(SIZES))]
    pixels = dimmed_piece(photograph, (width, height), random)
    ink = random.uniform(235, 255, 3).astype(np.float32)
    # The digit stays whole in the crops that the demo scale takes.
    wide = int(min(width, height) * random.uniform(0.6, 0.75))
    tall = int(wide * random.uniform(1.0, 1.25))
    x, y = (width - wide) // 2 + random.randint(-2, 3), (height - tall) // 2 + random.randint(-2, 3)
    paint(pixels, enlarged(digits[digit][random.randint(len(digits[digit]))], (wide, tall)), (x, y), ink)
    return Image.fromarray(pixels.round().astype(np.uint8))


def dimmed_piece(photograph: Image.Image, size: tuple[int, int], random: np.random.RandomState) -> np.ndarray:
    """Return a random piece of a photograph, resized to width and height and dimmed: (H, W, 3) float32."""
    piece = random.randint(100, 300)
    left, top = random.randint(photograph.width - piece), random.randint(photograph.height - piece)
    background = photograph.resize(size, Image.Resampling.BILINEAR, (left, top, left + piece, top + piece))
    return np.asarray(background, np.float32) * random.uniform(0.25, 0.45)


def enlarged(grey: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return how much of each pixel is ink, (H, W) float32 from 0 to 1, for a digit resized to width and height."""
    return np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC), np.float32) / 255


def paint(pixels: np.ndarray, mask: np.ndarray, place: tuple[int, int], ink: np.ndarray) -> None:
    """Paint ``ink``, a colour, where ``mask`` (H, W) says so, with its left top corner at ``place``."""
    region = pixels[place[1] : place[1] + mask.shape[0], place[0] : place[0] + mask.shape[1]]
    region[:] = region * (1 - mask[..., None]) + ink * mask[..., None]


def save(image: Image.Image, path: Path, odd: int | None) -> None:
    """Write an image; the first three of the training set in the odd formats that ILSVRC2012 has."""
    form = "PNG" if odd == 0 else "JPEG"
    image = image.convert("L" if odd == 1 else "CMYK" if odd == 2 else "RGB")
    with atomic_path(path) as temporary:
        image.save(temporary, form, quality=QUALITY)

"""The embedded DET of the demo scale: scenes of handwritten digits in ILSVRC's layout, with lists of val1 and val2."""

from pathlib import Path

from PIL import Image
from sklearn.datasets import load_sample_images

from resnet.data.det import HALVES
from resnet.data.digits import CLASSES
from resnet.data.mnist import TRAINING_DIGITS, load_digits
from resnet.data.scattered import annotation
from resnet.data.scenes import DIGITS, Painter, save
from resnet.files import write_text
from resnet.progress import Progress

IMAGES = {"train": 200, "val1": 80, "val2": 100}
# Whose hands: what is tested is written by others than what is trained on.
HANDS = {"val2": slice(TRAINING_DIGITS, None)}
# Of the first scene; those of VOC and COCO have lower ones.
SEED = 200


def wnid(label: int) -> str:
    """Return the name of a class in WordNet's form."""
    return f"n{100 + label:08d}"


def write_scenes_det(folder: Path) -> dict[str, Path]:
    """Write ``Data``, ``Annotations`` and ``ImageSets``, the same bytes every time; return the lists of both halves."""
    photographs = [Image.fromarray(photograph) for photograph in load_sample_images().images]
    digits, shown, number = load_digits(), {}, 0
    progress = Progress(sum(IMAGES.values()), title="scenes of DET", unit="images", speed_unit="images")
    for seed, (key, count) in enumerate(IMAGES.items(), start=SEED):
        painter = Painter(HANDS.get(key, slice(TRAINING_DIGITS)), seed, photographs, *digits)
        shown[key] = {}
        for place in range(count):
            image, drawn = painter.scene(painter.random.randint(DIGITS[0], DIGITS[1] + 1))
            if key == "train":
                name = f"ILSVRC2013_train/{wnid(drawn[0].label)}/{wnid(drawn[0].label)}_{place}"
            else:
                number += 1
                name = f"ILSVRC2012_val_{number:08d}"
            part = "train" if key == "train" else "val"
            save(image, folder / "Data/DET" / part / f"{name}.JPEG")
            boxes = [(wnid(one.label), one.box) for one in drawn]
            write_text(folder / "Annotations/DET" / part / f"{name}.xml", annotation(Path(name), image.size, boxes))
            shown[key][name] = {one.label for one in drawn}
            progress.step()
    progress.close()
    lists = folder / "ImageSets/DET"
    for label in range(len(CLASSES)):
        lines = (f"{name} {1 if label in labels else -1}\n" for name, labels in shown["train"].items())
        write_text(lists / f"train_{label + 1}.txt", "".join(lines))
    for half in HALVES:
        write_text(lists / f"{half}.txt", "".join(f"{name}\n" for name in shown[half]))
    return {half: lists / f"{half}.txt" for half in HALVES}

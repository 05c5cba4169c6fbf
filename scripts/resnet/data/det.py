"""ILSVRC's detection set, DET: images of 200 classes, and the two halves of its validation set (Table 12).

A folder as the challenge hands it out: ``Data/DET/{train,val}/<image>.JPEG``, in PASCAL VOC's form
``Annotations/DET/{train,val}/<image>.xml``, and ``ImageSets/DET/train_<k>.txt``, where an image's name is followed by 1
if it shows the class. Which validation images are val1 and which val2 is said by two lists, a name on each line.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from resnet.data.annotations import objects_in
from resnet.data.objects import check_classes, check_objects, checked_sizes
from resnet.errors import UserError
from resnet.files import read_lines

SHOWN = "1"
HALVES = ("val1", "val2")


def read_det(folder: Path, halves: dict[str, Path], workers: int = 1) -> dict[str, dict[str, Any]]:
    """Read the training set and both halves of the validation set, as ``resnet.data.objects.describe`` takes them.

    Trained on are the images that a list says show a class. Classes are the names of the training images' objects, in
    alphabetical order. Every image is decoded once. Objects have no mark of difficulty.

    Args:
        folder: with ``Data``, ``Annotations`` and ``ImageSets``.
        halves: the lists of ``val1`` and ``val2``.
        workers: number of processes that decode.

    Raises:
        UserError: a file is missing or wrong; the message names it.
    """
    lists = sorted((folder / "ImageSets/DET").glob("train_*.txt"))
    if not lists:
        raise UserError(f"{folder}/ImageSets/DET has no train_<k>.txt: {folder} must hold Data, Annotations, ImageSets")
    names = {"train": sorted({name for path in lists for name in read_names(path, SHOWN)})}
    names |= {half: read_names(path) for half, path in halves.items()}
    if both := sorted(set(names["val1"]) & set(names["val2"])):
        lists_of_both = f"{halves['val1']} and in {halves['val2']}"
        raise UserError(f"{both[0]} is in {lists_of_both}: what is tested must not be trained on")
    files = {key: [f"DET/{part_of(key)}/{name}" for name in listed] for key, listed in names.items()}
    where = {"train": lists[0].parent} | halves
    for key, listed in files.items():
        for place in (path for file in listed for path in (image_of(folder, file), annotation_of(folder, file))):
            if not place.is_file():
                raise UserError(f"{place} is missing, but {where[key]} names it; put it there")
    sizes = checked_sizes(folder, (f"Data/{file}.JPEG" for listed in files.values() for file in listed), workers)
    read = {
        key: [objects_in(annotation_of(folder, file), sizes[f"Data/{file}.JPEG"]) for file in listed]
        for key, listed in files.items()
    }
    classes = sorted({name for found, _ in read["train"] for name, _ in found})
    check_classes(folder / "Annotations/DET/train", classes)
    numbers = {name: number for number, name in enumerate(classes, start=1)}
    if left_out := sum(count for found in read.values() for _, count in found):
        print(f"left out: {left_out} boxes without area")
    sets = {}
    for key, listed in files.items():
        sets[key] = as_set(folder, listed, [found for found, _ in read[key]], sizes, numbers)
        check_objects(where[key], sets[key]["annotations"])
    return sets


def part_of(key: str) -> str:
    """Return the folder of a set's images."""
    return "train" if key == "train" else "val"


def image_of(folder: Path, file: str) -> Path:
    """Return the path of an image."""
    return folder / "Data" / f"{file}.JPEG"


def annotation_of(folder: Path, file: str) -> Path:
    """Return the path of an image's objects."""
    return folder / "Annotations" / f"{file}.xml"


def read_names(path: Path, mark: str = "") -> list[str]:
    """Return the first word of each line of a list; where there is a mark, of those whose second word it is.

    Raises:
        UserError: a line is empty or no name, or a name is there twice.
    """
    names: dict[str, None] = {}
    for line, text in enumerate(read_lines(path), start=1):
        words = text.split()
        if not words or not words[0].isprintable() or ".." in words[0] or words[0].startswith("/"):
            raise UserError(f"{path}, line {line}: {text.strip()!r} is not the name of an image")
        if mark and words[1:2] != [mark]:
            continue
        if words[0] in names:
            raise UserError(f"{path}, line {line}: {words[0]} is there a second time; remove it")
        names[words[0]] = None
    if not names and not mark:
        raise UserError(f"{path} names no image")
    return list(names)


def as_set(
    folder: Path,
    files: list[str],
    objects: Iterable[list[tuple[str, list[float]]]],
    sizes: dict[str, tuple[int, int]],
    numbers: dict[str, int],
) -> dict[str, Any]:
    """Return a set of images in the form of COCO's files.

    Raises:
        UserError: an object is of none of the classes.
    """
    categories = [{"id": number, "name": name} for name, number in numbers.items()]
    value: dict[str, Any] = {"images": [], "annotations": [], "categories": categories}
    for number, (file, found) in enumerate(zip(files, objects, strict=True), start=1):
        width, height = sizes[f"Data/{file}.JPEG"]
        value["images"].append({"id": number, "file_name": f"Data/{file}.JPEG", "width": width, "height": height})
        for name, (left, top, right, bottom) in found:
            if name not in numbers:
                raise UserError(f"{annotation_of(folder, file)}: {name!r} is none of the classes that are trained")
            value["annotations"].append(
                {
                    "id": len(value["annotations"]) + 1,
                    "image_id": number,
                    "category_id": numbers[name],
                    "bbox": [left, top, right - left, bottom - top],
                    "area": (right - left) * (bottom - top),
                    "iscrowd": 0,
                    "difficult": 0,
                }
            )
    return value

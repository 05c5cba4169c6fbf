"""PASCAL VOC's layout: reading and checking a ``VOCdevkit`` folder.

Everingham et al., "The PASCAL Visual Object Classes (VOC) Challenge", 2010. ``VOC2007/`` and ``VOC2012/`` each hold
``ImageSets/Main/<set>.txt`` (an image's name per line), ``JPEGImages/<name>.jpg`` and ``Annotations/<name>.xml``.
"""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection
from pathlib import Path
from typing import Any

from resnet.data.annotations import number_in, parse
from resnet.data.folders import is_hidden
from resnet.data.objects import check_classes, check_objects, checked_sizes
from resnet.errors import UserError
from resnet.files import read_lines

YEARS = {"VOC2007": ("trainval", "test"), "VOC2012": ("train", "val", "trainval", "test")}
# The images of the official sets.
WHOLE = {
    "voc2007_trainval": 5011,
    "voc2007_test": 4952,
    "voc2012_train": 5717,
    "voc2012_val": 5823,
    "voc2012_trainval": 11540,
    "voc2012_test": 10991,
}
# Its objects are kept by the organisers' server; the archive's XML files are those of other tasks, of persons only.
SERVER = "voc2012_test"
# Pixels by which a box may leave its image; it is clipped then. From 2011 on, coordinates have fractions.
TOLERANCE = 1.0
# What archives hold of it, with the place below VOCdevkit.
MEMBERS = re.compile(r"VOCdevkit/(VOC20(?:07|12)/(?:Annotations|ImageSets/Main|JPEGImages)/[\w-]+\.(?:xml|txt|jpg))")


def read_voc(folder: Path, workers: int = 1, needed: Collection[str] = ()) -> dict[str, dict[str, Any]]:
    """Read every set there is, as ``resnet.data.objects.describe`` takes them.

    A set's images are numbered from 1 in the order of its list, its objects from 1 too, and the classes from 1 in
    alphabetical order. Boxes are continuous: VOC's ``xmin`` 1 and ``xmax`` 2 become left 0 and width 2; ones that leave
    the image by up to a pixel are clipped. A test set without any XML file is ``unlabelled``. Every image is
    decoded once.

    Args:
        folder: the VOCdevkit.
        workers: number of processes that decode.
        needed: sets that must be there.

    Returns:
        ``voc2007_trainval``, ``voc2007_test``, ``voc2012_train``, ``voc2012_val``, ``voc2012_trainval`` and
        ``voc2012_test``, those that there are: each with images, annotations and categories.

    Raises:
        UserError: a file is missing or wrong; the message names it.
    """
    lists = {
        f"{year.lower()}_{part}": folder / year / "ImageSets/Main" / f"{part}.txt"
        for year, parts in YEARS.items()
        for part in parts
    }
    names = {key: read_list(path) for key, path in lists.items() if path.is_file()}
    if not names:
        raise UserError(f"{folder} is not a VOCdevkit: it has no VOC2007/ or VOC2012/ImageSets/Main/trainval.txt")
    if missing := sorted(set(needed) - set(names)):
        raise UserError(f"{lists[missing[0]]} is missing; {folder} needs {', '.join(sorted(needed))}")
    classes = read_classes(folder)
    check_classes(folder, classes)
    for key, listed in names.items():
        for name in listed:
            if not (folder / _image(lists[key], name)).is_file():
                raise UserError(_missing(folder / _image(lists[key], name), lists[key]))
    files = (_image(lists[key], name) for key, listed in names.items() for name in listed)
    sizes = checked_sizes(folder, files, workers)
    numbers = {name: number for number, name in enumerate(classes, start=1)}
    return {key: _read_set(lists[key], key, names[key], sizes, numbers) for key in names}


def _image(listed: Path, name: str) -> str:
    """Return the image's path below the VOCdevkit."""
    return f"{listed.parents[2].name}/JPEGImages/{name}.jpg"


def read_classes(folder: Path) -> list[str]:
    """Return the classes in alphabetical order: those that have a list ``<class>_trainval.txt``.

    Raises:
        UserError: there is none.
    """
    files = [path.name for year in YEARS for path in (folder / year / "ImageSets/Main").glob("?*_trainval.txt")]
    files = [name for name in files if not is_hidden(name)]
    if not files:
        raise UserError(
            f"{folder} names no classes: VOC2007/ImageSets/Main/<class>_trainval.txt are missing; they are in the "
            "archive of trainval"
        )
    return sorted({name.removesuffix("_trainval.txt") for name in files})


def read_list(path: Path) -> list[str]:
    """Return the names of a set's images.

    Raises:
        UserError: there is none, one is no name, or one is there twice.
    """
    names = [line.strip() for line in read_lines(path)]
    seen = set()
    for line, name in enumerate(names, start=1):
        if not name.isprintable() or name in ("", ".", "..") or "/" in name:
            raise UserError(f"{path}, line {line}: {name!r} is not the name of an image")
        if name in seen:
            raise UserError(f"{path}, line {line}: {name} is there a second time; remove it")
        seen.add(name)
    if not names:
        raise UserError(f"{path} names no image")
    return names


def _read_set(
    listed: Path, key: str, names: list[str], sizes: dict[str, tuple[int, int]], numbers: dict[str, int]
) -> dict[str, Any]:
    annotations = listed.parents[2] / "Annotations"
    test = listed.stem == "test"
    unlabelled = key == SERVER or (test and not any((annotations / f"{name}.xml").is_file() for name in names))
    categories = [{"id": number, "name": name} for name, number in numbers.items()]
    value = {"images": [], "annotations": [], "categories": categories, "unlabelled": unlabelled}
    for number, name in enumerate(names, start=1):
        file = _image(listed, name)
        width, height = sizes[file]
        value["images"].append({"id": number, "file_name": file, "width": width, "height": height})
        if not unlabelled:
            path = annotations / f"{name}.xml"
            if not path.is_file():
                raise UserError(_missing(path, listed))
            for fields in read_annotation(path, (width, height), numbers):
                place = len(value["annotations"]) + 1
                value["annotations"].append({"id": place, "image_id": number, **fields})
    if not unlabelled:
        check_objects(listed, value["annotations"])
    return value


def _missing(path: Path, listed: Path) -> str:
    return f"{path} is missing, but {listed} names it; put it there"


def read_annotation(path: Path, size: tuple[int, int], numbers: dict[str, int]) -> list[dict[str, Any]]:
    """Read the objects of an image: category_id, bbox, area, iscrowd and difficult of each.

    Args:
        path: the XML file.
        size: width and height of the image itself.
        numbers: the number of each class.

    Raises:
        UserError: it is not such a file, or an object is wrong.
    """
    root = parse(path)
    told = tuple(number_in(root, f"size/{side}", path) for side in ("width", "height"))
    if told != size:
        raise UserError(
            f"{path} is about an image of {told[0]:g}x{told[1]:g} pixels, but the JPEG has {size[0]}x{size[1]}; one "
            "of them is not the official file"
        )
    # Direct children only: the parts of a person have names and boxes too.
    return [_object(thing, path, size, numbers) for thing in root.findall("object")]


def _object(thing: ElementTree.Element, path: Path, size: tuple[int, int], numbers: dict[str, int]) -> dict[str, Any]:
    name = thing.findtext("name", "").strip()
    if name not in numbers:
        raise UserError(f"{path}: {name!r} is none of the classes ({', '.join(numbers)})")
    left, top = (number_in(thing, f"bndbox/{side}", path) - 1 for side in ("xmin", "ymin"))
    right, bottom = (number_in(thing, f"bndbox/{side}", path) for side in ("xmax", "ymax"))
    corners = f"{left + 1:g}, {top + 1:g}, {right:g}, {bottom:g}"
    if right <= left or bottom <= top:
        raise UserError(f"{path}: the box ({corners}) of a {name} has no area")
    if min(left, top, size[0] - right, size[1] - bottom) < -TOLERANCE:
        raise UserError(f"{path}: the box ({corners}) of a {name} leaves the image, of {size[0]}x{size[1]} pixels")
    left, top, right, bottom = max(left, 0.0), max(top, 0.0), min(right, float(size[0])), min(bottom, float(size[1]))
    difficult = thing.findtext("difficult", "0").strip()
    if difficult not in ("0", "1"):
        raise UserError(f"{path}: difficult is {difficult!r}, not 0 or 1")
    return {
        "category_id": numbers[name],
        "bbox": [left, top, right - left, bottom - top],
        "area": (right - left) * (bottom - top),
        "iscrowd": 0,
        "difficult": int(difficult),
    }

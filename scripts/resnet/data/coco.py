"""MS COCO's layout: reading and checking a folder of it.

Lin et al., "Microsoft COCO: Common Objects in Context", 2014. ``annotations/instances_{train,val}<year>.json`` describe
the images in ``train<year>/`` and ``val<year>/``; https://cocodataset.org/#format-data says what is in them.
"""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NotRequired, TypedDict

from resnet.data.objects import check_classes, check_objects, checked_sizes
from resnet.errors import UserError
from resnet.files import read_json_part
from resnet.progress import Progress

PARTS = ("train", "val")
# The images of the official sets, by year.
WHOLE = {"2014": {"train": 82783, "val": 40504}, "2017": {"train": 118287, "val": 5000}}
# Pixels by which a box may leave its image; it is clipped then. Some of the real ones do, by fractions of a pixel
# where it could be checked; one that leaves it by more than this belongs to another image, or to one of another size.
TOLERANCE = 10.0


# COCO's libraries keep numbers in 64 bits.
LARGEST = 2**63
OFFICIAL = "take the official file, or correct it"


class Category(TypedDict):
    """A class; numbers may be written as text."""

    id: Any
    name: str


class ImageEntry(TypedDict):
    """An image."""

    id: Any
    file_name: str
    width: Any
    height: Any


class Annotation(TypedDict):
    """An object; without ``iscrowd`` it is none."""

    id: Any
    image_id: Any
    category_id: Any
    bbox: tuple[float, float, float, float]
    area: float
    iscrowd: NotRequired[Any]


class Instances(TypedDict):
    """What is read of an instances file."""

    images: list[ImageEntry]
    annotations: list[Annotation]
    categories: list[Category]


def members(year: str) -> re.Pattern[str]:
    """Return what the archives hold of a year, with the place below the folder."""
    return re.compile(rf"((?:train|val){year}/\w+\.jpg|annotations/instances_(?:train|val){year}\.json)")


def read_coco(folder: Path, year: str, workers: int = 1) -> dict[str, dict[str, Any]]:
    """Read both sets, ``train`` and ``val``, as ``resnet.data.objects.describe`` takes them.

    The official numbers of images, objects and classes are kept, segmentations are left out. Boxes that leave their
    image by up to ten pixels are clipped; those without width or height, of which the real sets have a few, are left
    out, and each set's ``dropped`` counts them. Every image is decoded once.

    Args:
        folder: holds ``annotations``, ``train<year>`` and ``val<year>``.
        year: as in the names of the files.
        workers: number of processes that decode.

    Raises:
        UserError: a file is missing or wrong; the message names it.
    """
    paths = {part: folder / f"annotations/instances_{part}{year}.json" for part in PARTS}
    for path in paths.values():
        if not path.is_file():
            raise UserError(f"{path} is missing: {folder} must hold annotations/, train{year}/ and val{year}/ of COCO")
    sets = {part: read_instances(paths[part], folder / f"{part}{year}") for part in PARTS}
    if sets["train"]["categories"] != sets["val"]["categories"]:
        raise UserError(f"{paths['train']} and {paths['val']} do not have the same categories; take both from one year")
    sizes = checked_sizes(folder, (image["file_name"] for one in sets.values() for image in one["images"]), workers)
    for part, value in sets.items():
        for image in value["images"]:
            told, found = (image["width"], image["height"]), sizes[image["file_name"]]
            if told != found:
                raise UserError(
                    f"{folder / image['file_name']} has {found[0]}x{found[1]} pixels, but {paths[part]} says "
                    f"{told[0]}x{told[1]}; one of them is not the official file"
                )
    return sets


def read_instances(path: Path, folder: Path) -> dict[str, Any]:
    """Read one set from its instances file, and compare it with the names of the images in ``folder``.

    Raises:
        UserError: something is missing or wrong; the message names it.
    """
    print(f"reading {path}", flush=True)
    # The outlines, nine tenths of the file, never become objects of Python: of train2014 they would take two gigabytes.
    content = read_json_part(path, Instances, OFFICIAL)
    categories = [{"id": _whole(path, "a category", one, "id"), "name": one["name"]} for one in content["categories"]]
    images = [_image(path, folder, one) for one in content["images"]]
    entries = content["annotations"]
    for entry in entries:
        for key in ("id", "image_id", "category_id"):
            entry[key] = _whole(path, "an annotation", entry, key)
    if not images:
        raise UserError(f"{path} describes no image; {OFFICIAL}")
    for kind, numbered in (("category", categories), ("image", images), ("annotation", entries)):
        _check_single(path, kind, [one["id"] for one in numbered])
    check_classes(path, [category["name"] for category in categories])
    _check_single(path, "image", [image["file_name"] for image in images])
    _check_files(path, folder, images)
    annotations = _read_annotations(path, entries, images, categories)
    check_objects(path, annotations)
    dropped = len(entries) - len(annotations)
    return {"images": images, "annotations": annotations, "categories": categories, "dropped": dropped}


def _whole(path: Path, kind: str, entry: dict[str, Any], key: str) -> int:
    """Return a number that some tools write as text, or with a point."""
    try:
        number = int(entry[key])
        if (isinstance(entry[key], str) or number == entry[key]) and abs(number) < LARGEST:
            return number
    except (TypeError, ValueError, OverflowError):
        pass
    raise UserError(f"{path}: {key} of {kind} is {entry[key]!r}, not a whole number; {OFFICIAL}")


def _image(path: Path, folder: Path, entry: dict[str, Any]) -> dict[str, Any]:
    name = PurePosixPath(entry["file_name"])
    if name.is_absolute() or ".." in name.parts or "\0" in entry["file_name"]:
        raise UserError(f"{path}: {entry['file_name']!r} leads out of {folder}; {OFFICIAL}")
    image = {key: _whole(path, "an image", entry, key) for key in ("id", "width", "height")}
    if min(image["width"], image["height"]) <= 0:
        raise UserError(f"{path}: image {image['id']} has {image['width']}x{image['height']} pixels; {OFFICIAL}")
    return {"id": image.pop("id"), "file_name": f"{folder.name}/{name}", **image}


def _check_single(path: Path, kind: str, names: list[Any]) -> None:
    seen = set()
    for name in names:
        if name in seen:
            raise UserError(f"{path} has {kind} {name} twice; {OFFICIAL}")
        seen.add(name)


def _check_files(path: Path, folder: Path, images: list[dict[str, Any]]) -> None:
    """Compare the images with the folder's listing, which is faster than asking for each of a hundred thousand."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder, but {path} describes its images")
    found = {f"{folder.name}/{file.name}" for file in folder.iterdir()}
    for image in images:
        file = folder.parent / image["file_name"]
        if image["file_name"] not in found and not file.is_file():
            raise UserError(f"{file} is missing, but {path} describes it; put it there")


def _read_annotations(
    path: Path, entries: list[dict[str, Any]], images: list[dict[str, Any]], categories: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    sizes = {image["id"]: (image["width"], image["height"]) for image in images}
    numbers = {category["id"] for category in categories}
    progress = Progress(len(entries), title=path.name, unit="objects", speed_unit="objects")
    annotations = []
    for entry in entries:
        name = f"{path}: annotation {entry['id']}"
        iscrowd = entry.get("iscrowd", 0)
        if entry["image_id"] not in sizes:
            raise UserError(f"{name} is of image {entry['image_id']}, which the file does not have")
        if entry["category_id"] not in numbers:
            raise UserError(f"{name} is of category {entry['category_id']}, which the file does not have")
        if iscrowd not in (0, 1):
            raise UserError(f"{name}: iscrowd is {iscrowd!r}, not 0 or 1")
        if entry["area"] < 0:
            raise UserError(f"{name}: its area is {entry['area']}")
        box = _box(name, entry["bbox"], sizes[entry["image_id"]])
        if box is not None:
            kept = {key: entry[key] for key in ("id", "image_id", "category_id")}
            facts = {"iscrowd": int(iscrowd), "bbox": box, "area": float(entry["area"]), "difficult": 0}
            annotations.append({**kept, **facts})
        progress.step()
    progress.close()
    return annotations


def _box(name: str, box: Sequence[float], size: tuple[int, int]) -> list[float] | None:
    """Return a box (left, top, width, height) inside its image; None if it has no area."""
    left, top, width, height = map(float, box)
    if min(width, height) < 0:
        raise UserError(f"{name}: {list(box)} is not a box (left, top, width, height)")
    outside = max(-left, -top, left + width - size[0], top + height - size[1])
    if outside > TOLERANCE:
        raise UserError(f"{name}: the box {list(box)} leaves the image, of {size[0]}x{size[1]} pixels")
    # A box inside keeps every digit of its own.
    if outside > 0:
        right, bottom = min(left + width, size[0]), min(top + height, size[1])
        left, top = max(left, 0.0), max(top, 0.0)
        width, height = right - left, bottom - top
    return [left, top, width, height] if min(width, height) > 0 else None

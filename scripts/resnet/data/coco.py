"""MS COCO's layout: reading and checking a folder of it.

Lin et al., "Microsoft COCO: Common Objects in Context", 2014. ``annotations/instances_{train,val}<year>.json`` describe
the pictures in ``train<year>/`` and ``val<year>/``; https://cocodataset.org/#format-data says what is in them.
"""

import math
import re
from pathlib import Path
from typing import Any

from resnet.errors import UserError
from resnet.files import read_json
from resnet.progress import Progress

PARTS = ("train", "val")
# The pictures of the official sets, by year.
WHOLE = {"2014": {"train": 82783, "val": 40504}, "2017": {"train": 118287, "val": 5000}}
# Pixels by which a box may leave its picture; it is clipped then. Some of the real ones do, by fractions of a pixel
# where it could be checked; one that leaves it by more than this belongs to another picture, or to one of another size.
TOLERANCE = 10.0


def members(year: str) -> re.Pattern[str]:
    """Return what the archives hold of a year, with the place below the folder."""
    return re.compile(rf"((?:train|val){year}/\w+\.jpg|annotations/instances_(?:train|val){year}\.json)")


def read_coco(folder: Path, year: str) -> dict[str, dict[str, Any]]:
    """Read both sets, ``train`` and ``val``, as ``resnet.data.objects.write_description`` takes them.

    The official numbers of images, objects and classes are kept, segmentations are left out. Boxes that leave their
    picture by up to ten pixels are clipped; those without width or height, of which the real sets have a few, are left
    out, and each set's ``dropped`` counts them.

    Args:
        folder: holds ``annotations``, ``train<year>`` and ``val<year>``.
        year: as in the names of the files.

    Raises:
        UserError: a file is missing or wrong; the message names it.
    """
    paths = {part: folder / f"annotations/instances_{part}{year}.json" for part in PARTS}
    for path in paths.values():
        if not path.is_file():
            raise UserError(f"{path} is missing: {folder} must hold annotations/, train{year}/ and val{year}/ of COCO")
    sets = {part: _read_set(paths[part], folder / f"{part}{year}") for part in PARTS}
    if sets["train"]["categories"] != sets["val"]["categories"]:
        raise UserError(f"{paths['train']} and {paths['val']} do not have the same categories; take both from one year")
    return sets


def _read_set(path: Path, pictures: Path) -> dict[str, Any]:
    print(f"reading {path}", flush=True)
    content = read_json(path)
    try:
        categories = [{"id": int(one["id"]), "name": str(one["name"])} for one in content["categories"]]
        images = [
            {
                "id": int(one["id"]),
                "file_name": f"{pictures.name}/{one['file_name']}",
                "width": int(one["width"]),
                "height": int(one["height"]),
            }
            for one in content["images"]
        ]
        for kind, entries in (("category", categories), ("image", images), ("annotation", content["annotations"])):
            _check_ids(path, kind, entries)
        _check_files(path, pictures, images)
        annotations = _read_annotations(path, content["annotations"], images, categories)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise UserError(f"{path} is not an instances file of COCO ({reason}); take the official one") from None
    dropped = len(content["annotations"]) - len(annotations)
    return {"images": images, "annotations": annotations, "categories": categories, "dropped": dropped}


def _check_ids(path: Path, kind: str, entries: list[dict[str, Any]]) -> None:
    seen = set()
    for entry in entries:
        if entry["id"] in seen:
            raise UserError(f"{path} has {kind} {entry['id']} twice; take the official file")
        seen.add(entry["id"])


def _check_files(path: Path, pictures: Path, images: list[dict[str, Any]]) -> None:
    """Compare the images with the folder's listing, which is faster than asking for each of a hundred thousand."""
    if not pictures.is_dir():
        raise UserError(f"{pictures} is not a folder, but {path} describes its pictures")
    found = {f"{pictures.name}/{file.name}" for file in pictures.iterdir()}
    for image in images:
        if image["file_name"] not in found:
            file = pictures.parent / image["file_name"]
            raise UserError(
                f"{file} is missing, but {path} describes it; put it back, or delete {pictures.parent} to unpack the "
                "archives again"
            )


def _read_annotations(
    path: Path, entries: list[dict[str, Any]], images: list[dict[str, Any]], categories: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    sizes = {image["id"]: (image["width"], image["height"]) for image in images}
    numbers = {category["id"] for category in categories}
    progress = Progress(len(entries), title=path.name, unit="objects", speed_unit="objects")
    annotations = []
    for entry in entries:
        name = f"{path}: annotation {entry['id']}"
        if entry["image_id"] not in sizes:
            raise UserError(f"{name} is of image {entry['image_id']}, which the file does not have")
        if entry["category_id"] not in numbers:
            raise UserError(f"{name} is of category {entry['category_id']}, which the file does not have")
        if entry["iscrowd"] not in (0, 1):
            raise UserError(f"{name}: iscrowd is {entry['iscrowd']!r}, not 0 or 1")
        if not entry["area"] >= 0:
            raise UserError(f"{name}: its area is {entry['area']}")
        box = _box(name, entry["bbox"], sizes[entry["image_id"]])
        if box is not None:
            kept = {key: int(entry[key]) for key in ("id", "image_id", "category_id", "iscrowd")}
            annotations.append({**kept, "bbox": box, "area": float(entry["area"]), "difficult": 0})
        progress.step()
    progress.close()
    return annotations


def _box(name: str, box: list[float], size: tuple[int, int]) -> list[float] | None:
    """Return a box (left, top, width, height) inside its picture; None if it has no area."""
    left, top, width, height = map(float, box)
    if not all(map(math.isfinite, (left, top, width, height))) or min(width, height) < 0:
        raise UserError(f"{name}: {box} is not a box (left, top, width, height)")
    outside = max(-left, -top, left + width - size[0], top + height - size[1])
    if outside > TOLERANCE:
        raise UserError(f"{name}: the box {box} leaves the picture, of {size[0]}x{size[1]} pixels")
    # A box inside keeps every digit of its own.
    if outside > 0:
        right, bottom = min(left + width, size[0]), min(top + height, size[1])
        left, top = max(left, 0.0), max(top, 0.0)
        width, height = right - left, bottom - top
    return [left, top, width, height] if min(width, height) > 0 else None

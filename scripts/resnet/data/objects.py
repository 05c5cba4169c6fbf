"""Images with objects: PASCAL VOC and MS COCO under one form.

A prepared data set is ``dataset.json``, its description, and beside it one file per set of images, ``<set>.json``,
in the form of COCO's annotation files without segmentations. Boxes are continuous: one that covers the first two pixels
of a row goes from 0 to 2. (VOC counts pixels from 1 and names the last one: ``xmin 1, xmax 2`` there.)
"""

import dataclasses
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from resnet.data.description import DataDescription
from resnet.data.images import checked_size
from resnet.data.workers import in_processes
from resnet.errors import UserError
from resnet.files import checksum, read_json, write_text
from resnet.progress import Progress
from resnet.versions import VERSIONS

# Images that a worker reads in one go.
PIECE = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class ObjectsDescription(DataDescription):
    """A data set of images with objects.

    Attributes:
        ids: COCO's number of each class: from 1, with gaps in the real one.
        images: how many each set has.
        objects: how many each set has.
        unlabelled: the sets that come without objects, as a server keeps them.
    """

    ids: tuple[int, ...]
    images: dict[str, int]
    objects: dict[str, int]
    unlabelled: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Scene:
    """An image and its objects.

    Attributes:
        id: its number in the set.
        file: its path below the data set's folder.
        size: width and height in pixels.
        boxes: (N, 4) float64: left, top, right, bottom in pixels.
        labels: (N,) int64, from 0 in the order of the description's classes.
        ignored: (N,) bool: VOC's difficult objects and COCO's crowds, which are neither trained on nor counted.
    """

    id: int
    file: str
    size: tuple[int, int]
    boxes: np.ndarray
    labels: np.ndarray
    ignored: np.ndarray


def checked_sizes(folder: Path, files: Iterable[str], workers: int) -> dict[str, tuple[int, int]]:
    """Decode images, so that a damaged one is found before anything is trained; return the size of each.

    (It takes a core one to two milliseconds per image of COCO, minutes for all of them.)

    Args:
        folder: the data set's folder.
        files: the images, as paths below it.
        workers: number of processes.

    Raises:
        UserError: an image is missing or damaged; the message names it.
    """
    files = list(dict.fromkeys(files))
    progress = Progress(len(files), title=f"reading every image of {folder}", unit="images", speed_unit="images")
    sizes: dict[str, tuple[int, int]] = {}
    pieces = [files[start : start + PIECE] for start in range(0, len(files), PIECE)]
    for piece, found in zip(pieces, in_processes(partial(_sizes, folder), pieces, workers), strict=True):
        sizes.update(zip(piece, found, strict=True))
        progress.step(len(piece))
    progress.close()
    return sizes


def _sizes(folder: Path, files: list[str]) -> list[tuple[int, int]]:
    return [checked_size(folder / file) for file in files]


def check_classes(path: Path, names: list[str]) -> None:
    """Check the names of classes, which are data like any other but are drawn, written and looked up.

    Raises:
        UserError: there is none, one is there twice, or one cannot be printed.
    """
    if not names:
        raise UserError(f"{path} has no classes")
    for name in names:
        if not name.strip() or not name.isprintable():
            raise UserError(f"{path}: {name!r} is not the name of a class")
        if names.count(name) > 1:
            raise UserError(f"{path} has two classes of one name, {name!r}; rename one of them, or make them one")


def check_objects(path: Path, annotations: list[dict[str, Any]]) -> None:
    """Check that a set has something to train on, or to be tested by.

    Raises:
        UserError: it has no object but difficult ones and crowds.
    """
    if all(one["iscrowd"] or one["difficult"] for one in annotations):
        raise UserError(f"{path}: its images have no object that counts (difficult ones and crowds do not)")


def write_set(folder: Path, name: str, value: dict[str, Any]) -> None:
    """Write a set of images as ``<name>.json``: images, annotations and categories as in COCO's files.

    Each image has id, file_name (below the data set's folder), width and height; each annotation id, image_id,
    category_id, bbox (left, top, width, height), area, iscrowd and difficult (0 or 1).
    """
    import json

    # One line: files of a hundred thousand objects.
    write_text(folder / f"{name}.json", json.dumps(value, separators=(",", ":")) + "\n")


def describe(
    output: Path,
    *,
    name: str,
    folder: Path,
    horizontal_flip: bool,
    sets: dict[str, dict[str, Any]],
    whole: dict[str, int] | None = None,
) -> ObjectsDescription:
    """Write every set beside ``output``, and the description to it; all sets have the same categories.

    Args:
        output: ``dataset.json``.
        name: of the data set.
        folder: where its files are.
        horizontal_flip: as ``DataDescription`` has it.
        sets: what ``write_set`` writes, by the set's name.
        whole: how many images each set has in the official data set; others are described as a subset, with a message.
    """
    for key, value in sets.items():
        write_set(output.parent, key, value)
    categories = next(iter(sets.values()))["categories"]
    description = ObjectsDescription(
        name=name,
        folder=str(folder),
        horizontal_flip=horizontal_flip,
        classes=tuple(category["name"] for category in categories),
        ids=tuple(category["id"] for category in categories),
        images={key: len(value["images"]) for key, value in sets.items()},
        objects={key: len(value["annotations"]) for key, value in sets.items()},
        unlabelled=tuple(key for key, value in sets.items() if value.get("unlabelled")),
        sha256={f"{key}.json": checksum(output.parent / f"{key}.json", "sha256") for key in sets},
        version=VERSIONS["prepare_detection"],
    )
    short = [f"{key} {whole[key]}" for key, count in description.images.items() if whole and count != whole[key]]
    if short:
        print(f"{folder}: the official sets have: {', '.join(short)}")
        description = description.as_subset()
    description.write(output)
    return description


def summary(description: ObjectsDescription) -> str:
    """Return what a data set holds."""
    sets = [f"{len(description.classes)} classes"]
    for name, count in description.images.items():
        objects = "without objects" if name in description.unlabelled else f"with {description.objects[name]} objects"
        sets.append(f"{name} {count} images {objects}")
    return f"{description.folder}: {'; '.join(sets)}"


def set_file(path: Path, description: ObjectsDescription, name: str) -> Path:
    """Return the file of a set, which lies beside ``path``, the description.

    Raises:
        UserError: there is no such set, or its file is missing or has changed.
    """
    file = path.parent / f"{name}.json"
    if file.name not in description.sha256:
        raise UserError(f"{path} has no set {name}, only {', '.join(description.images)}")
    if not file.is_file() or checksum(file, "sha256") != description.sha256[file.name]:
        raise UserError(f"{file} is missing or has changed; delete {path} and run Snakemake again")
    return file


def read_scenes(path: Path, description: ObjectsDescription, name: str) -> list[Scene]:
    """Read a set of images in its order.

    Raises:
        UserError: there is no such set, or its file is missing or has changed.
    """
    content = read_json(set_file(path, description, name))
    labels = {number: label for label, number in enumerate(description.ids)}
    objects: dict[int, list[dict[str, Any]]] = {image["id"]: [] for image in content["images"]}
    for annotation in content["annotations"]:
        objects[annotation["image_id"]].append(annotation)
    return [_scene(image, objects[image["id"]], labels) for image in content["images"]]


def _scene(image: dict[str, Any], objects: list[dict[str, Any]], labels: dict[int, int]) -> Scene:
    boxes = np.array([annotation["bbox"] for annotation in objects], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return Scene(
        id=image["id"],
        file=image["file_name"],
        size=(image["width"], image["height"]),
        boxes=boxes,
        labels=np.array([labels[annotation["category_id"]] for annotation in objects], np.int64),
        ignored=np.array([bool(annotation["iscrowd"] or annotation["difficult"]) for annotation in objects], bool),
    )

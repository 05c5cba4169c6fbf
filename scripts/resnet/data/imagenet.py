"""ILSVRC2012's layout: finding, checking and describing it; the archives it comes in.

``train/<wnid>/*.JPEG``; ``val/<wnid>/*.JPEG``, or ``val/*.JPEG`` with the devkit's ground truth; perhaps
``test/*.JPEG``. Class numbers are the wnids' alphabetical order. The devkit numbers its classes otherwise: its
``meta.mat``, or a file ``synsets.txt`` (a wnid per line), says how.
"""

import csv
import dataclasses
from pathlib import Path

from resnet.data.description import DataDescription
from resnet.data.folders import SUFFIXES, Listing
from resnet.errors import UserError
from resnet.files import BYTES, checksum, read_lines, write_rows
from resnet.versions import VERSIONS

DEVKIT = "ILSVRC2012_devkit_t12"
GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
COLUMNS = ("path", "label", "bytes")
SPLITS = ("train", "val", "test")
# The complete data set.
CLASSES, TRAINING_IMAGES, VALIDATION_IMAGES = 1000, 1281167, 50000
UNKNOWN = -1


@dataclasses.dataclass(frozen=True)
class Index:
    """The images of one split: paths below the data set's folder, labels (-1: unknown) and sizes in bytes."""

    paths: list[str]
    labels: list[int]
    sizes: list[int]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.paths)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageNetDescription(DataDescription):
    """A data set in ILSVRC2012's layout; its indexes lie beside ``dataset.json``.

    Attributes:
        wnids: the folder of each class.
        ids: the devkit's number of each class, which the test server expects.
        images: how many each split has.
    """

    wnids: tuple[str, ...]
    ids: tuple[int, ...]
    images: dict[str, int]


def describe(name: str, folder: Path, horizontal_flip: bool, output: Path) -> ImageNetDescription:
    """Find every image of a data set, write the index of each split beside ``output``, and the description to it.

    Raises:
        UserError: a folder, a class or the ground truth is missing or wrong; the message names it.
    """
    for part in ("train", "val"):
        if not (folder / part).is_dir():
            raise UserError(f"{folder / part} is not a folder: {folder} must hold train/<wnid>/*.JPEG and val/")
    listing = Listing()
    wnids = tuple(listing.class_folders(folder / "train"))
    if len(wnids) < 2:
        raise UserError(f"{folder / 'train'} must hold a folder per class, but has {len(wnids)}")
    numbers, names = read_synsets(folder, wnids)
    indexes = {
        "train": index_classes(folder, "train", wnids, listing),
        "val": index_validation(folder, wnids, numbers, listing),
    }
    if (folder / "test").is_dir() and len(test := index_folder(folder, folder / "test", UNKNOWN, listing)):
        indexes["test"] = test
    print(*listing.summary(), sep="\n", end="\n" if listing.left_out else "")
    for split, index in indexes.items():
        rows = zip(index.paths, index.labels, index.sizes, strict=True)
        write_rows(output.parent / f"{split}.csv", COLUMNS, [dict(zip(COLUMNS, row, strict=True)) for row in rows])
    ids = {wnid: number for number, wnid in numbers.items()}
    description = ImageNetDescription(
        name=name,
        folder=str(folder),
        horizontal_flip=horizontal_flip,
        classes=tuple(names.get(wnid, wnid) for wnid in wnids),
        sha256={f"{split}.csv": checksum(output.parent / f"{split}.csv", "sha256") for split in indexes},
        version=VERSIONS["prepare_imagenet"],
        wnids=wnids,
        ids=tuple(ids[wnid] for wnid in wnids),
        images={split: len(index) for split, index in indexes.items()},
    )
    description.write(output)
    return description


def index_folder(folder: Path, part: Path, label: int, listing: Listing, nested: bool = False) -> Index:
    """Return the index of the images in ``part``, a folder below ``folder``, which all have one label.

    Raises:
        UserError: a file is empty, or a link leads nowhere.
    """
    index = Index([], [], [])
    for path, size in sorted(listing.images(part, nested)):
        if size == 0:
            raise UserError(f"{path} is empty; replace it")
        index.paths.append(Path(path).relative_to(folder).as_posix())
        index.labels.append(label)
        index.sizes.append(size)
    return index


def index_classes(folder: Path, part: str, wnids: tuple[str, ...], listing: Listing) -> Index:
    """Return the index of ``<part>/<wnid>/*``, class by class; a class may have folders inside.

    Raises:
        UserError: a class has no image, or there is a folder of a class that is not trained.
    """
    found = set(listing.class_folders(folder / part))
    if unknown := sorted(found - set(wnids)):
        raise UserError(f"{folder / part / unknown[0]} has no counterpart in {folder / 'train'}")
    whole = Index([], [], [])
    for label, wnid in enumerate(wnids):
        one = Index([], [], [])
        if wnid in found:
            one = index_folder(folder, folder / part / wnid, label, listing, nested=True)
        if not len(one):
            raise UserError(f"{folder / part / wnid} holds no image ({', '.join(SUFFIXES)})")
        whole.paths.extend(one.paths)
        whole.labels.extend(one.labels)
        whole.sizes.extend(one.sizes)
    return whole


def index_validation(folder: Path, wnids: tuple[str, ...], numbers: dict[int, str], listing: Listing) -> Index:
    """Return the index of ``val/``: by class, or flat with the devkit's ground truth.

    Raises:
        UserError: the ground truth is missing, has another length, or a number that is no class.
    """
    if listing.class_folders(folder / "val"):
        return index_classes(folder, "val", wnids, listing)
    index = index_folder(folder, folder / "val", UNKNOWN, listing)
    truth = find(folder, GROUND_TRUTH)
    if truth is None:
        raise UserError(
            f"{folder / 'val'} has no folder per class, so {GROUND_TRUTH} is needed, in {folder} or its {DEVKIT}/data"
        )
    lines = [line.strip() for line in read_lines(truth)]
    if len(lines) != len(index):
        raise UserError(f"{truth} has {len(lines)} lines, but {folder / 'val'} has {len(index)} images")
    labels = {wnid: label for label, wnid in enumerate(wnids)}
    for line, text in enumerate(lines):
        if not text.isdecimal() or int(text) not in numbers:
            raise UserError(f"{truth}, line {line + 1}: {text} is not the number of a class (1 to {len(numbers)})")
        index.labels[line] = labels[numbers[int(text)]]
    return index


def find(folder: Path, name: str) -> Path | None:
    """Return a file of the devkit, in the data set's folder or unpacked below it."""
    places = (folder / name, folder / DEVKIT / "data" / name)
    return next((place for place in places if place.is_file()), None)


def read_synsets(folder: Path, wnids: tuple[str, ...]) -> tuple[dict[int, str], dict[str, str]]:
    """Return the devkit's numbers with their wnids, and the wnids' names.

    Raises:
        UserError: the file that says so does not name the classes of ``train/``.
    """
    names = {}
    if words := find(folder, "synset_words.txt"):
        lines = (line.split(maxsplit=1) for line in read_lines(words))
        names = {words[0]: words[1].strip() for words in lines if len(words) == 2}
    if (source := find(folder, "synsets.txt")) is not None:
        numbers = dict(enumerate((line.strip() for line in read_lines(source)), start=1))
    elif (source := find(folder, "meta.mat")) is not None:
        numbers, names = read_meta(source)
    elif find(folder, GROUND_TRUTH) is None:
        return dict(enumerate(wnids, start=1)), names
    else:
        raise UserError(f"{folder} has {GROUND_TRUTH}, but neither the devkit's meta.mat nor synsets.txt to number it")
    if different := set(numbers.values()) ^ set(wnids):
        wnid = min(different)
        where = (source, folder / "train") if wnid in numbers.values() else (folder / "train", source)
        raise UserError(f"class {wnid} is in {where[0]}, but not in {where[1]}")
    if len(numbers) > len(wnids):
        raise UserError(f"{source} names a class twice")
    return numbers, names


def read_meta(path: Path) -> tuple[dict[int, str], dict[str, str]]:
    """Read numbers and names of the leaf classes from the devkit's ``meta.mat``.

    Raises:
        UserError: it is not that file.
    """
    from scipy.io import loadmat

    try:
        synsets = [row for row in loadmat(path, squeeze_me=True)["synsets"] if int(row["num_children"]) == 0]
    except Exception as error:
        raise UserError(f"{path} is not the devkit's meta.mat ({type(error).__name__})") from None
    return (
        {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in synsets},
        {str(row["WNID"]): str(row["words"]) for row in synsets},
    )


def read_index(path: Path, description: ImageNetDescription, split: str) -> Index:
    """Read the index of a split, which lies beside ``path``, the description.

    Raises:
        UserError: it is missing or has changed.
    """
    file = path.parent / f"{split}.csv"
    if not file.is_file() or checksum(file, "sha256") != description.sha256.get(file.name):
        raise UserError(f"{file} is missing or has changed; delete {path} and run Snakemake again")
    with file.open(newline="", encoding="utf-8", errors=BYTES) as stream:
        rows = list(csv.DictReader(stream))
    return Index([r["path"] for r in rows], [int(r["label"]) for r in rows], [int(r["bytes"]) for r in rows])

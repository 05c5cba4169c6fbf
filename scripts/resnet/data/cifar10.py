"""CIFAR-10's binary layout: reading, checking, writing, and the description that names a verified data set.

A record is 3073 bytes: the label, then 1024 red, 1024 green and 1024 blue bytes of a 32x32 image, row by row.
Nothing in the layout is executable: no pickle is read or written.
"""

import dataclasses
from pathlib import Path

import numpy as np

from resnet.data.description import DataDescription
from resnet.errors import UserError
from resnet.files import atomic_path, checksum, read_lines, write_text
from resnet.versions import VERSIONS

FOLDER = "cifar-10-batches-bin"
SIDE = 32
RECORD_BYTES = 1 + 3 * SIDE * SIDE
TRAINING_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_FILE = "test_batch.bin"
CLASSES_FILE = "batches.meta.txt"
ALL_FILES = (*TRAINING_FILES, TEST_FILE, CLASSES_FILE)


@dataclasses.dataclass(frozen=True)
class Images:
    """Images of one split: ``pixels`` (N, 3, S, S) uint8, ``labels`` (N,) int64."""

    pixels: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def take(self, indices: np.ndarray) -> "Images":
        """Return the images at ``indices``."""
        return Images(self.pixels[indices], self.labels[indices])


@dataclasses.dataclass(frozen=True, kw_only=True)
class CifarDescription(DataDescription):
    """A data set in CIFAR-10's binary format."""

    training_images: int
    test_images: int


def read_classes(folder: Path) -> tuple[str, ...]:
    """Return the class names of ``batches.meta.txt``, one per line.

    Raises:
        UserError: the file is missing or empty, or a line has no name.
    """
    path = folder / CLASSES_FILE
    if not path.is_file():
        raise UserError(f"{path} is missing: {folder} must hold {', '.join(ALL_FILES)}")
    classes = tuple(line.strip() for line in read_lines(path))
    if not classes:
        raise UserError(f"{path} names no classes")
    for line, name in enumerate(classes, start=1):
        if not name or not name.isprintable():
            raise UserError(f"{path}, line {line}: {name!r} is not the name of a class")
    return classes


def read_file(path: Path, classes: int) -> Images:
    """Read one file of records.

    Raises:
        UserError: it is missing, not a whole number of records, or has a label that is not a class.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing: the folder must hold {', '.join(ALL_FILES)}")
    size = path.stat().st_size
    if size == 0 or size % RECORD_BYTES:
        raise UserError(
            f"{path} has {size} bytes, not a whole number of {RECORD_BYTES}-byte records: "
            "it is truncated or not CIFAR-10's binary version"
        )
    records = np.fromfile(path, np.uint8).reshape(-1, RECORD_BYTES)
    labels = records[:, 0].astype(np.int64)
    if labels.max() >= classes:
        record = int(np.argmax(labels >= classes))
        raise UserError(f"{path}: record {record} has label {labels[record]}, but there are only {classes} classes")
    return Images(records[:, 1:].reshape(-1, 3, SIDE, SIDE), labels)


def read_split(folder: Path, split: str) -> Images:
    """Read ``train`` (five files, in order) or ``test``.

    Raises:
        UserError: a file is missing, damaged, or of another length than its siblings.
    """
    classes = len(read_classes(folder))
    if split == "test":
        return read_file(folder / TEST_FILE, classes)
    parts = [read_file(folder / name, classes) for name in TRAINING_FILES]
    for name, part in zip(TRAINING_FILES, parts, strict=True):
        if len(part) != len(parts[0]):
            raise UserError(
                f"{folder / name} has {len(part)} records but {TRAINING_FILES[0]} has {len(parts[0])}: it is truncated"
            )
    return Images(np.concatenate([p.pixels for p in parts]), np.concatenate([p.labels for p in parts]))


def write_dataset(folder: Path, training: Images, test: Images, classes: tuple[str, ...]) -> None:
    """Write a data set in the official layout: five training files of equal length, a test file, the class names."""
    files = dict(zip(TRAINING_FILES, np.split(np.arange(len(training)), len(TRAINING_FILES)), strict=True))
    for name, images in {**{n: training.take(i) for n, i in files.items()}, TEST_FILE: test}.items():
        records = np.empty((len(images), RECORD_BYTES), np.uint8)
        records[:, 0] = images.labels
        records[:, 1:] = images.pixels.reshape(len(images), -1)
        with atomic_path(folder / name) as temporary:
            # tofile does not say why it could not write.
            temporary.write_bytes(records.tobytes())
    write_text(folder / CLASSES_FILE, "\n".join(classes) + "\n\n")


def describe(name: str, folder: Path, horizontal_flip: bool) -> CifarDescription:
    """Read every record of a data set and describe it.

    Raises:
        UserError: a file is missing or damaged; the message names it.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: expected one that holds {', '.join(ALL_FILES)}")
    training, test = read_split(folder, "train"), read_split(folder, "test")
    return CifarDescription(
        name=name,
        folder=str(folder),
        horizontal_flip=horizontal_flip,
        classes=read_classes(folder),
        sha256={file: checksum(folder / file, "sha256") for file in ALL_FILES},
        version=VERSIONS["prepare_cifar10"],
        training_images=len(training),
        test_images=len(test),
    )


def verify(description: CifarDescription) -> None:
    """Check that the files are still those that were described: a run's fingerprint names them.

    Raises:
        UserError: a file is missing or has changed; the message names it.
    """
    for name, digest in description.sha256.items():
        path = description.path / name
        if not path.is_file() or checksum(path, "sha256") != digest:
            what = "has changed since it was verified" if path.is_file() else "is missing"
            raise UserError(f"{path} {what}; delete its dataset.json below data/ and run Snakemake again")


def split_training(images: Images, validation_fraction: float, seed: int) -> tuple[Images, Images]:
    """Split the training images at random into training and validation parts (the paper's 45k/5k).

    The choice depends on ``seed`` and the number of images alone; both parts keep the files' order.
    """
    held_out = round(len(images) * validation_fraction)
    order = np.random.RandomState(seed).permutation(len(images))
    return images.take(np.sort(order[held_out:])), images.take(np.sort(order[:held_out]))


def shrink(images: Images, size: int) -> Images:
    """Shrink images to ``size`` x ``size`` pixels by averaging squares of pixels."""
    if size == SIDE:
        return images
    count, factor = len(images), SIDE // size
    squares = images.pixels.reshape(count, 3, size, factor, size, factor)
    return Images(squares.mean((3, 5), dtype=np.float32).round().astype(np.uint8), images.labels)

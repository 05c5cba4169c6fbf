"""Read ILSVRC's annotations for localisation: where the objects of each image's class are."""

import argparse
from pathlib import Path

from resnet.errors import run_program
from resnet.locks import file_lock


def main() -> None:
    """Read the boxes of both splits and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="dataset.json of a prepared data set")
    parser.add_argument(
        "--annotations",
        type=Path,
        help="folder of CLS-LOC/train/<wnid>/*.xml and CLS-LOC/val/*.xml (default: Annotations in the data set)",
    )
    parser.add_argument("--workers", type=int, default=1, help="processes that read (default: 1)")
    parser.add_argument("--output", type=Path, required=True, help="folder to write boxes-train.npz and -val.npz to")
    arguments = parser.parse_args()

    # What takes long to import comes after the arguments, so that --help and a wrong one are answered at once.
    from resnet.data.imagenet import ImageNetDescription, read_index
    from resnet.data.located import SPLITS, locate
    from resnet.files import write_arrays

    description = ImageNetDescription.read(arguments.data)
    folder = arguments.annotations or description.path / "Annotations"
    with file_lock(arguments.output / "boxes", "preparing"):
        for split in SPLITS:
            index = read_index(arguments.data, description, split)
            found = locate(folder, description, index, split, arguments.workers)
            write_arrays(arguments.output / f"boxes-{split}.npz", found)


if __name__ == "__main__":
    run_program(main)

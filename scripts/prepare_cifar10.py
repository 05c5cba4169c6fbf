"""Unpack CIFAR-10's binary archive, or take an existing folder as it is; check every record; describe the data."""

import argparse
from pathlib import Path

from resnet.errors import run_program
from resnet.locks import file_lock


def main() -> None:
    """Unpack if asked to, then verify and write the description."""
    parser = argparse.ArgumentParser(description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--archive", type=Path, help="cifar-10-binary.tar.gz")
    source.add_argument("--folder", type=Path, help="a folder that holds data_batch_1.bin … test_batch.bin")
    parser.add_argument("--output", type=Path, required=True, help="dataset.json to write; an archive goes beside it")
    arguments = parser.parse_args()

    # What takes long to import comes after the arguments, so that --help and a wrong one are answered at once.
    from resnet.data.archive import unpack
    from resnet.data.cifar10 import ALL_FILES, FOLDER, describe

    with file_lock(arguments.output, "preparing"):
        folder = arguments.folder
        if folder is None:
            folder = arguments.output.parent / FOLDER
            unpack(arguments.archive, arguments.output.parent, [f"{FOLDER}/{name}" for name in ALL_FILES])
        elif (folder / FOLDER).is_dir():
            folder = folder / FOLDER
        description = describe("cifar10", folder, horizontal_flip=True)
        print(
            f"{folder}: {description.training_images} training and {description.test_images} test images, all checked"
        )
        if description.training_images != 50000 or description.test_images != 10000:
            print("this is not the whole of CIFAR-10, which has 50000 and 10000")
            description = description.as_subset()
        description.write(arguments.output)


if __name__ == "__main__":
    run_program(main)

"""Write scikit-learn's handwritten digits in CIFAR-10's binary layout: the embedded data of the demo scale."""

import argparse
from pathlib import Path

from resnet.errors import run_program
from resnet.locks import file_lock


def main() -> None:
    """Write the images, read them back and describe them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="dataset.json to write; the images go beside it")
    arguments = parser.parse_args()

    # What takes long to import comes after the arguments, so that --help and a wrong one are answered at once.
    from resnet.data.cifar10 import FOLDER, describe, write_dataset
    from resnet.data.digits import CLASSES, load_images

    with file_lock(arguments.output, "preparing"):
        folder = arguments.output.parent / FOLDER
        training, test = load_images()
        write_dataset(folder, training, test, CLASSES)
        # A mirrored 2 is no digit, so the augmentation must not flip.
        describe("digits", folder, horizontal_flip=False).write(arguments.output)


if __name__ == "__main__":
    run_program(main)

"""Write digits anywhere on photographs in ILSVRC's layout: the embedded data of the demo's localisation."""

import argparse
from pathlib import Path

from resnet.errors import run_program
from resnet.locks import file_lock


def main() -> None:
    """Write the images and their annotations, and describe the images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="dataset.json to write; the images go beside it")
    arguments = parser.parse_args()

    # What takes long to import comes after the arguments, so that --help and a wrong one are answered at once.
    from resnet.data.imagenet import describe
    from resnet.data.scattered import write_scattered

    with file_lock(arguments.output, "preparing"):
        folder = arguments.output.parent / "ILSVRC2012"
        write_scattered(folder)
        # A mirrored 2 is no digit, so the augmentation must not flip.
        describe("scattered", folder, horizontal_flip=False, output=arguments.output)


if __name__ == "__main__":
    run_program(main)

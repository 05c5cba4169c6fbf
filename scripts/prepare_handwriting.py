"""Write handwritten digits on photographs in ILSVRC2012's layout: the embedded data of the demo scale."""

import argparse
from pathlib import Path

from resnet.errors import run_program
from resnet.locks import file_lock


def main() -> None:
    """Write the images and describe them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="dataset.json to write; the images go beside it")
    arguments = parser.parse_args()

    # What takes long to import comes after the arguments, so that --help and a wrong one are answered at once.
    from resnet.data.handwriting import write_handwriting
    from resnet.data.imagenet import describe

    with file_lock(arguments.output, "preparing"):
        folder = arguments.output.parent / "ILSVRC2012"
        write_handwriting(folder)
        # A mirrored 2 is no digit, so the augmentation must not flip.
        describe("handwriting", folder, horizontal_flip=False, output=arguments.output)


if __name__ == "__main__":
    run_program(main)

"""Detect objects in the test set of a detector's experiment, and write them as COCO's results.

Boxes are left, top, width and height in pixels of the image, from 0 at its edge.
"""

import argparse
from pathlib import Path

from resnet.errors import run_program
from resnet.settings import ArgumentParser, Hardware, add_arguments, read_hardware


def main() -> None:
    """Read the arguments and detect."""
    parser = ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="dataset.json of a prepared data set")
    parser.add_argument("--run-folder", type=Path, required=True, help="folder of the detector's run")
    parser.add_argument("--output", type=Path, required=True, help="JSON to write")
    add_arguments(parser, Hardware)
    arguments = parser.parse_args()
    hardware = read_hardware(arguments)

    from resnet.detection.detect import detect_objects

    detect_objects(arguments.run_folder, arguments.data, arguments.output, hardware)


if __name__ == "__main__":
    run_program(main)

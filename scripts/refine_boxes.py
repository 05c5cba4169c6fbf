"""Refine the boxes that proposal networks propose by a trained R-CNN: new boxes and scores."""

import argparse
from pathlib import Path

from resnet.errors import run_program
from resnet.settings import ArgumentParser, Hardware, add_arguments, read_hardware


def main() -> None:
    """Read the arguments and refine."""
    parser = ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="dataset.json of a prepared data set")
    parser.add_argument("--boxes", type=Path, required=True, help="boxes-val.npz")
    parser.add_argument("--run-folder", type=Path, required=True, help="folder of R-CNN's run")
    parser.add_argument("--proposals", type=Path, nargs="+", required=True, help="npz of each proposal network")
    parser.add_argument("--output", type=Path, required=True, help="npz to write")
    add_arguments(parser, Hardware)
    arguments = parser.parse_args()
    hardware = read_hardware(arguments)

    from resnet.localisation.run import refine_boxes

    files = (arguments.run_folder, arguments.data, arguments.boxes, arguments.proposals, arguments.output)
    refine_boxes(*files, hardware)


if __name__ == "__main__":
    run_program(main)

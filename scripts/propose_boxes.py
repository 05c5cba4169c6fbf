"""Propose boxes for the class of each image, and for classes that are predicted, by a trained proposal network.

center: of the centre crop. dense: of whole images at several scales, through the fully convolutional network.
"""

import argparse
from pathlib import Path

from resnet.errors import run_program
from resnet.schema import LocalisationKeys
from resnet.settings import LOCALISER_PROTOCOLS, ArgumentParser, Hardware, add_arguments, read_hardware


def main() -> None:
    """Read the arguments and propose."""
    parser = ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="dataset.json of a prepared data set")
    parser.add_argument("--boxes", type=Path, required=True, help="boxes-<split>.npz")
    parser.add_argument("--split", choices=("train", "val"), default="val", help="which images (default: val)")
    parser.add_argument("--run-folder", type=Path, required=True, help="folder of the proposal network's run")
    parser.add_argument(
        "--predictions",
        type=Path,
        nargs="*",
        default=[],
        help="npz of each classifier: what it says of the images; none: boxes of the true class only",
    )
    parser.add_argument("--protocol", choices=LOCALISER_PROTOCOLS, required=True, help="how to test")
    parser.add_argument("--output", type=Path, required=True, help="npz to write")
    add_arguments(parser, LocalisationKeys, ("shorter_sides",))
    add_arguments(parser, Hardware)
    arguments = parser.parse_args()
    hardware = read_hardware(arguments)

    from resnet.localisation.run import propose_boxes

    propose_boxes(
        arguments.run_folder,
        arguments.data,
        arguments.boxes,
        split=arguments.split,
        predictions=arguments.predictions,
        protocol=arguments.protocol,
        shorter_sides=arguments.shorter_sides,
        output=arguments.output,
        hardware=hardware,
    )


if __name__ == "__main__":
    run_program(main)

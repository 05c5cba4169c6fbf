"""Test a trained network on ImageNet by section 3.4's protocols, and keep what it says of every image.

center: the centre crop of an image resized to the recipe's test_shorter_side. 10crop: its corners and centre and their
mirror images, softmax averaged. multiscale: whole images at several sizes and their mirror images through the network
in its fully convolutional form, softmax averaged; with it, the test images are predicted too where there are any.
Mirror images are left out where a mirrored image is of another class, as with the demo's digits.

torchrun --nproc-per-node N scripts/evaluate_imagenet.py … (or srun) shares the images out among N processes.
"""

import argparse
from pathlib import Path

from resnet.errors import run_program
from resnet.schema import ImageNetKeys
from resnet.settings import ArgumentParser, Hardware, add_arguments, read_hardware

PROTOCOLS = ("center", "10crop", "multiscale")


def main() -> None:
    """Read the arguments and test."""
    parser = ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="dataset.json of a prepared data set")
    parser.add_argument("--image-statistics", type=Path, required=True, help="those that the network was trained with")
    parser.add_argument("--run-folder", type=Path, required=True, help="folder of the run")
    parser.add_argument("--protocols", nargs="+", choices=PROTOCOLS, required=True, help="how to test")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        help="folder to write <protocol>.json (errors) and .npz (probabilities) to",
    )
    add_arguments(parser, ImageNetKeys, ("multiscale_shorter_sides",))
    add_arguments(parser, Hardware)
    arguments = parser.parse_args()
    hardware = read_hardware(arguments)

    from resnet.classification.evaluate import evaluate_run

    evaluate_run(
        arguments.run_folder,
        arguments.data,
        arguments.image_statistics,
        protocols=arguments.protocols,
        shorter_sides=list(arguments.multiscale_shorter_sides),
        output=arguments.output,
        hardware=hardware,
    )


if __name__ == "__main__":
    run_program(main)

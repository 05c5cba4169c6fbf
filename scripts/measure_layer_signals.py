"""Measure the signals along trainings (section 4.1): the outputs of layers, and the gradients of their weights.

The beginning of each training is repeated, and the end looked at with the run's weights.
"""

import argparse
from pathlib import Path

from resnet.errors import run_program
from resnet.settings import ArgumentParser, Hardware, add_arguments, read_hardware


def main() -> None:
    """Read the arguments and measure."""
    parser = ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="dataset.json the networks were trained on")
    parser.add_argument(
        "--image-statistics", type=Path, nargs="*", default=[], help="of each run on ImageNet, its images' statistics"
    )
    parser.add_argument("--run-folders", type=Path, nargs="+", required=True, help="folders of the runs")
    parser.add_argument("--iterations", type=int, nargs="*", default=[], help="early updates to measure")
    parser.add_argument("--output", type=Path, required=True, help="CSV to write")
    add_arguments(parser, Hardware)
    arguments = parser.parse_args()
    hardware = read_hardware(arguments)

    from resnet.classification.layer_signals import measure_layer_signals

    measure_layer_signals(
        arguments.run_folders,
        arguments.data,
        arguments.image_statistics,
        arguments.iterations,
        arguments.output,
        hardware,
    )


if __name__ == "__main__":
    run_program(main)

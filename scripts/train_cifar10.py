"""Train a plain or residual net of section 4.2 and write its run folder.

Run again after a kill, the same command goes on from the last checkpoint and ends with the same weights.
SIGTERM, SIGUSR1 and SIGINT make it save a checkpoint and leave with an exit code that is not zero.
"""

import argparse
from pathlib import Path

from resnet.errors import run_program
from resnet.settings import Hardware, Recipe, add_arguments, from_arguments


def main() -> None:
    """Read the arguments and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="dataset.json of a prepared data set")
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    parser.add_argument("--wait", action="store_true", help="wait for another process that trains in the folder")
    add_arguments(parser, Recipe)
    add_arguments(parser, Hardware)
    arguments = parser.parse_args()
    recipe, hardware = from_arguments(Recipe, arguments), from_arguments(Hardware, arguments)

    # torch takes seconds to import, so settings are checked first.
    from resnet.data.cifar10 import read_description
    from resnet.training import train

    train(arguments.run, recipe, hardware, read_description(arguments.data), arguments.wait)


if __name__ == "__main__":
    run_program(main)

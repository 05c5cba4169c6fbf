"""Make a run folder of weights that torchvision publishes, so that they are tested like a trained network's."""

import argparse
from pathlib import Path

from resnet.errors import run_program
from resnet.settings import ArgumentParser, ImageNetRecipe, add_arguments


def main() -> None:
    """Convert and write the run folder."""
    parser = ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="resnet-<18|34>-B, resnet-<50|101|152>, vgg-<16|19>")
    parser.add_argument("--weights", type=Path, required=True, help="torchvision's file, or another of its net")
    add_arguments(parser, ImageNetRecipe, ("image_size", "test_shorter_side"))
    parser.add_argument("--run-folder", type=Path, required=True, help="run folder to write")
    arguments = parser.parse_args()
    recipe = ImageNetRecipe.of_network(
        model=arguments.model,
        stride_in_3x3=True,
        image_size=arguments.image_size,
        test_shorter_side=arguments.test_shorter_side,
    )

    # What takes long to import comes after the arguments, so that --help and a wrong one are answered at once.
    from resnet.classification.published import write_run

    write_run(arguments.run_folder, recipe, arguments.weights)


if __name__ == "__main__":
    run_program(main)

"""Measure the standard deviation of each 3x3 layer's response over the test images (section 4.2, Fig. 7)."""

from pathlib import Path

from resnet.errors import run_program
from resnet.settings import ArgumentParser, Hardware, add_arguments, read_hardware


def main() -> None:
    """Read the arguments and write responses.csv of each run, one row per layer."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="dataset.json the networks were trained on")
    folders = "folders of the runs; responses.csv is written into each"
    parser.add_argument("--run-folders", type=Path, nargs="+", required=True, help=folders)
    add_arguments(parser, Hardware)
    arguments = parser.parse_args()
    hardware = read_hardware(arguments)

    from resnet.classification.responses import measure_responses

    measure_responses(arguments.run_folders, arguments.data, hardware)


if __name__ == "__main__":
    run_program(main)

"""Draw the standard deviations of layer responses (Fig. 7)."""

import argparse
from pathlib import Path

from resnet.errors import run_program
from resnet.records import RESPONSES
from resnet.rendering.figures import draw_responses, read_drawing, read_runs, save


def main() -> None:
    """Read the measurements and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--drawing", type=Path, required=True, help="how the paper draws it: workflow/paper/fig7.yaml")
    parser.add_argument("--responses", type=Path, nargs="*", default=[], help="responses.csv of each model's run")
    parser.add_argument("--output", type=Path, nargs="+", required=True, help="files to write: .pdf, .png")
    parser.add_argument("--note", default="", help="a line under the figure")
    arguments = parser.parse_args()
    runs = read_runs(arguments.responses, RESPONSES)
    drawing = read_drawing(arguments.drawing, runs)
    save(draw_responses(drawing, runs, arguments.note), arguments.output)


if __name__ == "__main__":
    run_program(main)

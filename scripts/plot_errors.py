"""Draw a figure of error against iterations (Figs. 1, 4 and 6) from the metrics of its runs."""

import argparse
from pathlib import Path

from resnet.errors import run_program
from resnet.records import CURVE
from resnet.rendering.figures import draw_errors, read_drawing, read_runs, save


def main() -> None:
    """Read the runs and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--drawing", type=Path, required=True, help="how the paper draws it: workflow/paper/fig*.yaml")
    parser.add_argument("--metrics", type=Path, nargs="*", default=[], help="metrics.csv of each model's run")
    parser.add_argument("--output", type=Path, nargs="+", required=True, help="files to write: .pdf, .png")
    parser.add_argument("--note", default="", help="a line under the figure")
    parser.add_argument(
        "--digitised", action="store_true", help="mark the paper's end values, read off its figure, at the right edge"
    )
    arguments = parser.parse_args()
    runs = read_runs(arguments.metrics, CURVE)
    drawing = read_drawing(arguments.drawing, runs)
    save(draw_errors(drawing, runs, arguments.note, arguments.digitised), arguments.output)


if __name__ == "__main__":
    run_program(main)

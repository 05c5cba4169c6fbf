"""Draw a figure of error against iterations (Figs. 1, 4 and 6) from the metrics of its runs."""

import argparse
from pathlib import Path

from resnet.artefacts import read_artefact
from resnet.errors import run_program
from resnet.records import CURVE
from resnet.rendering.exhibits import add_figure_arguments, exhibit, write_exhibit
from resnet.rendering.figures import COMPARISON, draw_errors, drawing_of, end_values, read_datasets, read_runs, save


def main() -> None:
    """Read the runs and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_figure_arguments(parser)
    parser.add_argument("--metrics", type=Path, nargs="*", default=[], help="metrics.csv of each model's run")
    parser.add_argument("--results", type=Path, nargs="*", default=[], help="result.json of the same runs")
    parser.add_argument(
        "--digitised", action="store_true", help="mark the paper's end values, read off its figure, at the right edge"
    )
    arguments = parser.parse_args()
    figure, runs = read_artefact(arguments.artefact), read_runs(arguments.metrics, CURVE)
    drawing = drawing_of(figure, runs)
    drawn = draw_errors(drawing, runs, arguments.note, arguments.digitised)
    save(drawn, arguments.output)
    values = end_values(drawing, runs, read_datasets(arguments.results))
    write_exhibit(arguments.json, exhibit(figure, COMPARISON, values, texts=2, inches=drawn.get_figwidth()))


if __name__ == "__main__":
    run_program(main)

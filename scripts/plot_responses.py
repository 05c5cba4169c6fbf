"""Draw the standard deviations of layer responses (Fig. 7)."""

import argparse
from pathlib import Path

from resnet.artefacts import read_artefact
from resnet.errors import run_program
from resnet.records import RESPONSES
from resnet.rendering.exhibits import add_figure_arguments, exhibit, write_exhibit
from resnet.rendering.figures import COMPARISON, draw_responses, drawing_of, medians, read_datasets, read_runs, save


def main() -> None:
    """Read the measurements and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_figure_arguments(parser)
    parser.add_argument("--responses", type=Path, nargs="*", default=[], help="responses.csv of each model's run")
    parser.add_argument("--results", type=Path, nargs="*", default=[], help="result.json of the same runs")
    arguments = parser.parse_args()
    figure, runs = read_artefact(arguments.artefact), read_runs(arguments.responses, RESPONSES)
    drawing = drawing_of(figure, runs)
    drawn = draw_responses(drawing, runs, arguments.note)
    save(drawn, arguments.output)
    values = medians(drawing, runs, read_datasets(arguments.results))
    write_exhibit(arguments.json, exhibit(figure, COMPARISON, values, texts=2, inches=drawn.get_figwidth()))


if __name__ == "__main__":
    run_program(main)

"""Draw the signals along trainings (section 4.1): outputs of the layers, gradients of their weights."""

import argparse
from pathlib import Path

from resnet.artefacts import read_artefact
from resnet.errors import run_program
from resnet.rendering.exhibits import add_figure_arguments, exhibit, write_exhibit
from resnet.rendering.figures import save
from resnet.rendering.layer_signals import HEADINGS, cells, draw_layer_signals, read_signals


def main() -> None:
    """Read the measurements and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_figure_arguments(parser)
    parser.add_argument("--signals", type=Path, required=True, help="layer_signals.csv")
    arguments = parser.parse_args()
    figure, signals = read_artefact(arguments.artefact), read_signals(arguments.signals)
    drawn = draw_layer_signals(figure.values, signals, arguments.note)
    save(drawn, arguments.output)
    rows = cells(figure.values, signals)
    write_exhibit(arguments.json, exhibit(figure, HEADINGS, rows, inches=drawn.get_figwidth()))


if __name__ == "__main__":
    run_program(main)

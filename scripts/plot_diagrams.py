"""Draw networks side by side (Fig. 3), or building blocks (Figs. 2 and 5), from their operations."""

import argparse
from pathlib import Path

from resnet.artefacts import read_artefact
from resnet.errors import run_program
from resnet.rendering.diagrams import draw_blocks, draw_networks, flops_beside_the_papers, read_diagrams
from resnet.rendering.exhibits import add_figure_arguments, exhibit, write_exhibit
from resnet.rendering.figures import save


def main() -> None:
    """Read the operations and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_figure_arguments(parser)
    parser.add_argument("--operations", type=Path, required=True, help="operations.csv")
    arguments = parser.parse_args()
    figure, diagrams = read_artefact(arguments.artefact), read_diagrams(arguments.operations)
    headings, rows = (), []
    if "networks" in figure.values:
        drawn = draw_networks(figure.values, diagrams)
        headings, rows = flops_beside_the_papers(figure.values, diagrams)
    else:
        drawn = draw_blocks(figure.values, diagrams)
    save(drawn, arguments.output)
    write_exhibit(arguments.json, exhibit(figure, headings, rows, inches=drawn.get_figwidth()))


if __name__ == "__main__":
    run_program(main)

"""Draw training loss and mAP of the detectors against iterations, from the metrics of their runs."""

import argparse
from pathlib import Path

from resnet.artefacts import read_artefact
from resnet.errors import run_program
from resnet.records import DETECTOR_CURVE
from resnet.rendering.exhibits import add_figure_arguments, exhibit, write_exhibit
from resnet.rendering.figures import read_runs, save


def main() -> None:
    """Read the runs and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_figure_arguments(parser)
    parser.add_argument(
        "--metrics", type=Path, nargs="+", required=True, help="…/<experiment>/<model>/seed<k>/metrics.csv of the runs"
    )
    arguments = parser.parse_args()

    # What takes long to import comes after the arguments, so that --help and a wrong one are answered at once.
    from resnet.rendering.detections import draw_curves

    figure = read_artefact(arguments.artefact)
    experiments: dict[str, list[Path]] = {}
    for path in arguments.metrics:
        experiments.setdefault(path.parents[2].name, []).append(path)
    metrics = {experiment: read_runs(paths, DETECTOR_CURVE) for experiment, paths in experiments.items()}
    drawn = draw_curves(figure, metrics, arguments.note)
    save(drawn, arguments.output)
    write_exhibit(arguments.json, exhibit(figure, inches=drawn.get_figwidth()))


if __name__ == "__main__":
    run_program(main)

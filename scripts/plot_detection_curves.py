"""Draw training loss and mAP of the detectors against iterations, from the metrics of their runs."""

import argparse
from pathlib import Path

from resnet.errors import run_program
from resnet.records import DETECTOR_CURVE
from resnet.rendering.detections import draw_curves
from resnet.rendering.figures import read_runs, save


def main() -> None:
    """Read the runs and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--metrics", type=Path, nargs="+", required=True, help="…/<experiment>/<model>/seed<k>/metrics.csv of the runs"
    )
    parser.add_argument("--output", type=Path, nargs="+", required=True, help="files to write: .pdf, .png")
    parser.add_argument("--note", default="", help="a line under the figure")
    arguments = parser.parse_args()
    experiments: dict[str, list[Path]] = {}
    for path in arguments.metrics:
        experiments.setdefault(path.parents[2].name, []).append(path)
    metrics = {experiment: read_runs(paths, DETECTOR_CURVE) for experiment, paths in experiments.items()}
    save(draw_curves(metrics, arguments.note), arguments.output)


if __name__ == "__main__":
    run_program(main)

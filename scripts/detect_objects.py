"""Detect objects in the test set of a detector's experiment, and write them as COCO's results.

Boxes are left, top, width and height in pixels of the image, from 0 at its edge. Appendix B's improvements of the test
can be asked for, each by itself.
"""

import argparse
from pathlib import Path

from resnet.errors import UserError, run_program
from resnet.settings import ArgumentParser, Hardware, add_arguments, read_hardware


def main() -> None:
    """Read the arguments and detect."""
    parser = ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="dataset.json of a prepared data set")
    folders = "folder of the detector's run; those of several detectors are an ensemble"
    parser.add_argument("--run-folder", type=Path, nargs="+", required=True, help=folders)
    parser.add_argument("--output", type=Path, required=True, help="JSON to write")
    parser.add_argument("--box-refinement", action="store_true", help="classify regressed boxes again, and vote")
    sides = "multi-scale test: shorter sides of the images at which regions are seen, two or more, increasing"
    parser.add_argument("--shorter-sides", type=int, nargs="*", default=[], help=sides)
    add_arguments(parser, Hardware)
    arguments = parser.parse_args()
    hardware, sides = read_hardware(arguments), arguments.shorter_sides
    if sides and (len(sides) < 2 or sides != sorted(set(sides)) or sides[0] < 1):
        raise UserError(f"--shorter-sides {' '.join(map(str, sides))}: name two sizes or more, increasing")

    from resnet.detection.detect import detect_objects

    detect_objects(
        arguments.run_folder,
        arguments.data,
        arguments.output,
        hardware,
        box_refinement=arguments.box_refinement,
        shorter_sides=tuple(sides),
    )


if __name__ == "__main__":
    run_program(main)

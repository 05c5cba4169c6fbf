"""Describe ILSVRC's detection set, DET, of which val1 and val2 are said by two lists."""

import argparse
from pathlib import Path

from resnet.errors import run_program
from resnet.locks import file_lock


def main() -> None:
    """Check and write the description."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="a folder of Data, Annotations and ImageSets")
    for half in ("val1", "val2"):
        parser.add_argument(f"--{half}", type=Path, required=True, help=f"the images of {half}: a name on each line")
    parser.add_argument("--workers", type=int, default=1, help="processes that decode every image (default: 1)")
    parser.add_argument("--output", type=Path, required=True, help="dataset.json to write")
    arguments = parser.parse_args()

    # What takes long to import comes after the arguments, so that --help and a wrong one are answered at once.
    from resnet.data.det import HALVES, read_det
    from resnet.data.objects import describe, summary

    with file_lock(arguments.output, "preparing"):
        halves = {half: getattr(arguments, half) for half in HALVES}
        sets = read_det(arguments.folder, halves, arguments.workers)
        description = describe(arguments.output, name="det", folder=arguments.folder, horizontal_flip=True, sets=sets)
        print(summary(description))


if __name__ == "__main__":
    run_program(main)

"""Write scenes of handwritten digits in the layout of ILSVRC's detection set: the embedded data of the demo scale."""

import argparse
from pathlib import Path

from resnet.errors import run_program
from resnet.locks import file_lock


def main() -> None:
    """Write the scenes and describe them as the real ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="dataset.json to write; ILSVRC/ goes beside it")
    arguments = parser.parse_args()

    # What takes long to import comes after the arguments, so that --help and a wrong one are answered at once.
    from resnet.data.det import read_det
    from resnet.data.objects import describe, summary
    from resnet.data.scenes_det import write_scenes_det

    with file_lock(arguments.output, "preparing"):
        folder = arguments.output.parent / "ILSVRC"
        sets = read_det(folder, write_scenes_det(folder))
        # A mirrored 2 is no digit, so the augmentation must not flip.
        description = describe(arguments.output, name="scenes-det", folder=folder, horizontal_flip=False, sets=sets)
        print(summary(description))


if __name__ == "__main__":
    run_program(main)

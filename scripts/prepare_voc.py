"""Describe PASCAL VOC: unpack its official archives, or take an existing VOCdevkit folder as it is."""

import argparse
from pathlib import Path

from resnet.errors import advising, run_program
from resnet.locks import file_lock
from resnet.settings import EXPERIMENTS

VOC = [name for name, experiment in EXPERIMENTS.items() if experiment.data == "voc"]


def main() -> None:
    """Unpack if asked to, then check and write the description."""
    parser = argparse.ArgumentParser(description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--folder", type=Path, help="a VOCdevkit that holds VOC2007/ or VOC2012/")
    source.add_argument("--archives", type=Path, nargs="+", help="official tar archives; all go to one folder")
    parser.add_argument("--experiments", choices=VOC, nargs="*", default=(), help="what the data must have the sets of")
    parser.add_argument("--workers", type=int, default=1, help="processes that decode every image (default: 1)")
    parser.add_argument("--output", type=Path, required=True, help="dataset.json to write; archives go beside it")
    arguments = parser.parse_args()

    # What takes long to import comes after the arguments, so that --help and a wrong one are answered at once.
    from resnet.data.archive import unpack_matching
    from resnet.data.objects import describe, summary
    from resnet.data.voc import MEMBERS, WHOLE, read_voc

    with file_lock(arguments.output, "preparing"):
        folder = arguments.folder or arguments.output.parent / "VOCdevkit"
        for archive in arguments.archives or ():
            unpack_matching(archive, folder, MEMBERS)
        experiments = [EXPERIMENTS[name] for name in arguments.experiments]
        needed = {name for experiment in experiments for name in (*experiment.train, experiment.test)}
        with advising(arguments.archives and f"or delete {folder}, and the archives are unpacked again"):
            sets = read_voc(folder, arguments.workers, needed)
        description = describe(
            arguments.output, name="voc", folder=folder, horizontal_flip=True, sets=sets, whole=WHOLE
        )
        print(summary(description))


if __name__ == "__main__":
    run_program(main)

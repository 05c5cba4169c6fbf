"""Describe MS COCO: unpack its official archives, or take an existing folder as it is."""

import argparse
from pathlib import Path

from resnet.errors import advising, run_program
from resnet.locks import file_lock

PAPERS_YEAR = "2014"


def main() -> None:
    """Unpack if asked to, then check and write the description."""
    parser = argparse.ArgumentParser(description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--folder", type=Path, help="a folder that holds annotations/, train<year>/ and val<year>/")
    source.add_argument("--archives", type=Path, nargs="+", help="official zip archives: train, val and annotations")
    years = (PAPERS_YEAR, "2017")
    parser.add_argument("--year", choices=years, default=PAPERS_YEAR, help="of the files' names; 2014 is the paper's")
    parser.add_argument("--workers", type=int, default=1, help="processes that decode every image (default: 1)")
    parser.add_argument("--output", type=Path, required=True, help="dataset.json to write; archives go beside it")
    arguments = parser.parse_args()

    # What takes long to import comes after the arguments, so that --help and a wrong one are answered at once.
    from resnet.data.archive import unpack_matching
    from resnet.data.coco import WHOLE, members, read_coco
    from resnet.data.objects import describe, summary

    with file_lock(arguments.output, "preparing"):
        folder = arguments.folder or arguments.output.parent / "coco"
        for archive in arguments.archives or ():
            unpack_matching(archive, folder, members(arguments.year))
        with advising(arguments.archives and f"or delete {folder}, and the archives are unpacked again"):
            sets = read_coco(folder, arguments.year, arguments.workers)
        name, whole = "coco" if arguments.year == PAPERS_YEAR else f"coco{arguments.year}", WHOLE[arguments.year]
        description = describe(arguments.output, name=name, folder=folder, horizontal_flip=True, sets=sets, whole=whole)
        print(summary(description))
        for name, value in sets.items():
            if value["dropped"]:
                print(f"{name}: {value['dropped']} boxes without width or height were left out")


if __name__ == "__main__":
    run_program(main)

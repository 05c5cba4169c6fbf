"""Describe ILSVRC2012: unpack its official archives (md5 checked), or take an existing folder as it is.

The folder holds train/<wnid>/*.JPEG and val/, by class or flat with the devkit's ground truth; perhaps test/.
"""

import argparse
from pathlib import Path

from resnet.data.ilsvrc_archives import REGISTRATION, unpack_archives
from resnet.data.imagenet import CLASSES, TRAINING_IMAGES, VALIDATION_IMAGES, describe
from resnet.errors import UserError, run_program
from resnet.locks import file_lock

WHOLE = (CLASSES, TRAINING_IMAGES, VALIDATION_IMAGES)


def main() -> None:
    """Unpack if asked to, then check and write the description."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--archives", type=Path, help="folder of the three official archives")
    source.add_argument("--folder", type=Path, help="a folder that holds train/ and val/")
    parser.add_argument("--output", type=Path, required=True, help="dataset.json to write; archives go beside it")
    arguments = parser.parse_args()
    if arguments.archives is None and arguments.folder is None:
        raise UserError(REGISTRATION)
    with file_lock(arguments.output, "preparing"):
        folder = arguments.folder or arguments.output.parent / "ILSVRC2012"
        if arguments.archives is not None:
            unpack_archives(arguments.archives, folder)
        description = describe("imagenet", folder, horizontal_flip=True, output=arguments.output)
        found = (len(description.wnids), description.images["train"], description.images["val"])
        print(f"{folder}: {found[0]} classes, {found[1]} training and {found[2]} validation images")
        if found != WHOLE:
            message = (
                f"the whole of ILSVRC2012 has {WHOLE[0]} classes, {WHOLE[1]} training and {WHOLE[2]} validation images"
            )
            if arguments.archives is not None:
                raise UserError(f"{folder}: {message}, not {found}; delete it and start again")
            print(message)
            description.as_subset().write(arguments.output)


if __name__ == "__main__":
    run_program(main)

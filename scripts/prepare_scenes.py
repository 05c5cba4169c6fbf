"""Write scenes of handwritten digits in VOC's and COCO's layouts: the embedded data of the demo scale."""

import argparse
from pathlib import Path

from resnet.errors import run_program
from resnet.locks import file_lock


def main() -> None:
    """Write both folders and describe them as the real ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--output-voc", type=Path, required=True, help="dataset.json to write; VOCdevkit/ goes beside it"
    )
    parser.add_argument("--output-coco", type=Path, required=True, help="dataset.json to write; coco/ goes beside it")
    arguments = parser.parse_args()

    # What takes long to import comes after the arguments, so that --help and a wrong one are answered at once.
    from resnet.data.coco import read_coco
    from resnet.data.objects import describe, summary
    from resnet.data.scenes import COCO_YEAR, write_scenes
    from resnet.data.voc import read_voc

    with file_lock(arguments.output_voc, "preparing"):
        devkit, coco = arguments.output_voc.parent / "VOCdevkit", arguments.output_coco.parent / "coco"
        write_scenes(devkit, coco)
        for name, folder, sets, output in (
            ("scenes-voc", devkit, read_voc(devkit), arguments.output_voc),
            ("scenes-coco", coco, read_coco(coco, str(COCO_YEAR)), arguments.output_coco),
        ):
            # A mirrored 2 is no digit, so the augmentation must not flip.
            description = describe(output, name=name, folder=folder, horizontal_flip=False, sets=sets)
            print(summary(description))


if __name__ == "__main__":
    run_program(main)

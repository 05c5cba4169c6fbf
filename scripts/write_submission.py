"""Write detections as PASCAL's evaluation server takes them: comp4_det_test_<class>.txt, and all in one archive.

The server asks for a registration: http://host.robots.ox.ac.uk:8080 (competition comp4, trained with own data too).
"""

import argparse
import tarfile
from pathlib import Path

from resnet.errors import run_program
from resnet.files import atomic_path, read_json
from resnet.records import Detection
from resnet.settings import EXPERIMENTS

# Where the server looks for the files.
FOLDER = "results/VOC2012/Main"


def main() -> None:
    """Read the detections and write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="dataset.json of a prepared data set")
    parser.add_argument("--experiment", choices=EXPERIMENTS, required=True, help="what was tested on")
    parser.add_argument("--detections", type=Path, required=True, help="the detections, as COCO's results")
    parser.add_argument("--output", type=Path, required=True, help="archive to write; the files lie beside it")
    arguments = parser.parse_args()

    # What takes long to import comes after the arguments, so that --help and a wrong one are answered at once.
    from resnet.data.objects import ObjectsDescription, set_file
    from resnet.detection.metrics import write_voc_submission

    truth = set_file(arguments.data, ObjectsDescription.read(arguments.data), EXPERIMENTS[arguments.experiment].test)
    folder = arguments.output.parent / FOLDER
    files = write_voc_submission(folder, read_json(truth), read_json(arguments.detections, list[Detection]))
    with atomic_path(arguments.output) as temporary, tarfile.open(temporary, "w:gz") as tar:
        for path in files:
            tar.add(path, f"{FOLDER}/{path.name}")
    print(f"wrote {len(files)} files to {folder}, and {arguments.output}")


if __name__ == "__main__":
    run_program(main)

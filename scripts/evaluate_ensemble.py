"""Average the stored predictions of several networks (Table 5), and write the test server's file.

The file is written where there are test images.
"""

import argparse
from pathlib import Path

from resnet.errors import run_program
from resnet.files import write_json


def main() -> None:
    """Read the predictions and average."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="dataset.json that the networks were tested on")
    parser.add_argument("--predictions", type=Path, nargs="+", required=True, help="npz of each network")
    parser.add_argument("--source", default="reproduced", help="what the table says of them (default: reproduced)")
    parser.add_argument("--output", type=Path, required=True, help="JSON to write")
    parser.add_argument("--submission", type=Path, required=True, help="text file for the test server")
    arguments = parser.parse_args()

    # What takes long to import comes after the arguments, so that --help and a wrong one are answered at once.
    from resnet.classification.predictions import average, write_submission
    from resnet.data.imagenet import ImageNetDescription

    description = ImageNetDescription.read(arguments.data)
    found = average(arguments.predictions)
    count = write_submission(arguments.submission, found, description.ids)
    if count:
        print(f"{arguments.submission}: five classes for each of {count} test images")
    summary = {
        "model": "ensemble",
        "dataset": description.name,
        "members": [str(path.parent.parent) for path in arguments.predictions],
        "images": int((found.labels >= 0).sum()),
        "source": arguments.source,
        **found.errors(),
    }
    write_json(arguments.output, summary)


if __name__ == "__main__":
    run_program(main)

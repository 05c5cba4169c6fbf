"""Read every image once: the training images' per-pixel mean and colour components (section 3.4).

An image that cannot be read stops it, before anything is trained.
"""

import argparse
from pathlib import Path

from resnet.errors import UserError, run_program
from resnet.files import write_arrays
from resnet.progress import Progress
from resnet.rules import reader
from resnet.settings import MOST_CORES, ArgumentParser, ImageNetRecipe, add_arguments, at_most_cores


def main() -> None:
    """Read the arguments and measure."""
    parser = ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="dataset.json of a prepared data set")
    add_arguments(parser, ImageNetRecipe, ("image_size", "test_shorter_side"))
    count = reader({"type": "integer", "minimum": 1, "maximum": MOST_CORES})
    parser.add_argument("--workers", type=count, default=1, help="processes (default: 1)")
    parser.add_argument("--output", type=Path, required=True, help="npz to write")
    arguments = parser.parse_args()

    # What takes long to import comes after the arguments, so that --help and a wrong one are answered at once.
    from resnet.data.image_statistics import measure
    from resnet.data.imagenet import SPLITS, ImageNetDescription, read_index

    side, size, workers = arguments.test_shorter_side, arguments.image_size, at_most_cores("workers", arguments.workers)
    if side < size:
        raise UserError(f"test_shorter_side must be at least image_size ({size}), not {side}")
    description = ImageNetDescription.read(arguments.data)
    splits = [split for split in SPLITS if split in description.images]
    training, *others = (read_index(arguments.data, description, split) for split in splits)
    count = sum(description.images.values())
    progress = Progress(count, title=description.name, unit="images", speed_unit="images")
    found = measure(description.path, training, others, side, size, workers, progress)
    progress.close()
    write_arrays(arguments.output, found)
    print(f"read {count} images; mean of red, green and blue: {found.mean.mean((1, 2)).round(4).tolist()}")


if __name__ == "__main__":
    run_program(main)

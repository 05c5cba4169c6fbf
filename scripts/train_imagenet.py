"""Train a plain net, a residual net or a VGG net of section 4.1 and write its run folder.

Run again after a kill, the same command goes on from the last checkpoint and ends with the same weights.
SIGTERM, SIGUSR1, SIGINT and SIGHUP make it save a checkpoint and leave with an exit code that is not zero; at SIGUSR1
it puts its Slurm job, if it runs in one, back into the queue.
torchrun --nproc-per-node N scripts/train_imagenet.py … (or srun) trains with N processes, each on its own GPU.
"""

from functools import partial
from pathlib import Path

from resnet.errors import run_program
from resnet.settings import ImageNetRecipe, read_training_arguments


def main() -> None:
    """Read the arguments and train."""
    statistics = (
        "--image-statistics",
        {"type": Path, "required": True, "help": "image_statistics-<test_shorter_side>-<image_size>.npz of the data"},
    )
    arguments, recipe, hardware = read_training_arguments(__doc__, ImageNetRecipe, statistics)

    # torch takes seconds to import, so settings are checked first.
    from resnet.classification.imagenet import imagenet_task
    from resnet.training.loop import train

    build_task = partial(imagenet_task, recipe, arguments.data, arguments.image_statistics)
    train(arguments.run_folder, recipe, hardware, build_task, arguments.wait)


if __name__ == "__main__":
    run_program(main)

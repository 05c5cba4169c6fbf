"""Train a plain or residual net of section 4.2 and write its run folder.

Run again after a kill, the same command goes on from the last checkpoint and ends with the same weights.
SIGTERM, SIGUSR1, SIGINT and SIGHUP make it save a checkpoint and leave with an exit code that is not zero; at SIGUSR1
it puts its Slurm job, if it runs in one, back into the queue.
"""

from functools import partial

from resnet.errors import run_program
from resnet.settings import CifarRecipe, read_training_arguments


def main() -> None:
    """Read the arguments and train."""
    arguments, recipe, hardware = read_training_arguments(__doc__, CifarRecipe)

    # torch takes seconds to import, so settings are checked first.
    from resnet.classification.cifar10 import cifar_task
    from resnet.data.cifar10 import CifarDescription
    from resnet.training.loop import train

    build_task = partial(cifar_task, recipe, CifarDescription.read(arguments.data))
    train(arguments.run_folder, recipe, hardware, build_task, arguments.wait)


if __name__ == "__main__":
    run_program(main)

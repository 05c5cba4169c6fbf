"""Train a localiser of appendix C from a classifier of ImageNet, and write its run folder: proposals (rpn), or R-CNN.

Run again after a kill, the same command goes on from the last checkpoint and ends with the same weights.
SIGTERM, SIGUSR1, SIGINT and SIGHUP make it save a checkpoint and leave with an exit code that is not zero; at SIGUSR1
it puts its Slurm job, if it runs in one, back into the queue.
torchrun --nproc-per-node N scripts/train_localiser.py … (or srun) trains with N processes, each on its own GPU.
"""

from functools import partial
from pathlib import Path

from resnet.errors import run_program
from resnet.settings import LocaliserRecipe, read_training_arguments


def main() -> None:
    """Read the arguments and train."""
    required = {"type": Path, "required": True}
    arguments, recipe, hardware = read_training_arguments(
        __doc__,
        LocaliserRecipe,
        ("--boxes", {**required, "help": "folder of boxes-train.npz and boxes-val.npz"}),
        ("--classifier", {**required, "help": "run folder of the network that it starts with"}),
        ("--image-statistics", {**required, "help": "those that the classifier was trained with"}),
        ("--regions", {"type": Path, "help": "npz of the proposals in the training images; for the stage rcnn"}),
    )

    # torch takes seconds to import, so settings are checked first.
    from resnet.data.located import SPLITS
    from resnet.detection.initial import read_classifier
    from resnet.localisation.task import localisation_task
    from resnet.training.loop import train

    # Crops are of the size that the classifier was trained on, and so are the statistics of its batch normalisation.
    classifier = read_classifier(arguments.classifier, arguments.image_statistics, None)
    boxes = {split: arguments.boxes / f"boxes-{split}.npz" for split in SPLITS}
    files = (arguments.data, boxes, classifier, arguments.image_statistics, arguments.regions)
    train(arguments.run_folder, recipe, hardware, partial(localisation_task, recipe, *files), arguments.wait)


if __name__ == "__main__":
    run_program(main)

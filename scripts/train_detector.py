"""Train Faster R-CNN on PASCAL VOC or MS COCO, from a classifier of ImageNet, and write its run folder (appendix A).

With --starts-with it goes on from a detector that was trained on another data set (appendix B), in --detector.

Run again after a kill, the same command goes on from the last checkpoint and ends with the same weights.
SIGTERM, SIGUSR1, SIGINT and SIGHUP make it save a checkpoint and leave with an exit code that is not zero; at SIGUSR1
it puts its Slurm job, if it runs in one, back into the queue.
torchrun --nproc-per-node N scripts/train_detector.py … (or srun) trains with N processes, each on its own GPU.
"""

from functools import partial
from pathlib import Path

from resnet.errors import UserError, run_program
from resnet.settings import DetectorRecipe, read_training_arguments


def main() -> None:
    """Read the arguments and train."""
    arguments, recipe, hardware = read_training_arguments(
        __doc__,
        DetectorRecipe,
        ("--classifier", {"type": Path, "help": "run folder of the network that it starts with"}),
        ("--image-statistics", {"type": Path, "help": "those that the classifier was trained with"}),
        ("--bn-statistics", {"type": Path, "help": "batch normalisation's, measured (default: the classifier's own)"}),
        (
            "--detector",
            {"type": Path, "help": "instead of these three, with --starts-with: run folder of that detector"},
        ),
    )
    if bool(recipe.starts_with) != bool(arguments.detector):
        raise UserError("--starts-with names the detector whose run folder is --detector: give both or neither")
    if not (arguments.detector or (arguments.classifier and arguments.image_statistics)):
        raise UserError("name what it starts with: --classifier and --image-statistics")

    # torch takes seconds to import, so settings are checked first.
    from resnet.detection.initial import read_classifier, read_start
    from resnet.detection.task import detection_task
    from resnet.training.loop import train

    if arguments.detector:
        classifier = read_start(arguments.detector)
    else:
        classifier = read_classifier(arguments.classifier, arguments.image_statistics, arguments.bn_statistics)
    build_task = partial(detection_task, recipe, arguments.data, classifier)
    train(arguments.run_folder, recipe, hardware, build_task, arguments.wait)


if __name__ == "__main__":
    run_program(main)

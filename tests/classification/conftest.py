"""What the tests of classifiers share: a tiny training on ImageNet, and the command line that starts it."""

import functools

from conftest import image_statistics

from resnet.classification.imagenet import imagenet_task
from resnet.settings import Hardware, ImageNetRecipe, to_flags

SIDES = {"image_size": 32, "scale_min": 36, "scale_max": 48, "test_shorter_side": 40}


def tiny(**changes):
    values = {
        "model": "resnet-18-B", "width": 0.1, "batch_size": 8, "iterations": 12, "lr": 0.02, "lr_drops": (6, 9),
        "log_interval": 2, "evaluation_interval": 3,
    }  # fmt: skip
    return ImageNetRecipe(**{**SIDES, **values, **changes})


def task(recipe, dataset):
    return functools.partial(imagenet_task, recipe, dataset, image_statistics(dataset))


def arguments(dataset, folder, recipe, hardware=None):
    hardware = hardware or Hardware(device="cpu", checkpoint_seconds=0.01)
    flags = f"{to_flags(recipe)} {to_flags(hardware)}".split()
    return [
        "train_imagenet",
        "--data",
        dataset,
        "--image-statistics",
        image_statistics(dataset),
        "--run-folder",
        folder,
        *flags,
    ]

"""What the tests of localisers share: few digits anywhere on photographs, an untrained classifier, small localisers."""

import functools

import numpy as np
import pytest
import torch
from conftest import small_net
from detection.conftest import write_run

from resnet.data import scattered
from resnet.data.imagenet import ImageNetDescription, describe, read_index
from resnet.data.located import SPLITS, Boxes, locate
from resnet.detection.initial import read_classifier
from resnet.files import read_arrays, write_arrays
from resnet.localisation.net import Localiser
from resnet.localisation.proposals import Proposals
from resnet.localisation.task import localisation_task
from resnet.settings import Hardware, LocaliserRecipe

CPU = Hardware(device="cpu")
MODEL = "resnet-18-B"


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """The folder of ``dataset.json`` and the boxes of 20 training and 20 validation images."""
    folder = tmp_path_factory.mktemp("scattered")
    with pytest.MonkeyPatch.context() as patch:
        for split in SPLITS:
            patch.setitem(scattered.IMAGES, split, 20)
        scattered.write_scattered(folder / "ILSVRC2012")
    description = describe("scattered", folder / "ILSVRC2012", horizontal_flip=False, output=folder / "dataset.json")
    for split in SPLITS:
        index = read_index(folder / "dataset.json", description, split)
        write_arrays(
            folder / f"boxes-{split}.npz", locate(description.path / "Annotations", description, index, split, 1)
        )
    random = np.random.RandomState(0)
    corners = np.sort(random.uniform(0, 70, (20, 1, 5, 2, 2)), axis=3).reshape(20, 1, 5, 4)
    # Some of the proposals are right.
    truth = read_arrays(folder / "boxes-train.npz", Boxes)
    corners[:, 0, 0] = [truth.of(place)[0] + 1 for place in range(20)]
    labels = np.array(read_index(folder / "dataset.json", description, "train").labels, np.int64)
    write_arrays(folder / "regions.npz", Proposals(labels[:, None], corners.astype(np.float32), random.rand(20, 1, 5)))
    return folder


@pytest.fixture(scope="session")
def classifier(tmp_path_factory):
    """The run folder of an untrained classifier of 64-pixel crops."""
    net = small_net(MODEL, 1 / 16, measured=True)
    return write_run(tmp_path_factory.mktemp("classifier") / MODEL / "seed0", net, 1 / 16, model=MODEL)


def tiny(**changes):
    values = {
        "model": MODEL, "anchor_sizes": (24, 48), "proposals": 4, "batch_size": 4, "iterations": 6, "lr": 0.01,
        "lr_drops": (4,), "log_interval": 2, "evaluation_interval": 3, "evaluation_images": 10,
    }  # fmt: skip
    return LocaliserRecipe(**{**values, **changes})


def task(recipe, digits, classifier):
    """What builds the task of a recipe."""
    statistics = classifier / "image_statistics.npz"
    boxes = {split: digits / f"boxes-{split}.npz" for split in SPLITS}
    regions = digits / "regions.npz" if recipe.stage == "rcnn" else None
    read = read_classifier(classifier, statistics, None)
    return functools.partial(localisation_task, recipe, digits / "dataset.json", boxes, read, statistics, regions)


def small_localiser(classes=5, **changes):
    recipe = tiny(**changes)
    net = Localiser(small_net(MODEL), torch.full((3, 1, 1), 0.45), classes, recipe, torch.Generator().manual_seed(2))
    with torch.no_grad():
        net.siblings.reg.weight.mul_(10)
    return net.eval()


def split_of(digits, split):
    """Description, index and boxes of a split."""
    description = ImageNetDescription.read(digits / "dataset.json")
    return (
        description,
        read_index(digits / "dataset.json", description, split),
        read_arrays(digits / f"boxes-{split}.npz", Boxes),
    )

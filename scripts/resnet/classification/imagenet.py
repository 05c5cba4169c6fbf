"""What ImageNet brings to a training (sections 3.4 and 4.1)."""

from pathlib import Path

import torch

from resnet.architectures import build_net, initialise
from resnet.classification.task import ClassificationTask
from resnet.data.image_statistics import ImageStatistics
from resnet.data.imagenet import ImageNetDescription, read_index
from resnet.data.scratch import on_scratch
from resnet.data.views import CentreViews, Normalise, TrainingViews
from resnet.files import checksum, read_arrays
from resnet.settings import ImageNetRecipe
from resnet.training.distributed import Processes
from resnet.versions import versions


def imagenet_task(
    recipe: ImageNetRecipe, data: Path, image_statistics: Path, processes: Processes
) -> ClassificationTask:
    """Open the data set for a process and build the network.

    Args:
        recipe: what to train and how.
        data: the data set's ``dataset.json``.
        image_statistics: of the training images, for crops of the recipe's ``image_size``.
        processes: those that train together.

    Raises:
        UserError: a file is missing, damaged, or not the one that was described.
    """
    description, statistics = ImageNetDescription.read(data), read_arrays(image_statistics, ImageStatistics)
    training, validation = (read_index(data, description, split) for split in ("train", "val"))
    description = on_scratch(description, processes, training, validation)
    net = build_net(recipe, len(description.wnids))
    initialise(net, torch.Generator().manual_seed(recipe.seed), recipe.branch_scale)
    return ClassificationTask(
        dataset=description.name,
        checksums={**description.sha256, "image_statistics": checksum(image_statistics, "sha256")},
        versions={"prepare_imagenet": description.version, **versions("decode", "train_imagenet")},
        net=net,
        training=TrainingViews(
            description,
            training,
            statistics,
            image_size=recipe.image_size,
            scale_min=recipe.scale_min,
            scale_max=recipe.scale_max,
            pca_colour_std=recipe.pca_colour_std,
            batch_size=recipe.batch_size,
            seed=recipe.seed,
            share=processes.own_share(recipe.batch_size),
            device=processes.device,
            workers=processes.workers,
        ),
        training_images=len(training),
        evaluation={
            "val": CentreViews(
                description.path,
                validation,
                Normalise(torch.from_numpy(statistics.mean).to(processes.device)),
                side=recipe.test_shorter_side,
                size=recipe.image_size,
                chosen=range(processes.rank, len(validation), processes.world_size),
                device=processes.device,
                workers=processes.workers,
            )
        },
        reported="val",
        image_size=recipe.image_size,
        facts={"horizontal_flip": description.horizontal_flip, "val_images": len(validation)},
    )

"""What CIFAR-10 brings to a training (section 4.2)."""

import torch

from resnet.architectures import build_net, initialise
from resnet.classification.task import ClassificationTask
from resnet.data.batches import EvaluationBatches, TrainingBatches, load_splits
from resnet.data.cifar10 import CifarDescription
from resnet.settings import CifarRecipe, parse_model
from resnet.training.distributed import Processes
from resnet.versions import versions

EVALUATION_BATCH = 500
# The gradient of an update in bf16 has a cosine of 0.997 with that in float32 at 20 layers, 0.91 at 110, 0.15 at 1202;
# ResNet-110 learned more slowly in bf16 (docs/performance.md).
DEEPEST_IN_BF16 = 56


def cifar_task(recipe: CifarRecipe, description: CifarDescription, processes: Processes) -> ClassificationTask:
    """Load the images onto the device of a process and build the network.

    Raises:
        UserError: a file is missing, damaged, or not the one that was described.
    """
    device = processes.device
    splits, mean = load_splits(description, recipe.image_size, recipe.validation_fraction, recipe.split_seed)
    training = splits.pop("train")
    batches = TrainingBatches(
        training,
        mean,
        padding=recipe.padding,
        horizontal_flip=description.horizontal_flip,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        device=device,
        share=processes.own_share(recipe.batch_size),
    )
    own = slice(processes.rank, None, processes.world_size)
    net = build_net(recipe, len(description.classes))
    initialise(net, torch.Generator().manual_seed(recipe.seed), recipe.branch_scale)
    return ClassificationTask(
        dataset=description.name,
        checksums=description.sha256,
        versions={"prepare_cifar10": description.version, **versions("train_cifar10")},
        net=net,
        training=batches,
        training_images=len(training),
        evaluation={
            split: EvaluationBatches(images, mean, EVALUATION_BATCH, device, own)
            for split, images in splits.items()
            if len(images)
        },
        reported="test",
        image_size=recipe.image_size,
        facts={
            "horizontal_flip": description.horizontal_flip,
            **{f"{split}_images": len(images) for split, images in splits.items() if len(images)},
        },
        activation_bytes=activation_bytes(recipe),
        allows_bf16=allows_bf16(recipe),
    )


def allows_bf16(recipe: CifarRecipe) -> bool:
    """Whether the net's gradients in bf16 are near enough to float32's for ``precision: auto``."""
    return parse_model(recipe.model)[1] <= DEEPEST_IN_BF16


def activation_bytes(recipe: CifarRecipe) -> float:
    """Return about how many bytes a training step keeps for the backward pass."""
    # Four maps are kept per block; a block of the later stages keeps a half and a quarter of the first one's.
    depth = parse_model(recipe.model)[1]
    maps = 4 * (depth - 2) / 6 * (1 + 1 / 2 + 1 / 4)
    return 4 * 16 * recipe.image_size**2 * recipe.batch_size * maps

"""From the run folder of a classifier to the network that a detector starts with."""

import dataclasses
from pathlib import Path

import torch
from torch import Tensor, nn

from resnet.architectures import BatchNorm2d, ImageNetNet, Vgg, build_net
from resnet.classification.bn_statistics import STATISTICS
from resnet.data.image_statistics import ImageStatistics
from resnet.errors import UserError
from resnet.files import checksum, read_arrays
from resnet.run_folder import RunFolder
from resnet.settings import ImageNetRecipe
from resnet.training.checkpoint import fill, read_tensors

# What of a classifier's recipe a detector's config.yaml says: how to build the network.
ARCHITECTURE = ("model", "width", "image_size", "stride_in_3x3")


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A classifier's network with its weights, and what is known of it.

    Attributes:
        net: in evaluation mode.
        mean: (3, 1, 1) float32: what is subtracted from an image: its pixels' mean of each colour.
        recipe: as in its ``config.yaml``.
        source: whose weights these are, if they were not trained here.
        checksums: of its files.
    """

    net: ImageNetNet | Vgg
    mean: Tensor
    recipe: ImageNetRecipe
    source: str | None
    checksums: dict[str, str]


def read_classifier(run: Path, image_statistics: Path, bn_statistics: Path | None) -> Classifier:
    """Read the network of a run folder, and give it the measured statistics where there are some.

    A detector sees images of all sizes, so the mean of each colour stands for the mean of each pixel.

    Raises:
        UserError: a file is missing or damaged, or fits no other.
    """
    folder = RunFolder(run)
    recipe, weights = folder.recipe(ImageNetRecipe), read_tensors(folder.weights)
    net = build_net(recipe, len(weights.get("fc.bias", ())))
    files = {"weights": folder.weights, "image_statistics": image_statistics}
    if bn_statistics is not None:
        weights |= measured(bn_statistics, net)
        files["bn_statistics"] = bn_statistics
    fill(net, weights, folder.weights)
    mean = torch.from_numpy(read_arrays(image_statistics, ImageStatistics).mean).mean((1, 2), keepdim=True)
    checksums = {name: checksum(path, "sha256") for name, path in files.items()}
    return Classifier(net.eval(), mean, recipe, folder.source, checksums)


def measured(path: Path, net: nn.Module) -> dict[str, Tensor]:
    """Return the statistics in a file, which must be those of every batch normalisation of ``net``.

    Raises:
        UserError: they are of another network.
    """
    found = read_tensors(path).get("statistics", {})
    norms = {name: module.num_features for name, module in net.named_modules() if isinstance(module, BatchNorm2d)}
    expected = {f"{name}.{key}": (channels,) for name, channels in norms.items() for key in STATISTICS}
    if {key: tuple(value.shape) for key, value in found.items()} != expected:
        raise UserError(f"{path} holds the statistics of another network")
    return found

"""From the run folder of a classifier to the network that a detector starts with."""

import dataclasses
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from resnet.architectures import BatchNorm2d, ImageNetNet, Vgg, imagenet_net
from resnet.data.pixels import Pixels
from resnet.errors import UserError
from resnet.files import checksum, read_arrays

# What of a classifier's recipe says how to build it.
ARCHITECTURE = ("model", "width", "image_size", "stride_in_3x3")


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A classifier's network with its weights, and what is known of it.

    Attributes:
        net: in evaluation mode.
        mean: (3, 1, 1) float32: what is subtracted from a picture: its pixels' mean of each colour.
        recipe: as in its ``config.yaml``.
        checksums: of its files.
    """

    net: nn.Module
    mean: Tensor
    recipe: dict[str, Any]
    checksums: dict[str, str]


def read_classifier(run: Path, pixels: Path, statistics: Path | None) -> Classifier:
    """Read the network of a run folder, and give it the measured statistics where there are some.

    A detector sees pictures of all sizes, so the mean of each colour stands for the mean of each pixel.

    Raises:
        UserError: a file is missing or damaged, or fits no other.
    """
    recipe = read_recipe(run)
    weights = read_tensors(run / "weights.pt")
    classes = len(weights.get("fc.bias", ()))
    net = build_classifier(recipe, classes)
    files = {"weights": run / "weights.pt", "pixels": pixels}
    if statistics is not None:
        weights |= measured(statistics, net)
        files["statistics"] = statistics
    try:
        net.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(f"{run / 'weights.pt'} does not fit its config.yaml: {error}") from None
    except UserError as error:
        raise UserError(f"{run / 'weights.pt'}: {error}") from None
    mean = torch.from_numpy(read_arrays(pixels, Pixels).mean).mean((1, 2), keepdim=True)
    checksums = {name: checksum(path, "sha256") for name, path in files.items()}
    return Classifier(net.eval(), mean, recipe, checksums)


def build_classifier(recipe: dict[str, Any], classes: int) -> ImageNetNet | Vgg:
    """Return the untrained network of a classifier's recipe."""
    return imagenet_net(classes=classes, **{key: recipe[key] for key in ARCHITECTURE})


def read_recipe(run: Path) -> dict[str, Any]:
    """Return the recipe in a run folder's ``config.yaml``.

    Raises:
        UserError: it is missing or damaged.
    """
    try:
        return yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))["recipe"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise UserError(f"{run / 'config.yaml'} cannot be read ({error}); run Snakemake again") from None


def read_tensors(path: Path) -> dict[str, Any]:
    """Read a dictionary of tensors; nothing in it is executed.

    Raises:
        UserError: it is missing or damaged.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except Exception as error:
        raise UserError(f"{path} cannot be read ({type(error).__name__}); delete it and run Snakemake again") from None


def measured(path: Path, net: nn.Module) -> dict[str, Tensor]:
    """Return the statistics in a file, which must be those of every batch normalisation of ``net``.

    Raises:
        UserError: they are of another network.
    """
    found = read_tensors(path)["statistics"]
    norms = [name for name, module in net.named_modules() if isinstance(module, BatchNorm2d)]
    if {key.rsplit(".", 1)[0] for key in found} != set(norms):
        raise UserError(f"{path} holds the statistics of another network")
    return found

"""From the run folder of a classifier, or of another detector, to what a detector starts with."""

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from resnet.architectures import BatchNorm2d, ImageNetNet, Vgg, build_net
from resnet.classification.bn_statistics import STATISTICS
from resnet.data.image_statistics import ImageStatistics
from resnet.detection.detect import read_detector
from resnet.detection.detector import Detector
from resnet.errors import UserError
from resnet.files import checksum, read_arrays
from resnet.run_folder import RunFolder
from resnet.settings import DetectorRecipe, ImageNetRecipe
from resnet.training.checkpoint import fill, read_tensors

# VOC's names of classes that COCO has under another name.
COCO_NAMES = {
    "aeroplane": "airplane",
    "diningtable": "dining table",
    "motorbike": "motorcycle",
    "pottedplant": "potted plant",
    "sofa": "couch",
    "tvmonitor": "tv",
}
# What of a classifier's recipe a detector's config.yaml says: how to build the network.
ARCHITECTURE = ("model", "width", "image_size", "stride_in_3x3")


@dataclasses.dataclass(frozen=True)
class TrainedDetector:
    """A detector that another one starts with.

    Attributes:
        state: its weights, in the form of ``Detector``.
        recipe: as in its ``config.yaml``.
        classes: the names of its classes.
        source: what tables say of its origin.
    """

    state: dict[str, Any]
    recipe: DetectorRecipe
    classes: list[str]
    source: str


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A classifier's network with its weights, and what is known of it.

    Attributes:
        net: in evaluation mode.
        mean: (3, 1, 1) float32: what is subtracted from an image: its pixels' mean of each colour.
        recipe: as in its ``config.yaml``.
        source: whose weights these are, if they were not trained here.
        checksums: of its files.
        detector: the detector whose weights take the place of the network's, if there is one.
    """

    net: ImageNetNet | Vgg
    mean: Tensor
    recipe: ImageNetRecipe
    source: str | None
    checksums: dict[str, str]
    detector: TrainedDetector | None = None


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


def read_start(run: Path) -> Classifier:
    """Read the detector of a run folder as what another one starts with.

    Raises:
        UserError: a file is missing or damaged, or fits no other.
    """
    folder = RunFolder(run)
    detector, recipe = read_detector(folder)
    resolved = folder.said("resolved")
    described = ImageNetRecipe.of_network(**resolved["classifier"])
    trained = TrainedDetector(
        detector.state_dict(), recipe, resolved["classes"], folder.result({"source": str})["source"]
    )
    checksums = {"detector": checksum(folder.weights, "sha256")}
    return Classifier(build_net(described, 1).eval(), detector.mean, described, None, checksums, trained)


def take_over(detector: Detector, recipe: DetectorRecipe, classes: tuple[str, ...], trained: TrainedDetector) -> None:
    """Give a detector the weights of another one, which has learnt other classes.

    Each class takes the rows of the last layers that were trained on the class of its name, as all of VOC's are among
    COCO's: what is known of it is kept. What has no such class keeps the rows that were drawn.

    Raises:
        UserError: the other one has other anchors, or is with context where this one is without.
    """
    for key in ("anchor_sizes", "context"):
        if getattr(recipe, key) != (theirs := getattr(trained.recipe, key)):
            raise UserError(f"{key} is {getattr(recipe, key)}, but the detector that it starts with has {theirs}")
    places = {COCO_NAMES.get(name, name): place for place, name in enumerate(trained.classes, 1)}
    known = {place: places.get(COCO_NAMES.get(name, name)) for place, name in enumerate(classes, 1)}
    # The background is first.
    ours = [0, *(place for place, other in known.items() if other)]
    theirs = [0, *filter(None, known.values())]
    own, state = detector.state_dict(), dict(trained.state)
    for layer, per_class in (("cls_score", 1), ("bbox_pred", 4)):
        for name in (f"heads.box_predictor.{layer}.{part}" for part in ("weight", "bias")):
            rows = own[name].clone().reshape(len(classes) + 1, per_class, -1)
            rows[ours] = state[name].reshape(len(places) + 1, per_class, -1)[theirs]
            state[name] = rows.reshape(own[name].shape)
    detector.load_state_dict(state)


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

"""The networks of appendix C: a proposal network, and R-CNN, each with two sibling layers in a per-class form."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet.architectures import ImageNetNet
from resnet.detection.detector import RATIOS, FixedNorms, freeze
from resnet.settings import LocaliserRecipe

# Of the channels of conv5_x, those of the proposal network's own layer: 512 of 2048.
NARROWER = 4


class PerClass(nn.Module):
    """Sibling 1x1 convolutions: for each class, and each anchor at each pixel, a score and the offsets of a box.

    Args:
        channels: of the map.
        classes: how many there are.
        anchors: at each pixel.
    """

    def __init__(self, channels: int, classes: int, anchors: int) -> None:
        super().__init__()
        self.anchors = anchors
        self.cls = nn.Conv2d(channels, classes * anchors, 1)
        self.reg = nn.Conv2d(channels, classes * anchors * 4, 1)

    def forward(self, maps: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, C, H, W) to what some classes (N, K) say: scores (N, K, P) and offsets (N, K, P, 4).

        The P anchors are in the order of ``anchor_boxes``. Nothing is computed of the other classes.
        """
        pixels = maps.flatten(2)
        scores = self._of(self.cls, pixels, classes).transpose(2, 3)
        offsets = self._of(self.reg, pixels, classes).unflatten(2, (self.anchors, 4)).permute(0, 1, 4, 2, 3)
        return scores.flatten(2).float(), offsets.flatten(2, 3).float()

    def _of(self, layer: nn.Conv2d, pixels: Tensor, classes: Tensor) -> Tensor:
        """Return the outputs (N, K, outputs of a class, pixels) of a layer for some classes."""
        own = self.anchors * (4 if layer is self.reg else 1)
        weight = layer.weight.view(-1, own, layer.in_channels)[classes]
        assert layer.bias is not None
        bias = layer.bias.view(-1, own)[classes]
        return (weight.flatten(1, 2) @ pixels).unflatten(1, weight.shape[1:3]) + bias[..., None]


class Localiser(FixedNorms):
    """A residual net of section 4.1 without its fc layer, and ``PerClass`` on it; its new layers are drawn.

    The proposal network (rpn) has a 3x3 layer between them, as Faster R-CNN's [32] has; R-CNN (rcnn) an average pool.

    Args:
        net: the classifier with its weights, whose layers it takes over.
        mean: (3, 1, 1) float32: what is subtracted from an image's colours.
        classes: how many there are.
        recipe: stage and anchors.
        generator: draws the new layers.
    """

    def __init__(
        self,
        net: ImageNetNet,
        mean: Tensor,
        classes: int,
        recipe: LocaliserRecipe,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        channels = net.fc.in_features
        del net.fc
        self.trunk, self.stage, self.anchor_sizes = net, recipe.stage, recipe.anchor_sizes
        anchors = len(recipe.anchor_sizes) * len(RATIOS) if self.stage == "rpn" else 1
        if self.stage == "rpn":
            narrow = max(1, channels // NARROWER)
            self.conv, channels = nn.Conv2d(channels, narrow, 3, padding=1), narrow
        self.siblings = PerClass(channels, classes, anchors)
        self._draw(generator)
        freeze(self, [])

    def _draw(self, generator: torch.Generator | None) -> None:
        """Draw the new layers as those of detectors."""
        new = [self.siblings.cls, self.siblings.reg, *([self.conv] if self.stage == "rpn" else [])]
        for layer in new:
            boxes_of_regions = self.stage == "rcnn" and layer is self.siblings.reg
            nn.init.normal_(layer.weight, std=0.001 if boxes_of_regions else 0.01, generator=generator)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, images: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Map images (N, 3, H, W), their mean subtracted, to what some classes (N, K) say.

        Returns:
            Scores (N, K, P) and offsets (N, K, P, 4) of the anchors, or of R-CNN's one region.
        """
        maps = self.trunk.features(images)
        maps = F.relu(self.conv(maps)) if self.stage == "rpn" else maps.mean((2, 3), keepdim=True)
        return self.siblings(maps, classes)

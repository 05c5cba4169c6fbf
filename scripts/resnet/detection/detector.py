"""Faster R-CNN [32] with ResNet or VGG-16 (section 4.3, appendix A), built from torchvision's blocks.

ResNet: conv1 to conv4_x are shared (stride 16); regions are pooled from conv4_x, and conv5_x with an average pool is
the head of each region. VGG-16: conv1_1 to conv5_3, and fc6 and fc7. Two sibling layers follow: class and box.

Its state dict is the form in which detectors are stored, whichever engine has trained them.
"""

from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import clip_boxes_to_image, nms, remove_small_boxes

from resnet.architectures import BatchNorm2d, ImageNetNet, Vgg, convolutions, normalised, require_architecture
from resnet.detection.pooling import RegionPool
from resnet.settings import DetectorRecipe

STRIDE = 16
RATIOS = (0.5, 1.0, 2.0)
# [32]: anchors and regions by their IoU with an object; samples per image.
ANCHOR_IOU = (0.3, 0.7)
REGION_IOU = 0.5
ANCHORS_PER_IMAGE, ANCHOR_POSITIVES = 256, 0.5
REGION_POSITIVES = 0.25
PROPOSAL_NMS, DETECTION_NMS = 0.7, 0.3
# Box offsets are divided by their typical size (Fast R-CNN [7]'s code): (1/10, 1/10, 1/5, 1/5).
BOX_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
# Where the smooth L1 loss turns linear, in [32]'s code: sigma 3 for the proposals, 1 for the detections.
PROPOSAL_BETA, DETECTION_BETA = 1 / 9, 1.0
SCORE_THRESHOLD, DETECTIONS_PER_IMAGE = 0.05, 100
# Of how many times the wanted proposals NMS is tried first.
FIRST_LOOK = 3
LOSSES = ("loss_rpn_class", "loss_rpn_box", "loss_class", "loss_box")

Target = dict[str, Tensor]


class Anchors(AnchorGenerator):
    """Anchors as in [32]: of each size all ratios, not rounded, every 16 pixels whatever the size of the padded batch.

    torchvision's own are rounded, ordered by ratio first, and take their stride from the padded image.
    """

    def generate_anchors(
        self,
        scales: list[int],
        aspect_ratios: list[float],
        dtype: torch.dtype = torch.float32,
        device: torch.device | None = None,
    ) -> Tensor:
        """Return boxes (sizes * ratios, 4) around the origin; a ratio is height / width."""
        sizes = torch.tensor(scales, dtype=torch.float64).repeat_interleave(len(aspect_ratios))
        ratios = torch.tensor(aspect_ratios, dtype=torch.float64).repeat(len(scales))
        widths, heights = sizes / ratios.sqrt(), sizes * ratios.sqrt()
        return (torch.stack([-widths, -heights, widths, heights], 1) / 2).to(device, dtype)

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        """Return the anchors (positions * sizes * ratios, 4) of each image."""
        maps = feature_maps[0]
        self.set_cell_anchors(torch.float32, maps.device)
        # Filled on the device: a GPU would be waited for to copy it.
        stride = torch.full((), STRIDE, device=maps.device)
        anchors = self.grid_anchors([list(maps.shape[-2:])], [[stride, stride]])[0]
        return [anchors] * len(image_list.image_sizes)


class ProposalHead(RPNHead):
    """torchvision's head; boxes are computed in float32 also under autocast."""

    def forward(self, x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Map features to objectness and box offsets of every anchor."""
        objectness, offsets = super().forward(x)
        return [value.float() for value in objectness], [value.float() for value in offsets]


class Proposals(RegionProposalNetwork):
    """torchvision's region proposal network with the loss of [32]: both parts are divided by the 256 anchors."""

    def filter_proposals(
        self,
        proposals: Tensor,
        objectness: Tensor,
        image_shapes: list[tuple[int, int]],
        num_anchors_per_level: list[int],
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return boxes and scores of each image's proposals: torchvision's, but that NMS ends when it has enough."""
        objectness = objectness.detach().view(len(proposals), -1)
        best, order = objectness.topk(min(self.pre_nms_top_n(), objectness.shape[1]), 1)
        found = []
        for boxes, scores, chosen, shape in zip(proposals, best.sigmoid(), order, image_shapes, strict=True):
            boxes = clip_boxes_to_image(boxes[chosen], shape)
            large = remove_small_boxes(boxes, self.min_size)
            boxes, scores = boxes[large], scores[large]
            kept = first_kept(boxes, scores, self.nms_thresh, self.post_nms_top_n())
            found.append((boxes[kept], scores[kept]))
        return [boxes for boxes, _ in found], [scores for _, scores in found]

    def compute_loss(
        self, objectness: Tensor, pred_bbox_deltas: Tensor, labels: list[Tensor], regression_targets: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return the losses of objectness and boxes, on a sample of the anchors of each image."""
        positive, negative = (torch.cat(masks).nonzero()[:, 0] for masks in self.fg_bg_sampler(labels))
        sampled = torch.cat([positive, negative])
        count = self.fg_bg_sampler.batch_size_per_image * len(labels)
        box = F.smooth_l1_loss(
            pred_bbox_deltas[positive], torch.cat(regression_targets)[positive], beta=PROPOSAL_BETA, reduction="sum"
        )
        truth = torch.cat(labels)[sampled]
        scores = objectness.flatten()[sampled]
        return F.binary_cross_entropy_with_logits(scores, truth, reduction="sum") / count, box / count


def first_kept(boxes: Tensor, scores: Tensor, threshold: float, wanted: int) -> Tensor:
    """Return the first of the boxes that NMS keeps, of boxes in order of their scores.

    Whether a box is kept depends on those before it, so NMS of the first boxes, a quarter of the work for half of them,
    keeps the same.
    """
    count = FIRST_LOOK * wanted
    while len(kept := nms(boxes[:count], scores[:count], threshold)) < wanted and count < len(boxes):
        count *= 2
    return kept[:wanted]


class Heads(RoIHeads):
    """torchvision's heads with the loss of [7]: torchvision has another beta. Perhaps with appendix B's context.

    Attributes:
        context: the last layers see a region's features and, beside them, those of the whole image as a region.
    """

    context = False

    def forward(
        self,
        features: dict[str, Tensor],
        proposals: list[Tensor],
        image_shapes: list[tuple[int, int]],
        targets: list[Target] | None = None,
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        """Return detections (test) or losses (training) of images with given proposals."""
        if self.training:
            proposals, _, labels, offsets = self.select_training_samples(proposals, targets)
            scores, boxes = self._predictions(features["0"], proposals, image_shapes)
            return [], self._losses(scores, boxes, torch.cat(labels), torch.cat(offsets))
        scores, boxes = self._predictions(features["0"], proposals, image_shapes)
        found = self.postprocess_detections(scores, boxes, proposals, image_shapes)
        names = ("boxes", "scores", "labels")
        return [dict(zip(names, values, strict=True)) for values in zip(*found, strict=True)], {}

    def _predictions(
        self, maps: Tensor, proposals: list[Tensor], image_shapes: list[tuple[int, int]]
    ) -> tuple[Tensor, Tensor]:
        features = self.region_features(maps, proposals)
        if self.context:
            pairs = zip(image_shapes, proposals, strict=True)
            whole = self.region_features(maps, [whole_image(shape, boxes) for shape, boxes in pairs])
            # Each image's as often as it has regions.
            of_regions = [one.expand(len(boxes), -1) for one, boxes in zip(whole, proposals, strict=True)]
            features = torch.cat([features, torch.cat(of_regions)], 1)
        return self.predict(features)

    def region_features(self, maps: Tensor, boxes: list[Tensor]) -> Tensor:
        """Map shared maps (N, C, H, W) and the boxes of each image to what the last layers see (boxes, channels)."""
        return self.box_head(self.box_roi_pool(maps, boxes))

    def predict(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map features, those of the context beside them, to scores (R, 1 + classes) and box offsets, in float32."""
        scores, boxes = self.box_predictor(features)
        return scores.float(), boxes.float()

    def _losses(self, scores: Tensor, boxes: Tensor, labels: Tensor, offsets: Tensor) -> dict[str, Tensor]:
        positive = (labels > 0).nonzero()[:, 0]
        own = boxes.view(len(boxes), -1, 4)[positive, labels[positive]]
        box = F.smooth_l1_loss(own, offsets[positive], beta=DETECTION_BETA, reduction="sum")
        return {"loss_class": F.cross_entropy(scores, labels), "loss_box": box / max(1, len(labels))}


class SharedResNet(nn.Module):
    """conv1 to conv4_x of a residual net: stride 16."""

    def __init__(self, net: ImageNetNet) -> None:
        super().__init__()
        self.conv1, self.bn1, self.stages = net.conv1, net.bn1, net.stages[:3]
        self.channels = convolutions(net.stages[3])[0].in_channels

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 3, H, W) to features (N, C, H / 16, W / 16), rounded up."""
        x = F.max_pool2d(F.relu(normalised(self.conv1, self.bn1, images), inplace=True), 3, 2, 1)
        for stage in self.stages:
            x = stage(x)
        return x

    def parts(self) -> list[list[nn.Module]]:
        """Return the stages from the input on: conv1, conv2_x, conv3_x, conv4_x."""
        return [[self.conv1, self.bn1], *([stage] for stage in self.stages)]


class ResNetHead(nn.Module):
    """conv5_x and an average pool."""

    def __init__(self, net: ImageNetNet) -> None:
        super().__init__()
        self.stage = net.stages[3]
        self.channels = net.fc.in_features

    def forward(self, regions: Tensor) -> Tensor:
        """Map regions (R, C, 14, 14) to (R, channels)."""
        # Pooling returns another layout than that of the features.
        maps = self.stage(regions.contiguous(memory_format=torch.channels_last))
        # The gradient of this mean has the layout of the maps; that of a mean over the last two dimensions has not.
        return maps.permute(0, 2, 3, 1).flatten(1, 2).mean(1)


class SharedVgg(nn.Module):
    """conv1_1 to conv5_3 of a VGG net: stride 16."""

    def __init__(self, net: Vgg) -> None:
        super().__init__()
        # All but the last pool.
        self.layers = net.features[:-1]
        self.channels = convolutions(net.features)[-1].out_channels

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 3, H, W) to features (N, C, H / 16, W / 16), rounded down."""
        return self.layers(images)

    def parts(self) -> list[list[nn.Module]]:
        """Return the five blocks between the pools."""
        blocks: list[list[nn.Module]] = [[]]
        for layer in self.layers:
            if isinstance(layer, nn.MaxPool2d):
                blocks.append([])
            else:
                blocks[-1].append(layer)
        return blocks


class VggHead(nn.Module):
    """fc6 and fc7."""

    def __init__(self, net: Vgg, dropout: float) -> None:
        super().__init__()
        self.fc6, self.fc7, self.dropout = net.fc6, net.fc7, dropout
        self.channels = net.fc7.out_features

    def forward(self, regions: Tensor) -> Tensor:
        """Map regions (R, C, 7, 7) to (R, channels)."""
        x = F.dropout(F.relu(self.fc6(regions.flatten(1))), self.dropout, self.training)
        return F.dropout(F.relu(self.fc7(x)), self.dropout, self.training)


class FixedNorms(nn.Module):
    """A network whose batch normalisation is constant scales and offsets (appendix A), in training too."""

    def train(self, mode: bool = True) -> Self:
        """Set the mode; batch normalisation stays fixed."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, BatchNorm2d):
                module.eval()
        return self


class Engine(nn.Module):
    """A detector, by whichever library computes it."""

    def detector_state(self) -> dict[str, Any]:
        """Return the weights in the form in which detectors are stored: that of ``Detector``."""
        raise NotImplementedError


class Detector(FixedNorms, Engine):
    """Faster R-CNN on a classifier, whose layers it takes over; its new layers are drawn from N(0, 0.01).

    Args:
        net: the classifier with its weights.
        mean: (3, 1, 1) float32: what is subtracted from an image's colours.
        classes: how many classes of objects there are.
        recipe: how it detects.
        generator: draws the new layers.
    """

    def __init__(
        self,
        net: ImageNetNet | Vgg,
        mean: Tensor,
        classes: int,
        recipe: DetectorRecipe,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.architecture = net.architecture
        # Of the images that the classifier was trained on.
        self.classifier_side = 32 * net.pool_size
        self.register_buffer("mean", mean)
        is_vgg = isinstance(net, Vgg)
        self.shared = SharedVgg(net) if is_vgg else SharedResNet(net)
        head = VggHead(net, recipe.dropout) if is_vgg else ResNetHead(net)
        anchors = Anchors((recipe.anchor_sizes,), (RATIOS,))
        self.rpn = Proposals(
            anchors,
            ProposalHead(self.shared.channels, anchors.num_anchors_per_location()[0]),
            ANCHOR_IOU[1],
            ANCHOR_IOU[0],
            ANCHORS_PER_IMAGE,
            ANCHOR_POSITIVES,
            {"training": recipe.rpn_pre_nms_top_n_train, "testing": recipe.rpn_pre_nms_top_n_test},
            {"training": recipe.rpn_post_nms_top_n_train, "testing": recipe.rpn_post_nms_top_n_test},
            PROPOSAL_NMS,
        )
        self.heads = Heads(
            RegionPool(recipe.pooling, pooled_size(net), 1 / STRIDE),
            head,
            FastRCNNPredictor(head.channels * (1 + recipe.context), classes + 1),
            REGION_IOU,
            REGION_IOU,
            recipe.rois,
            REGION_POSITIVES,
            BOX_WEIGHTS,
            SCORE_THRESHOLD,
            DETECTION_NMS,
            DETECTIONS_PER_IMAGE,
        )
        self.heads.context = recipe.context
        self._draw(generator)
        freeze(self, self.shared.parts()[: recipe.frozen_stages])

    def _draw(self, generator: torch.Generator | None) -> None:
        """Draw the new layers as [32] and [7] do; boxes of regions with a deviation of 0.001."""
        for module in [*self.rpn.head.modules(), *self.heads.box_predictor.modules()]:
            if isinstance(module, nn.Conv2d | nn.Linear):
                deviation = 0.001 if module is self.heads.box_predictor.bbox_pred else 0.01
                nn.init.normal_(module.weight, std=deviation, generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(
        self, images: list[Tensor], targets: list[Target] | None = None
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """Return the four losses in training, else the detections of each image.

        Args:
            images: (3, H, W) float32 each, on the scale from 0 to 1.
            targets: of each image boxes (N, 4) and labels (N,) from 0; for training.

        Returns:
            ``LOSSES``, or of each image boxes (D, 4) in its pixels, scores (D,) and labels (D,) from 0.
        """
        batch = padded([image - self.mean for image in images])
        features = {"0": self.shared(batch.tensors)}
        # torchvision's background is class 0.
        shifted = targets and [{"boxes": target["boxes"], "labels": target["labels"] + 1} for target in targets]
        proposals, rpn = self.rpn(batch, features, shifted)
        found, losses = self.heads(features, proposals, batch.image_sizes, shifted)
        if self.training:
            return {"loss_rpn_class": rpn["loss_objectness"], "loss_rpn_box": rpn["loss_rpn_box_reg"], **losses}
        return [{**one, "labels": one["labels"] - 1} for one in found]

    def detector_state(self) -> dict[str, Any]:
        """Return the weights as they are."""
        return self.state_dict()

    def get_extra_state(self) -> dict[str, object]:
        """Return what a file of weights must say, as weights alone do not show it."""
        return self.architecture

    def set_extra_state(self, state: dict[str, object]) -> None:
        """Refuse weights of another architecture."""
        require_architecture(state, self.architecture)


def pooled_size(net: ImageNetNet | Vgg) -> int:
    """Return the side of a pooled region: 14 before conv5_1, whose stride is 2, and 7 before fc6.

    For nets trained on smaller crops, what makes their head see a map of the size that it was trained at.
    """
    return net.pool_size * (1 if isinstance(net, Vgg) else 2)


def whole_image(shape: tuple[int, int], like: Tensor) -> Tensor:
    """Return the box (1, 4) around an image (height, width), on the device of ``like``."""
    height, width = shape
    return like.new_tensor([[0, 0, width, height]])


def padded(images: list[Tensor]) -> ImageList:
    """Return images as one batch: zeros to the right and below, up to the largest height and width."""
    sizes = [(image.shape[1], image.shape[2]) for image in images]
    height, width = (max(lengths) for lengths in zip(*sizes, strict=True))
    batch = torch.stack([F.pad(image, (0, width - image.shape[2], 0, height - image.shape[1])) for image in images])
    return ImageList(batch.contiguous(memory_format=torch.channels_last), sizes)


def freeze(net: nn.Module, parts: list[list[nn.Module]]) -> None:
    """Leave some parts, and all batch normalisation, as they are."""
    fixed = [module for part in parts for module in part]
    fixed += [module for module in net.modules() if isinstance(module, BatchNorm2d)]
    for module in fixed:
        module.requires_grad_(False)

"""The same detector built by detectron2 from its own registries and configuration, with the same weights.

detectron2 differs from torchvision in what the background is (the last class, not the first) and in its defaults: every
setting of ``Detector`` is set here. What is not published by it, a VGG backbone and head, is registered.
"""

import re
from typing import Any

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode, configurable, get_cfg
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, ROI_BOX_HEAD_REGISTRY, Backbone, build_model
from detectron2.modeling.poolers import ROIPooler
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from torch import Tensor, nn

from resnet.architectures import IMAGENET_FILTERS, Bottleneck, Vgg, convolutions
from resnet.detection import detector as settings
from resnet.detection.detector import Detector, Engine, SharedResNet, SharedVgg, Target, freeze
from resnet.errors import UserError
from resnet.settings import DetectorRecipe, parse_imagenet_model

LOSS_NAMES = {
    "loss_rpn_cls": "loss_rpn_class",
    "loss_rpn_loc": "loss_rpn_box",
    "loss_cls": "loss_class",
    "loss_box_reg": "loss_box",
}
# Our names (with the parts that are kept) and detectron2's.
NAMES = (
    (r"shared\.conv1\.", "backbone.stem.conv1."),
    (r"shared\.bn1\.", "backbone.stem.conv1.norm."),
    (r"shared\.layers\.", "backbone.layers."),
    (r"heads\.box_head\.stage\.", "roi_heads.res5."),
    (r"heads\.box_head\.", "roi_heads.box_head."),
    (r"heads\.box_predictor\.", "roi_heads.box_predictor."),
    (r"rpn\.head\.conv\.0\.0\.", "proposal_generator.rpn_head.conv."),
    (r"rpn\.head\.cls_logits\.", "proposal_generator.rpn_head.objectness_logits."),
    (r"rpn\.head\.bbox_pred\.", "proposal_generator.rpn_head.anchor_deltas."),
)
BLOCK_NAMES = (
    (r"\.bn(\d)\.", r".conv\1.norm."),
    (r"\.shortcut\.0\.", ".shortcut."),
    (r"\.shortcut\.1\.", ".shortcut.norm."),
)


class Detectron2Detector(Engine):
    """detectron2's Faster R-CNN with the weights of a ``Detector``; called in the same way.

    Args:
        detector: what to compute.
        classes: how many classes of objects there are.
        recipe: how it detects.

    Raises:
        UserError: detectron2 cannot build the network (a width that its stages do not have).
    """

    def __init__(self, detector: Detector, classes: int, recipe: DetectorRecipe) -> None:
        super().__init__()
        # What is only in our form: the mean, the background's box, counters, what the file says of itself.
        self.kept = {key: value for key, value in detector.state_dict().items() if detectron2_name(key) is None}
        self.names = {key: name for key in detector.state_dict() if (name := detectron2_name(key)) is not None}
        self.net = build_model(build_config(detector, classes, recipe))
        for module in self.net.modules():
            if isinstance(module, ROIPooler):
                module.register_forward_pre_hook(in_float32)
        self.load_detector(detector)
        if isinstance(detector.shared, SharedVgg):
            freeze(self.net.backbone, SharedVgg.parts(self.net.backbone)[: recipe.frozen_stages])

    def load_detector(self, detector: Detector) -> None:
        """Take the weights over: every key is used, every weight is set, and strides are where they were.

        Raises:
            UserError: that is not so.
        """
        state = detector.state_dict()
        converted = {name: moved_background(key, state[key], 1) for key, name in self.names.items()}
        try:
            self.net.load_state_dict(converted, strict=True)
        except RuntimeError as error:
            raise UserError(f"detectron2's network has other layers than ours: {error}") from None
        require_strides(detector, self.net)

    def detector_state(self) -> dict[str, Any]:
        """Return the weights in ``Detector``'s form."""
        state = self.net.state_dict()
        found = {key: moved_background(key, state[name], -1) for key, name in self.names.items()}
        return {**self.kept, **found}

    def forward(
        self, images: list[Tensor], targets: list[Target] | None = None
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """Return losses or detections, as ``Detector`` does."""
        inputs = [{"image": image, "height": image.shape[1], "width": image.shape[2]} for image in images]
        if not self.training:
            found = [output["instances"].get_fields() for output in self.net(inputs)]
            return [
                {"boxes": one["pred_boxes"].tensor, "scores": one["scores"], "labels": one["pred_classes"]}
                for one in found
            ]
        for one, target in zip(inputs, targets or (), strict=True):
            fields = {"gt_boxes": Boxes(target["boxes"]), "gt_classes": target["labels"]}
            one["instances"] = Instances(tuple(one["image"].shape[1:]), **fields)
        with EventStorage():
            losses = self.net(inputs)
        return {LOSS_NAMES[name]: value for name, value in losses.items()}


def in_float32(_pooler: nn.Module, inputs: tuple[list[Tensor], list[Boxes]]) -> tuple[list[Tensor], list[Boxes]]:
    """Return features in float32 and boxes: under autocast, detectron2 rounds boxes to what the features are in."""
    features, boxes = inputs
    return [values.float() for values in features], boxes


def build_config(detector: Detector, classes: int, recipe: DetectorRecipe) -> CfgNode:
    """Return detectron2's configuration of a detector; nothing that matters is left at its default."""
    config = get_cfg()
    model = config.MODEL
    model.DEVICE, model.WEIGHTS, model.META_ARCHITECTURE = "cpu", "", "GeneralizedRCNN"
    model.PIXEL_MEAN, model.PIXEL_STD = detector.mean.flatten().tolist(), [1.0, 1.0, 1.0]
    configure_proposals(model, detector, recipe)
    heads, box = model.ROI_HEADS, model.ROI_BOX_HEAD
    heads.NUM_CLASSES, heads.BATCH_SIZE_PER_IMAGE = classes, recipe.rois
    heads.POSITIVE_FRACTION, heads.PROPOSAL_APPEND_GT = settings.REGION_POSITIVES, True
    heads.IOU_THRESHOLDS, heads.IOU_LABELS = [settings.REGION_IOU], [0, 1]
    heads.SCORE_THRESH_TEST, heads.NMS_THRESH_TEST = settings.SCORE_THRESHOLD, settings.DETECTION_NMS
    config.TEST.DETECTIONS_PER_IMAGE = settings.DETECTIONS_PER_IMAGE
    box.BBOX_REG_WEIGHTS, box.SMOOTH_L1_BETA = settings.BOX_WEIGHTS, settings.DETECTION_BETA
    box.POOLER_RESOLUTION, box.POOLER_SAMPLING_RATIO = detector.heads.box_roi_pool.size, 0
    box.POOLER_TYPE = {"pool": "ROIPool", "align": "ROIAlignV2"}[recipe.pooling]
    if isinstance(detector.shared, SharedVgg):
        configure_vgg(config, detector, detector.shared, recipe)
    else:
        configure_resnet(config, detector, detector.shared, recipe)
    return config


def configure_proposals(model: CfgNode, detector: Detector, recipe: DetectorRecipe) -> None:
    """Set anchors and the region proposal network."""
    rpn, anchors = model.RPN, model.ANCHOR_GENERATOR
    model.PROPOSAL_GENERATOR.NAME, model.PROPOSAL_GENERATOR.MIN_SIZE = "RPN", 0
    anchors.NAME, anchors.OFFSET = "DefaultAnchorGenerator", 0.0
    anchors.SIZES, anchors.ASPECT_RATIOS = [list(recipe.anchor_sizes)], [list(settings.RATIOS)]
    rpn.BOUNDARY_THRESH, rpn.LOSS_WEIGHT, rpn.BBOX_REG_LOSS_WEIGHT = -1, 1.0, 1.0
    rpn.IOU_THRESHOLDS, rpn.IOU_LABELS = list(settings.ANCHOR_IOU), [0, -1, 1]
    rpn.BATCH_SIZE_PER_IMAGE, rpn.POSITIVE_FRACTION = settings.ANCHORS_PER_IMAGE, settings.ANCHOR_POSITIVES
    rpn.BBOX_REG_WEIGHTS, rpn.SMOOTH_L1_BETA = (1.0, 1.0, 1.0, 1.0), settings.PROPOSAL_BETA
    rpn.PRE_NMS_TOPK_TRAIN, rpn.PRE_NMS_TOPK_TEST = recipe.rpn_pre_nms_top_n_train, recipe.rpn_pre_nms_top_n_test
    rpn.POST_NMS_TOPK_TRAIN, rpn.POST_NMS_TOPK_TEST = recipe.rpn_post_nms_top_n_train, recipe.rpn_post_nms_top_n_test
    rpn.NMS_THRESH = settings.PROPOSAL_NMS


def configure_resnet(config: CfgNode, detector: Detector, shared: SharedResNet, recipe: DetectorRecipe) -> None:
    """Set the C4 form of a ResNet with fixed batch normalisation."""
    stages = [*shared.stages, detector.heads.box_head.stage]
    widths = [convolutions(stage)[0].out_channels for stage in stages]
    filters = widths[0]
    if widths != [filters * 2**stage for stage in range(len(IMAGENET_FILTERS))]:
        raise UserError(f"detectron2 has no ResNet with stages of {widths} filters; use engine torchvision")
    resnets = config.MODEL.RESNETS
    config.MODEL.BACKBONE.NAME, config.MODEL.BACKBONE.FREEZE_AT = "build_resnet_backbone", recipe.frozen_stages
    config.MODEL.RPN.IN_FEATURES = config.MODEL.ROI_HEADS.IN_FEATURES = resnets.OUT_FEATURES = ["res4"]
    config.MODEL.ROI_HEADS.NAME = "Res5ROIHeads"
    resnets.DEPTH, resnets.NORM = parse_imagenet_model(recipe.model)[1], "FrozenBN"
    resnets.STEM_OUT_CHANNELS, resnets.WIDTH_PER_GROUP = shared.conv1.out_channels, filters
    resnets.RES2_OUT_CHANNELS = filters * Bottleneck.expansion
    resnets.STRIDE_IN_1X1 = not detector.architecture["stride_in_3x3"]


def configure_vgg(config: CfgNode, detector: Detector, shared: SharedVgg, recipe: DetectorRecipe) -> None:
    """Set our VGG backbone and head."""
    config.MODEL.BACKBONE.NAME, config.MODEL.ROI_HEADS.NAME = "build_vgg_backbone", "StandardROIHeads"
    config.MODEL.RPN.IN_FEATURES = config.MODEL.ROI_HEADS.IN_FEATURES = ["conv5_3"]
    config.MODEL.ROI_BOX_HEAD.NAME = "VggBoxHead"
    filters = convolutions(shared)[0].out_channels
    config.MODEL.VGG = CfgNode(
        {
            "MODEL": recipe.model,
            "WIDTH": filters / IMAGENET_FILTERS[0],
            "HIDDEN": detector.heads.box_head.channels,
            "DROPOUT": recipe.dropout,
        }
    )


class VggBackbone(Backbone):
    """conv1_1 to conv5_3: stride 16."""

    def __init__(self, shared: SharedVgg) -> None:
        super().__init__()
        self.layers, self.channels = shared.layers, shared.channels

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map images (N, 3, H, W) to features (N, C, H / 16, W / 16)."""
        return {"conv5_3": self.layers(images)}

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Return channels and stride of the features."""
        return {"conv5_3": ShapeSpec(channels=self.channels, stride=settings.STRIDE)}


@BACKBONE_REGISTRY.register()
def build_vgg_backbone(config: CfgNode, _input_shape: ShapeSpec) -> VggBackbone:
    """Return the shared layers of a VGG net."""
    return VggBackbone(SharedVgg(Vgg(config.MODEL.VGG.MODEL, 1, width=config.MODEL.VGG.WIDTH)))


@ROI_BOX_HEAD_REGISTRY.register()
class VggBoxHead(nn.Module):
    """fc6 and fc7 on pooled regions."""

    @configurable
    def __init__(self, *, inputs: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.fc6, self.fc7, self.dropout = nn.Linear(inputs, hidden), nn.Linear(hidden, hidden), dropout

    @classmethod
    def from_config(cls, cfg: CfgNode, shape: ShapeSpec) -> dict[str, float]:
        """Return the arguments of a configuration."""
        inputs = shape.channels * shape.height * shape.width
        return {"inputs": inputs, "hidden": cfg.MODEL.VGG.HIDDEN, "dropout": cfg.MODEL.VGG.DROPOUT}

    @property
    def output_shape(self) -> ShapeSpec:
        """The number of features."""
        return ShapeSpec(channels=self.fc7.out_features)

    def forward(self, regions: Tensor) -> Tensor:
        """Map regions (R, C, 7, 7) to (R, hidden)."""
        x = F.dropout(F.relu(self.fc6(regions.flatten(1))), self.dropout, self.training)
        return F.dropout(F.relu(self.fc7(x)), self.dropout, self.training)


def detectron2_name(key: str) -> str | None:
    """Return detectron2's name of a weight, or None for what it does not have."""
    if key in ("mean", "_extra_state") or key.endswith("num_batches_tracked"):
        return None
    if stage := re.match(r"shared\.stages\.(\d)\.", key):
        name = f"backbone.res{int(stage[1]) + 2}.{key[stage.end() :]}"
    else:
        name = next((re.sub(f"^{ours}", theirs, key) for ours, theirs in NAMES if re.match(ours, key)), None)
    if name is None:
        raise UserError(f"detectron2 has no weight {key}")
    for ours, theirs in BLOCK_NAMES:
        name = re.sub(ours, theirs, name)
    return name


def moved_background(key: str, value: Tensor, direction: int) -> Tensor:
    """Return a weight with the background as the last class (direction 1), or as the first again (-1).

    detectron2 has no box of the background; what is not used of ours is zero.
    """
    if "box_predictor.cls_score" in key:
        return value.roll(-direction, 0)
    if "box_predictor.bbox_pred" in key:
        return value[4:] if direction == 1 else torch.cat([torch.zeros_like(value[:4]), value])
    return value


def require_strides(detector: Detector, net: nn.Module) -> None:
    """Compare the strides of all convolutions: weights alone do not show where a bottleneck strides.

    Raises:
        UserError: they differ.
    """
    modules = dict(net.named_modules())
    for name, module in detector.named_modules():
        if not isinstance(module, nn.Conv2d) or not (theirs := detectron2_name(f"{name}.weight")):
            continue
        other = modules[theirs.removesuffix(".weight")]
        if other.stride != module.stride:
            raise UserError(f"{name} has the stride {module.stride}, but detectron2's {other.stride}")

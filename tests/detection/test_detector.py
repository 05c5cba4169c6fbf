"""The detector: anchors, structure, and its outputs and losses against direct references."""

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from conftest import same_weights, small_net
from torch import nn
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork
from torchvision.ops import box_iou

from detection.conftest import random_images, sharp, small_detector, tiny, training
from resnet.architectures import BatchNorm2d, ImageNetNet, Vgg
from resnet.detection.detector import RATIOS, Anchors, Detector, padded
from resnet.settings import DetectorRecipe

# Anchors


def test_anchors_are_size_major_and_not_rounded():
    found = Anchors(((128, 256),), (RATIOS,)).generate_anchors((128, 256), RATIOS)
    # By hand: 128 / √(1/2) = 181.0193 wide and 128 · √(1/2) = 90.5097 high, and so on.
    expected = [
        [-90.50967, -45.25483, 90.50967, 45.25483],
        [-64, -64, 64, 64],
        [-45.25483, -90.50967, 45.25483, 90.50967],
        [-181.01934, -90.50967, 181.01934, 90.50967],
        [-128, -128, 128, 128],
        [-90.50967, -181.01934, 90.50967, 181.01934],
    ]
    torch.testing.assert_close(found, torch.tensor(expected), rtol=0, atol=1e-4)


def test_the_default_anchors_have_the_published_areas_and_ratios():
    recipe = DetectorRecipe()
    boxes = Anchors((recipe.anchor_sizes,), (RATIOS,)).generate_anchors(recipe.anchor_sizes, RATIOS).double()
    widths, heights = (boxes[:, 2:] - boxes[:, :2]).unbind(1)
    areas = [side**2 for side in (128, 256, 512) for _ in range(3)]
    np.testing.assert_allclose(widths * heights, areas, rtol=1e-6)
    np.testing.assert_allclose(heights / widths, [0.5, 1, 2] * 3, rtol=1e-6)


def test_anchors_lie_every_16_pixels_whatever_the_padding():
    anchors = Anchors(((32,),), ((1.0,),))
    # 119 / 7 and 153 / 9 are 17: the stride of torchvision's own.
    batch = ImageList(torch.zeros(2, 3, 119, 153), [(119, 100), (90, 153)])
    first, second = anchors(batch, [torch.zeros(2, 4, 7, 9)])
    expected = [[16 * x - 16, 16 * y - 16, 16 * x + 16, 16 * y + 16] for y in range(7) for x in range(9)]
    assert first.tolist() == expected
    assert torch.equal(first, second)


# Structure


def full_size(model, **changes):
    with torch.device("meta"):
        net = ImageNetNet(model) if model.startswith("resnet") else Vgg(model)
    recipe = DetectorRecipe(model=model, **changes)
    return Detector(net, torch.zeros(3, 1, 1), 20, recipe).to("meta")


def test_resnet_101_shares_91_convolutions_of_stride_16_and_pools_to_14():
    detector = full_size("resnet-101")
    shared = detector.shared(torch.empty(1, 3, 608, 1000, device="meta"))
    assert shared.shape == (1, 1024, 38, 63)
    convolutions = [
        name
        for name, module in detector.shared.named_modules()
        if isinstance(module, nn.Conv2d) and ".shortcut." not in name
    ]
    assert len(convolutions) == 91, "appendix A"
    assert detector.heads.box_roi_pool.size == 14
    assert detector.heads.box_head(torch.empty(6, 1024, 14, 14, device="meta")).shape == (6, 2048)
    assert detector.heads.box_predictor.cls_score.weight.shape == (21, 2048)
    assert detector.rpn.head.cls_logits.out_channels == 9


def test_vgg_16_shares_13_convolutions_of_stride_16_and_pools_to_7():
    detector = full_size("vgg-16")
    assert detector.shared(torch.empty(1, 3, 600, 1000, device="meta")).shape == (1, 512, 37, 62)
    assert sum(isinstance(module, nn.Conv2d) for module in detector.shared.modules()) == 13
    assert detector.heads.box_roi_pool.size == 7
    assert detector.heads.box_head(torch.empty(6, 512, 7, 7, device="meta")).shape == (6, 4096)


@pytest.mark.parametrize(
    ("model", "stages", "frozen"),
    [
        ("resnet-101", 2, ("shared.conv1.", "shared.stages.0.")),
        ("resnet-101", 0, ()),
        ("resnet-101", 4, ("shared.",)),
        ("vgg-16", 2, tuple(f"shared.layers.{number}." for number in (0, 2, 5, 7))),
        ("vgg-16", 0, ()),
    ],
)
def test_the_first_stages_and_all_batch_normalisation_are_frozen_and_nothing_else(model, stages, frozen):
    detector = full_size(model, frozen_stages=stages)
    norms = tuple(f"{name}." for name, module in detector.named_modules() if isinstance(module, BatchNorm2d))
    assert bool(norms) == (model == "resnet-101")
    for name, parameter in detector.named_parameters():
        assert parameter.requires_grad != name.startswith((*frozen, *norms)), name


def test_batch_normalisation_is_never_in_training_mode():
    detector, _ = small_detector()
    for mode in (True, False, True):
        detector.train(mode)
        for module in detector.modules():
            assert module.training == (mode and not isinstance(module, BatchNorm2d))


@pytest.mark.parametrize("model", ["resnet-50", "vgg-16"])
def test_training_changes_all_trained_weights_and_no_frozen_bit(packs, classifiers, model):
    run = training(tiny(model=model), packs, classifiers)
    before = copy.deepcopy(run.net.state_dict())
    for _ in range(3):
        run.update()
    trained = {name for name, parameter in run.net.named_parameters() if parameter.requires_grad}
    assert len(trained) > 20
    for name, value in run.net.state_dict().items():
        if name != "_extra_state":
            assert torch.equal(value, before[name]) == (name not in trained), name


def test_the_new_layers_are_drawn_as_published_and_from_the_generator():
    detector, _ = small_detector("vgg-16", width=0.5, classes=20)
    other, _ = small_detector("vgg-16", width=0.5, classes=20)
    head, predictor = detector.rpn.head, detector.heads.box_predictor
    for layer, deviation in ((head.conv[0][0], 0.01), (predictor.cls_score, 0.01), (predictor.bbox_pred, 0.001)):
        assert layer.weight.std().item() == pytest.approx(deviation, rel=0.05)
        assert layer.weight.mean().item() == pytest.approx(0, abs=deviation / 20)
        assert not layer.bias.any()
    same_weights(detector.state_dict(), other.state_dict())


@pytest.mark.parametrize("wanted", [1, 7, 200])
def test_proposals_are_torchvisions_however_few_boxes_nms_looks_at(wanted):
    detector, _ = small_detector(rpn_pre_nms_top_n_test=150, rpn_post_nms_top_n_test=wanted)
    generator, shapes = torch.Generator().manual_seed(wanted), [(90, 120), (70, 50)]
    corners = torch.rand(2, 180, 2, generator=generator) * 100
    boxes = torch.cat([corners, corners + 40 * torch.rand(2, 180, 2, generator=generator) - 1], 2)
    # Some are as sure as others.
    objectness = torch.randint(-9, 30, (2, 180), generator=generator).float().view(-1, 1)
    arguments = (boxes, objectness, shapes, [180])
    found = detector.eval().rpn.filter_proposals(*arguments)
    expected = RegionProposalNetwork.filter_proposals(detector.rpn, *arguments)
    for ours, theirs in zip(found, expected, strict=True):
        assert [len(image) for image in ours] == [wanted] * 2 or wanted == 200
        assert all(torch.equal(*images) for images in zip(ours, theirs, strict=True))


# Against the classifier and torchvision's own classes


@pytest.mark.parametrize(("pooling", "edge"), [("align", 64), ("pool", 48)])
@pytest.mark.parametrize("model", ["resnet-50", "vgg-16"])
@pytest.mark.processor
def test_a_region_of_the_whole_image_has_the_features_of_the_classifier(model, pooling, edge):
    """The shared map is 4 x 4. RoI pooling counts the last pixel, as Fast R-CNN [7] does: 0 to 48 are its 4 columns."""
    net, images = (
        small_net(model).double(),
        torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)).double(),
    )
    with torch.no_grad():
        maps = net.features(images)
        expected = F.relu(net.fc7(F.relu(net.fc6(maps.flatten(1))))) if model == "vgg-16" else maps.mean((2, 3))
    detector = Detector(net, torch.zeros(3, 1, 1), 3, tiny(model=model, pooling=pooling)).eval()
    box = torch.tensor([[0.0, 0, edge, edge]])
    with torch.no_grad():
        shared = detector.shared(images)
        regions = detector.heads.box_roi_pool(shared, [box, box])
        if model == "vgg-16" and pooling == "align":
            # Means, where the classifier takes maxima: compare what is pooled.
            torch.testing.assert_close(regions, F.avg_pool2d(shared, 2).float())
            return
        # Regions are pooled in float32.
        found = detector.heads.box_head(regions.double())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert expected.abs().max() > 0.1


@pytest.mark.parametrize("model", ["resnet-50", "vgg-16"])
@pytest.mark.processor
def test_detections_are_those_of_torchvisions_own_faster_rcnn(model):
    """Its class with the same layers: it shifts labels, pads and resizes (here: not) in its own way."""
    detector, recipe = small_detector(model)
    sharp(detector).eval()

    class Pool(nn.Module):
        def forward(self, features, boxes, _sizes):
            return detector.heads.box_roi_pool(features["0"], boxes)

    backbone = copy.deepcopy(detector.shared)
    backbone.out_channels = backbone.channels
    theirs = torchvision.models.detection.FasterRCNN(
        backbone,
        min_size=64,
        max_size=1000,
        image_mean=detector.mean.flatten().tolist(),
        image_std=[1.0, 1.0, 1.0],
        size_divisible=1,
        rpn_anchor_generator=detector.rpn.anchor_generator,
        rpn_head=detector.rpn.head,
        rpn_pre_nms_top_n_test=recipe.rpn_pre_nms_top_n_test,
        rpn_post_nms_top_n_test=recipe.rpn_post_nms_top_n_test,
        box_head=detector.heads.box_head,
        box_predictor=detector.heads.box_predictor,
        box_nms_thresh=0.3,
    ).eval()
    theirs.roi_heads.box_roi_pool = Pool()
    images = random_images((64, 90), (80, 64))
    with torch.no_grad():
        found, expected = detector(images), theirs(images)
    for ours, reference in zip(found, expected, strict=True):
        assert len(ours["scores"]) > 10
        torch.testing.assert_close(ours["boxes"], reference["boxes"], rtol=0, atol=1e-2)
        torch.testing.assert_close(ours["scores"], reference["scores"], rtol=0, atol=1e-4)
        assert torch.equal(ours["labels"] + 1, reference["labels"])


def smooth_l1(difference, beta):
    size = np.abs(difference)
    return np.where(size < beta, size**2 / (2 * beta), size - beta / 2).sum()


def test_the_loss_of_the_proposals_is_the_published_one():
    detector, _ = small_detector()
    random_ = np.random.RandomState(0)
    scores, offsets, targets = random_.randn(60, 1), random_.randn(60, 4) / 4, random_.randn(60, 4) / 4
    # Two images with 30 anchors each, of which a few are neither objects nor background.
    labels = random_.choice([-1, 0, 1], 60, p=[0.2, 0.5, 0.3])
    tensors = [torch.from_numpy(values).float() for values in (scores, offsets, labels, targets)]
    found = detector.rpn.compute_loss(*tensors[:2], list(tensors[2].split(30)), list(tensors[3].split(30)))
    chosen, positive = labels >= 0, labels == 1
    signed = np.where(labels == 1, 1, -1)[chosen] * scores[chosen, 0]
    # -log σ(s) of every object and -log σ(-s) of the background; Faster R-CNN [32]: over the 256 anchors of each image.
    expected = np.log1p(np.exp(-signed)).sum() / 512, smooth_l1((offsets - targets)[positive], 1 / 9) / 512
    np.testing.assert_allclose([value.item() for value in found], expected, rtol=1e-5)


def test_the_loss_of_the_regions_is_the_published_one():
    detector, _ = small_detector(classes=4)
    detector.train()
    random_ = np.random.RandomState(1)
    labels = random_.randint(0, 5, 40)
    scores, boxes, targets = random_.randn(40, 5), random_.randn(40, 20), random_.randn(40, 4)
    tensors = [torch.from_numpy(values).float() for values in (scores, boxes, targets)]
    found = detector.heads._losses(tensors[0], tensors[1], torch.from_numpy(labels), tensors[2])
    logs = np.log(np.exp(scores).sum(1)) - scores[np.arange(40), labels]
    own = np.array([boxes[row, 4 * label : 4 * label + 4] for row, label in enumerate(labels)])
    expected = logs.mean(), smooth_l1((own - targets)[labels > 0], 1.0) / 40
    np.testing.assert_allclose([found["loss_class"].item(), found["loss_box"].item()], expected, rtol=1e-5)


def brute_force_detections(scores, offsets, proposals, size):
    """Detections (score, label from 0, box) by decreasing score: every step of [7] and [32] written out."""
    height, width = size
    found = []
    probabilities = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    for label in range(1, scores.shape[1]):
        candidates = []
        for row, (left, top, right, bottom) in enumerate(proposals):
            if probabilities[row, label] <= 0.05:
                continue
            dx, dy, dw, dh = offsets[row, 4 * label : 4 * label + 4] / (10, 10, 5, 5)
            wide, high = right - left, bottom - top
            x, y = left + wide / 2 + dx * wide, top + high / 2 + dy * high
            wide, high = (side * math.exp(min(d, math.log(1000 / 16))) for side, d in ((wide, dw), (high, dh)))
            box = [
                min(max(value, 0), limit)
                for value, limit in zip(
                    (x - wide / 2, y - high / 2, x + wide / 2, y + high / 2), (width, height) * 2, strict=True
                )
            ]
            if min(box[2] - box[0], box[3] - box[1]) >= 0.01:
                candidates.append((probabilities[row, label], label - 1, box))
        kept = []
        for candidate in sorted(candidates, key=lambda one: -one[0]):
            boxes = torch.tensor([other[2] for other in kept]).reshape(-1, 4)
            if not (box_iou(torch.tensor([candidate[2]]), boxes) > 0.3).any():
                kept.append(candidate)
        found += kept
    return sorted(found, key=lambda one: -one[0])[:100]


@pytest.mark.parametrize("regions", [12, 150])
@pytest.mark.processor
def test_the_last_step_equals_brute_force(regions):
    detector, _ = small_detector(classes=8)
    random_ = np.random.RandomState(5)
    scores, offsets = random_.randn(regions, 9) * 0.8, random_.randn(regions, 36) * 3
    corners = random_.uniform(0, 150, (regions, 2))
    proposals = np.concatenate([corners, corners + random_.uniform(5, 90, (regions, 2))], 1)
    tensors = [torch.from_numpy(values).float() for values in (scores, offsets, proposals)]
    boxes, values, labels = detector.heads.postprocess_detections(*tensors[:2], [tensors[2]], [(200, 240)])
    expected = brute_force_detections(scores, offsets, proposals, (200, 240))
    assert (len(expected) == 100) == (regions == 150), "the limit is reached by many regions only"
    np.testing.assert_allclose(values[0], [one[0] for one in expected], rtol=1e-4)
    assert (labels[0] - 1).tolist() == [one[1] for one in expected]
    np.testing.assert_allclose(boxes[0], [one[2] for one in expected], atol=1e-2)


@pytest.mark.parametrize("model", ["resnet-50", "vgg-16"])
def test_detections_lie_in_their_image_with_labels_from_0(model):
    detector, _ = small_detector(model, rpn_post_nms_top_n_test=60, anchor_sizes=(16, 32, 90))
    sharp(detector).eval()
    sizes = ((64, 90), (100, 70), (64, 64))
    with torch.no_grad():
        found = detector(random_images(*sizes))
    labels = torch.cat([one["labels"] for one in found])
    assert set(labels.tolist()) == set(range(5))
    for one, (height, width) in zip(found, sizes, strict=True):
        assert 0 < len(one["scores"]) <= 100
        assert one["scores"].min() > 0.05
        assert one["boxes"].min() >= 0
        assert one["boxes"][:, 2].max() <= width
        assert one["boxes"][:, 3].max() <= height
        for label in range(5):
            overlaps = box_iou(*[one["boxes"][one["labels"] == label]] * 2)
            assert (overlaps.fill_diagonal_(0) <= 0.3).all()


@pytest.mark.processor
def test_an_image_s_detections_do_not_depend_on_those_beside_it_but_by_its_border():
    """Zeros to the right and below are what a convolution pads with, so images of whole strides are alike."""
    detector, _ = small_detector("vgg-16")
    sharp(detector).eval()
    small, large = random_images((64, 64), (64, 96))
    batch = padded([small, large])
    assert batch.image_sizes == [(64, 64), (64, 96)]
    assert torch.equal(batch.tensors[0, :, :, :64], small)
    assert not batch.tensors[0, :, :, 64:].any()
    with torch.no_grad():
        alone, together = detector([large])[0], detector([small, large])[1]
    for key in ("boxes", "scores", "labels"):
        torch.testing.assert_close(together[key], alone[key], rtol=1e-4, atol=1e-3)

"""The detector against direct references, its inputs, its training and programs, and the two engines' parity."""

import argparse
import copy
import dataclasses
import functools
import importlib.util
import json
import math
import os
import random
import shutil
import signal
import tarfile
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
import torchvision
import yaml
from conftest import ROOT, program, run_program
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import box_iou

from resnet.architectures import BatchNorm2d, ImageNetNet, Vgg, imagenet_net, initialise
from resnet.classification.bn_statistics import drawn_pictures, measure_statistics
from resnet.config import load
from resnet.data import imagenet
from resnet.data.coco import read_coco
from resnet.data.objects import Scene, read_description, read_scenes, write_description
from resnet.data.pictures import centre_crop
from resnet.data.pixels import Pixels
from resnet.data.scenes import PICTURES, write_scenes
from resnet.data.voc import read_voc
from resnet.detection import detector as detectors
from resnet.detection.detect import load_detector
from resnet.detection.detector import LOSSES, RATIOS, Anchors, Detector, padded
from resnet.detection.engines import build_engine
from resnet.detection.initial import read_classifier
from resnet.detection.inputs import EvaluationScenes, TrainingScenes, resized
from resnet.detection.task import detection_task
from resnet.errors import StoppedError, UserError
from resnet.files import write_arrays
from resnet.settings import DetectorRecipe, Hardware, add_arguments, from_arguments, to_flags
from resnet.training import checkpoint
from resnet.training.loop import Training, train

CPU = Hardware(device="cpu")
HAS_DETECTRON2 = importlib.util.find_spec("detectron2") is not None
needs_detectron2 = pytest.mark.skipif(not HAS_DETECTRON2, reason="detectron2 is not installed: make detectron2")
# Few pictures of each set, but a COCO set with crowds (every twelfth) and a picture without objects (the 18th).
FEW = {
    "voc2007_trainval": 6,
    "voc2007_test": 5,
    "voc2012_train": 3,
    "voc2012_val": 3,
    "voc2012_test": 2,
    "coco_train": 20,
    "coco_val": 20,
}


@pytest.fixture(scope="session")
def packs(tmp_path_factory):
    """The folder of ``voc/dataset.json`` and ``coco/dataset.json``: few scenes, made as by ``prepare_scenes``."""
    root = tmp_path_factory.mktemp("packs")
    with pytest.MonkeyPatch.context() as patch:
        for name, count in FEW.items():
            patch.setitem(PICTURES, name, count)
        write_scenes(root / "voc/VOCdevkit", root / "coco/coco")
    for name, folder, sets in (
        ("voc", root / "voc/VOCdevkit", read_voc(root / "voc/VOCdevkit")),
        ("coco", root / "coco/coco", read_coco(root / "coco/coco", "2014")),
    ):
        output = root / name / "dataset.json"
        write_description(output, name=f"scenes-{name}", folder=folder, horizontal_flip=False, sets=sets)
    return root


def noise(seed=0, count=1, batch=12, side=64, dtype=torch.float32):
    """Batches of images as ``measure_statistics`` takes them."""
    generator = torch.Generator().manual_seed(seed)
    images = [(torch.randn(batch, 3, side, side, generator=generator).to(dtype), None) for _ in range(count)]

    class Batches:
        device = torch.device("cpu")

        def __iter__(self):
            return iter(images)

    return Batches()


def write_run(folder, net, width, stride_in_3x3=False, **facts):
    """Write a classifier's run folder, and beside its weights the pixels that it saw."""
    recipe = {
        "model": facts.pop("model"),
        "width": width,
        "image_size": net.window * 32,
        "stride_in_3x3": stride_in_3x3,
        **facts,
    }
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({"recipe": recipe}))
    torch.save(net.state_dict(), folder / "weights.pt")
    mean = np.random.RandomState(0).uniform(0.3, 0.5, (3, 4, 4)).astype(np.float32)
    write_arrays(folder / "pixels.npz", Pixels(mean, np.zeros(3, np.float32), np.eye(3, dtype=np.float32)))
    return folder


@pytest.fixture(scope="session")
def classifiers(tmp_path_factory):
    """Run folders of an untrained ``resnet-50``, with ``statistics.pt``, and of an untrained ``vgg-16``."""
    root = tmp_path_factory.mktemp("classifiers")
    for model, width in (("resnet-50", 1 / 16), ("vgg-16", 1 / 16)):
        net = small_net(model, width, measured=False)
        folder = write_run(root / model, net, width, model=model)
        if isinstance(net, ImageNetNet):
            statistics = measure_statistics(net, noise(), lambda _: None)
            torch.save({"images": 12, "statistics": statistics}, folder / "statistics.pt")
    return root


def small_net(model, width=1 / 16, measured=True, **changes):
    """An untrained classifier; its batch normalisation fits noise."""
    net = imagenet_net(model, 6, width=width, image_size=64, **changes)
    initialise(net, torch.Generator().manual_seed(1))
    if measured and isinstance(net, ImageNetNet):
        net.load_state_dict({**net.state_dict(), **measure_statistics(net, noise(), lambda _: None)})
    return net.eval()


def tiny(**changes):
    values = {
        "model": "resnet-50",
        "experiment": "voc07",
        "side": 64,
        "max_side": 90,
        "anchor_sizes": (16, 32),
        "rois": 16,
        "before_nms": 100,
        "training_proposals": 50,
        "proposals": 20,
        "batch_size": 2,
        "iterations": 8,
        "lr": 0.001,
        "lr_drops": (6,),
        "log_interval": 2,
        "evaluation_interval": 4,
        "evaluation_images": 3,
    }
    return DetectorRecipe(**{**values, **changes})


def sharp(detector, seed=7):
    """Give the last layers weights that make many detections, of all classes and far from their proposals."""
    generator, seen = torch.Generator().manual_seed(seed), []
    handle = detector.heads.box_head.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    with torch.no_grad():
        detector.eval()(random_images((96, 120), seed=seed))
        handle.remove()
        # Regions of noise are much alike: what they share must not decide the class.
        mean, spread = seen[0].mean(0), seen[0].std(0).square().sum().sqrt().item()
        predictor = detector.heads.box_predictor
        for layer, deviation in ((predictor.cls_score, 1.5), (predictor.bbox_pred, 1.0)):
            layer.weight.normal_(0, deviation / spread, generator=generator)
            layer.bias.copy_(-layer.weight @ mean)
    return detector


def small_detector(model="resnet-50", classes=5, width=1 / 16, stride_in_3x3=False, **changes):
    recipe = tiny(model=model, **changes)
    mean = torch.tensor([0.4, 0.5, 0.45])[:, None, None]
    net = small_net(model, width, **({"stride_in_3x3": stride_in_3x3} if model != "vgg-16" else {}))
    return Detector(net, mean, classes, recipe, torch.Generator().manual_seed(2)), recipe


def random_images(*sizes, seed=3):
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(3, height, width, generator=generator) for height, width in sizes]


def task(recipe, packs, classifiers):
    folder = classifiers / recipe.model
    statistics = folder / "statistics.pt" if recipe.model != "vgg-16" else None
    classifier = read_classifier(folder, folder / "pixels.npz", statistics)
    data = packs / ("coco" if recipe.experiment == "coco" else "voc") / "dataset.json"
    return functools.partial(detection_task, recipe, data, classifier)


def training(recipe, packs, classifiers, hardware=CPU):
    return Training(recipe, hardware, task(recipe, packs, classifiers))


def arguments(packs, classifiers, folder, recipe, hardware=None, **changes):
    """The command line of the training program; ``changes`` replace paths, None leaves one out."""
    run = classifiers / recipe.model
    paths = {
        "data": packs / ("coco" if recipe.experiment == "coco" else "voc") / "dataset.json",
        "classifier": run,
        "pixels": run / "pixels.npz",
        "statistics": run / "statistics.pt" if recipe.model != "vgg-16" else None,
        "run-folder": folder,
        **changes,
    }
    files = [part for key, path in paths.items() if path for part in (f"--{key}", path)]
    hardware = hardware or Hardware(device="cpu", checkpoint_seconds=0.01)
    return ["train_detector", *files, *f"{to_flags(recipe)} {to_flags(hardware)}".split()]


def run_here(name, *options):
    """Run a program in this process; return its one clear error, None without one."""
    code, output = run_program(name, *options)
    print(output)
    assert "Traceback" not in output, output
    return output.splitlines()[-1] if code else None


def same_weights(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert ours[name] == theirs[name] if name == "_extra_state" else torch.equal(ours[name], theirs[name]), name


def same_run(first, second):
    same_weights(*(torch.load(folder / "weights.pt", weights_only=True) for folder in (first, second)))
    for name in ("metrics.csv", "result.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


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


# Against the classifier and torchvision's own classes


@pytest.mark.parametrize(("pooling", "edge"), [("align", 64), ("pool", 48)])
@pytest.mark.parametrize("model", ["resnet-50", "vgg-16"])
@pytest.mark.processor
def test_a_region_of_the_whole_image_has_the_features_of_the_classifier(model, pooling, edge):
    """The shared map is 4 x 4. RoI pooling counts the last pixel as in [31], so that 0 to 48 are its 4 columns."""
    net, images = small_net(model), torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
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
            torch.testing.assert_close(regions, F.avg_pool2d(shared, 2))
            return
        found = detector.heads.box_head(regions)
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
        rpn_pre_nms_top_n_test=recipe.before_nms // 2,
        rpn_post_nms_top_n_test=recipe.proposals,
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
    # Two pictures with 30 anchors each, of which a few are neither objects nor background.
    labels = random_.choice([-1, 0, 1], 60, p=[0.2, 0.5, 0.3])
    tensors = [torch.from_numpy(values).float() for values in (scores, offsets, labels, targets)]
    found = detector.rpn.compute_loss(*tensors[:2], list(tensors[2].split(30)), list(tensors[3].split(30)))
    chosen, positive = labels >= 0, labels == 1
    signed = np.where(labels == 1, 1, -1)[chosen] * scores[chosen, 0]
    # -log σ(s) of every object and -log σ(-s) of the background; [32]: over the 256 anchors of each picture.
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
    """Detections (score, label from 0, box) by decreasing score: every step of [31] and [32] written out."""
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
def test_detections_lie_in_their_picture_with_labels_from_0(model):
    detector, _ = small_detector(model, proposals=60, anchor_sizes=(16, 32, 90))
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
def test_a_picture_s_detections_do_not_depend_on_those_beside_it_but_by_its_border():
    """Zeros to the right and below are what a convolution pads with, so pictures of whole strides are alike."""
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


# Statistics of batch normalisation


@pytest.mark.processor
def test_statistics_of_the_first_layer_are_those_of_the_population():
    net, batches = small_net("resnet-50", measured=False).double(), noise(count=3, batch=5, dtype=torch.float64)
    before, steps = copy.deepcopy(net.state_dict()), []
    found = measure_statistics(net, batches, steps.append)
    with torch.no_grad():
        maps = torch.cat([net.conv1(images) for images, _ in batches]).double()
    np.testing.assert_allclose(found["bn1.running_mean"], maps.mean((0, 2, 3)), atol=1e-5)
    np.testing.assert_allclose(found["bn1.running_var"], maps.var((0, 2, 3), unbiased=False), rtol=1e-5)
    assert steps == [5, 5, 5]
    assert len(found) == 2 * 53
    assert not any(module.training for module in net.modules())
    same_weights(before, net.state_dict())
    assert not any(module._forward_pre_hooks for module in net.modules())


@pytest.mark.processor
def test_statistics_of_one_batch_are_those_it_is_normalised_by():
    net, batches = small_net("resnet-50", measured=False).double(), noise(batch=6, dtype=torch.float64)
    ((images, _),) = batches
    found = measure_statistics(net, batches, lambda _: None)
    reference, counts = copy.deepcopy(net).train(), {}
    for name, module in reference.named_modules():
        if isinstance(module, BatchNorm2d):
            module.momentum = 1.0
            count = functools.partial(lambda key, _, inputs: counts.update({key: inputs[0][:, 0].numel()}), name)
            module.register_forward_pre_hook(count)
    with torch.no_grad():
        expected = reference(images)
    for name, value in reference.state_dict().items():
        if name.endswith("running_mean"):
            torch.testing.assert_close(found[name].double(), value, rtol=1e-5, atol=1e-5)
        elif name.endswith("running_var"):
            # torch keeps the unbiased one.
            count = counts[name.removesuffix(".running_var")]
            torch.testing.assert_close(found[name].double(), value * (count - 1) / count, rtol=1e-5, atol=1e-5)
    net.load_state_dict({**net.state_dict(), **found})
    with torch.no_grad():
        torch.testing.assert_close(net(images), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.processor
def test_measured_statistics_keep_a_deep_detector_finite_and_small(classifiers):
    folder = classifiers / "resnet-50"
    outputs = {}
    for name, statistics in (("own", None), ("measured", folder / "statistics.pt")):
        classifier = read_classifier(folder, folder / "pixels.npz", statistics)
        assert classifier.mean.shape == (3, 1, 1)
        detector = Detector(classifier.net, classifier.mean, 3, tiny()).eval()
        with torch.no_grad():
            outputs[name] = detector.shared(torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(4)))
            assert all(torch.isfinite(one["boxes"]).all() for one in detector(random_images((64, 80))))
    assert outputs["measured"].abs().max() < 30 < outputs["own"].abs().max()


def test_the_program_measures_drawn_pictures_on_one_mean_per_colour(classifiers, tmp_path):
    folder = tmp_path / "ILSVRC2012"
    random_ = np.random.RandomState(2)
    for split in ("train", "val"):
        for wnid in [f"n0000000{label}" for label in range(6)]:
            (folder / split / wnid).mkdir(parents=True)
            picture = Image.fromarray(random_.randint(0, 255, (9, 12, 3)).astype(np.uint8)).resize((80, 60))
            picture.save(folder / split / wnid / "1.JPEG", quality=95)
    imagenet.describe("tiny", folder, horizontal_flip=True, output=tmp_path / "dataset.json")
    run = classifiers / "resnet-50"
    assert (
        run_here(
            "measure_statistics", "--data", tmp_path / "dataset.json", "--pixels", run / "pixels.npz",
            "--side", 64, "--images", 3, "--run-folder", run, "--output", tmp_path / "s.pt", "--device", "cpu",
        )
        is None
    )  # fmt: skip
    content = torch.load(tmp_path / "s.pt", weights_only=True)
    assert content["images"] == 3
    classifier = read_classifier(run, run / "pixels.npz", tmp_path / "s.pt")
    paths = [folder / f"train/n0000000{label}/1.JPEG" for label in drawn_pictures(6, 3)]
    crops = torch.from_numpy(np.stack([centre_crop(path, 64, 64) for path in paths]))
    images = crops.permute(0, 3, 1, 2).double() / 255 - classifier.mean.double()
    maps = F.conv2d(images, classifier.net.conv1.weight.double(), None, 2, 3)
    np.testing.assert_allclose(classifier.net.bn1.running_mean, maps.mean((0, 2, 3)).detach(), atol=1e-5)
    np.testing.assert_allclose(classifier.net.bn1.running_var, maps.var((0, 2, 3), unbiased=False).detach(), rtol=1e-4)


# Inputs


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((500, 375), (800, 600)),
        ((375, 500), (600, 800)),
        ((333, 500), (600, 901)),
        ((500, 1000), (500, 1000)),
        ((500, 250), (1000, 500)),
        ((1280, 720), (1000, 562)),
        ((1200, 1200), (600, 600)),
    ],
)
def test_the_shorter_side_becomes_600_unless_the_longer_would_exceed_1000(size, expected):
    assert resized(size, 600, 1000) == expected


@given(st.tuples(st.integers(20, 4000), st.integers(20, 4000)))
def test_a_resized_picture_reaches_one_limit_and_exceeds_none(size):
    found = resized(size, 600, 1000)
    assert min(found) == 600 or max(found) == 1000
    assert min(found) <= 600
    assert max(found) <= 1000
    assert found[0] / found[1] == pytest.approx(size[0] / size[1], rel=0.6 / min(found))


def source(folder, scenes, **changes):
    values = {
        "side": 64,
        "max_side": 90,
        "batch_size": 1,
        "seed": 0,
        "horizontal_flip": True,
        "share": slice(0, 1),
        "device": torch.device("cpu"),
        "workers": 0,
    }
    return TrainingScenes(folder, scenes, **{**values, **changes})


def scene(number, file, size, boxes, ignored=None):
    boxes = np.array(boxes, np.float64).reshape(-1, 4)
    ignored = np.zeros(len(boxes), bool) if ignored is None else np.array(ignored, bool)
    return Scene(number, file, size, boxes, np.arange(len(boxes)), ignored)


def first_is_mirrored(seed):
    return bool(source("", [scene(1, "", (9, 9), [[0, 0, 9, 9]])], seed=seed)._draws(0)[0][1])


# Of a source with one picture: one seed that leaves the first picture as it is, and one that mirrors it.
SEEDS = [next(seed for seed in range(100) if first_is_mirrored(seed) == wanted) for wanted in (False, True)]


@given(
    size=st.tuples(st.integers(80, 160), st.integers(80, 160)),
    corners=st.tuples(*[st.floats(0, 0.6)] * 2),
    lengths=st.tuples(*[st.floats(0.2, 0.4)] * 2),
    seed=st.sampled_from(SEEDS),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_resized_and_mirrored_box_is_where_the_object_is(tmp_path, size, corners, lengths, seed):
    """A white rectangle is found in the pixels of the batch."""
    left, top = (round(corner * side) for corner, side in zip(corners, size, strict=True))
    right, bottom = left + round(lengths[0] * size[0]), top + round(lengths[1] * size[1])
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[top:bottom, left:right] = 255
    Image.fromarray(pixels).save(tmp_path / "x.png")
    one = scene(1, "x.png", size, [[left, top, right, bottom]])
    (image,), (target,) = source(tmp_path, [one], seed=seed).batch(0)
    light = (image[0] > 0.5).numpy()
    columns, rows = (np.flatnonzero(light.any(axis)) for axis in (0, 1))
    expected = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    # Counting light pixels tells half a pixel, and a bit less where an edge's grey is rounded.
    np.testing.assert_allclose(target["boxes"][0], expected, atol=0.6)
    assert min(image.shape[1:]) == 64 or max(image.shape[1:]) == 90


@given(
    size=st.tuples(st.integers(20, 900), st.integers(20, 900)),
    corners=st.lists(st.tuples(*[st.floats(0, 1)] * 4), min_size=1, max_size=4),
)
@settings(deadline=None)
def test_mirroring_twice_is_the_identity_and_stays_inside(size, corners):
    boxes = np.array([[min(a, c), min(b, d), max(a, c), max(b, d)] for a, b, c, d in corners]) * np.tile(size, 2)
    one = scene(1, "", size, boxes)
    trained = source("", [one])
    width, height = resized(size, 64, 90)
    plain, mirrored = (trained._target(one, (height, width), flip)["boxes"].double() for flip in (False, True))
    again = trained._target(scene(1, "", (width, height), mirrored.numpy()), (height, width), True)["boxes"]
    torch.testing.assert_close(again.double(), plain, rtol=0, atol=1e-3)
    np.testing.assert_allclose(plain, boxes * np.tile([width / size[0], height / size[1]], 2), atol=1e-3)
    assert mirrored.min() >= -1e-3
    assert (mirrored[:, 2:] <= torch.tensor([width, height]) + 1e-3).all()
    assert (mirrored[:, :2] <= mirrored[:, 2:]).all()


@pytest.mark.parametrize(("data", "name"), [("voc", "voc2007_trainval"), ("coco", "train")])
def test_ignored_objects_and_pictures_without_others_are_left_out(packs, data, name):
    path = packs / data / "dataset.json"
    description = read_description(path)
    scenes = read_scenes(path, description, name)
    # One picture more, whose only object does not count.
    scenes.append(dataclasses.replace(scenes[0], id=10**6, ignored=np.ones_like(scenes[0].ignored)))
    trained = source(description.path, scenes, horizontal_flip=False)
    kept = {one.id for one in trained.scenes}
    assert kept == {one.id for one in scenes if (~one.ignored).sum() > 0}
    assert len(trained) == len(kept) < len(scenes)
    if data == "coco":
        assert any(not len(one.boxes) for one in scenes), "a picture without objects"
        assert any(one.ignored.any() and one.id in kept for one in scenes), "a crowd beside objects"
    seen = []
    for iteration in range(len(trained)):
        number, _ = trained._draws(iteration)[0]
        (_,), (target,) = trained.batch(iteration)
        chosen = trained.scenes[number]
        assert target["labels"].tolist() == [
            label for label, ignored in zip(chosen.labels.tolist(), chosen.ignored, strict=True) if not ignored
        ]
        seen.append(chosen.id)
    assert sorted(seen) == sorted(kept), "an epoch has every picture once"


def test_a_set_in_which_nothing_counts_is_refused(tmp_path):
    with pytest.raises(UserError, match="no picture of the training sets has an object"):
        source(tmp_path, [scene(1, "x", (9, 9), []), scene(2, "y", (9, 9), [[0, 0, 5, 5]], [True])])


def same_batch(ours, theirs):
    for image, other in zip(ours[0], theirs[0], strict=True):
        assert torch.equal(image, other)
    for target, other in zip(ours[1], theirs[1], strict=True):
        assert all(torch.equal(target[key], other[key]) for key in ("boxes", "labels"))


def test_batches_do_not_depend_on_workers_restarts_or_processes(packs):
    path = packs / "voc/dataset.json"
    description = read_description(path)
    scenes = read_scenes(path, description, "voc2007_trainval")
    build = functools.partial(source, description.path, scenes, batch_size=4, share=slice(0, 4))
    whole, resumed, with_workers = build(), build(), build(workers=1)
    halves = build(share=slice(0, 2)), build(share=slice(2, 4))
    batches = [whole.batch(iteration) for iteration in range(6)]
    for iteration in range(3, 6):
        for other in (resumed, with_workers):
            same_batch(other.batch(iteration), batches[iteration])
        parts = [half.batch(iteration) for half in halves]
        same_batch([[*parts[0][place], *parts[1][place]] for place in (0, 1)], batches[iteration])
    same_batch(whole.batch(1), batches[1])
    flips = [flip for iteration in range(100) for _, flip in whole._draws(iteration)]
    assert 0.4 < np.mean(flips) < 0.6
    assert not any(flip for _, flip in build(horizontal_flip=False)._draws(7))
    assert [build(seed=1)._draws(n) for n in range(6)] != [whole._draws(n) for n in range(6)]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("what", ["missing", "truncated", "another size"])
def test_a_bad_picture_is_one_error_that_names_it(packs, tmp_path, workers, what):
    path = packs / "voc/dataset.json"
    description = read_description(path)
    one = read_scenes(path, description, "voc2007_trainval")[0]
    file = tmp_path / "bad.jpg"
    content = (description.path / one.file).read_bytes()
    if what == "truncated":
        file.write_bytes(content[:700])
    elif what == "another size":
        Image.new("RGB", (33, 44)).save(file, "JPEG")
    message = {
        "missing": r"bad\.jpg is missing",
        "truncated": r"bad\.jpg is truncated or not a picture",
        "another size": rf"bad\.jpg has \(33, 44\) pixels, but was described with \({one.size[0]}, {one.size[1]}\)",
    }[what]
    scenes = [dataclasses.replace(one, file="bad.jpg")]
    with pytest.raises(UserError, match=message):
        source(tmp_path, scenes, workers=workers).batch(0)
    if not workers:
        tested = EvaluationScenes(tmp_path, scenes, side=64, max_side=90, device=torch.device("cpu"), workers=workers)
        with pytest.raises(UserError, match=message):
            next(iter(tested))


# Training


@pytest.fixture(scope="session")
def finished(packs, classifiers, tmp_path_factory):
    """A run that was never interrupted, long enough to be killed in the middle."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    recipe = long_recipe()
    train(folder, recipe, CPU, task(recipe, packs, classifiers))
    return folder


def long_recipe(**changes):
    return tiny(iterations=30, lr_drops=(20,), log_interval=5, evaluation_interval=10, **changes)


def test_the_run_folder(finished, packs, classifiers):
    metrics = pd.read_csv(finished / "metrics.csv")
    assert list(metrics) == ["iteration", "epoch", "split", "loss", *LOSSES, "map50", "map", "lr"]
    trained = metrics[metrics.split == "train"]
    assert trained.iteration.tolist() == [5, 10, 15, 20, 25, 30]
    np.testing.assert_allclose(trained.loss, trained[list(LOSSES)].sum(axis=1))
    assert metrics[metrics.split == "test"].iteration.tolist() == [10, 20, 30]
    assert metrics[metrics.split == "test"].map50.between(0, 100).all()
    assert trained.lr.tolist() == pytest.approx([0.001] * 4 + [0.0001] * 2)
    result = json.loads((finished / "result.json").read_text())
    assert (result["experiment"], result["engine"], result["source"]) == ("voc07", "torchvision", "reproduced")
    assert result["dataset"] == "scenes-voc"
    config = yaml.safe_load((finished / "config.yaml").read_text())
    assert config["recipe"]["anchor_sizes"] == [16, 32]
    assert config["resolved"]["classes"] == sorted(config["resolved"]["classes"])
    assert config["resolved"]["training_images"] == 12
    assert config["resolved"]["evaluated_images"] == 3
    assert config["resolved"]["classifier"]["model"] == "resnet-50"
    assert {"weights", "pixels", "statistics"} < set(config["dataset"]["sha256"])
    net, recipe = load_detector(finished)
    assert recipe == long_recipe()
    assert not net.training
    same_weights(net.state_dict(), torch.load(finished / "weights.pt", weights_only=True))


@pytest.mark.processor
def test_few_scenes_are_learnt(packs, classifiers):
    recipe = tiny(model="vgg-16", dropout=0.0, iterations=60, lr=0.02, lr_drops=(), log_interval=10)
    run = training(recipe, packs, classifiers)
    run.task.training.scenes = run.task.training.scenes[:2]
    run.task.training._plans.clear()
    for _ in range(60):
        run.update()
        if run.is_due(10):
            run.log_training()
    losses = [row["loss"] for row in run.rows]
    # With seeds 0 to 3, 0.11 to 0.43 of the first loss, and 0.24 to 0.78 of the first loss of the proposals' classes.
    assert losses[-1] < 0.7 * losses[0]
    # The regions' classes are all background at the end of a training that learns nothing else.
    assert run.rows[-1]["loss_rpn_class"] < 0.9 * run.rows[0]["loss_rpn_class"]


def test_anchors_and_regions_are_sampled_anew_in_every_part_of_every_update(packs, classifiers, monkeypatch):
    seeds, real = [], torch.manual_seed
    monkeypatch.setattr(torch, "manual_seed", lambda seed: (seeds.append(seed), real(seed))[1])
    recipe = tiny(model="vgg-16", batch_size=2, iterations=3)
    run = training(recipe, packs, classifiers, dataclasses.replace(CPU, accumulate=2))
    for _ in range(3):
        run.update()
    assert len(set(seeds)) == len(seeds) == 6


def test_kill_9_at_any_moment_and_resume_gives_the_same_bits(finished, packs, classifiers, tmp_path):
    folder = tmp_path / "run"
    command = arguments(packs, classifiers, folder, long_recipe())
    process = program(*command)
    while not (folder / checkpoint.NAME).exists() and process.poll() is None:
        time.sleep(0.01)
    time.sleep(random.Random(0).uniform(0, 0.3))
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (folder / "weights.pt").exists()
    # Snakemake deletes what a failed job declares.
    for name in ("config.yaml", "metrics.csv"):
        (folder / name).unlink(missing_ok=True)
    assert 0 < torch.load(folder / checkpoint.NAME, weights_only=True)["iteration"] < 30
    assert run_here(*command) is None
    same_run(finished, folder)


def test_a_signal_saves_and_the_run_goes_on_with_the_same_bits(finished, packs, classifiers, tmp_path, capsys):
    folder = tmp_path / "run"
    hardware = Hardware(device="cpu", checkpoint_seconds=1000)
    build = task(long_recipe(), packs, classifiers)

    def stopped_in_the_third_update(processes):
        built = build(processes)
        batch = built.training.batch

        def stop(iteration):
            if iteration == 2 and not (folder / checkpoint.NAME).exists():
                os.kill(os.getpid(), signal.SIGTERM)
            return batch(iteration)

        built.training = SimpleNamespace(batch=stop)
        return built

    with pytest.raises(StoppedError, match=r"SIGTERM: saved .* at iteration 3 of 30") as stopped:
        train(folder, long_recipe(), hardware, stopped_in_the_third_update)
    assert stopped.value.exit_code == 128 + signal.SIGTERM
    assert not (folder / "result.json").exists()
    train(folder, long_recipe(), hardware, build)
    assert "resumed" in capsys.readouterr().out
    same_run(finished, folder)


def test_a_state_restored_anywhere_goes_on_with_the_same_bits(packs, classifiers):
    """With dropout and samples of anchors and regions, which are drawn anew at every update."""
    recipe = tiny(model="vgg-16", dropout=0.5)
    whole, run = training(recipe, packs, classifiers), training(recipe, packs, classifiers)
    for iteration in range(recipe.iterations):
        for each in (whole, run):
            torch.rand(1 + 3 * (each is run))
            each.update()
            if each.is_due(2):
                each.log_training()
            if each.is_due(4):
                each.log_evaluation()
        if iteration in (2, 5):
            resumed = training(recipe, packs, classifiers)
            resumed.restore(run.state())
            run = resumed
    assert run.rows == whole.rows
    same_weights(run.net.state_dict(), whole.net.state_dict())


@pytest.fixture(scope="session")
def finished_by_two(packs, classifiers, tmp_path_factory):
    """A run folder of COCO that two processes have trained."""
    folder = tmp_path_factory.mktemp("runs") / "two"
    process = program(*arguments(packs, classifiers, folder, recipe_of_two()), processes=2)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert output.count("trained 10 iterations") == 1, "one process speaks"
    return folder


def recipe_of_two():
    return tiny(
        experiment="coco", iterations=10, lr=1e-4, lr_drops=(8,), log_interval=5, evaluation_interval=10, rois=10**6
    )


@pytest.mark.processor
def test_two_processes_train_as_one_does(finished_by_two, packs, classifiers):
    """One that takes a picture at a time; every anchor of these pictures and every region is taken, nothing drawn."""
    recipe = recipe_of_two()
    run = training(recipe, packs, classifiers, Hardware(device="cpu", accumulate=2))
    before = copy.deepcopy(run.net.state_dict())
    for _ in range(10):
        run.update()
        if run.is_due(5):
            run.log_training()
    run.log_evaluation()
    metrics = pd.read_csv(finished_by_two / "metrics.csv")
    expected = pd.DataFrame(run.rows)
    assert metrics[["iteration", "split", "lr", "epoch"]].equals(expected[["iteration", "split", "lr", "epoch"]])
    rows = metrics.split == "train"
    np.testing.assert_allclose(metrics[rows].loss, expected[rows].loss, rtol=1e-3)
    assert json.loads((finished_by_two / "environment.json").read_text())["slices"][-1]["processes"] == 2
    assert json.loads((finished_by_two / "result.json").read_text())["test"].keys() == {"map50", "map"}
    found = torch.load(finished_by_two / "weights.pt", weights_only=True)
    for name, value in run.net.state_dict().items():
        if name != "_extra_state":
            moved, expected = found[name] - before[name], value - before[name]
            assert (moved - expected).abs().max() <= 0.01 * expected.abs().max() + 1e-7, name


@pytest.mark.parametrize("engine", ["torchvision", pytest.param("detectron2", marks=needs_detectron2)])
@pytest.mark.parametrize("model", ["resnet-50", "vgg-16"])
@pytest.mark.processor
def test_bf16_has_nearly_the_losses_of_float32_in_float32(packs, classifiers, model, engine):
    rows = {}
    for precision in ("float32", "bf16"):
        recipe = tiny(model=model, engine=engine, precision=precision, dropout=0.0, rois=10**6, iterations=1)
        run = training(recipe, packs, classifiers)
        run.update()
        rows[precision] = run.log_training()
        with run.autocast:
            assert {value.dtype for value in run.net(*run.task.training.batch(0)).values()} == {torch.float32}
    assert rows["bf16"] != rows["float32"]
    for name in ("loss_rpn_class", "loss_rpn_box"):
        assert rows["bf16"][name] == pytest.approx(rows["float32"][name], rel=0.05)


def test_a_detector_for_the_server_is_trained_without_evaluations_and_its_files_are_written(
    packs, classifiers, tmp_path
):
    recipe = tiny(model="vgg-16", experiment="voc12-server", iterations=2, lr_drops=(), evaluation_interval=1)
    train(tmp_path / "run", recipe, CPU, task(recipe, packs, classifiers))
    assert set(pd.read_csv(tmp_path / "run/metrics.csv").split) == {"train"}
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert "test" not in result
    config = yaml.safe_load((tmp_path / "run/config.yaml").read_text())
    assert config["resolved"]["training_images"] == 6 + 5 + 6
    net, _ = load_detector(tmp_path / "run")
    torch.save(sharp(net).state_dict(), tmp_path / "run/weights.pt")
    found = detect(packs, tmp_path / "run", tmp_path / "d.json", "voc")
    assert {one["image_id"] for one in found} == {1, 2}
    archive = tmp_path / "submission.tar.gz"
    assert run_here(
        "write_submission", "--data", packs / "voc/dataset.json", "--experiment", "voc12-server",
        "--detections", tmp_path / "d.json", "--output", archive,
    ) is None  # fmt: skip
    lines = [path.read_text().splitlines() for path in (tmp_path / "results/VOC2012/Main").iterdir()]
    assert len(lines) == 10
    assert sum(map(len, lines)) == len(found)


def test_the_wrong_classifier_is_one_clear_error(packs, classifiers, tmp_path):
    vgg = {"classifier": classifiers / "vgg-16", "pixels": classifiers / "vgg-16/pixels.npz", "statistics": None}
    command = arguments(packs, classifiers, tmp_path / "run", tiny(model="resnet-101"), **vgg)
    assert run_here(*command) == ("train_detector: error: the classifier is vgg-16, but the recipe's model resnet-101")


@pytest.mark.parametrize("what", ["another depth", "another width", "half of them", "weights", "of a VGG net"])
def test_statistics_of_another_network_are_one_clear_error(packs, classifiers, tmp_path, what):
    model, width = {"another depth": ("resnet-101", 1 / 16), "another width": ("resnet-50", 1 / 8)}.get(
        what, ("resnet-50", 1 / 16)
    )
    state = small_net(model, width).state_dict()
    ends = "running_mean" if what == "half of them" else ("running_mean", "running_var")
    statistics = {key: value for key, value in state.items() if key.endswith(ends)}
    torch.save(state if what == "weights" else {"images": 1, "statistics": statistics}, tmp_path / "statistics.pt")
    recipe = tiny(model="vgg-16" if what == "of a VGG net" else "resnet-50")
    command = arguments(packs, classifiers, tmp_path / "run", recipe, statistics=tmp_path / "statistics.pt")
    assert "statistics.pt holds the statistics of another network" in run_here(*command)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("weights.pt", None, r"weights\.pt does not exist"),
        ("weights.pt", b"PK broken", r"weights\.pt is damaged"),
        ("weights.pt", "a tensor", r"weights\.pt does not hold a dictionary of tensors"),
        ("config.yaml", b"recipe: [", r"config\.yaml is not valid YAML"),
        ("pixels.npz", b"PK broken", r"pixels\.npz is damaged"),
        ("statistics.pt", b"PK broken", r"statistics\.pt is damaged"),
        ("config.yaml", b"recipe: {model: resnet-50, width: 0.5, image_size: 64, stride_in_3x3: false}",
         r"weights\.pt does not fit its config\.yaml"),
        ("config.yaml", b"recipe: {model: resnet-50, width: 0.0625, image_size: 64, stride_in_3x3: true}",
         r"weights\.pt does not fit its config\.yaml: the weights have stride_in_3x3 False, but the net has True"),
    ],
)  # fmt: skip
def test_a_damaged_classifier_is_one_clear_error(classifiers, tmp_path, name, content, message):
    folder = shutil.copytree(classifiers / "resnet-50", tmp_path / "run")
    (folder / name).unlink()
    if content == "a tensor":
        torch.save(torch.zeros(3), folder / name)
    elif content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_classifier(folder, folder / "pixels.npz", folder / name if name == "statistics.pt" else None)


def test_a_set_without_objects_is_not_trained_on(packs, classifiers, tmp_path):
    sets = read_voc(packs / "voc/VOCdevkit")
    sets["voc2012_trainval"]["unlabelled"] = True
    data = tmp_path / "dataset.json"
    write_description(data, name="x", folder=packs / "voc/VOCdevkit", horizontal_flip=False, sets=sets)
    command = arguments(packs, classifiers, tmp_path / "run", tiny(), data=data)
    assert "the set voc2012_trainval comes without objects, so nothing can be trained on it" in run_here(*command)


def test_a_set_that_is_not_there_and_one_that_has_changed_are_named(packs, classifiers, tmp_path):
    command = arguments(packs, classifiers, tmp_path / "run", tiny(), data=packs / "coco/dataset.json")
    assert "has no set voc2007_trainval, only train, val" in run_here(*command)
    for name in ("dataset.json", "train.json", "val.json"):
        shutil.copy(packs / "coco" / name, tmp_path)
    (tmp_path / "train.json").write_text((tmp_path / "train.json").read_text() + "\n")
    command = arguments(packs, classifiers, tmp_path / "run", tiny(experiment="coco"), data=tmp_path / "dataset.json")
    assert "train.json is missing or has changed" in run_here(*command)


def test_a_missing_picture_stops_a_training_without_traceback(packs, classifiers, tmp_path):
    sets = read_voc(packs / "voc/VOCdevkit")
    (tmp_path / "empty").mkdir()
    write_description(tmp_path / "dataset.json", name="x", folder=tmp_path / "empty", horizontal_flip=False, sets=sets)
    hardware = Hardware(device="cpu", workers=1)
    command = arguments(packs, classifiers, tmp_path / "run", tiny(), hardware, data=tmp_path / "dataset.json")
    process = program(*command)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 1
    assert ".jpg is missing" in output
    assert "Traceback" not in output


def test_a_loss_that_is_not_finite_names_the_iteration(packs, classifiers, tmp_path):
    command = arguments(packs, classifiers, tmp_path / "run", tiny(model="vgg-16", lr=1e30, log_interval=1))
    assert "vgg-16, seed 0: the loss is not finite at iteration" in run_here(*command)
    assert not (tmp_path / "run/weights.pt").exists()


@pytest.mark.skipif(HAS_DETECTRON2, reason="detectron2 is installed")
def test_detectron2_where_it_is_not_installed_is_one_clear_error(packs, classifiers, tmp_path):
    command = arguments(packs, classifiers, tmp_path / "run", tiny(engine="detectron2"))
    assert run_here(*command) == (
        "train_detector: error: engine is detectron2, but detectron2 is not installed: make detectron2 installs it; "
        "or use torchvision"
    )


def test_a_run_folder_that_does_not_fit_is_named(finished, tmp_path):
    for change, message in (
        (lambda config: config["resolved"]["classes"].pop(), "weights.pt does not fit its config.yaml"),
        (lambda config: config["resolved"]["classifier"].update(stride_in_3x3=True), "have stride_in_3x3 False"),
        (lambda config: config.pop("resolved"), "config.yaml has no resolved"),
    ):
        folder = tmp_path / "run"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(finished, folder)
        config = yaml.safe_load((folder / "config.yaml").read_text())
        change(config)
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        with pytest.raises(UserError, match=message):
            load_detector(folder)


# Detecting, measuring, and the files for PASCAL's server


def detect(packs, run, output, data="coco", processes=1):
    command = ["detect_objects", "--data", packs / data / "dataset.json", "--run-folder", run, "--output", output]
    command += ["--device", "cpu"]
    if processes == 1:
        assert run_here(*command) is None
    else:
        process = program(*command, processes=2)
        text, _ = process.communicate(timeout=300)
        assert process.returncode == 0, text
    return json.loads(output.read_text())


@pytest.fixture(scope="session")
def sharpened(finished_by_two, tmp_path_factory):
    """A run folder whose detector finds something everywhere."""
    folder = shutil.copytree(finished_by_two, tmp_path_factory.mktemp("sharpened") / "run")
    net, _ = load_detector(folder)
    torch.save(sharp(net).state_dict(), folder / "weights.pt")
    return folder


@pytest.fixture(scope="session")
def detections(sharpened, packs, tmp_path_factory):
    return detect(packs, sharpened, tmp_path_factory.mktemp("detections") / "one.json")


def test_detections_are_cocos_results_with_official_numbers_in_the_pixels_of_the_picture(detections, sharpened, packs):
    path = packs / "coco/dataset.json"
    description = read_description(path)
    net, _ = load_detector(sharpened)
    by_picture = {}
    for one in detections:
        assert list(one) == ["image_id", "category_id", "bbox", "score"]
        by_picture.setdefault(one["image_id"], []).append(one)
    scenes = read_scenes(path, description, "val")
    assert set(by_picture) == {one.id for one in scenes}
    numbers = {one["category_id"] for one in detections}
    assert numbers <= set(description.ids)
    assert max(numbers) > len(description.ids), "numbers, not labels"
    for one in scenes[:4]:
        with Image.open(description.path / one.file) as picture:
            width, height = resized(picture.size, 64, 90)
            pixels = np.asarray(picture.convert("RGB").resize((width, height), Image.Resampling.BILINEAR))
        image = torch.from_numpy(pixels.astype(np.float32) / 255).permute(2, 0, 1)
        with torch.no_grad():
            (found,) = net([image])
        ours = by_picture[one.id]
        assert [detection["score"] for detection in ours] == pytest.approx(found["scores"].tolist(), abs=1e-4)
        assert [description.ids.index(d["category_id"]) for d in ours] == found["labels"].tolist()
        scale_x, scale_y = one.size[0] / width, one.size[1] / height
        assert scale_x > 1.3, "boxes would be wrong without scaling"
        for detection, (left, top, right, bottom) in zip(ours, found["boxes"].tolist(), strict=True):
            expected = [left * scale_x, top * scale_y, (right - left) * scale_x, (bottom - top) * scale_y]
            assert detection["bbox"] == pytest.approx(expected, abs=2e-2)
            assert -1e-3 <= detection["bbox"][0] <= sum(detection["bbox"][::2]) <= one.size[0] + 2e-3
            assert -1e-3 <= detection["bbox"][1] <= sum(detection["bbox"][1::2]) <= one.size[1] + 2e-3


def test_two_processes_detect_what_one_does(detections, sharpened, packs, tmp_path):
    assert detect(packs, sharpened, tmp_path / "two.json", processes=2) == detections


def test_a_missing_run_is_one_clear_error(packs, tmp_path):
    error = run_here(
        "detect_objects",
        "--data",
        packs / "voc/dataset.json",
        "--run-folder",
        tmp_path,
        "--output",
        tmp_path / "x.json",
    )
    assert "config.yaml does not exist" in error
    assert not (tmp_path / "x.json").exists()


def write_result(path, experiment):
    facts = {"model": "vgg-16", "seed": 3, "experiment": experiment, "engine": "torchvision", "source": "reproduced"}
    path.write_text(json.dumps({**facts, "dataset": "scenes"}))
    return path


def perfect(truth, score=0.9):
    return [
        {**{key: one[key] for key in ("image_id", "category_id", "bbox")}, "score": score}
        for one in truth["annotations"]
        if not (one["difficult"] or one["iscrowd"])
    ]


@pytest.mark.parametrize(
    ("experiment", "data", "test_set", "metric"),
    [
        ("voc07", "voc", "voc2007_test", "11-point"),
        ("voc12", "voc", "voc2012_val", "area"),
        ("coco", "coco", "val", "coco"),
    ],
)
def test_perfect_detections_are_measured_as_100(packs, tmp_path, experiment, data, test_set, metric):
    truth = json.loads((packs / data / f"{test_set}.json").read_text())
    found = perfect(truth)
    # Of one class, no object is found.
    lost = max({one["category_id"] for one in found})
    counts = {category["name"]: 0 for category in truth["categories"]}
    names = {category["id"]: category["name"] for category in truth["categories"]}
    for one in found:
        counts[names[one["category_id"]]] += 1
    (tmp_path / "d.json").write_text(json.dumps([one for one in found if one["category_id"] != lost]))
    error = run_here(
        "evaluate_detections", "--data", packs / data / "dataset.json",
        "--result", write_result(tmp_path / "result.json", experiment), "--detections", tmp_path / "d.json",
        "--output", tmp_path / "e.json", "--classes", tmp_path / "c.csv",
    )  # fmt: skip
    assert error is None
    result = json.loads((tmp_path / "e.json").read_text())
    empty = [name for name, count in counts.items() if not count]
    with_objects = len(counts) - len(empty)
    identity = {"model": "vgg-16", "seed": 3, "experiment": experiment, "engine": "torchvision"}
    assert result.items() >= {**identity, "source": "reproduced", "dataset": "scenes"}.items()
    assert (result["test_set"], result["metric"]) == (test_set, metric)
    assert (result["images"], result["objects"]) == (len(truth["images"]), len(found))
    assert result["classes_without_objects"] == empty
    assert result["map50"] == pytest.approx(100 * (with_objects - 1) / with_objects)
    assert ("map" in result) == (metric == "coco")
    rows = pd.read_csv(tmp_path / "c.csv").set_index("class")
    assert list(rows) == ["objects", "ap50", "ap"]
    assert rows.objects.to_dict() == counts
    for name, row in rows.iterrows():
        expected = math.nan if name in empty else 0 if name == names[lost] else 100
        assert row.ap50 == pytest.approx(expected, nan_ok=True)
        assert row.ap == pytest.approx(expected if metric == "coco" else math.nan, nan_ok=True)


def test_some_class_of_these_sets_has_no_objects(packs):
    """Else the test above would not see that it is left out."""
    truth = json.loads((packs / "voc/voc2012_val.json").read_text())
    assert {one["category_id"] for one in perfect(truth)} < {category["id"] for category in truth["categories"]}


def test_a_set_of_the_server_is_not_measured_but_written_for_it(packs, tmp_path):
    truth = json.loads((packs / "voc/voc2012_test.json").read_text())
    assert not truth["annotations"]
    image, category = truth["images"][1], truth["categories"][4]
    found = [{"image_id": image["id"], "category_id": category["id"], "bbox": [9, 19, 30, 40.25], "score": 0.75}]
    (tmp_path / "d.json").write_text(json.dumps(found))
    common = ["--data", packs / "voc/dataset.json", "--detections", tmp_path / "d.json"]
    error = run_here(
        "evaluate_detections", *common, "--result", write_result(tmp_path / "result.json", "voc12-server"),
        "--output", tmp_path / "e.json", "--classes", tmp_path / "c.csv",
    )  # fmt: skip
    assert "the objects of voc2012_test are not public: use write_submission.py" in error
    archive = tmp_path / "out/submission.tar.gz"
    assert run_here("write_submission", *common, "--experiment", "voc12-server", "--output", archive) is None
    expected = [f"results/VOC2012/Main/comp4_det_test_{one['name']}.txt" for one in truth["categories"]]
    with tarfile.open(archive) as tar:
        content = {member.name: tar.extractfile(member).read().decode() for member in tar.getmembers()}
    assert sorted(content) == sorted(expected)
    line = content.pop(f"results/VOC2012/Main/comp4_det_test_{category['name']}.txt")
    stem = image["file_name"].rsplit("/", 1)[1].removesuffix(".jpg")
    # VOC counts pixels from 1 and names the last one.
    assert line.split() == [stem, "0.750000", "10.0", "20.0", "39.0", "59.2"]
    assert not any(content.values())


# The two engines


def parity_case(model, pooling, stride_in_3x3, monkeypatch):
    """The same detector by both engines: every anchor and every region is trained on, nothing is dropped."""
    monkeypatch.setattr(detectors, "ANCHORS_PER_IMAGE", 10**6)
    detector, recipe = small_detector(
        model, width=1 / 4 if model != "vgg-16" else 1 / 8, stride_in_3x3=stride_in_3x3, pooling=pooling, rois=10**6,
        anchor_sizes=(24, 48, 64), proposals=60, dropout=0.0, before_nms=12000, training_proposals=300,
    )  # fmt: skip
    sharp(detector)
    other = build_engine(detector, 5, dataclasses.replace(recipe, engine="detectron2"))
    images = random_images((100, 130), (120, 91))
    targets = [
        {"boxes": torch.tensor([[10.0, 12, 60, 70], [50, 40, 120, 95]]), "labels": torch.tensor([1, 4])},
        {"boxes": torch.tensor([[3.0, 3, 40, 90]]), "labels": torch.tensor([0])},
    ]
    return detector, other, images, targets


CASES = [("resnet-50", pooling, stride_in_3x3) for pooling in ("pool", "align") for stride_in_3x3 in (False, True)] + [
    ("vgg-16", pooling, False) for pooling in ("pool", "align")
]


@needs_detectron2
@pytest.mark.parametrize(("model", "pooling", "stride_in_3x3"), CASES)
@pytest.mark.processor
def test_both_engines_detect_the_same_and_have_the_same_losses_and_gradients(
    model, pooling, stride_in_3x3, monkeypatch, record_property
):
    from resnet.detection.detectron2_engine import detectron2_name, moved_background

    detector, other, images, targets = parity_case(model, pooling, stride_in_3x3, monkeypatch)
    with torch.no_grad():
        found, expected = detector.eval()(images), other.eval()(images)
    differences = {"score": 0.0, "box": 0.0}
    for ours, theirs in zip(found, expected, strict=True):
        assert len(ours["scores"]) == len(theirs["scores"]) > 10
        overlaps = box_iou(ours["boxes"], theirs["boxes"])
        overlaps[ours["labels"][:, None] != theirs["labels"]] = -1
        nearest = overlaps.argmax(1)
        assert len(set(nearest.tolist())) == len(nearest), "every detection has a partner of its own"
        assert torch.equal(theirs["labels"][nearest], ours["labels"])
        for key, name in (("scores", "score"), ("boxes", "box")):
            difference = (ours[key] - theirs[key][nearest]).abs().max().item()
            differences[name] = max(differences[name], difference)
    record_property("differences", differences)
    assert differences["score"] < 1e-3
    assert differences["box"] < 0.05

    ours, theirs = detector.train()(images, targets), other.train()(images, targets)
    assert set(ours) == set(theirs) == set(LOSSES)
    relative = {key: abs(ours[key].item() / theirs[key].item() - 1) for key in LOSSES}
    record_property("losses", relative)
    assert max(relative.values()) < 1e-4
    sum(ours.values()).backward()
    sum(theirs.values()).backward()
    parameters, errors = dict(other.net.named_parameters()), {}
    trained = {name: parameter for name, parameter in detector.named_parameters() if parameter.requires_grad}
    assert len(trained) == sum(parameter.requires_grad for parameter in parameters.values())
    for name, parameter in trained.items():
        gradient = parameters[detectron2_name(name)].grad
        assert gradient.abs().max() > 0, name
        error = (moved_background(name, parameter.grad, 1) - gradient).abs().max() / gradient.abs().max()
        errors[name] = error.item()
    record_property("gradients", max(errors.values()))
    # Where the largest pixel of a region changes by rounding, so does a gradient of RoI pooling.
    assert max(errors.values()) < 5e-3, max(errors, key=errors.get)


@needs_detectron2
@pytest.mark.parametrize("pooling", ["pool", "align"])
def test_both_engines_pool_in_float32_what_autocast_has_left_in_bf16(pooling, monkeypatch):
    """detectron2 by itself would round boxes to bf16: near 500 to multiples of 4."""
    from detectron2.structures import Boxes

    detector, other, _, _ = parity_case("resnet-50", pooling, False, monkeypatch)
    features = torch.rand(1, 6, 40, 60, generator=torch.Generator().manual_seed(0)).bfloat16()
    boxes = torch.tensor([[517.3, 301.9, 740.1, 555.5], [3.2, 5.7, 801.0, 77.0]])
    ours = detector.heads.box_roi_pool(features, [boxes])
    theirs = other.net.roi_heads.pooler([features], [Boxes(boxes)])
    assert ours.dtype == theirs.dtype == torch.float32
    torch.testing.assert_close(ours, theirs)


@needs_detectron2
@pytest.mark.parametrize("model", ["resnet-50", "vgg-16"])
def test_weights_survive_detectron2(model, monkeypatch):
    detector, other, _, _ = parity_case(model, "pool", False, monkeypatch)
    # Whatever is written into detectron2's network comes back; a background's box, which it has not, is zero.
    ours, theirs = detector.state_dict(), other.detector_state()
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        if name == "_extra_state":
            assert theirs[name] == value
        elif "bbox_pred" in name and "box_predictor" in name:
            assert torch.equal(theirs[name][4:], value[4:])
            assert not theirs[name][:4].any()
        else:
            assert torch.equal(theirs[name], value), name
    used = set(other.names.values())
    assert used == {name for name in other.net.state_dict() if not name.startswith("pixel_")}
    unused = {name for name in other.kept if not name.endswith("num_batches_tracked")}
    assert unused == {"mean", "_extra_state"}
    detector.load_state_dict(theirs)


@needs_detectron2
def test_weights_with_another_stride_are_refused(monkeypatch):
    detector, recipe = small_detector(stride_in_3x3=True)
    monkeypatch.setitem(detector.architecture, "stride_in_3x3", False)
    with pytest.raises(UserError, match=r"has the stride .* but detectron2's"):
        build_engine(detector, 5, dataclasses.replace(recipe, engine="detectron2"))


@needs_detectron2
@pytest.mark.parametrize("model", ["resnet-50", "vgg-16"])
def test_detectron2_trains_resumes_exactly_and_its_run_is_read_by_both(packs, classifiers, tmp_path, model, capsys):
    recipe = tiny(model=model, engine="detectron2", dropout=0.5)
    train(tmp_path / "whole", recipe, CPU, task(recipe, packs, classifiers))
    folder = tmp_path / "run"
    command = arguments(packs, classifiers, folder, recipe)
    if model == "resnet-50":
        process = program(*command)
        while not (folder / checkpoint.NAME).exists() and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not (folder / "result.json").exists()
    else:
        run = training(recipe, packs, classifiers)
        run.update()
        run.update()
        run.log_training()
        run.update()
        folder.mkdir()
        checkpoint.save(folder, run.state())
    assert run_here(*command) is None
    assert "resumed" in capsys.readouterr().out
    same_run(tmp_path / "whole", folder)
    net, found = load_detector(folder)
    assert type(net).__name__ == "Detectron2Detector"
    assert found == recipe
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["recipe"]["engine"] = "torchvision"
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    other, _ = load_detector(folder)
    assert isinstance(other, Detector)
    images = random_images((64, 90), (90, 64))
    with torch.no_grad():
        for ours, theirs in zip(sharp(other)(images), build_engine(other, 10, recipe).eval()(images), strict=True):
            assert len(ours["scores"]) == len(theirs["scores"]) > 0
            torch.testing.assert_close(ours["scores"], theirs["scores"], rtol=1e-3, atol=1e-4)
        assert all(torch.isfinite(one["boxes"]).all() for one in net(images))
    assert json.loads((folder / "result.json").read_text())["engine"] == "detectron2"


# Settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "resnet-34-A"}, "model must be a VGG net, or a ResNet of 50 layers and more, not 'resnet-34-A'"),
        ({"model": "plain-34"}, "model must be a VGG net, or a ResNet of 50 layers and more, not 'plain-34'"),
        ({"model": "resnet-51"}, "unknown model 'resnet-51'"),
        ({"experiment": "voc2007"}, "experiment is 'voc2007'; it must be one of voc07, voc12, voc12-server, coco"),
        ({"engine": "mmdetection"}, "engine is 'mmdetection'; it must be one of torchvision, detectron2"),
        ({"pooling": "max"}, "pooling is 'max'; it must be one of pool, align"),
        ({"side": 0}, "side is 0; it must be a whole number, at least 1"),
        ({"rois": 0}, "rois is 0; it must be a whole number, at least 1"),
        ({"proposals": 0}, "proposals is 0; it must be a whole number, at least 1"),
        ({"evaluation_images": 0}, "evaluation_images is 0; it must be a whole number, at least 1"),
        ({"max_side": 599}, "max_side must be at least side (600), not 599"),
        ({"anchor_sizes": ()}, "anchor_sizes is (); it must be a list that is not empty"),
        ({"anchor_sizes": (0, 16)}, "anchor_sizes.0 is 0; it must be a whole number, at least 1"),
        ({"frozen_stages": 5}, "frozen_stages is 5; it must be a whole number, at least 0 and at most 4"),
        ({"dropout": 1.0}, "dropout is 1.0; it must be a number, at least 0 and below 1"),
        ({"ghost_batch_size": 1}, "ghost_batch_size is 1; it must be null"),
        ({"precision": "half"}, "precision is 'half'; it must be one of auto, float32, bf16"),
        ({"lr_drops": (9, 3)}, "lr_drops must increase"),
    ],
)
def test_wrong_recipes_are_named(changes, message):
    with pytest.raises(UserError) as error:
        DetectorRecipe(**changes)
    assert message in str(error.value)


def test_a_recipe_survives_the_command_line():
    recipe = tiny(model="vgg-16", anchor_sizes=(8, 20, 40), lr_drops=(), experiment="coco", precision="bf16")
    parser = argparse.ArgumentParser()
    add_arguments(parser, DetectorRecipe)
    assert from_arguments(DetectorRecipe, parser.parse_args(to_flags(recipe).split())) == recipe


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


@pytest.mark.parametrize("scale", ["demo", "short", "paper"])
def test_every_scale_sets_every_setting_of_the_detectors(config, scale):
    loaded = load({**config, "scale": scale}, ROOT / "workflow")
    values = yaml.safe_load((ROOT / f"workflow/scales/{scale}.yaml").read_text())["detector"]["recipe"]
    fields = {field.name for field in dataclasses.fields(DetectorRecipe)}
    assert set(values) == fields - {"model", "seed", "experiment", "engine", "ghost_batch_size"}
    assert set(loaded.detector.seeds) == {"vgg-16", "resnet-101"}


def test_the_paper_scale_is_the_defaults_of_the_recipe(config):
    loaded = load({**config, "scale": "paper"}, ROOT / "workflow")
    assert loaded.detector.recipe("voc07", "resnet-101", 0) == DetectorRecipe()


def test_exceptions_of_data_set_experiment_and_model_are_laid_over_each_other_in_this_order(config):
    config["detector"] = {
        "recipe": {"lr": 0.1, "rois": 1, "proposals": 11, "before_nms": 111},
        "exceptions": {
            "resnet-101": {"lr": 0.4},
            "voc": {"lr": 0.2, "rois": 2, "proposals": 22},
            "voc12": {"lr": 0.3, "rois": 3},
        },
    }
    part = load(config, ROOT / "workflow").detector

    def values(experiment, model):
        recipe = part.recipe(experiment, model, 5)
        assert (recipe.experiment, recipe.model, recipe.seed, recipe.engine) == (experiment, model, 5, "torchvision")
        return recipe.lr, recipe.rois, recipe.proposals, recipe.before_nms

    assert values("voc12", "resnet-101") == (0.4, 3, 22, 111)
    assert values("voc12", "vgg-16") == (0.3, 3, 22, 111)
    assert values("voc07", "vgg-16") == (0.2, 2, 22, 111)
    assert values("voc07", "resnet-101") == (0.4, 2, 22, 111)
    assert values("coco", "vgg-16") == (0.1, 1, 11, 111)
    assert values("coco", "resnet-101") == (0.4, 1, 11, 111)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": {"resnet-152": [0]}, "weights": "trained"}, None),
        ({"seeds": {"vgg-19": [0]}}, "detector.seeds: vgg-19 starts with a network that is not in imagenet.seeds"),
        ({"seeds": {"resnet-34-A": [0]}}, "detector, voc07, resnet-34-A: model must be a VGG net, or a ResNet of 50"),
        ({"exceptions": {"coco": {"side": 900}}}, "detector, coco, vgg-16: max_side must be at least side (900)"),
        ({"exceptions": {"vgg-16": {"rios": 1}}}, "unknown key detector.exceptions.vgg-16.rios; did you mean rois?"),
        ({"engine": "caffe"}, "detector.engine is 'caffe'; it must be one of torchvision, detectron2"),
        ({"recipe": {"ghost_batch_size": 1}}, "detector.recipe.ghost_batch_size is 1; it must be null"),
        ({"data": {"voc": "pascal"}}, "detector.data.voc is 'pascal'; it must be one of scenes-voc, voc"),
    ],
)
def test_wrong_settings_of_the_detectors_are_named(config, changes, message):
    config["detector"] = changes
    if message is None:
        assert load(config, ROOT / "workflow").detector.seeds["resnet-152"] == [0]
        return
    with pytest.raises(UserError) as error:
        load(config, ROOT / "workflow")
    assert message in str(error.value)


def test_published_weights_need_no_training_on_imagenet(config):
    config["detector"] = {"weights": "torchvision", "seeds": {"vgg-19": [0]}}
    assert load(config, ROOT / "workflow").detector.seeds["vgg-19"] == [0]

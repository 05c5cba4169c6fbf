"""The two engines: the same detections, losses, gradients and weights."""

import dataclasses
import json
import signal
import time

import pytest
import torch
import yaml
from conftest import program
from torchvision.ops import box_iou

from detection.conftest import (
    CPU,
    arguments,
    needs_detectron2,
    random_images,
    run_here,
    same_run,
    sharp,
    small_detector,
    task,
    tiny,
    training,
)
from resnet.detection import detector as detectors
from resnet.detection.detect import load_detector
from resnet.detection.detector import LOSSES, Detector
from resnet.detection.engines import build_detector
from resnet.errors import UserError
from resnet.run_folder import RunFolder
from resnet.training import checkpoint
from resnet.training.loop import train


def parity_case(model, pooling, stride_in_3x3, monkeypatch):
    """The same detector by both engines: every anchor and every region is trained on, nothing is dropped."""
    monkeypatch.setattr(detectors, "ANCHORS_PER_IMAGE", 10**6)
    detector, recipe = small_detector(
        model, width=1 / 4 if model != "vgg-16" else 1 / 8, stride_in_3x3=stride_in_3x3, pooling=pooling, rois=10**6,
        anchor_sizes=(24, 48, 64), rpn_post_nms_top_n_test=60, dropout=0.0,
        rpn_pre_nms_top_n_train=12000, rpn_pre_nms_top_n_test=6000, rpn_post_nms_top_n_train=300,
    )  # fmt: skip
    sharp(detector)
    other = build_detector(detector, 5, dataclasses.replace(recipe, engine="detectron2"))
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
        build_detector(detector, 5, dataclasses.replace(recipe, engine="detectron2"))


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
    net, found = load_detector(RunFolder(folder))
    assert type(net).__name__ == "Detectron2Detector"
    assert found == recipe
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["recipe"]["engine"] = "torchvision"
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    other, _ = load_detector(RunFolder(folder))
    assert isinstance(other, Detector)
    images = random_images((64, 90), (90, 64))
    with torch.no_grad():
        for ours, theirs in zip(sharp(other)(images), build_detector(other, 10, recipe).eval()(images), strict=True):
            assert len(ours["scores"]) == len(theirs["scores"]) > 0
            torch.testing.assert_close(ours["scores"], theirs["scores"], rtol=1e-3, atol=1e-4)
        assert all(torch.isfinite(one["boxes"]).all() for one in net(images))
    assert json.loads((folder / "result.json").read_text())["engine"] == "detectron2"

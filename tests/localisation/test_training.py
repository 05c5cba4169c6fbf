"""Training of localisers, and testing them, against slow versions; the programs one after another."""

import json

import numpy as np
import pytest
import torch
from conftest import run_program, same_weights
from torch.utils._pytree import tree_leaves
from training.conftest import Operations, on_shapes

from localisation.conftest import CPU, MODEL, small_localiser, split_of, task, tiny
from resnet.classification import protocols
from resnet.classification.predictions import Predictions
from resnet.data.images import centre_crop, read_image, resized, whole
from resnet.data.loader import load
from resnet.data.views import Normalise
from resnet.errors import UserError
from resnet.files import read_arrays, write_arrays
from resnet.localisation import testing
from resnet.localisation.boxes import anchor_boxes
from resnet.localisation.inputs import filling, warped
from resnet.localisation.proposals import Proposals
from resnet.localisation.run import LoadedRun
from resnet.localisation.testing import Images, View, joined, parts_of, proposals_of, refined
from resnet.settings import LOCALISER_STAGES, to_flags
from resnet.training.loop import Training

AUTOCAST = torch.autocast("cpu", torch.bfloat16, enabled=False)


@pytest.mark.parametrize("stage", LOCALISER_STAGES)
def test_a_training_that_goes_on_ends_with_the_same_bits(digits, classifier, stage):
    recipe = tiny(stage=stage)
    whole, first, second = (Training(recipe, CPU, task(recipe, digits, classifier)) for _ in range(3))
    for training, updates in ((whole, 6), (first, 3)):
        for _ in range(updates):
            training.update()
    second.restore(first.state())
    for _ in range(3):
        second.update()
    same_weights(second.task.weights(), whole.task.weights())
    assert not torch.equal(whole.net.siblings.reg.weight, first.net.siblings.reg.weight)
    before = task(recipe, digits, classifier)(whole.processes).net
    assert not torch.equal(whole.net.trunk.conv1.weight, before.trunk.conv1.weight), "all layers are trained"


@pytest.mark.parametrize("stage", LOCALISER_STAGES)
def test_an_update_waits_for_nothing_that_a_gpu_computes(digits, classifier, monkeypatch, stage):
    recipe = tiny(stage=stage)
    run = Training(recipe, CPU, task(recipe, digits, classifier), on_shapes(monkeypatch))
    # It is one operation, which torch has not made for such a device.
    run.optimizer.step = lambda: None
    batch = run.task.training.batch(0)
    with Operations() as made:
        run.step(batch)
    devices = {value.device.type for call in made.calls for value in tree_leaves(call) if torch.is_tensor(value)}
    assert devices == {"meta"}


def test_an_evaluation_is_the_error_of_the_best_box_in_a_crop(digits, classifier):
    recipe = tiny()
    training = Training(recipe, CPU, task(recipe, digits, classifier))
    found = training.task.evaluate(training.autocast, training.until_stopped, training.processes)
    assert 0 <= found["val"]["gt_class_error"] <= 100
    assert training.task.truth.counts.shape == (10,)
    assert Training(tiny(stage="rcnn"), CPU, task(tiny(stage="rcnn"), digits, classifier)).task.evaluate(
        training.autocast, training.until_stopped, training.processes
    ) == {}  # fmt: skip


def test_other_files_than_the_stage_needs_are_one_error(digits, classifier, tmp_path):
    build = task(tiny(), digits, classifier)
    other = build.func, (tiny(stage="rcnn"), *build.args[1:])
    with pytest.raises(UserError, match="proposals are what R-CNN"):
        other[0](*other[1], Training(tiny(), CPU, build).processes)
    regions = read_arrays(digits / "regions.npz", Proposals)
    write_arrays(tmp_path / "regions.npz", Proposals(*(values[:-1] for values in vars(regions).values())))
    build = task(tiny(stage="rcnn"), digits, classifier)
    with pytest.raises(UserError, match="has proposals of other images than the training's"):
        build.func(*build.args[:-1], tmp_path / "regions.npz", Training(tiny(), CPU, build).processes)
    with pytest.raises(UserError, match="the classifier is resnet-18-B, but the recipe's model resnet-50"):
        Training(tiny(model="resnet-50"), CPU, task(tiny(model="resnet-50"), digits, classifier))


def decoded(anchor, offset, weights=(1, 1, 1, 1)):
    """Move a box by offsets, as R-CNN [8] defines them."""
    width, height = anchor[2] - anchor[0], anchor[3] - anchor[1]
    x = (anchor[0] + anchor[2]) / 2 + offset[0] / weights[0] * width
    y = (anchor[1] + anchor[3]) / 2 + offset[1] / weights[1] * height
    wide, high = np.exp(offset[2] / weights[2]) * width, np.exp(offset[3] / weights[3]) * height
    return np.array([x - wide / 2, y - high / 2, x + wide / 2, y + high / 2])


def test_proposals_are_those_of_a_slow_version(digits):
    description, index, boxes = split_of(digits, "val")
    images = Images.of(description.path, index, boxes, torch.device("cpu"), 0)
    net, classes = small_localiser(20), np.random.RandomState(0).randint(0, 20, (20, 2))
    normalise = Normalise(net.mean)
    for views in ([View(64), View(80)], [View(72, crop=64)]):
        found = joined(
            one for _, one in proposals_of(net, images, classes, views, 3, AUTOCAST, [range(9), range(9, 20)])
        )
        assert found.boxes.shape == (20, 2, 3, 4)
        assert (np.diff(found.scores) <= 0).all()
        for image in (0, 7, 19):
            candidates, path = [], description.path / index.paths[image]
            width, height = boxes.sizes[image]
            for view in views:
                seen = whole(path, view.side) if view.crop is None else centre_crop(path, view.side, view.crop)
                target = resized((width, height), view.side)
                shift = [0, 0] if view.crop is None else [(length - view.crop) // 2 for length in target]
                with torch.inference_mode():
                    scores, offsets = net(
                        normalise(torch.from_numpy(seen.copy())[None]), torch.tensor(classes[[image]])
                    )
                anchors = anchor_boxes(*seen.shape[:2], net.anchor_sizes, images.device)
                for score, anchor, offset in zip(scores[0, 1], anchors, offsets[0, 1], strict=True):
                    box = decoded(anchor.tolist(), offset.tolist()).clip(0, [*seen.shape[1::-1]] * 2)
                    box = (box + np.tile(shift, 2)) * np.tile([width / target[0], height / target[1]], 2)
                    candidates.append((float(score.sigmoid()), box))
            best = sorted(candidates, key=lambda one: -one[0])[:3]
            np.testing.assert_allclose(found.scores[image, 1], [score for score, _ in best], atol=1e-5)
            np.testing.assert_allclose(found.boxes[image, 1], [box for _, box in best], atol=1e-2)


def test_workers_are_started_once_for_all_parts_and_sizes(digits, monkeypatch):
    description, index, boxes = split_of(digits, "val")
    images, started = Images.of(description.path, index, boxes, torch.device("cpu"), 0), []
    monkeypatch.setattr(testing, "load", lambda *given, **options: started.append(0) or load(*given, **options))
    parts, classes = [range(9), range(9, 20)], np.zeros((20, 1), int)
    found = proposals_of(small_localiser(20), images, classes, [View(64), View(80)], 3, AUTOCAST, parts)
    given = Proposals(classes, np.concatenate([one.boxes for _, one in found]), np.ones((20, 1, 3)))
    assert len(list(refined(small_localiser(20, stage="rcnn"), images, given, 64, AUTOCAST, parts))) == 2
    assert len(started) == 2


def test_fewer_anchors_than_proposals_are_asked_for_give_some_twice(digits):
    description, index, boxes = split_of(digits, "val")
    images = Images.of(description.path, index, boxes, torch.device("cpu"), 0)
    net = small_localiser(20)
    [(_, found)] = proposals_of(net, images, np.zeros((20, 1), int), [View(64, 64)], 30, AUTOCAST, [range(3)])
    assert found.boxes.shape == (3, 1, 30, 4)
    assert (found.boxes[:, 0, 24:] == found.boxes[:, 0, 23:24]).all()


@pytest.mark.parametrize("together", [320 * 224**2, 4 * 64**2])
def test_refined_boxes_are_those_of_a_slow_version(digits, together, monkeypatch):
    """Also where the regions of an image, six here, are more than are computed at once."""
    for module in (testing, protocols):
        monkeypatch.setattr(module, "BATCH_PIXELS", together)
    description, index, boxes = split_of(digits, "val")
    images = Images.of(description.path, index, boxes, torch.device("cpu"), 0)
    net, random = small_localiser(20, stage="rcnn"), np.random.RandomState(1)
    corners = np.sort(random.uniform(0, 70, (20, 2, 3, 2, 2)), axis=3).reshape(20, 2, 3, 4).astype(np.float32)
    given = Proposals(random.randint(0, 20, (20, 2)), corners, random.rand(20, 2, 3))
    found = joined(one for _, one in refined(net, images, given, 64, AUTOCAST, parts_of(20)))
    for image in (0, 11):
        for k in range(2):
            for place in range(3):
                picture, *_ = read_image(description.path / index.paths[image])
                region = warped(picture, corners[image, k, place].tolist(), 64, filling(net.mean))
                with torch.inference_mode():
                    view = Normalise(net.mean)(torch.from_numpy(region)[None])
                    score, offset = net(view, torch.tensor([[given.classes[image, k]]]))
                box = decoded(corners[image, k, place], offset.flatten().tolist(), (10, 10, 5, 5))
                box = box.clip(0, np.tile(boxes.sizes[image], 2))
                assert found.scores[image, k, place] == pytest.approx(float(score.sigmoid()), abs=1e-5)
                np.testing.assert_allclose(found.boxes[image, k, place], box, atol=1e-2)


def test_the_programs_one_after_another(digits, classifier, tmp_path):
    def run(name, *options):
        code, output = run_program(name, *options)
        assert code == 0, output
        return output

    random = np.random.RandomState(0)
    _, index, _ = split_of(digits, "val")
    probabilities = random.dirichlet(np.ones(20), 20).astype(np.float32)
    write_arrays(tmp_path / "p.npz", Predictions(np.array(index.paths), np.array(index.labels), probabilities))
    data, device = ("--data", digits / "dataset.json"), ("--device", "cpu")
    of_val = (*data, "--boxes", digits / "boxes-val.npz")
    start = ("--boxes", digits, "--classifier", classifier, "--image-statistics", classifier / "image_statistics.npz")
    for stage in LOCALISER_STAGES:
        folder = tmp_path / stage / MODEL / "seed0"
        regions = ["--regions", tmp_path / "train.npz"] if stage == "rcnn" else []
        run(
            "train_localiser",
            *data,
            *start,
            *regions,
            "--run-folder",
            folder,
            *device,
            *to_flags(tiny(stage=stage)).split(),
        )
        if stage == "rpn":
            dense = ("--run-folder", folder, "--protocol", "dense", "--shorter-sides", 64, 72, *device)
            run("propose_boxes", *data, "--boxes", digits / "boxes-train.npz", "--split", "train", *dense,
                "--output", tmp_path / "train.npz")  # fmt: skip
            run("propose_boxes", *of_val, "--predictions", tmp_path / "p.npz", *dense, "--output", tmp_path / "rpn.npz")
        else:
            run("refine_boxes", *of_val, "--run-folder", folder, "--proposals", tmp_path / "rpn.npz",
                tmp_path / "rpn.npz", *device, "--output", tmp_path / "rcnn.npz")  # fmt: skip
    assert read_arrays(tmp_path / "train.npz", Proposals).boxes.shape == (20, 1, 4, 4)
    assert read_arrays(tmp_path / "rcnn.npz", Proposals).boxes.shape == (20, 6, 8, 4)
    result = tmp_path / "rcnn" / MODEL / "seed0/result.json"
    for count in (1, 2):
        run("evaluate_localisation", "--boxes", digits / "boxes-val.npz", "--results", *[result] * count,
            "--found", *[tmp_path / "rcnn.npz"] * count, "--protocol", "dense",
            "--output", tmp_path / "e.json")  # fmt: skip
        errors = json.loads((tmp_path / "e.json").read_text())
        assert errors["model"] == (MODEL if count == 1 else "ensemble")
        assert errors["gt_class_error"] <= errors["top5_error"]
        assert errors["class_error"] <= errors["top5_error"]
        assert (errors["stage"], errors["images"]) == ("rcnn", 20)
    wrong = ("--run-folder", tmp_path / "rpn" / MODEL / "seed0", "--proposals", tmp_path / "rpn.npz", *device)
    code, output = run_program("refine_boxes", *of_val, *wrong, "--output", tmp_path / "x.npz")
    assert code == 1
    assert "is a run of rpn, not of rcnn" in output
    description = json.loads((digits / "dataset.json").read_text())
    (tmp_path / "dataset.json").write_text(json.dumps(description | {"wnids": description["wnids"][:-1]}))
    with pytest.raises(UserError, match=r"seed0 knows 20 classes, but .*dataset.json has 19"):
        LoadedRun(wrong[1], "rpn", tmp_path / "dataset.json", digits / "boxes-val.npz", "val", CPU)

"""What appendix B improves in the test of a detector, against slow versions that go region by region."""

import math

import pytest
import torch

from detection.conftest import random_images, sharp, small_detector
from resnet.detection import improvements
from resnet.detection.detector import Detector, padded
from resnet.detection.engines import build_detector
from resnet.detection.improvements import ImprovedDetector, Look, detections, first_of_two
from resnet.errors import UserError


def synthetic_predict(boxes):
    """Scores of four classes and regressed boxes that depend on the boxes, in their precision."""
    phases = torch.arange(1, 5, dtype=boxes.dtype)
    waves = torch.sin(boxes.sum(1)[:, None] * phases / 7)
    offsets = torch.stack([torch.cos(boxes[:, i, None] * phases / 5) * 3 for i in range(4)], 2)
    return waves.abs() ** 2, boxes[:, None] + offsets


def random_boxes(count, seed=0, side=60.0):
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, generator=generator, dtype=torch.float64) * side
    return torch.cat([corners, corners + 15 + 20 * torch.rand(count, 2, generator=generator, dtype=torch.float64)], 1)


def overlap(a, b):
    width, height = (max(0, min(a[i + 2], b[i + 2]) - max(a[i], b[i])) for i in (0, 1))
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return width * height / (areas - width * height)


def slowly_detected(predict, proposals, box_refinement):
    """Per class: a list of (score, box), of which NMS keeps some, and the others vote."""
    found = []
    for label in range(4):
        pairs = []
        for region in proposals:
            scores, boxes = predict(region[None])
            if scores[0, label] <= 0.05:
                continue
            pairs.append((scores[0, label].item(), boxes[0, label].tolist()))
            if box_refinement:
                again, moved = predict(boxes[0, label][None])
                if again[0, label] > 0.05:
                    pairs.append((again[0, label].item(), moved[0, label].tolist()))
        kept = []
        for pair in sorted(pairs, reverse=True):
            if all(overlap(pair[1], other[1]) <= 0.3 for other in kept):
                kept.append(pair)
        for score, box in kept:
            voters = [pair for pair in pairs if overlap(pair[1], box) >= 0.5]
            total = math.fsum(pair[0] for pair in voters)
            mean = [math.fsum(pair[0] * pair[1][i] for pair in voters) / total for i in range(4)]
            found.append((score, label, mean if box_refinement else box))
    return sorted(found, reverse=True)


@pytest.mark.parametrize("box_refinement", [True, False])
def test_regressed_boxes_are_classified_again_and_vote(box_refinement):
    proposals = random_boxes(60)
    found = detections(synthetic_predict, proposals, box_refinement=box_refinement)
    expected = slowly_detected(synthetic_predict, proposals, box_refinement)
    assert len(expected) > 20
    scores, labels, boxes = zip(*expected, strict=True)
    torch.testing.assert_close(found.scores, torch.tensor(scores, dtype=torch.float64))
    assert found.labels.tolist() == list(labels)
    torch.testing.assert_close(found.boxes, torch.tensor(boxes, dtype=torch.float64))


def test_nothing_that_a_test_would_look_at_is_nothing_to_refine():
    def predict(boxes):
        return torch.full((len(boxes), 4), 0.05), boxes[:, None].expand(-1, 4, -1)

    assert not len(detections(predict, random_boxes(5), box_refinement=True).boxes)


@pytest.mark.parametrize(("model", "context"), [("resnet-50", False), ("vgg-16", False), ("resnet-50", True)])
@pytest.mark.processor
def test_without_improvements_the_detections_are_the_detectors(model, context):
    detector, _ = small_detector(model, context=context)
    sharp(detector).eval()
    [image] = random_images((64, 90))
    with torch.no_grad():
        [found] = ImprovedDetector([detector], box_refinement=False)([image])
        [expected] = detector([image])
    assert len(found["scores"]) > 10
    assert torch.equal(found["labels"], expected["labels"])
    for key in ("boxes", "scores"):
        torch.testing.assert_close(found[key], expected[key], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("model", ["resnet-50", "vgg-16"])
@pytest.mark.processor
def test_the_last_layers_see_a_region_and_the_whole_image(model):
    detector, _ = small_detector(model, context=True)
    heads, sizes = sharp(detector).eval().heads, [(64, 90), (80, 64)]
    boxes = [random_boxes(count, seed=count, side=30).float() for count in (3, 5)]
    with torch.no_grad():
        maps = detector.shared(padded(random_images(*sizes)).tensors)
        expected = []
        for place, (height, width) in enumerate(sizes):
            whole = heads.box_head(heads.box_roi_pool(maps[[place]], [torch.tensor([[0.0, 0, width, height]])]))
            for box in boxes[place]:
                own = heads.box_head(heads.box_roi_pool(maps[[place]], [box[None]]))
                expected.append(torch.cat([own, whole], 1) @ heads.box_predictor.cls_score.weight.T)
        found, _ = heads._predictions(maps, boxes, sizes)
    bias = heads.box_predictor.cls_score.bias
    torch.testing.assert_close(found, torch.cat(expected) + bias, rtol=1e-3, atol=1e-3)


def test_context_is_trained_end_to_end():
    """Where only the whole image counts, the loss still reaches the head and the shared layers."""
    detector, _ = small_detector(context=True, frozen_stages=0)
    detector.train()
    score = detector.heads.box_predictor.cls_score
    with torch.no_grad():
        score.weight[:, : score.in_features // 2] = 0
    targets = [{"boxes": torch.tensor([[5.0, 5, 40, 40]]), "labels": torch.tensor([1])}]
    detector(random_images((64, 90)), targets)["loss_class"].backward()
    for layer in (detector.heads.box_head.stage[0].conv1, detector.shared.conv1):
        assert layer.weight.grad.abs().sum() > 0


def test_detectron2_refuses_context():
    detector, recipe = small_detector(context=True, engine="detectron2")
    with pytest.raises(UserError, match="engine detectron2 computes no context; use engine torchvision, or context"):
        build_detector(detector, 5, recipe)


def slowly_chosen(box, factors, side):
    """The size at which a region's area is closest to the classifier's image, and the next on its other side."""
    sides = [math.sqrt((box[2] - box[0]) * (box[3] - box[1])) * factor for factor in factors]
    nearest = min(range(len(sides)), key=lambda place: abs(math.log(sides[place] / side)))
    other = nearest + (1 if sides[nearest] < side else -1)
    if other not in range(len(sides)):
        other = nearest - 1 if other > nearest else nearest + 1
    return min(nearest, other)


def test_a_region_is_seen_at_the_two_sizes_around_the_classifiers():
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(300, 2, generator=generator, dtype=torch.float64) * 100
    boxes = torch.cat([corners, corners + 10 ** (3 * torch.rand(300, 2, generator=generator, dtype=torch.float64))], 1)
    factors = torch.tensor([200, 400, 600, 800, 1000], dtype=torch.float64) / 600
    found = first_of_two(boxes, factors, 224)
    assert found.tolist() == [slowly_chosen(box, factors.tolist(), 224) for box in boxes.tolist()]
    assert set(found.tolist()) == {0, 1, 2, 3}
    assert first_of_two(boxes, factors[:1], 224).tolist() == [0] * 300


@pytest.mark.processor
def test_regions_are_seen_at_two_sizes_and_the_larger_values_count(monkeypatch):
    monkeypatch.setattr(improvements, "REGIONS", 7)
    detector, _ = small_detector()
    sharp(detector).eval()
    image, small, large = random_images((64, 90), (32, 45), (96, 135))
    views = [image, small, image, large]
    sizes = [(view.shape[2] / 90, view.shape[1] / 64) for view in views[1:]]
    with torch.no_grad():
        look = Look(detector, views)
        assert look.proposals.equal(Look(detector, views[:1]).proposals), "they are made at one size"
        # Some are larger than the classifier's images at every size, others smaller.
        boxes = torch.cat([look.proposals, torch.tensor([[2.0, 3, 9, 12], [0, 0, 88, 63]])])
        expected, firsts = [], []
        for box in boxes:
            first = slowly_chosen(box.tolist(), [math.sqrt(x * y) for x, y in sizes], 64)
            seen = []
            for place in (first, first + 1):
                scale = torch.tensor([*sizes[place]] * 2)
                maps = detector.shared((views[1:][place] - detector.mean)[None])
                seen.append(detector.heads.region_features(maps, [(box * scale)[None]])[0])
            expected.append(torch.maximum(*seen))
            firsts.append(first)
        assert set(firsts) == {0, 1}
        torch.testing.assert_close(look.features(boxes), torch.stack(expected), rtol=1e-3, atol=1e-3)
        tiny = look.features(boxes[-2:-1])
        torch.testing.assert_close(tiny[0], expected[-2], rtol=1e-3, atol=1e-3, msg="none is seen at the first size")
        scores, found = look.predict(boxes)
        logits, _offsets = detector.heads.predict(torch.stack(expected))
    torch.testing.assert_close(scores, logits.softmax(1)[:, 1:], rtol=0, atol=1e-3)
    assert found.shape == (len(boxes), 5, 4)
    assert found.max() <= 90


@pytest.mark.processor
def test_an_ensemble_scores_the_proposals_of_all_by_the_mean_of_all():
    members = [sharp(small_detector(model)[0]).eval() for model in ("resnet-50", "vgg-16")]
    [image] = random_images((64, 90))
    with torch.no_grad():
        looks = [Look(member, [image]) for member in members]
        proposals = torch.cat([look.proposals for look in looks])
        alone = [look.predict(proposals) for look in looks]

        def predict(boxes):
            assert boxes.equal(proposals)
            return tuple((one + other) / 2 for one, other in zip(*alone, strict=True))

        expected = detections(predict, proposals, box_refinement=False)
        [found] = ImprovedDetector(members, box_refinement=False)([image])
    assert not looks[0].proposals.equal(looks[1].proposals)
    assert found["labels"].tolist() == expected.labels.tolist()
    for key in ("boxes", "scores"):
        torch.testing.assert_close(found[key], getattr(expected, key), rtol=1e-5, atol=1e-4)


def test_the_parts_of_an_improved_detector_move_with_it():
    improved = ImprovedDetector([small_detector()[0]], box_refinement=True).train()
    assert all(isinstance(one, Detector) and one.heads.training for one in improved.detectors)
    assert not improved.eval().detectors[0].heads.training

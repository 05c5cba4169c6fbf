"""Crops with the boxes in them, and regions around proposals."""

import numpy as np
import pytest
import torch
from PIL import Image

from localisation.conftest import split_of
from resnet.data.image_statistics import ImageStatistics
from resnet.data.located import Boxes
from resnet.data.views import TrainingViews
from resnet.files import read_arrays
from resnet.localisation.boxes import CODERS, overlaps
from resnet.localisation.inputs import TrainingCrops, TrainingRegions, chosen, filling, warped
from resnet.localisation.proposals import Proposals

MEAN = torch.full((3, 1, 1), 0.4)
COMMON = {"batch_size": 10, "seed": 3, "share": slice(None), "device": torch.device("cpu"), "workers": 0}


def crops(digits, flip=False):
    description, index, boxes = split_of(digits, "train")
    colours = ImageStatistics(MEAN.numpy(), np.zeros(3, np.float32), np.eye(3, dtype=np.float32))
    sizes = {"image_size": 64, "scale_min": 64, "scale_max": 90, "pca_colour_std": 0.1}
    views = TrainingViews(description, chosen(index, boxes.images), colours, **sizes, **COMMON)
    views.horizontal_flip = flip
    return TrainingCrops(views, boxes, 64)


@pytest.mark.parametrize("flip", [False, True])
def test_the_boxes_of_a_crop_are_around_what_it_shows(digits, flip):
    source, errors = crops(digits, flip), []
    for iteration in range(4):
        images, labels, boxes, counts = source.batch(iteration)
        draws = source.views.plan.draws(iteration)
        assert labels.tolist() == [source.views.labels[image] for image in draws["image"]]
        assert draws["flip"].any()
        for image, own, count, number in zip(images, boxes, counts, draws["image"].tolist(), strict=True):
            if not count or count < source.boxes.counts[number]:
                continue
            # Digits are light on a dimmed photograph.
            light = (image + MEAN).mean(0) > 0.5
            rows, columns = light.any(1).nonzero()[:, 0], light.any(0).nonzero()[:, 0]
            around = torch.tensor([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
            found = torch.cat([own[:count, :2].amin(0), own[:count, 2:].amax(0)])
            errors.append((found - around).abs().max().item())
            assert (found >= 0).all()
            assert (found <= 64).all()
    # A thin stroke may be hardly lighter than the photograph.
    assert len(errors) > 20
    assert np.quantile(errors, 0.8) < 4


def test_what_a_crop_hardly_shows_is_not_looked_for(digits):
    source = crops(digits)
    width, height = source.boxes.sizes[0]
    source.boxes = Boxes(np.array([0]), np.array([[width, height]]), np.array([2]),
                         np.array([[0, 0, 3, height], [20, 20, 40, 40]], float))  # fmt: skip
    assert len(source._within(0, 64, [0, 0], 0)) == 1
    assert len(source._within(0, 64, [0, 0], 0)[0]) == 4


def test_regions_are_half_positive_and_their_offsets_lead_to_the_object(digits):
    description, index, boxes = split_of(digits, "train")
    proposals = read_arrays(digits / "regions.npz", Proposals)
    files = (description, chosen(index, boxes.images), boxes, proposals)
    source = TrainingRegions(*files, mean=MEAN, size=32, **COMMON)
    source.horizontal_flip = True
    seen = []
    for iteration in range(6):
        regions, labels, positive, offsets = source.batch(iteration)
        draws = source.plan.draws(iteration)
        assert regions.shape == (10, 3, 32, 32)
        for place, image in enumerate(draws["image"].tolist()):
            assert labels[place] == index.labels[image]
            own = torch.from_numpy(proposals.boxes[image, 0])
            truth = torch.from_numpy(boxes.of(image)).float()
            most = overlaps(own, truth).amax(1)
            wanted = (most >= 0.5) == bool(draws["positive"][place])
            assert bool(positive[place]) == bool(draws["positive"][place]) or not wanted.any()
            if not positive[place]:
                assert not offsets[place].any()
                continue
            moved = offsets[place].clone()
            moved[0] *= -1 if draws["flip"][place] else 1
            ends = CODERS["rcnn"].decode_single(moved.expand(len(own), -1), own)
            assert (ends[:, None] - truth).abs().amax(2).min() < 1e-3
        seen += positive.tolist()
    assert 0.3 < np.mean(seen) < 0.7
    again = TrainingRegions(*files, mean=MEAN, size=32, **COMMON).batch(5)
    source.horizontal_flip = False
    for ours, theirs in zip(source.batch(5), again, strict=True):
        assert torch.equal(ours, theirs), "a batch hangs on its iteration alone"


def test_a_region_shows_its_box_and_a_margin_around_it():
    pixels = np.random.RandomState(0).randint(0, 255, (60, 80, 3)).astype(np.uint8)
    image = Image.fromarray(pixels)
    region = warped(image, [20, 10, 44, 34], 28, (1, 2, 3))
    # The margin is of two pixels of 28, so 24 pixels are shown as they are.
    assert np.array_equal(region, pixels[8:36, 18:46])
    twice = warped(image, [20, 10, 68, 34], 28, (1, 2, 3))
    expected = np.asarray(image.resize((28, 28), Image.Resampling.BILINEAR, (16, 8, 72, 36)))
    assert np.array_equal(twice, expected), "warped to a square"
    corner = warped(image, [0, 0, 24, 24], 28, (1, 2, 3))
    assert np.array_equal(corner[2:, 2:], pixels[:26, :26])
    assert (corner[:2] == (1, 2, 3)).all()
    assert (corner[:, :2] == (1, 2, 3)).all(), "beside the image is nothing"


def test_a_box_without_area_is_a_region_too():
    image = Image.fromarray(np.full((60, 80, 3), 9, np.uint8))
    for box in ([80.0, 60.0, 80.0, 60.0], [5.0, 5.0, 5.0, 50.0], [-4.0, 0.0, 90.0, 70.0]):
        assert warped(image, box, 32, filling(torch.tensor([0.5, 2, -1]))).shape == (32, 32, 3)
    assert filling(torch.tensor([0.5, 2, -1])) == (128, 255, 0)

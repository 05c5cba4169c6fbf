"""Scenes as a detector sees them: resized, mirrored, and the same whatever reads them."""

import dataclasses
import functools

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from resnet.data.objects import ObjectsDescription, Scene, read_scenes
from resnet.detection.inputs import EvaluationScenes, TrainingScenes, resized
from resnet.errors import UserError


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
def test_a_resized_image_reaches_one_limit_and_exceeds_none(size):
    found = resized(size, 600, 1000)
    assert min(found) == 600 or max(found) == 1000
    assert min(found) <= 600
    assert max(found) <= 1000
    assert found[0] / found[1] == pytest.approx(size[0] / size[1], rel=0.6 / min(found))


def source(folder, scenes, **changes):
    values = {
        "shorter_side": 64,
        "max_size": 90,
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
    return bool(source("", [scene(1, "", (9, 9), [[0, 0, 9, 9]])], seed=seed).plan.draws(0)["flip"])


# Of a source with one image: one seed that leaves the first image as it is, and one that mirrors it.
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
def test_ignored_objects_and_images_without_others_are_left_out(packs, data, name):
    path = packs / data / "dataset.json"
    description = ObjectsDescription.read(path)
    scenes = read_scenes(path, description, name)
    # One image more, whose only object does not count.
    scenes.append(dataclasses.replace(scenes[0], id=10**6, ignored=np.ones_like(scenes[0].ignored)))
    trained = source(description.path, scenes, horizontal_flip=False)
    kept = {one.id for one in trained.scenes}
    assert kept == {one.id for one in scenes if (~one.ignored).sum() > 0}
    assert len(trained) == len(kept) < len(scenes)
    if data == "coco":
        assert any(not len(one.boxes) for one in scenes), "an image without objects"
        assert any(one.ignored.any() and one.id in kept for one in scenes), "a crowd beside objects"
    seen = []
    for iteration in range(len(trained)):
        [number] = trained.plan.draws(iteration)["image"]
        (_,), (target,) = trained.batch(iteration)
        chosen = trained.scenes[number]
        assert target["labels"].tolist() == [
            label for label, ignored in zip(chosen.labels.tolist(), chosen.ignored, strict=True) if not ignored
        ]
        seen.append(chosen.id)
    assert sorted(seen) == sorted(kept), "an epoch has every image once"


def test_a_set_in_which_nothing_counts_is_refused(tmp_path):
    with pytest.raises(UserError, match="no image of the training sets has an object"):
        source(tmp_path, [scene(1, "x", (9, 9), []), scene(2, "y", (9, 9), [[0, 0, 5, 5]], [True])])


def same_batch(ours, theirs):
    for image, other in zip(ours[0], theirs[0], strict=True):
        assert torch.equal(image, other)
    for target, other in zip(ours[1], theirs[1], strict=True):
        assert all(torch.equal(target[key], other[key]) for key in ("boxes", "labels"))


def test_batches_do_not_depend_on_workers_restarts_or_processes(packs):
    path = packs / "voc/dataset.json"
    description = ObjectsDescription.read(path)
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
    flips = torch.cat([whole.plan.draws(iteration)["flip"] for iteration in range(100)])
    assert 0.4 < flips.float().mean() < 0.6
    assert not build(horizontal_flip=False).plan.draws(7)["flip"].any()
    orders = [[made.plan.draws(n)["image"].tolist() for n in range(6)] for made in (build(seed=1), whole)]
    assert orders[0] != orders[1]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("what", ["missing", "truncated", "another size"])
def test_a_bad_image_is_one_error_that_names_it(packs, tmp_path, workers, what):
    path = packs / "voc/dataset.json"
    description = ObjectsDescription.read(path)
    one = read_scenes(path, description, "voc2007_trainval")[0]
    file = tmp_path / "bad.jpg"
    content = (description.path / one.file).read_bytes()
    if what == "truncated":
        file.write_bytes(content[:700])
    elif what == "another size":
        Image.new("RGB", (33, 44)).save(file, "JPEG")
    message = {
        "missing": r"bad\.jpg is missing",
        "truncated": r"bad\.jpg is truncated or not an image",
        "another size": rf"bad\.jpg has \(33, 44\) pixels, but was described with \({one.size[0]}, {one.size[1]}\)",
    }[what]
    scenes = [dataclasses.replace(one, file="bad.jpg")]
    with pytest.raises(UserError, match=message):
        source(tmp_path, scenes, workers=workers).batch(0)
    if not workers:
        tested = EvaluationScenes(
            tmp_path, scenes, shorter_side=64, max_size=90, device=torch.device("cpu"), workers=workers
        )
        with pytest.raises(UserError, match=message):
            next(iter(tested))

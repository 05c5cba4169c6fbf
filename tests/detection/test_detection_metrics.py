"""Average precision of VOC and COCO, against published numbers, by hand and against brute force."""

import copy
import json
from fractions import Fraction

import numpy as np
import pytest
from conftest import PACKS
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet.data.archive import tarfile
from resnet.detection.metrics import (
    COCO_METRICS,
    ClassDetections,
    ClassObjects,
    class_average_precision,
    coco_average_precision,
    mean_over_classes,
    pixel_overlaps,
    voc_average_precision,
    write_voc_submission,
)
from resnet.errors import UserError

CATEGORIES = ("cat", "dog", "cow")
METHODS = ("11-point", "area")


def images(objects, count=3):
    """Return a set of images 1, 2, ... with objects (image, class, box) and (image, class, box, difficult)."""
    annotations = [
        {
            "id": number,
            "image_id": image,
            "category_id": category,
            "bbox": list(box),
            "area": box[2] * box[3],
            "iscrowd": 0,
            "difficult": int(bool(difficult)),
        }
        # From 0, which COCO's libraries take for "no object".
        for number, (image, category, box, *difficult) in enumerate(objects)
    ]
    return {
        "images": [
            {"id": n, "file_name": f"JPEGImages/{n:06}.jpg", "width": 99, "height": 99} for n in range(1, count + 1)
        ],
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for number, name in enumerate(CATEGORIES, start=1)],
    }


def found(*rows):
    """Return detections of rows (image, class, box, score)."""
    return [{"image_id": i, "category_id": c, "bbox": list(box), "score": score} for i, c, box, score in rows]


def one_class(objects, detections):
    """Return arrays of objects (image, xmin, ymin, xmax, ymax, difficult) and detections (image, box, score)."""
    objects, detections = np.array(objects, float).reshape(-1, 6), np.array(detections, float).reshape(-1, 6)
    return (
        ClassObjects(objects[:, 0].astype(int), objects[:, 1:5], objects[:, 5].astype(bool)),
        ClassDetections(detections[:, 0].astype(int), detections[:, 1:5], detections[:, 5]),
    )


A, B, C = (0, 0, 20, 30), (50, 50, 40, 40), (10, 60, 25, 25)


# Published numbers


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    path = PACKS / "metrics.tar.xz"
    if not path.is_file():
        pytest.skip("the pack of published metrics is not here")
    folder = tmp_path_factory.mktemp("metrics")
    with tarfile.open(path) as tar:
        tar.extractall(folder, filter="data")
    return folder


def padilla_rows(folder):
    """Return rows of (image, numbers): the numbers of every line of every file."""
    return [
        (int(path.stem), [float(word) for word in line.split()[1:]])
        for path in sorted(folder.glob("*.txt"))
        for line in path.read_text().splitlines()
    ]


@pytest.mark.parametrize(("key", "method"), [("eleven_point", "11-point"), ("every_point", "area")])
@pytest.mark.parametrize("threshold", ["0.1", "0.3", "0.5", "0.75"])
def test_padillas_toy_set_gives_its_published_precisions(pack, key, method, threshold):
    folder = pack / "padilla_toy"
    expected = json.loads((folder / "expected.json").read_text())[key][threshold]
    objects = [(i, x, y, x + w, y + h, 0) for i, (x, y, w, h) in padilla_rows(folder / "groundtruths")]
    detections = [(i, x, y, x + w, y + h, s) for i, (s, x, y, w, h) in padilla_rows(folder / "detections")]
    assert (len(objects), len(detections)) == (15, 24)
    value = class_average_precision(*one_class(objects, detections), method, float(threshold))
    assert value == pytest.approx(100 * expected, abs=1e-7)


def test_cocos_own_example_gives_its_published_metrics(pack):
    folder = pack / "coco_val2014_fake100"
    ground_truth = json.loads((folder / "instances_val2014_100.json").read_text())
    for annotation in ground_truth["annotations"]:
        annotation["difficult"] = 0
    detections = json.loads((folder / "instances_val2014_fakebbox100_results.json").read_text())
    expected = json.loads((folder / "expected.json").read_text())["bbox"]
    metrics = coco_average_precision(ground_truth, detections)
    for name in COCO_METRICS:
        assert metrics[name] == pytest.approx(100 * expected[name], abs=1e-9), name
    for name in ("AP", "AP50"):
        per_class = {key: value[name] for key, value in metrics["classes"].items()}
        assert len(per_class) == 80
        assert mean_over_classes(per_class) == pytest.approx(100 * expected[name], abs=1e-9)


# By hand


@pytest.mark.parametrize("method", METHODS)
def test_perfect_detections_give_100_and_a_class_without_objects_none(method):
    ground_truth = images([(1, 1, A), (1, 2, B), (2, 1, B), (3, 1, C)])
    detections = found((1, 1, A, 0.9), (1, 2, B, 0.2), (2, 1, B, 0.8), (3, 1, C, 0.1), (3, 3, C, 0.9))
    precisions = voc_average_precision(ground_truth, detections, method)
    assert precisions == {"cat": 100, "dog": 100, "cow": None}
    assert mean_over_classes(precisions) == 100


@pytest.mark.parametrize("method", METHODS)
def test_without_detections_it_is_0_and_without_objects_none(method):
    assert voc_average_precision(images([(1, 1, A)]), [], method) == {"cat": 0, "dog": None, "cow": None}
    nothing = voc_average_precision(images([]), found((1, 1, A, 0.5)), method)
    assert nothing == dict.fromkeys(CATEGORIES)
    assert mean_over_classes(nothing) is None


def test_the_mean_is_over_the_classes_that_have_objects():
    assert mean_over_classes({"a": 10.0, "b": None, "c": 30.0}) == 20


def test_eleven_points_and_the_area_differ_as_by_hand():
    # Right, wrong, right, of 3 objects: precisions 1, 1/2, 2/3 at recalls 1/3, 1/3, 2/3.
    ground_truth = images([(1, 1, A), (1, 1, B), (2, 1, C)])
    detections = found((1, 1, A, 0.9), (3, 1, C, 0.8), (2, 1, C, 0.7))
    by_points = voc_average_precision(ground_truth, detections, "11-point")["cat"]
    assert by_points == pytest.approx(100 * (4 * 1 + 3 * 2 / 3) / 11)
    assert voc_average_precision(ground_truth, detections, "area")["cat"] == pytest.approx(100 * 5 / 9)


@pytest.mark.parametrize(("count", "levels"), [(2, 3), (3, 3), (4, 5), (6, 6), (7, 7), (10, 11)])
def test_recalls_of_exactly_3_6_and_7_tenths_fall_short_as_in_other_evaluations(count, levels):
    objects = [(n, 1, 1, 9, 9, 0) for n in range(10)]
    detections = [(*box, 0.5) for *box, _ in objects[:count]]
    value = class_average_precision(*one_class(objects, detections), "11-point")
    assert value == pytest.approx(100 * levels / 11)


def test_a_second_detection_of_an_object_is_wrong():
    ground_truth = images([(1, 1, A), (2, 1, B)])
    detections = found((1, 1, A, 0.9), (1, 1, A, 0.8), (2, 1, B, 0.7))
    assert voc_average_precision(ground_truth, detections, "area")["cat"] == pytest.approx(100 * (1 + 2 / 3) / 2)


def test_a_detection_of_a_taken_object_does_not_move_on_to_its_neighbour():
    # Both detections overlap the first object most, and the second one by more than a half, too.
    objects = [(1, 1, 1, 100, 100, 0), (1, 1, 1, 100, 80, 0)]
    detections = [(1, 1, 1, 100, 100, 0.9), (1, 1, 1, 100, 96, 0.8)]
    assert class_average_precision(*one_class(objects, detections), "area") == pytest.approx(50)


@pytest.mark.parametrize("method", METHODS)
def test_difficult_objects_and_detections_of_them_do_not_count(method):
    ground_truth = images([(1, 1, A, True), (2, 1, B), (3, 2, C, True)])
    detections = found((1, 1, A, 0.9), (1, 1, A, 0.8), (2, 1, B, 0.7), (3, 2, C, 0.7))
    assert voc_average_precision(ground_truth, detections, method) == {"cat": 100, "dog": None, "cow": None}
    ground_truth["annotations"][0]["difficult"] = 0
    assert voc_average_precision(ground_truth, detections, method)["cat"] < 100


def test_boxes_count_their_last_pixel_and_a_threshold_that_is_reached_is_enough():
    # 10x5 of 10x10 pixels are a half; without the last pixel 9x4 of 9x9 would be less.
    case = one_class([(1, 1, 1, 10, 10, 0)], [(1, 1, 1, 10, 5, 0.5)])
    assert class_average_precision(*case, "area") == 100
    assert class_average_precision(*case, "area", threshold=0.500001) == 0
    # Boxes that only share an edge pixel overlap by it.
    assert pixel_overlaps(np.array([[1, 1, 2, 2]]), np.array([[2, 2, 3, 3]])) == 1 / 7
    assert pixel_overlaps(np.array([[1, 1, 2, 2]]), np.array([[3, 1, 4, 2]])) == 0


def test_equal_scores_keep_the_order_of_the_detections():
    objects = [(1, 1, 1, 10, 10, 0)]
    right, wrong = (1, 1, 1, 10, 10, 0.5), (2, 1, 1, 10, 10, 0.5)
    assert class_average_precision(*one_class(objects, [right, wrong]), "area") == 100
    assert class_average_precision(*one_class(objects, [wrong, right]), "area") == 50


def test_continuous_boxes_become_vocs(tmp_path):
    ground_truth = images([])
    detections = found((2, 2, (0, 10.25, 20, 30), 0.123456789), (1, 2, (3, 4, 5, 6), 1), (3, 1, C, 0.5))
    files = write_voc_submission(tmp_path / "results", ground_truth, detections)
    assert [file.name for file in files] == [f"comp4_det_test_{name}.txt" for name in CATEGORIES]
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == sorted(file.name for file in files)
    assert files[0].read_text() == "000003 0.500000 11.0 61.0 35.0 85.0\n"
    assert files[1].read_text() == "000002 0.123457 1.0 11.2 20.0 40.2\n000001 1.000000 4.0 5.0 8.0 10.0\n"
    assert files[2].read_text() == ""


def test_a_class_cannot_lead_out_of_the_folder(tmp_path):
    ground_truth = images([])
    ground_truth["categories"][1]["name"] = "/../../escaped"
    with pytest.raises(UserError, match=r"'/\.\./\.\./escaped' cannot be part of a file's name"):
        write_voc_submission(tmp_path / "a/b", ground_truth, [])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("function", ["voc", "coco", "submission"])
@pytest.mark.parametrize(
    ("detection", "message"),
    [((77, 1, A, 0.5), "1 image_id .* images of the set, 77 "), ((1, 55, A, 0.5), "category_id .* categories .* 55 ")],
)
def test_a_detection_of_an_unknown_image_or_class_is_named(tmp_path, function, detection, message):
    ground_truth, detections = images([(1, 1, A)]), found((1, 1, A, 0.9), detection)
    with pytest.raises(UserError, match=message):
        {
            "voc": lambda: voc_average_precision(ground_truth, detections, "area"),
            "coco": lambda: coco_average_precision(ground_truth, detections),
            "submission": lambda: write_voc_submission(tmp_path, ground_truth, detections),
        }[function]()


# COCO


def test_cocos_metrics_by_hand_leave_their_input_alone_and_print_nothing(capfd):
    # A crowd and a difficult object neither count nor make detections inside them wrong.
    ground_truth = images([(1, 1, A), (2, 1, B), (1, 2, C), (2, 2, A, True), (3, 1, (0, 0, 90, 90))])
    ground_truth["annotations"][4]["iscrowd"] = 1
    detections = found((1, 1, A, 0.9), (3, 1, C, 0.8), (2, 2, A, 0.8), (1, 2, (10, 60, 25, 17.5), 0.7))
    before = copy.deepcopy((ground_truth, detections))
    metrics = coco_average_precision(ground_truth, detections)
    assert (ground_truth, detections) == before
    assert capfd.readouterr() == ("", "")
    # A cat of two: precision 1 up to the 51st of 101 recalls. The dog overlaps by 0.7: thresholds 0.5 to 0.7 of ten.
    assert metrics["classes"]["cat"] == pytest.approx({"AP": 100 * 51 / 101, "AP50": 100 * 51 / 101})
    assert metrics["classes"]["dog"] == pytest.approx({"AP": 50, "AP50": 100})
    assert metrics["classes"]["cow"] == {"AP": None, "AP50": None}
    assert metrics["AP"] == pytest.approx((100 * 51 / 101 + 50) / 2)
    assert metrics["AP75"] == pytest.approx(100 * 51 / 101 / 2)
    assert metrics["APm"] == pytest.approx(0)
    assert metrics["APl"] is None
    json.dumps(metrics)


def test_coco_without_detections_is_0_and_without_objects_none():
    metrics = coco_average_precision(images([(1, 1, A)]), [])
    assert (metrics["AP"], metrics["AP50"], metrics["AR100"], metrics["APm"]) == (0, 0, 0, None)
    assert metrics["classes"] == {"cat": {"AP": 0, "AP50": 0}} | {
        name: {"AP": None, "AP50": None} for name in CATEGORIES[1:]
    }
    for detections in ([], found((1, 1, A, 0.5))):
        metrics = coco_average_precision(images([]), detections)
        assert metrics.pop("classes") == {name: {"AP": None, "AP50": None} for name in CATEGORIES}
        assert metrics == dict.fromkeys(COCO_METRICS)


# Brute force


def brute_force(objects, detections, method, threshold):
    """Return VOC's average precision in percent, one detection and one recall at a time, mostly in fractions."""
    positives = sum(not difficult for *_, difficult in objects)
    if not positives:
        return None
    taken, right, wrong, points = set(), 0, 0, []
    for image, *box, _ in sorted(detections, key=lambda row: -row[-1]):
        best, most = None, Fraction(-1)
        for number, (place, *other, _) in enumerate(objects):
            width = min(box[2], other[2]) - max(box[0], other[0]) + 1
            height = min(box[3], other[3]) - max(box[1], other[1]) + 1
            if place == image and width > 0 and height > 0:
                areas = sum((x2 - x1 + 1) * (y2 - y1 + 1) for x1, y1, x2, y2 in (box, other))
                overlap = Fraction(width * height, areas - width * height)
                if overlap > most:
                    best, most = number, overlap
        if most >= threshold:
            if objects[best][-1]:
                continue
            right, wrong = (right, wrong + 1) if best in taken else (right + 1, wrong)
            taken.add(best)
        else:
            wrong += 1
        points.append((Fraction(right, positives), Fraction(right, right + wrong)))
    if method == "11-point":
        highest = [max((p for r, p in points if float(r) >= 0.1 * k), default=0) for k in range(11)]
        return 100 * float(Fraction(sum(highest)) / 11)
    recalls = [Fraction(0), *(r for r, _ in points)]
    steps = [recalls[k + 1] - recalls[k] for k in range(len(points))]
    return 100 * float(sum(step * max(p for _, p in points[k:]) for k, step in enumerate(steps)))


def boxes_on_a_grid():
    corner, side = st.integers(1, 4), st.integers(0, 4)
    return st.builds(lambda x, y, w, h: (x, y, x + w, y + h), corner, corner, side, side)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 3), boxes_on_a_grid(), st.booleans()), max_size=12),
    st.lists(st.tuples(st.integers(1, 4), boxes_on_a_grid(), st.integers(0, 4)), max_size=20),
    st.sampled_from(METHODS),
    st.sampled_from([Fraction(1, 4), Fraction(1, 2), Fraction(3, 4)]),
)
def test_it_equals_brute_force(objects, detections, method, threshold):
    objects = [(image, *box, difficult) for image, box, difficult in objects]
    detections = [(image, *box, score) for image, box, score in detections]
    expected = brute_force(objects, detections, method, threshold)
    value = class_average_precision(*one_class(objects, detections), method, float(threshold))
    assert value == (None if expected is None else pytest.approx(expected, abs=1e-9))

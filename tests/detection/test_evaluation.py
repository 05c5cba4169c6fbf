"""Detections that are measured, and the files for PASCAL's server."""

import json
import math
import tarfile

import pandas as pd
import pytest

from detection.conftest import run_here


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


def test_an_evaluation_says_how_the_detections_were_found(packs, tmp_path):
    (tmp_path / "d.json").write_text("[]")
    (tmp_path / "environment.json").write_text(json.dumps({"box_refinement": True, "shorter_sides": [48, 64]}))
    results = []
    for seed in range(2):
        (tmp_path / f"seed{seed}").mkdir()
        results.append(write_result(tmp_path / f"seed{seed}/result.json", "voc07"))
    common = ["--data", packs / "voc/dataset.json", "--detections", tmp_path / "d.json"]
    common += ["--output", tmp_path / "e.json", "--classes", tmp_path / "c.csv"]
    for given, expected in (
        ([results[0]], {"model": "vgg-16", "tested": "", "shorter_sides": []}),
        ([*results, "--environment", tmp_path / "environment.json"],
         {"model": "ensemble", "tested": "refined-multiscale", "shorter_sides": [48, 64],
          "members": [str(path.parent) for path in results]}),
    ):  # fmt: skip
        assert run_here("evaluate_detections", *common, "--result", *given) is None
        assert json.loads((tmp_path / "e.json").read_text()).items() >= expected.items()


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

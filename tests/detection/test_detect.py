"""Detections of a trained detector, and run folders that do not fit."""

import shutil

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from detection.conftest import detect, run_here, sharp
from resnet.data.objects import ObjectsDescription, read_scenes
from resnet.detection.detect import load_detector
from resnet.detection.inputs import resized
from resnet.errors import UserError
from resnet.run_folder import RunFolder


@pytest.fixture(scope="session")
def sharpened(finished_by_two, tmp_path_factory):
    """A run folder whose detector finds something everywhere."""
    folder = shutil.copytree(finished_by_two, tmp_path_factory.mktemp("sharpened") / "run")
    net, _ = load_detector(RunFolder(folder))
    torch.save(sharp(net).state_dict(), folder / "weights.pt")
    return folder


@pytest.fixture(scope="session")
def detections(sharpened, packs, tmp_path_factory):
    return detect(packs, sharpened, tmp_path_factory.mktemp("detections") / "one.json")


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
            load_detector(RunFolder(folder))


@pytest.mark.slow
def test_detections_are_cocos_results_with_official_numbers_in_the_pixels_of_the_image(detections, sharpened, packs):
    path = packs / "coco/dataset.json"
    description = ObjectsDescription.read(path)
    net, _ = load_detector(RunFolder(sharpened))
    by_image = {}
    for one in detections:
        assert list(one) == ["image_id", "category_id", "bbox", "score"]
        by_image.setdefault(one["image_id"], []).append(one)
    scenes = read_scenes(path, description, "val")
    assert set(by_image) == {one.id for one in scenes}
    numbers = {one["category_id"] for one in detections}
    assert numbers <= set(description.ids)
    assert max(numbers) > len(description.ids), "numbers, not labels"
    for one in scenes[:4]:
        with Image.open(description.path / one.file) as image:
            width, height = resized(image.size, 64, 90)
            pixels = np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR))
        image = torch.from_numpy(pixels.astype(np.float32) / 255).permute(2, 0, 1)
        with torch.no_grad():
            (found,) = net([image])
        ours = by_image[one.id]
        assert [detection["score"] for detection in ours] == pytest.approx(found["scores"].tolist(), abs=1e-4)
        assert [description.ids.index(d["category_id"]) for d in ours] == found["labels"].tolist()
        scale_x, scale_y = one.size[0] / width, one.size[1] / height
        assert scale_x > 1.3, "boxes would be wrong without scaling"
        for detection, (left, top, right, bottom) in zip(ours, found["boxes"].tolist(), strict=True):
            expected = [left * scale_x, top * scale_y, (right - left) * scale_x, (bottom - top) * scale_y]
            assert detection["bbox"] == pytest.approx(expected, abs=2e-2)
            assert -1e-3 <= detection["bbox"][0] <= sum(detection["bbox"][::2]) <= one.size[0] + 2e-3
            assert -1e-3 <= detection["bbox"][1] <= sum(detection["bbox"][1::2]) <= one.size[1] + 2e-3


@pytest.mark.slow
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

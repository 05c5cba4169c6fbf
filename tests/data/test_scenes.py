"""The embedded scenes, in both layouts."""

import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from conftest import run_program
from PIL import Image

from data.conftest import tree
from resnet.data.coco import read_coco
from resnet.data.digits import CLASSES
from resnet.data.objects import ObjectsDescription, describe, read_scenes
from resnet.data.scenes import COCO_IDS, IMAGES
from resnet.data.voc import read_list, read_voc


@pytest.mark.slow
def test_the_scenes_have_the_same_bytes_every_time_and_are_described(scenes, tmp_path):
    outputs = tmp_path / "voc/dataset.json", tmp_path / "coco/dataset.json"
    code, output = run_program("prepare_scenes", "--output-voc", outputs[0], "--output-coco", outputs[1])
    assert code == 0, output
    assert tree(tmp_path / "voc/VOCdevkit") == tree(scenes / "VOCdevkit")
    assert tree(tmp_path / "coco/coco") == tree(scenes / "coco")
    voc, coco = map(ObjectsDescription.read, outputs)
    expected = {name: count for name, count in IMAGES.items() if name.startswith("voc")}
    assert voc.images == {**expected, "voc2012_trainval": IMAGES["voc2012_train"] + IMAGES["voc2012_val"]}
    assert coco.images == {"train": IMAGES["coco_train"], "val": IMAGES["coco_val"]}
    assert voc.classes == tuple(sorted(CLASSES))
    assert (coco.classes, coco.ids) == (CLASSES, COCO_IDS)
    assert (voc.unlabelled, coco.unlabelled) == (("voc2012_test",), ())
    assert not voc.horizontal_flip
    assert "voc2012_test 20 images without objects" in output
    assert f"train {IMAGES['coco_train']} images with" in output
    assert "official" not in output


def test_scenes_are_what_a_detector_needs(scenes, tmp_path):
    folder = scenes / "VOCdevkit"
    sets = read_voc(folder)
    description = describe(tmp_path / "dataset.json", name="x", folder=folder, horizontal_flip=False, sets=sets)
    for name in ("voc2007_trainval", "voc2007_test", "voc2012_trainval"):
        read = read_scenes(tmp_path / "dataset.json", description, name)
        ignored = np.concatenate([scene.ignored for scene in read])
        assert 0 < ignored.mean() < 0.2
        assert set(np.concatenate([scene.labels for scene in read])) == set(range(10))
        for scene in read:
            assert 1 <= (~scene.ignored).sum() <= 3
            assert 112 <= min(scene.size) <= 128
            heights = (scene.boxes[:, 3] - scene.boxes[:, 1])[~scene.ignored]
            assert heights.min() >= 32
            assert heights.max() <= 86
    assert all(not len(scene.boxes) for scene in read_scenes(tmp_path / "dataset.json", description, "voc2012_test"))


def test_a_box_is_tight_around_light_ink(scenes, tmp_path):
    content = read_coco(scenes / "coco", "2014")["train"]
    image, annotation = next(
        (image, one)
        for image in content["images"]
        for one in content["annotations"]
        if one["image_id"] == image["id"] and [a["image_id"] for a in content["annotations"]].count(image["id"]) == 1
    )
    grey = np.asarray(Image.open(scenes / "coco" / image["file_name"]).convert("L"), float)
    left, top, width, height = map(int, annotation["bbox"])
    assert grey[top : top + height, left : left + width].max() > 220
    grey[top : top + height, left : left + width] = 0
    assert grey.max() < 160


def test_the_lists_of_classes_are_voc_s(scenes):
    lists = scenes / "VOCdevkit/VOC2007/ImageSets/Main"
    names = read_list(lists / "trainval.txt")
    values = {}
    for label in CLASSES:
        rows = [line.split() for line in (lists / f"{label}_trainval.txt").read_text().splitlines()]
        assert [row[0] for row in rows] == names
        values[label] = [int(row[1]) for row in rows]
    assert {value for column in values.values() for value in column} == {-1, 0, 1}
    for place, name in enumerate(names):
        root = ElementTree.parse(lists.parent.parent / f"Annotations/{name}.xml").getroot()
        for label in CLASSES:
            difficult = [thing.findtext("difficult") == "1" for thing in root if thing.findtext("name") == label]
            assert values[label][place] == (-1 if not difficult else 0 if all(difficult) else 1)
    unlabelled = IMAGES["voc2012_train"] + IMAGES["voc2012_val"] + 1
    assert not (scenes / "VOCdevkit/VOC2012/Annotations" / f"2008_{unlabelled:06d}.xml").exists()


def test_coco_s_scenes_have_crowds_empty_images_and_segmentations(scenes):
    for part in ("train", "val"):
        content = json.loads((scenes / f"coco/annotations/instances_{part}2014.json").read_text())
        sizes = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
        crowds = [one for one in content["annotations"] if one["iscrowd"]]
        assert len(crowds) >= 3
        assert set(sizes) - {one["image_id"] for one in content["annotations"]}
        for one in content["annotations"]:
            height, width = sizes[one["image_id"]]
            left, top, wide, tall = map(int, one["bbox"])
            mask = np.zeros((height, width), bool)
            mask[top : top + tall, left : left + wide] = True
            assert one["area"] == mask.sum()
            if one["iscrowd"]:
                assert one["segmentation"]["size"] == [height, width]
                counts = one["segmentation"]["counts"]
                decoded = np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(width, height).T
                assert np.array_equal(decoded, mask)
            else:
                (polygon,) = one["segmentation"]
                assert (min(polygon[::2]), min(polygon[1::2])) == (left, top)
                assert (max(polygon[::2]), max(polygon[1::2])) == (left + wide, top + tall)

"""COCO: what is read, and what is refused."""

import json
import shutil

import pytest
from conftest import run_program

from data.conftest import refused
from resnet.data.coco import read_coco
from resnet.data.images import read_size
from resnet.data.objects import ObjectsDescription, describe, read_scenes, summary
from resnet.data.scenes import COCO_IDS
from resnet.data.voc import read_voc


def edit(coco, change_content, part="train"):
    path = coco / f"annotations/instances_{part}2014.json"
    content = json.loads(path.read_text())
    change_content(content)
    path.write_text(json.dumps(content))


def test_coco_keeps_its_numbers_and_drops_segmentations(coco):
    sets = read_coco(coco, "2014")
    official = json.loads((coco / "annotations/instances_train2014.json").read_text())
    train = sets["train"]
    assert list(sets) == ["train", "val"]
    assert [image["id"] for image in train["images"]] == [9, 19, 29, 39]
    assert train["images"][0]["file_name"] == "train2014/COCO_train2014_000000000009.jpg"
    assert [category["id"] for category in train["categories"]] == list(COCO_IDS)
    for found, given in zip(train["annotations"], official["annotations"], strict=True):
        given.pop("segmentation")
        assert found == {**given, "difficult": 0}
    assert sum(one["iscrowd"] for one in train["annotations"]) == 1
    assert train["dropped"] == 0


def test_boxes_without_area_are_dropped_and_slight_excess_is_clipped(coco, tmp_path):
    def change_content(content):
        image = content["images"][0]
        boxes = [
            [3.0, 4.0, 0.0, 5.0],
            [-1.5, 3.0, 11.5, 10.0],
            [10.0, 0.0, image["width"] - 9.5, image["height"] + 2.0],
            [-1.0, 5.0, 1.0, 5.0],
        ]
        for number, one in enumerate(boxes):
            template = {**content["annotations"][0], "image_id": image["id"], "id": 10**6 + number}
            content["annotations"].append({**template, "bbox": one})

    before = len(read_coco(coco, "2014")["train"]["annotations"])
    edit(coco, change_content)
    train = read_coco(coco, "2014")["train"]
    width, height = train["images"][0]["width"], train["images"][0]["height"]
    added = train["annotations"][before:]
    assert [one["bbox"] for one in added] == [[0, 3, 10, 10], [10, 0, width - 10, height]]
    assert train["dropped"] == 2
    code, output = run_program("prepare_coco", "--folder", coco, "--output", tmp_path / "x/dataset.json")
    assert code == 0
    assert "train: 2 boxes without width or height were left out" in output
    assert "the official sets have: train 82783, val 40504" in output
    assert ObjectsDescription.read(tmp_path / "x/dataset.json").name == "coco-subset"


def first(kind, **values):
    return lambda content: content[kind][0].update(values)


def same(kind, key):
    return lambda content: content[kind][1].update({key: content[kind][0][key]})


def twice(kind):
    return lambda content: content[kind].append(content[kind][0])


@pytest.mark.parametrize(
    ("change_content", "message"),
    [
        (twice("images"), r"instances_train2014\.json has image 9 twice"),
        (twice("annotations"), r"instances_train2014\.json has annotation 9 twice"),
        (twice("categories"), r"instances_train2014\.json has category 1 twice"),
        (first("annotations", image_id=5), r"annotation 9 is of image 5, which the file does not have"),
        (first("annotations", category_id=4), r"annotation 9 is of category 4, which the file does not have"),
        (first("annotations", iscrowd=2), r"annotation 9: iscrowd is 2, not 0 or 1"),
        (first("annotations", area=-1), r"annotation 9: its area is -1"),
        (first("annotations", bbox=[1, 1, -1, 5]), r"annotation 9: \[1\.0, 1\.0, -1\.0, 5\.0\] is not a box"),
        (
            first("annotations", bbox=[1, float("nan"), 1, 5]),
            r"train2014\.json is not valid JSON",
        ),
        (
            first("annotations", bbox=[1, 1, 500, 5]),
            r"annotation 9: the box \[1\.0, 1\.0, 500\.0, 5\.0\] leaves the image, of \d+x",
        ),
        (
            first("annotations", bbox=[-10.1, 1, 19, 5]),
            r"annotation 9: the box \[-10\.1, 1\.0, 19\.0, 5\.0\] leaves the image",
        ),
        (first("annotations", bbox=[1, 2]), r"Expected `array` of length 4, got 2 - at `\$\.annotations\[0\]\.bbox`"),
        (first("images", file_name="../a.jpg"), r"train2014\.json: '\.\./a\.jpg' leads out of .*train2014"),
        (first("images", width=float("inf")), r"train2014\.json is not valid JSON"),
        (
            lambda content: content.pop("images"),
            r"train2014\.json: Object missing required field `images`; take the official file",
        ),
        (
            lambda content: content["annotations"][0].pop("area"),
            r"missing required field `area` - at `\$\.annotations\[0\]`",
        ),
        (first("annotations", bbox="1234"), r"Expected `array`, got `str` - at `\$\.annotations\[0\]\.bbox`"),
        (first("annotations", area=float("inf")), r"train2014\.json is not valid JSON"),
        (first("annotations", id=2**63), r"id of an annotation is 9223372036854775808, not a whole number"),
        (first("annotations", id="a"), r"id of an annotation is 'a', not a whole number"),
        (first("images", file_name="/etc/a.jpg"), r"'/etc/a\.jpg' leads out of .*train2014"),
        (first("images", width=0), r"image 9 has 0x\d+ pixels"),
        (first("images", width=333), r"0009\.jpg has \d+x\d+ pixels, but .*instances_train2014\.json says 333x"),
        (same("images", "file_name"), r"has image train2014/COCO_train2014_0+9\.jpg twice"),
        (same("categories", "name"), r"train2014\.json has two classes of one name, 'zero'; rename one of them"),
        (first("categories", name="ze\nro"), r"train2014\.json: 'ze\\nro' is not the name of a class"),
        (lambda content: content["images"].clear(), r"train2014\.json describes no image"),
        (lambda content: content["annotations"].clear(), r"train2014\.json: its images have no object that counts"),
        (first("categories", name="null"), r"train2014\.json and .*val2014\.json do not have the same categories"),
    ],
)
def test_wrong_instances_are_named(coco, change_content, message):
    edit(coco, change_content)
    refused(message, read_coco, coco, "2014")


def test_numbers_as_text_images_in_folders_and_objects_without_iscrowd_are_read(coco):
    expected = read_coco(coco, "2014")["train"]

    def as_text(content):
        (coco / "train2014/part").mkdir()
        for image in content["images"]:
            (coco / "train2014" / image["file_name"]).rename(coco / "train2014/part" / image["file_name"])
            image.update(
                {key: str(image[key]) for key in ("id", "width", "height")}, file_name=f"part/{image['file_name']}"
            )
        for one in content["annotations"]:
            one.update({key: str(one[key]) for key in ("id", "image_id", "category_id")})
            if not one["iscrowd"]:
                del one["iscrowd"]

    edit(coco, as_text)
    found = read_coco(coco, "2014")["train"]
    for image in expected["images"]:
        image["file_name"] = image["file_name"].replace("/", "/part/")
    assert found == expected


def test_damaged_images_are_found_when_data_are_prepared(coco, devkit, tmp_path):
    for image in (coco / "val2014/COCO_val2014_000000000052.jpg", devkit / "VOC2007/JPEGImages/000003.jpg"):
        image.write_bytes(image.read_bytes()[:-500])
    refused(r"000000000052\.jpg is truncated or not an image \(image file is truncated", read_coco, coco, "2014")
    refused(r"000003\.jpg is truncated or not an image \(image file is truncated", read_voc, devkit, 2)
    output = tmp_path / "x/dataset.json"
    for program, folder in (("prepare_coco", coco), ("prepare_voc", devkit)):
        code, text = run_program(program, "--folder", folder, "--workers", 2, "--output", output)
        assert code == 1
        assert f"{program}: error: " in text
        assert "image file is truncated" in text
        assert "delete" not in text
        assert "Traceback" not in text
    assert not output.exists()


def test_missing_files_of_coco_are_named(coco):
    image = coco / "val2014/COCO_val2014_000000000052.jpg"
    image.unlink()
    refused(
        r"000000000052\.jpg is missing, but .*instances_val2014\.json describes it; put it there$",
        read_coco,
        coco,
        "2014",
    )
    shutil.rmtree(coco / "train2014")
    refused(r"train2014 is not a folder, but .*instances_train2014\.json describes its images", read_coco, coco, "2014")
    path = coco / "annotations/instances_train2014.json"
    path.write_text(path.read_text()[:-100])
    refused(r"instances_train2014\.json is not valid JSON", read_coco, coco, "2014")
    path.write_text("[]")
    refused(r"instances_train2014\.json: Expected `object`, got `array`", read_coco, coco, "2014")
    refused(r"instances_train2017\.json is missing: .* must hold annotations/, train2017/ and", read_coco, coco, "2017")


def test_real_coco(packs, tmp_path):
    folder = packs("coco-pocket.tar.xz") / "coco_pocket"
    sets = read_coco(folder, "2017")
    counts = [(len(value["images"]), len(value["annotations"]), value["dropped"]) for value in sets.values()]
    assert counts == [(48, 468, 0), (24, 232, 0)]
    assert sum(one["iscrowd"] for value in sets.values() for one in value["annotations"]) == 10
    description = describe(tmp_path / "dataset.json", name="x", folder=folder, horizontal_flip=True, sets=sets)
    assert (len(description.ids), description.ids[-1]) == (80, 90)
    assert summary(description).endswith("val 24 images with 232 objects")
    for name in sets:
        for scene in read_scenes(tmp_path / "dataset.json", description, name):
            assert read_size(folder / scene.file) == scene.size

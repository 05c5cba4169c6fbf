"""VOC, COCO and their archives: what is read, what is refused, and the embedded scenes in both layouts."""

import functools
import hashlib
import io
import json
import re
import shutil
import stat
import tarfile
import threading
import xml.etree.ElementTree as ElementTree
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from conftest import PACKS, run_program
from PIL import Image

from resnet.data.archive import tarfile as safe_tarfile
from resnet.data.archive import unpack_matching
from resnet.data.coco import members, read_coco
from resnet.data.digits import CLASSES
from resnet.data.objects import read_description, read_scenes, summary, write_description
from resnet.data.pictures import picture_size
from resnet.data.scenes import COCO_IDS, PICTURES, write_scenes
from resnet.data.voc import MEMBERS, read_classes, read_list, read_voc
from resnet.errors import UserError

SMALL = 4


@pytest.fixture(scope="session")
def scenes(tmp_path_factory):
    """The folder of VOCdevkit/ and coco/ as the library writes them."""
    root = tmp_path_factory.mktemp("scenes")
    write_scenes(root / "VOCdevkit", root / "coco")
    return root


@pytest.fixture
def devkit(scenes, tmp_path):
    """VOC 2007's first pictures, to be damaged."""
    source, year = scenes / "VOCdevkit/VOC2007", tmp_path / "VOCdevkit/VOC2007"
    lists = year / "ImageSets/Main"
    lists.mkdir(parents=True)
    for name in CLASSES:
        (lists / f"{name}_trainval.txt").touch()
    names = [f"{number:06d}" for number in range(1, SMALL + 1)]
    (lists / "trainval.txt").write_text("\n".join(names) + "\n")
    for folder, suffix in (("Annotations", "xml"), ("JPEGImages", "jpg")):
        (year / folder).mkdir()
        for name in names:
            shutil.copy(source / folder / f"{name}.{suffix}", year / folder)
    return year.parent


@pytest.fixture
def coco(scenes, tmp_path):
    """COCO's first pictures, to be damaged."""
    source, target = scenes / "coco", tmp_path / "coco"
    (target / "annotations").mkdir(parents=True)
    for part in ("train", "val"):
        content = json.loads((source / f"annotations/instances_{part}2014.json").read_text())
        content["images"] = content["images"][:SMALL]
        numbers = {image["id"] for image in content["images"]}
        content["annotations"] = [one for one in content["annotations"] if one["image_id"] in numbers]
        (target / f"annotations/instances_{part}2014.json").write_text(json.dumps(content))
        (target / f"{part}2014").mkdir()
        for image in content["images"]:
            shutil.copy(source / f"{part}2014" / image["file_name"], target / f"{part}2014")
    return target


def xml(devkit, number=1):
    return devkit / f"VOC2007/Annotations/{number:06d}.xml"


def change(path, *replacements):
    text = path.read_text()
    for pattern, new in replacements:
        text, count = re.subn(pattern, new, text, count=1)
        assert count == 1, pattern
    path.write_text(text)


def box(xmin, ymin, xmax, ymax):
    """Return the replacements that move an XML file's first box."""
    corners = {"xmin": xmin, "ymin": ymin, "xmax": xmax, "ymax": ymax}
    return [(rf"<{tag}>.*?</{tag}>", f"<{tag}>{value}</{tag}>") for tag, value in corners.items()]


def refused(message, function, *arguments):
    with pytest.raises(UserError, match=message) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)


def tree(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "dataset.json")
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# The scenes


def test_the_scenes_have_the_same_bytes_every_time_and_are_described(scenes, tmp_path):
    outputs = tmp_path / "voc/dataset.json", tmp_path / "coco/dataset.json"
    code, output = run_program("prepare_scenes", "--output-voc", outputs[0], "--output-coco", outputs[1])
    assert code == 0, output
    assert tree(tmp_path / "voc/VOCdevkit") == tree(scenes / "VOCdevkit")
    assert tree(tmp_path / "coco/coco") == tree(scenes / "coco")
    voc, coco = map(read_description, outputs)
    expected = {name: count for name, count in PICTURES.items() if name.startswith("voc")}
    assert voc.images == {**expected, "voc2012_trainval": PICTURES["voc2012_train"] + PICTURES["voc2012_val"]}
    assert coco.images == {"train": PICTURES["coco_train"], "val": PICTURES["coco_val"]}
    assert voc.classes == tuple(sorted(CLASSES))
    assert (coco.classes, coco.ids) == (CLASSES, COCO_IDS)
    assert (voc.unlabelled, coco.unlabelled) == (("voc2012_test",), ())
    assert not voc.horizontal_flip
    assert "voc2012_test 20 pictures without objects" in output
    assert "train 240 pictures with" in output
    assert "official" not in output


def test_scenes_are_what_a_detector_needs(scenes, tmp_path):
    folder = scenes / "VOCdevkit"
    sets = read_voc(folder)
    description = write_description(
        tmp_path / "dataset.json", name="x", folder=folder, horizontal_flip=False, sets=sets
    )
    for name in ("voc2007_trainval", "voc2007_test", "voc2012_trainval"):
        read = read_scenes(tmp_path / "dataset.json", description, name)
        ignored = np.concatenate([scene.ignored for scene in read])
        assert 0 < ignored.mean() < 0.2
        assert set(np.concatenate([scene.labels for scene in read])) == set(range(10))
        for scene in read:
            assert 1 <= (~scene.ignored).sum() <= 4
            assert 112 <= min(scene.size) <= 128
            heights = (scene.boxes[:, 3] - scene.boxes[:, 1])[~scene.ignored]
            assert heights.min() >= 20
            assert heights.max() <= 82
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
    assert not (scenes / "VOCdevkit/VOC2012/Annotations" / f"2008_{161:06d}.xml").exists()


def test_coco_s_scenes_have_crowds_empty_pictures_and_segmentations(scenes):
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


# VOC


def test_voc_s_coordinates_become_continuous(devkit):
    change(xml(devkit), *box(1, 2, 10, 20))
    value = read_voc(devkit)["voc2007_trainval"]
    assert value["images"][0] == {
        "id": 1,
        "file_name": "VOC2007/JPEGImages/000001.jpg",
        **dict(zip(("width", "height"), picture_size(devkit / "VOC2007/JPEGImages/000001.jpg"), strict=True)),
    }
    first = value["annotations"][0]
    assert first["bbox"] == [0, 1, 10, 19]
    assert (first["id"], first["image_id"], first["area"], first["iscrowd"], first["difficult"]) == (1, 1, 190, 0, 0)
    assert [category["name"] for category in value["categories"]] == sorted(CLASSES)
    assert [category["id"] for category in value["categories"]] == list(range(1, 11))
    assert [one["id"] for one in value["annotations"]] == list(range(1, 1 + len(value["annotations"])))
    assert not value["unlabelled"]


def test_fractions_borders_and_missing_tags_are_read(devkit):
    width, height = picture_size(devkit / "VOC2007/JPEGImages/000001.jpg")
    change(xml(devkit), *box(0.5, "2.25", width, height + 0.75), (r"\s*<difficult>\d</difficult>", ""))
    change(xml(devkit, 2), *box(5, 5, 5, 5), (r"<difficult>\d", "<difficult>1"))
    value = read_voc(devkit)["voc2007_trainval"]
    second = next(one for one in value["annotations"] if one["image_id"] == 2)
    assert value["annotations"][0]["bbox"] == [0, 1.25, width, height - 1.25]
    assert value["annotations"][0]["difficult"] == 0
    assert second["bbox"] == [4, 4, 1, 1]
    assert second["difficult"] == 1


def test_parts_of_a_person_are_no_objects(devkit):
    part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part></object>"
    before = read_voc(devkit)["voc2007_trainval"]["annotations"]
    change(xml(devkit), ("</object>", part))
    assert read_voc(devkit)["voc2007_trainval"]["annotations"] == before


def test_a_set_reads_back_as_it_was_written(devkit, tmp_path):
    change(xml(devkit), *box(3, 4, 10, 20), (r"<name>\w+", "<name>zero"))
    sets = read_voc(devkit)
    write_description(tmp_path / "dataset.json", name="x", folder=devkit, horizontal_flip=True, sets=sets)
    description = read_description(tmp_path / "dataset.json")
    scene = read_scenes(tmp_path / "dataset.json", description, "voc2007_trainval")[0]
    assert scene.boxes[0].tolist() == [2, 3, 10, 20]
    assert description.classes[scene.labels[0]] == "zero"
    assert (description.path / scene.file).is_file()


def test_a_test_set_without_xml_is_unlabelled(devkit):
    lists = devkit / "VOC2007/ImageSets/Main"
    shutil.copy(lists / "trainval.txt", lists / "test.txt")
    shutil.rmtree(devkit / "VOC2007/Annotations")
    (lists / "trainval.txt").unlink()
    value = read_voc(devkit)["voc2007_test"]
    assert value["unlabelled"]
    assert not value["annotations"]
    assert len(value["images"]) == SMALL


def test_persons_of_other_tasks_are_no_objects_of_2012_s_test(devkit):
    (devkit / "VOC2007").rename(devkit / "VOC2012")
    lists = devkit / "VOC2012/ImageSets/Main"
    shutil.copy(lists / "trainval.txt", lists / "test.txt")
    sets = read_voc(devkit)
    assert sets["voc2012_test"]["unlabelled"]
    assert not sets["voc2012_test"]["annotations"]
    assert sets["voc2012_trainval"]["annotations"]


def test_training_pictures_without_any_xml_are_no_unlabelled_set(devkit):
    shutil.rmtree(devkit / "VOC2007/Annotations")
    refused(r"000001\.xml is missing, but .*trainval\.txt names it; put it there", read_voc, devkit)


@pytest.mark.parametrize(
    ("replacements", "message"),
    [
        ([("<object>", "<object")], r"000001\.xml is not an annotation of VOC \(.*\); put the official file there"),
        ([("<annotation>", "<!DOCTYPE a [<!ENTITY e 'x'>]><annotation>")], r"\(a document type is declared\)"),
        ([(r"<name>\w+", "<name>unicorn")], r"000001\.xml: 'unicorn' is none of the classes \(eight, five, .*zero\)"),
        (box(-1, 5, 20, 20), r"000001\.xml: the box \(-1, 5, 20, 20\) of a \w+ leaves the picture, of \d+x\d+ pixels"),
        (box(5, 5, 20, 999), r"the box \(5, 5, 20, 999\) of a \w+ leaves the picture"),
        (box(20, 5, 10, 20), r"000001\.xml: the box \(20, 5, 10, 20\) of a \w+ has no area"),
        (box(5, 11, 20, 10), r"the box \(5, 11, 20, 10\) of a \w+ has no area"),
        (box("five", 5, 20, 20), r"000001\.xml: bndbox/xmin of <object> is 'five', not a number"),
        (box("nan", 5, 20, 20), r"bndbox/xmin of <object> is 'nan', not a number"),
        (
            [(r"<width>\d+", "<width>333")],
            r"000001\.xml is about a picture of 333x\d+ pixels, but the JPEG has \d+x\d+",
        ),
        ([(r"<width>\d+</width>", "")], r"000001\.xml: size/width of <annotation> is '', not a number"),
        ([(r"<difficult>\d", "<difficult>yes")], r"000001\.xml: difficult is 'yes', not 0 or 1"),
    ],
)
def test_wrong_annotations_are_named(devkit, replacements, message):
    change(xml(devkit), *replacements)
    refused(message, read_voc, devkit)


def test_missing_files_of_voc_are_named(devkit, tmp_path):
    xml(devkit, 2).rename(tmp_path / "kept.xml")
    refused(r"Annotations/000002\.xml is missing, but .*trainval\.txt names it", read_voc, devkit)
    (tmp_path / "kept.xml").rename(xml(devkit, 2))
    picture = devkit / "VOC2007/JPEGImages/000003.jpg"
    picture.write_bytes(b"no picture")
    refused(r"000003\.jpg is truncated or not a picture", read_voc, devkit)
    picture.unlink()
    refused(r"JPEGImages/000003\.jpg is missing, but .*trainval\.txt names it; put it there$", read_voc, devkit)
    for path in (devkit / "VOC2007/ImageSets/Main").glob("*_trainval.txt"):
        path.unlink()
    refused(r"VOCdevkit names no classes: .*<class>_trainval\.txt are missing", read_voc, devkit)
    refused(r"nothing is not a VOCdevkit: it has no VOC2007/ or VOC2012/", read_voc, tmp_path / "nothing")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("000001\n000002\n000001\n", r"trainval\.txt, line 3: 000001 is there a second time"),
        ("000001\n../000002\n", r"trainval\.txt, line 2: '\.\./000002' is not the name of a picture"),
        ("", r"trainval\.txt names no picture"),
        ("000001\n\n000002\n", r"trainval\.txt, line 2: '' is not the name of a picture"),
        ("000001\n..\n", r"trainval\.txt, line 2: '\.\.' is not the name of a picture"),
        ("000001\n\0\n", r"trainval\.txt, line 2: '\\x00' is not the name of a picture"),
        ("000001\n\udc81\n", r"trainval\.txt is not text in UTF-8 or Latin-1"),
    ],
)
def test_wrong_lists_are_named(devkit, text, message):
    (devkit / "VOC2007/ImageSets/Main/trainval.txt").write_bytes(text.encode(errors="surrogateescape"))
    refused(message, read_voc, devkit)


def test_what_macos_leaves_in_a_devkit_is_no_class(devkit):
    before = read_classes(devkit)
    (devkit / "VOC2007/ImageSets/Main/._zero_trainval.txt").write_bytes(b"\0\5\x16\7")
    assert read_classes(devkit) == before


def test_lists_of_windows_are_read(devkit):
    before = read_voc(devkit)
    listed = devkit / "VOC2007/ImageSets/Main/trainval.txt"
    text = listed.read_text()
    for content in (
        text.replace("\n", " \r\n").encode() + b"\r\n",
        b"\xef\xbb\xbf" + text.encode(),
        text.encode("utf-16"),
    ):
        listed.write_bytes(content)
        assert read_voc(devkit) == before


def test_a_name_of_latin_1_is_a_name(devkit):
    listed = devkit / "VOC2007/ImageSets/Main/trainval.txt"
    for path in (devkit / "VOC2007/JPEGImages/000001.jpg", xml(devkit)):
        path.rename(path.with_stem("bébé 1-a"))
    listed.write_bytes(listed.read_text().replace("000001", "bébé 1-a").encode("latin-1"))
    image = read_voc(devkit)["voc2007_trainval"]["images"][0]
    assert image["file_name"] == "VOC2007/JPEGImages/bébé 1-a.jpg"


def test_sets_that_are_needed_must_be_there(devkit, tmp_path):
    refused(r"VOC2007/ImageSets/Main/test\.txt is missing", read_voc, devkit, 1, ["voc2007_test", "voc2007_trainval"])
    output = tmp_path / "x/dataset.json"
    code, text = run_program("prepare_voc", "--folder", devkit, "--experiments", "voc07", "--output", output)
    assert code == 1
    assert "needs voc2007_test, voc2007_trainval, voc2012_trainval" in text


def test_a_set_whose_objects_do_not_count_is_refused(devkit):
    for path in (devkit / "VOC2007/Annotations").iterdir():
        path.write_text(path.read_text().replace("<difficult>0", "<difficult>1"))
    refused(r"trainval\.txt: its pictures have no object that counts", read_voc, devkit)


# COCO


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
        (first("annotations", bbox=[1, 1, -1, 5]), r"annotation 9: \[1, 1, -1, 5\] is not a box"),
        (
            first("annotations", bbox=[1, float("nan"), 1, 5]),
            r"train2014\.json is not valid JSON",
        ),
        (
            first("annotations", bbox=[1, 1, 500, 5]),
            r"annotation 9: the box \[1, 1, 500, 5\] leaves the picture, of \d+x",
        ),
        (
            first("annotations", bbox=[-10.1, 1, 19, 5]),
            r"annotation 9: the box \[-10\.1, 1, 19, 5\] leaves the picture",
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
        (same("images", "file_name"), r"has picture train2014/COCO_train2014_0+9\.jpg twice"),
        (same("categories", "name"), r"train2014\.json has two classes of one name, 'zero'; rename one of them"),
        (first("categories", name="ze\nro"), r"train2014\.json: 'ze\\nro' is not the name of a class"),
        (lambda content: content["images"].clear(), r"train2014\.json describes no picture"),
        (lambda content: content["annotations"].clear(), r"train2014\.json: its pictures have no object that counts"),
        (first("categories", name="null"), r"train2014\.json and .*val2014\.json do not have the same categories"),
    ],
)
def test_wrong_instances_are_named(coco, change_content, message):
    edit(coco, change_content)
    refused(message, read_coco, coco, "2014")


def test_numbers_as_text_pictures_in_folders_and_objects_without_iscrowd_are_read(coco):
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


def test_damaged_pictures_are_found_when_data_are_prepared(coco, devkit, tmp_path):
    for picture in (coco / "val2014/COCO_val2014_000000000052.jpg", devkit / "VOC2007/JPEGImages/000003.jpg"):
        picture.write_bytes(picture.read_bytes()[:-500])
    refused(r"000000000052\.jpg is truncated or not a picture \(image file is truncated", read_coco, coco, "2014")
    refused(r"000003\.jpg is truncated or not a picture \(image file is truncated", read_voc, devkit, 2)
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
    picture = coco / "val2014/COCO_val2014_000000000052.jpg"
    picture.unlink()
    refused(
        r"000000000052\.jpg is missing, but .*instances_val2014\.json describes it; put it there$",
        read_coco,
        coco,
        "2014",
    )
    shutil.rmtree(coco / "train2014")
    refused(
        r"train2014 is not a folder, but .*instances_train2014\.json describes its pictures", read_coco, coco, "2014"
    )
    path = coco / "annotations/instances_train2014.json"
    path.write_text(path.read_text()[:-100])
    refused(r"instances_train2014\.json is not valid JSON", read_coco, coco, "2014")
    path.write_text("[]")
    refused(r"instances_train2014\.json: Expected `object`, got `array`", read_coco, coco, "2014")
    refused(r"instances_train2017\.json is missing: .* must hold annotations/, train2017/ and", read_coco, coco, "2017")


# Archives


def pack(path, files):
    """Write an archive of names and contents; a content that is a string is a symbolic link's target."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, content in files.items():
                member = zipfile.ZipInfo(name)
                if isinstance(content, str):
                    member.external_attr = (stat.S_IFLNK | 0o777) << 16
                packed.writestr(member, content)
        return path
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                tar.addfile(member)
            else:
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return path


def contents(folder, *parts):
    """Return names below ``folder``'s parent and contents of the files of some of its parts."""
    files = sorted(path for part in parts for path in [folder / part, *(folder / part).rglob("*")] if path.is_file())
    return {path.relative_to(folder.parent).as_posix(): path.read_bytes() for path in files}


def test_voc_s_archives_share_a_folder_and_give_what_the_folder_gives(scenes, tmp_path):
    source = scenes / "VOCdevkit"
    devkit = {"VOCdevkit/VOC2007/SegmentationClass/000001.png": b"not needed", "VOCdevkit/readme.txt": b""}
    trainval = {"VOCdevkit/VOC2007/ImageSets/Layout/trainval.txt": b"", **devkit}
    test = {}
    names = set(read_list(source / "VOC2007/ImageSets/Main/test.txt"))
    for name, content in contents(source, "VOC2007").items():
        stem = name.rsplit("/", 1)[1].split(".")[0]
        (test if stem in names or stem.endswith("test") else trainval)[name] = content
    archives = [
        pack(tmp_path / "trainval.tar", trainval),
        pack(tmp_path / "test.tar", test),
        pack(tmp_path / "VOC2012.tar", contents(source, "VOC2012")),
    ]
    damaged = archives[1].read_bytes()
    archives[1].write_bytes(damaged[: len(damaged) // 2])
    output = tmp_path / "data/dataset.json"
    command = "prepare_voc", "--archives", *archives, "--output", output
    code, text = run_program(*command)
    assert code == 1
    assert re.search(r"test\.tar is truncated or damaged", text)
    assert "Traceback" not in text
    assert not output.exists()
    archives[1].write_bytes(damaged)
    code, text = run_program(*command)
    assert code == 0, text
    assert "trainval.tar to" not in text
    assert "test.tar to" in text
    assert "the official sets have: voc2007_trainval 5011, voc2007_test 4952, voc2012_train 5717" in text
    unpacked = {name: value for name, value in tree(output.parent / "VOCdevkit").items() if not name.startswith(".")}
    assert unpacked == tree(source)
    folder = tmp_path / "folder/dataset.json"
    assert run_program("prepare_voc", "--folder", source, "--output", folder)[0] == 0
    assert read_description(folder).sha256 == read_description(output).sha256
    assert read_description(folder).horizontal_flip


def test_coco_s_archives_give_what_the_folder_gives(scenes, tmp_path):
    # As the official ones, of which each has its own folder at the top.
    files = {
        "annotations": {"annotations/captions_train2014.json": b"not needed"},
        "train2014": {"train2014/": b""},
        "val2014": {},
    }
    for name, content in contents(scenes / "coco", *files).items():
        name = name.removeprefix("coco/")
        files[name.split("/")[0]][name] = content
    archives = [pack(tmp_path / f"{name}.zip", content) for name, content in files.items()]
    output = tmp_path / "data/dataset.json"
    code, text = run_program("prepare_coco", "--archives", *archives, "--output", output)
    assert code == 0, text
    unpacked = {name: value for name, value in tree(output.parent / "coco").items() if not name.startswith(".")}
    assert unpacked == tree(scenes / "coco")
    sets = read_coco(scenes / "coco", "2014")
    write_description(tmp_path / "x.json", name="x", folder=scenes, horizontal_flip=True, sets=sets)
    assert read_description(output).sha256 == read_description(tmp_path / "x.json").sha256


GOOD = "VOCdevkit/VOC2007/JPEGImages/000001.jpg"
LINK = "VOCdevkit/VOC2007/JPEGImages/000002.jpg"


@pytest.mark.parametrize("suffix", ["tar", "zip"])
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("/VOCdevkit/VOC2007/JPEGImages/000002.jpg", b"x", "a name that leads elsewhere"),
        ("VOCdevkit/VOC2007/JPEGImages/../../../../000002.jpg", b"x", "a name that leads elsewhere"),
        ("..\\000002.jpg", b"x", "a name that leads elsewhere"),
        (LINK, "/etc/passwd", "which is not a plain file"),
        (LINK, "../../../../secret", "which is not a plain file"),
    ],
)
def test_unsafe_archives_are_refused(tmp_path, suffix, name, content, message):
    archive = pack(tmp_path / f"evil.{suffix}", {GOOD: b"good", name: content})
    target = tmp_path / "in/here/VOCdevkit"
    refused(
        rf"evil\.{suffix} holds .*, {message}: it is not an official archive", unpack_matching, archive, target, MEMBERS
    )
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [archive.name, "000001.jpg"]
    assert not [path for path in tmp_path.rglob("*") if path.is_symlink()]


def test_a_link_that_is_not_needed_is_skipped(tmp_path):
    archive = pack(tmp_path / "a.tar", {GOOD: b"good", "VOCdevkit/local": "/elsewhere"})
    unpack_matching(archive, tmp_path / "to", MEMBERS)
    assert sorted(path.name for path in (tmp_path / "to").iterdir()) == [".a.tar.unpacked", "VOC2007"]


@pytest.mark.parametrize("suffix", ["tar", "zip"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.97])
def test_truncated_archives_are_refused(tmp_path, suffix, part):
    noise = np.random.RandomState(1).bytes(6 * 5000)
    files = {f"train2014/{place}.jpg": noise[place * 5000 : (place + 1) * 5000] for place in range(6)}
    archive = pack(tmp_path / f"a.{suffix}", files)
    whole = archive.read_bytes()
    if suffix == "tar":
        whole = whole.rstrip(b"\0")
    archive.write_bytes(whole[: int(part * len(whole))])
    refused(r"a\.\w+ is truncated or damaged", unpack_matching, archive, tmp_path / "to", members("2014"))
    assert not list((tmp_path / "to").glob(".*"))


def test_damaged_archives_are_refused(tmp_path):
    archive = pack(tmp_path / "a.zip", {"train2014/1.jpg": np.random.RandomState(1).bytes(5000)})
    whole = bytearray(archive.read_bytes())
    whole[3000] ^= 1
    archive.write_bytes(whole)
    refused(r"a\.zip is truncated or damaged \(Bad CRC-32", unpack_matching, archive, tmp_path / "to", members("2014"))
    archive = pack(tmp_path / "a.tar", {f"train2014/{place}.jpg": bytes(512) for place in range(3)})
    whole = bytearray(archive.read_bytes())
    whole[1024 + 150] ^= 1
    archive.write_bytes(whole)
    refused(
        r"a\.tar is truncated or damaged \(it has no end", unpack_matching, archive, tmp_path / "to", members("2014")
    )


def test_wrong_and_missing_archives_are_named(tmp_path):
    archive = pack(tmp_path / "val2017.zip", {"val2017/1.jpg": b"x"})
    message = r"val2017\.zip is not the expected archive: it has no file .*2014"
    refused(message, unpack_matching, archive, tmp_path / "to", members("2014"))
    archive.unlink()
    refused(r"val2017\.zip is missing", unpack_matching, archive, tmp_path / "to", members("2017"))
    code, output = run_program("prepare_coco", "--archives", archive, "--output", tmp_path / "x.json")
    assert code == 1
    assert "Traceback" not in output


# The real ones


@pytest.fixture(scope="module")
def packs(tmp_path_factory):
    """A folder to unpack real data to."""

    def unpacked(name):
        if not (PACKS / name).is_file():
            pytest.skip(f"{PACKS / name} is not there")
        folder = tmp_path_factory.mktemp("pack")
        with safe_tarfile.open(PACKS / name) as tar:
            tar.extractall(folder, filter="data")
        return folder

    return unpacked


def test_real_voc(packs, tmp_path):
    folder = packs("voc2007-pocket.tar.xz") / "VOCdevkit"
    sets = read_voc(folder)
    assert list(sets) == ["voc2007_trainval", "voc2007_test"]
    assert sum(len(value["images"]) for value in sets.values()) == 110
    objects = [one for value in sets.values() for one in value["annotations"]]
    assert (len(objects), sum(one["difficult"] for one in objects)) == (306, 44)
    description = write_description(tmp_path / "dataset.json", name="x", folder=folder, horizontal_flip=True, sets=sets)
    assert (len(description.classes), description.classes[0], description.classes[-1]) == (20, "aeroplane", "tvmonitor")
    for name in sets:
        for scene in read_scenes(tmp_path / "dataset.json", description, name):
            root = ElementTree.parse(folder / scene.file.replace("JPEGImages", "Annotations").replace("jpg", "xml"))
            expected = [
                [int(thing.findtext(f"bndbox/{tag}")) for tag in ("xmin", "ymin", "xmax", "ymax")]
                for thing in root.iterfind("object")
            ]
            assert (scene.boxes + np.array([1, 1, 0, 0])).tolist() == expected


def test_real_voc_archive(tmp_path):
    if not (PACKS / "voc2007-pocket.tar.xz").is_file():
        pytest.skip(f"{PACKS / 'voc2007-pocket.tar.xz'} is not there")
    unpack_matching(PACKS / "voc2007-pocket.tar.xz", tmp_path / "VOCdevkit", MEMBERS)
    assert len(read_voc(tmp_path / "VOCdevkit")["voc2007_trainval"]["images"]) == 67


def test_real_lists(packs, tmp_path):
    folder = packs("voc2007-imagesets.tar.xz")
    (lists,) = folder.rglob("Main")
    assert len(read_list(lists / "trainval.txt")) == 5011
    assert len(read_list(lists / "test.txt")) == 4952
    (tmp_path / "VOC2007/ImageSets").mkdir(parents=True)
    (tmp_path / "VOC2007/ImageSets/Main").symlink_to(lists)
    assert len(read_classes(tmp_path)) == 20


def test_real_coco(packs, tmp_path):
    folder = packs("coco-pocket.tar.xz") / "coco_pocket"
    sets = read_coco(folder, "2017")
    counts = [(len(value["images"]), len(value["annotations"]), value["dropped"]) for value in sets.values()]
    assert counts == [(48, 468, 0), (24, 232, 0)]
    assert sum(one["iscrowd"] for value in sets.values() for one in value["annotations"]) == 10
    description = write_description(tmp_path / "dataset.json", name="x", folder=folder, horizontal_flip=True, sets=sets)
    assert (len(description.ids), description.ids[-1]) == (80, 90)
    assert summary(description).endswith("val 24 pictures with 232 objects")
    for name in sets:
        for scene in read_scenes(tmp_path / "dataset.json", description, name):
            assert picture_size(folder / scene.file) == scene.size


# Downloads


@pytest.fixture
def address(tmp_path):
    """The address of a server of ``tmp_path``."""
    handler = functools.partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_archive_is_downloaded_and_checked(address, tmp_path):
    (tmp_path / "a.tar").write_bytes(b"content")
    command = "download_archive", "--url", f"{address}/a.tar", "--output", tmp_path / "new/b.tar"
    assert run_program(*command, "--md5", hashlib.md5(b"content").hexdigest())[0] == 0
    assert (tmp_path / "new/b.tar").read_bytes() == b"content"
    (tmp_path / "new/b.tar").unlink()
    code, output = run_program(*command, "--md5", "0" * 32, "--hint", "Check data.voc.md5 in config.yaml")
    assert code == 1
    assert "wrong content" in output
    assert "Check data.voc.md5 in config.yaml" in output
    assert not list((tmp_path / "new").iterdir())


def test_an_address_that_is_none_is_named(tmp_path):
    for url, reason in (("ftp://x/y", "No connection adapters"), ("a.tar", "No scheme supplied")):
        code, output = run_program("download_archive", "--url", url, "--md5", "0", "--output", tmp_path / "b.tar")
        assert code == 1
        assert f"cannot download {url}: " in output
        assert reason in output
        assert "Traceback" not in output

"""VOC: what is read, and what is refused."""

import re
import shutil
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from conftest import PACKS, run_program

from data.conftest import SMALL, refused
from resnet.data.archive import unpack_matching
from resnet.data.digits import CLASSES
from resnet.data.images import read_size
from resnet.data.objects import ObjectsDescription, describe, read_scenes
from resnet.data.voc import MEMBERS, read_classes, read_list, read_voc


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


def test_voc_s_coordinates_become_continuous(devkit):
    change(xml(devkit), *box(1, 2, 10, 20))
    value = read_voc(devkit)["voc2007_trainval"]
    assert value["images"][0] == {
        "id": 1,
        "file_name": "VOC2007/JPEGImages/000001.jpg",
        **dict(zip(("width", "height"), read_size(devkit / "VOC2007/JPEGImages/000001.jpg"), strict=True)),
    }
    first = value["annotations"][0]
    assert first["bbox"] == [0, 1, 10, 19]
    assert (first["id"], first["image_id"], first["area"], first["iscrowd"], first["difficult"]) == (1, 1, 190, 0, 0)
    assert [category["name"] for category in value["categories"]] == sorted(CLASSES)
    assert [category["id"] for category in value["categories"]] == list(range(1, 11))
    assert [one["id"] for one in value["annotations"]] == list(range(1, 1 + len(value["annotations"])))
    assert not value["unlabelled"]


def test_fractions_borders_and_missing_tags_are_read(devkit):
    width, height = read_size(devkit / "VOC2007/JPEGImages/000001.jpg")
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
    describe(tmp_path / "dataset.json", name="x", folder=devkit, horizontal_flip=True, sets=sets)
    description = ObjectsDescription.read(tmp_path / "dataset.json")
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


def test_training_images_without_any_xml_are_no_unlabelled_set(devkit):
    shutil.rmtree(devkit / "VOC2007/Annotations")
    refused(r"000001\.xml is missing, but .*trainval\.txt names it; put it there", read_voc, devkit)


@pytest.mark.parametrize(
    ("replacements", "message"),
    [
        (
            [("<object>", "<object")],
            r"000001\.xml is not an annotation in VOC's form \(.*\); put the official file there",
        ),
        ([("<annotation>", "<!DOCTYPE a [<!ENTITY e 'x'>]><annotation>")], r"\(a document type is declared\)"),
        ([(r"<name>\w+", "<name>unicorn")], r"000001\.xml: 'unicorn' is none of the classes \(eight, five, .*zero\)"),
        (box(-1, 5, 20, 20), r"000001\.xml: the box \(-1, 5, 20, 20\) of a \w+ leaves the image, of \d+x\d+ pixels"),
        (box(5, 5, 20, 999), r"the box \(5, 5, 20, 999\) of a \w+ leaves the image"),
        (box(20, 5, 10, 20), r"000001\.xml: the box \(20, 5, 10, 20\) of a \w+ has no area"),
        (box(5, 11, 20, 10), r"the box \(5, 11, 20, 10\) of a \w+ has no area"),
        (box("five", 5, 20, 20), r"000001\.xml: bndbox/xmin of <object> is 'five', not a number"),
        (box("nan", 5, 20, 20), r"bndbox/xmin of <object> is 'nan', not a number"),
        (
            [(r"<width>\d+", "<width>333")],
            r"000001\.xml is about an image of 333x\d+ pixels, but the JPEG has \d+x\d+",
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
    image = devkit / "VOC2007/JPEGImages/000003.jpg"
    image.write_bytes(b"no image")
    refused(r"000003\.jpg is truncated or not an image", read_voc, devkit)
    image.unlink()
    refused(r"JPEGImages/000003\.jpg is missing, but .*trainval\.txt names it; put it there$", read_voc, devkit)
    for path in (devkit / "VOC2007/ImageSets/Main").glob("*_trainval.txt"):
        path.unlink()
    refused(r"VOCdevkit names no classes: .*<class>_trainval\.txt are missing", read_voc, devkit)
    refused(r"nothing is not a VOCdevkit: it has no VOC2007/ or VOC2012/", read_voc, tmp_path / "nothing")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("000001\n000002\n000001\n", r"trainval\.txt, line 3: 000001 is there a second time"),
        ("000001\n../000002\n", r"trainval\.txt, line 2: '\.\./000002' is not the name of an image"),
        ("", r"trainval\.txt names no image"),
        ("000001\n\n000002\n", r"trainval\.txt, line 2: '' is not the name of an image"),
        ("000001\n..\n", r"trainval\.txt, line 2: '\.\.' is not the name of an image"),
        ("000001\n\0\n", r"trainval\.txt, line 2: '\\x00' is not the name of an image"),
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
    refused(r"trainval\.txt: its images have no object that counts", read_voc, devkit)


def test_real_voc(packs, tmp_path):
    folder = packs("voc2007-pocket.tar.xz") / "VOCdevkit"
    sets = read_voc(folder)
    assert list(sets) == ["voc2007_trainval", "voc2007_test"]
    assert sum(len(value["images"]) for value in sets.values()) == 110
    objects = [one for value in sets.values() for one in value["annotations"]]
    assert (len(objects), sum(one["difficult"] for one in objects)) == (306, 44)
    description = describe(tmp_path / "dataset.json", name="x", folder=folder, horizontal_flip=True, sets=sets)
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

"""Archives of VOC and COCO: unpacked beside each other, and refused."""

import re

import numpy as np
import pytest
from conftest import run_program

from data.conftest import pack, refused, tree
from resnet.data.archive import unpack_matching
from resnet.data.coco import members, read_coco
from resnet.data.objects import ObjectsDescription, describe
from resnet.data.voc import MEMBERS, read_list


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
    assert ObjectsDescription.read(folder).sha256 == ObjectsDescription.read(output).sha256
    assert ObjectsDescription.read(folder).horizontal_flip
    # Numbers on a part of the data set get no difference to the paper's.
    assert ObjectsDescription.read(folder).name == "voc-subset"


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
    describe(tmp_path / "x.json", name="x", folder=scenes, horizontal_flip=True, sets=sets)
    assert ObjectsDescription.read(output).sha256 == ObjectsDescription.read(tmp_path / "x.json").sha256


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

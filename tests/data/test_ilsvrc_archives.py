"""ImageNet's own archives: checked, unpacked, and refused."""

import hashlib
import io
import tarfile

import numpy as np
import pytest
from conftest import run_program

from data.conftest import pack
from resnet.data import ilsvrc_archives, imagenet
from resnet.errors import UserError


@pytest.fixture
def archives(ilsvrc, tmp_path):
    """The three official archives' form, of the tiny data set."""
    source, target = ilsvrc.parent / "ILSVRC2012", tmp_path / "archives"
    target.mkdir()
    classes = {}
    for folder in sorted((source / "train").iterdir()):
        inner = pack(tmp_path / "inner.tar", {path.name: path.read_bytes() for path in folder.iterdir()})
        classes[f"{folder.name}.tar"] = inner.read_bytes()
    pack(target / "ILSVRC2012_img_train.tar", classes)
    pack(target / "ILSVRC2012_img_val.tar", {path.name: path.read_bytes() for path in (source / "val").iterdir()})
    devkit = {
        f"{imagenet.DEVKIT}/data/{imagenet.GROUND_TRUTH}": (source / imagenet.GROUND_TRUTH).read_bytes(),
        f"{imagenet.DEVKIT}/data/meta.mat": meta((source / "synsets.txt").read_text().split()),
    }
    pack(target / "ILSVRC2012_devkit_t12.tar.gz", devkit)
    return target


def meta(wnids):
    """A ``meta.mat`` as the devkit's: leaves first, then a class with children."""
    from scipy.io import savemat

    kinds = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("num_children", "O")]
    rows = [(number, wnid, f"name of {wnid}", 0) for number, wnid in enumerate(wnids, start=1)]
    stream = io.BytesIO()
    savemat(stream, {"synsets": np.array([*rows, (99, "n99999999", "thing", 2)], dtype=kinds)})
    return stream.getvalue()


def md5s(archives):
    return {name: hashlib.md5((archives / name).read_bytes()).hexdigest() for name in ilsvrc_archives.MD5}


def test_archives_are_checked_and_unpacked(archives, ilsvrc, tmp_path):
    ilsvrc_archives.unpack_archives(archives, tmp_path / "data", md5s(archives))
    found = imagenet.describe("x", tmp_path / "data", True, tmp_path / "dataset.json")
    expected = imagenet.ImageNetDescription.read(ilsvrc)
    assert found.images == {"train": 48, "val": 18}
    assert found.ids == expected.ids
    assert found.classes[0] == "name of n00000000"
    ours, theirs = (
        imagenet.read_index(path, description, "val")
        for path, description in ((tmp_path / "dataset.json", found), (ilsvrc, expected))
    )
    assert ours == theirs
    assert not [path for path in (tmp_path / "data").iterdir() if path.name.startswith(".")]


def test_wrong_and_missing_archives_are_named(archives, tmp_path):
    with pytest.raises(UserError, match=r"ILSVRC2012_devkit_t12.tar.gz has md5 .*, expected fa75699e90414af02144"):
        ilsvrc_archives.unpack_archives(archives, tmp_path / "data")
    (archives / "ILSVRC2012_img_val.tar").unlink()
    with pytest.raises(UserError, match=r"ILSVRC2012_img_val.tar is missing. .*register at https://image-net.org"):
        ilsvrc_archives.unpack_archives(archives, tmp_path / "data")


def test_a_damaged_class_archive_leaves_no_training_folder(archives, tmp_path):
    path = archives / "ILSVRC2012_img_train.tar"
    with tarfile.open(path) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar.getmembers()}
    files["n00000004.tar"] = files["n00000004.tar"][:700]
    pack(path, files)
    with pytest.raises(UserError, match=r"n00000004\.tar is truncated or damaged"):
        ilsvrc_archives.unpack_archives(archives, tmp_path / "data", md5s(archives))
    assert not (tmp_path / "data/train").exists()


def test_without_data_the_error_says_where_to_register(tmp_path):
    code, output = run_program("prepare_imagenet", "--output", tmp_path / "dataset.json")
    assert code == 1
    assert "register at https://image-net.org" in output
    assert "data.imagenet.folder" in output

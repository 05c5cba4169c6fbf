"""What the tests of data share: copies to be damaged, and what damages them."""

import hashlib
import io
import json
import shutil
import stat
import zipfile

import pytest
from conftest import PACKS

from resnet.data.archive import tarfile
from resnet.data.digits import CLASSES
from resnet.data.scenes import write_scenes
from resnet.errors import UserError


def copied(ilsvrc, tmp_path):
    return shutil.copytree(ilsvrc.parent / "ILSVRC2012", tmp_path / "ILSVRC2012")


SMALL = 4


@pytest.fixture(scope="session")
def scenes(tmp_path_factory):
    """The folder of VOCdevkit/ and coco/ as the library writes them."""
    root = tmp_path_factory.mktemp("scenes")
    write_scenes(root / "VOCdevkit", root / "coco")
    return root


@pytest.fixture
def devkit(scenes, tmp_path):
    """VOC 2007's first images, to be damaged."""
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
    """COCO's first images, to be damaged."""
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


def refused(message, function, *arguments):
    with pytest.raises(UserError, match=message) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)


def tree(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "dataset.json")
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


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


@pytest.fixture(scope="module")
def packs(tmp_path_factory):
    """A folder to unpack real data to."""

    def unpacked(name):
        if not (PACKS / name).is_file():
            pytest.skip(f"{PACKS / name} is not there")
        folder = tmp_path_factory.mktemp("pack")
        with tarfile.open(PACKS / name) as tar:
            tar.extractall(folder, filter="data")
        return folder

    return unpacked

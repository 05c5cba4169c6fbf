"""Images that are copied to a machine's own disk."""

import dataclasses
import shutil
import types

import pytest

from data.conftest import copied
from resnet.data import imagenet
from resnet.data import scratch as scratch_disk
from resnet.errors import UserError
from resnet.settings import Hardware
from resnet.training.distributed import Processes


@pytest.fixture
def on_disk(ilsvrc, tmp_path, monkeypatch):
    """A copy of the data set, and what brings it to a machine's own disk."""
    monkeypatch.setenv("OWN_DISK", str(tmp_path / "disk"))
    description = dataclasses.replace(imagenet.ImageNetDescription.read(ilsvrc), folder=str(copied(ilsvrc, tmp_path)))
    splits = [imagenet.read_index(ilsvrc, description, split) for split in ("train", "val")]

    def bring(scratch="$OWN_DISK/scratch"):
        return scratch_disk.on_scratch(description, Processes(Hardware(device="cpu", scratch=scratch)), *splits)

    return description, bring


def test_images_are_copied_once_and_known_by_their_size(on_disk, tmp_path, monkeypatch):
    description, bring = on_disk
    there = bring().path
    assert there.parent == tmp_path / "disk/scratch"
    files = sorted(path.relative_to(there) for path in there.rglob("*.JPEG"))
    assert len(files) == 48 + 18, "not the test images, which are not read"
    assert all((there / file).read_bytes() == (description.path / file).read_bytes() for file in files)
    (there / files[0]).unlink()
    (there / files[1]).write_bytes(b"cut short")
    copies = []
    copyfile = shutil.copyfile
    monkeypatch.setattr(shutil, "copyfile", lambda source, target: copies.append(source) or copyfile(source, target))
    assert bring().path == there
    assert sorted(copies) == [description.path / file for file in files[:2]]
    shutil.rmtree(description.path)
    bring()
    assert len(copies) == 2
    assert not list(there.rglob(".*"))


def test_a_disk_that_cannot_take_the_images_is_one_clear_error(on_disk, tmp_path, monkeypatch):
    description, bring = on_disk
    with pytest.raises(UserError, match=r"scratch is \$\{NOWHERE\}/x, but \$\{NOWHERE\} is not set on this machine"):
        bring("${NOWHERE}/x")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: types.SimpleNamespace(free=1))
        with pytest.raises(UserError, match=r"has 0\.0 GB left, but 0\.0 GB are to be copied to it"):
            bring()
    changed = next(description.path.glob("train/*/*.JPEG"))
    changed.write_bytes(changed.read_bytes() + b"more")
    with pytest.raises(UserError, match=rf"{changed.name} has [0-9]+ bytes, but was described with [0-9]+"):
        bring()
    changed.unlink()
    with pytest.raises(UserError, match=rf"cannot copy images to .*{changed.name}: No such file or directory"):
        bring()

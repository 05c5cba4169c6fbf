"""ImageNet's layout and its oddities: what is read, what is refused, and what is said."""

import os
import re
import shutil

import pytest
import torch
from conftest import run_program

from data.conftest import copied
from resnet.data import imagenet
from resnet.data.views import CentreViews, Normalise
from resnet.errors import UserError


def test_the_layout_is_described(ilsvrc):
    description = imagenet.ImageNetDescription.read(ilsvrc)
    assert description.images == {"train": 48, "val": 18, "test": 4}
    assert description.wnids == tuple(sorted(description.wnids))
    assert description.ids == (6, 5, 4, 3, 2, 1)
    validation = imagenet.read_index(ilsvrc, description, "val")
    assert validation.labels == [place % 6 for place in range(18)]
    assert imagenet.read_index(ilsvrc, description, "test").labels == [-1] * 4
    training = imagenet.read_index(ilsvrc, description, "train")
    assert [path.split("/")[1] for path in training.paths] == [description.wnids[label] for label in training.labels]


def test_validation_by_class_needs_no_ground_truth(ilsvrc, tmp_path):
    folder = copied(ilsvrc, tmp_path)
    shutil.rmtree(folder / "val")
    shutil.copytree(folder / "train", folder / "val")
    (folder / imagenet.GROUND_TRUTH).unlink()
    found = imagenet.describe("x", folder, True, tmp_path / "dataset.json")
    assert found.images["val"] == 48


def break_layout(folder, what):
    truth = folder / imagenet.GROUND_TRUTH
    if what == "no train":
        shutil.rmtree(folder / "train")
    elif what == "no truth":
        truth.unlink()
    elif what == "short truth":
        truth.write_text("1\n2\n")
    elif what == "wrong label":
        truth.write_text("\n".join(["1"] * 17 + ["7"]))
    elif what == "no numbering":
        (folder / "synsets.txt").unlink()
    elif what == "unknown class":
        (folder / "synsets.txt").write_text("\n".join(f"n0000000{number}" for number in range(7)))
    elif what == "empty class":
        for path in (folder / "train/n00000003").iterdir():
            path.unlink()
    elif what == "empty file":
        (folder / "train/n00000003/n00000003_0.JPEG").write_bytes(b"")


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no train", "train is not a folder"),
        ("no truth", "val has no folder per class, so ILSVRC2012_validation_ground_truth.txt is needed"),
        ("short truth", "has 2 lines, but .*val has 18 images"),
        ("wrong label", r"line 18: 7 is not the number of a class \(1 to 6\)"),
        ("no numbering", "neither the devkit's meta.mat nor synsets.txt"),
        ("unknown class", r"class n00000006 is in .*synsets.txt, but not in .*train"),
        ("empty class", "train/n00000003 holds no image"),
        ("empty file", "n00000003_0.JPEG is empty"),
    ],
)
def test_a_wrong_layout_is_one_clear_error(ilsvrc, tmp_path, what, message):
    folder = copied(ilsvrc, tmp_path)
    break_layout(folder, what)
    with pytest.raises(UserError, match=message):
        imagenet.describe("x", folder, True, tmp_path / "dataset.json")


def test_what_systems_and_editors_leave_is_no_data_and_said(ilsvrc, tmp_path, capsys):
    folder = copied(ilsvrc, tmp_path)
    one = folder / "train/n00000003/n00000003_0.JPEG"
    for name in ("train/.ipynb_checkpoints", "train/__MACOSX", "val/.ipynb_checkpoints", "train/n00000001/@eaDir"):
        (folder / name).mkdir()
        shutil.copy(one, folder / name / "a.JPEG")
    for name in ("train/.DS_Store", "train/n00000002/._n00000002_1.JPEG", "val/._a.JPEG", "val/Thumbs.db"):
        (folder / name).write_bytes(b"\0\5\x16\7")
    (folder / "train/n00000002/notes.txt").touch()
    found = imagenet.describe("x", folder, True, tmp_path / "dataset.json")
    assert found.sha256 == imagenet.ImageNetDescription.read(ilsvrc).sha256
    output = capsys.readouterr().out
    assert re.search(r"left out: 8 files and folders that are hidden, .*train/\.DS_Store for one", output)
    assert re.search(r"left out: 1 files and folders that are no images, .*notes\.txt for one", output)


def test_folders_in_a_class_and_names_that_are_not_utf_8_are_read(ilsvrc, tmp_path):
    folder = copied(ilsvrc, tmp_path)
    (folder / "train/n00000002/images").mkdir()
    one, other = (folder / f"train/n00000002/n00000002_{place}.JPEG" for place in (0, 1))
    one.rename(folder / "train/n00000002/images/a.webp")
    name = os.fsdecode(b"bild_\xe9.JPEG")
    other.rename(other.with_name(name))
    described = imagenet.describe("x", folder, True, tmp_path / "dataset.json")
    index = imagenet.read_index(tmp_path / "dataset.json", described, "train")
    place = index.paths.index(f"train/n00000002/{name}")
    assert index.labels[place] == index.labels[index.paths.index("train/n00000002/images/a.webp")] == 2
    assert len(index) == 48
    views = CentreViews(
        described.path, index, Normalise(torch.zeros(3, 1, 1)), side=40, size=32, chosen=[place],
        device=torch.device("cpu"), workers=0,
    )  # fmt: skip
    ((images, labels),) = views
    assert (images.shape, labels.tolist()) == ((1, 3, 32, 32), [2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda folder: (folder / "train/n00000001/x.JPEG").symlink_to("nowhere"),
            r"n00000001/x\.JPEG is a link that leads",
        ),
        (
            lambda folder: (folder / "train/n00000009").symlink_to("nowhere"),
            r"train/n00000009 is a link that leads nowhere",
        ),
        (lambda folder: (folder / "val/x.JPEG").symlink_to("x.JPEG"), r"val/x\.JPEG is a link that leads nowhere"),
        (
            lambda folder: (folder / "train/n00000001/again").symlink_to(folder / "train/n00000001"),
            r"n00000001/again is a link that leads back to .*n00000001; remove it",
        ),
        (
            lambda folder: (folder / "val/n00000001").mkdir(),
            r"val has 18 images beside the folders of the classes, .*val_00000001\.JPEG for one; move them",
        ),
        (lambda folder: (folder / "train/a.png").touch(), r"train has 1 images beside the folders of the classes"),
        (
            lambda folder: (folder / "synsets.txt").write_text("\n".join(f"n0000000{n % 6}" for n in range(7))),
            r"synsets\.txt names a class twice",
        ),
    ],
)
def test_links_and_images_out_of_place_are_named(ilsvrc, tmp_path, make, message):
    folder = copied(ilsvrc, tmp_path)
    make(folder)
    with pytest.raises(UserError, match=message):
        imagenet.describe("x", folder, True, tmp_path / "dataset.json")


@pytest.mark.parametrize(
    ("encoding", "separator"), [("utf-8-sig", " "), ("latin-1", "\t"), ("utf-16", " "), ("utf-8", "  ")]
)
def test_names_of_classes_are_read_whatever_system_wrote_them(ilsvrc, tmp_path, encoding, separator):
    folder = copied(ilsvrc, tmp_path)
    names = [f"café {number}, coffee" for number in range(6)]
    lines = (f"n0000000{number}{separator}{name}\r\n" for number, name in enumerate(names))
    (folder / "synset_words.txt").write_bytes("".join(lines).encode(encoding))
    for name in ("synsets.txt", imagenet.GROUND_TRUTH):
        (folder / name).write_bytes((folder / name).read_text().replace("\n", "\r\n").encode(encoding) + b"")
    found = imagenet.describe("x", folder, True, tmp_path / "dataset.json")
    assert found.classes == tuple(names)
    assert found.sha256 == imagenet.ImageNetDescription.read(ilsvrc).sha256


def test_a_broken_image_is_found_before_training(ilsvrc, tmp_path):
    folder = copied(ilsvrc, tmp_path)
    victim = folder / "val/ILSVRC2012_val_00000007.JPEG"
    victim.write_bytes(victim.read_bytes()[:300])
    imagenet.describe("x", folder, True, tmp_path / "dataset.json")
    code, output = run_program(
        "measure_image_statistics", "--data", tmp_path / "dataset.json", "--image-size", 32, "--test-shorter-side", 40,
        "--output", tmp_path / "image_statistics.npz",
    )  # fmt: skip
    assert code == 1
    assert "ILSVRC2012_val_00000007.JPEG is truncated or not an image" in output
    assert "Traceback" not in output
    assert not (tmp_path / "image_statistics.npz").exists()

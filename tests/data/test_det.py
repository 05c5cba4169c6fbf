"""ILSVRC's detection set: what is read, and what is refused."""

import shutil

import numpy as np
import pytest
from conftest import run_program

from resnet.data import scenes_det
from resnet.data.det import HALVES, read_det
from resnet.data.images import read_size
from resnet.data.objects import ObjectsDescription, describe, read_scenes
from resnet.errors import UserError


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder of the embedded set, of which there are few images."""
    folder = tmp_path_factory.mktemp("det") / "ILSVRC"
    with pytest.MonkeyPatch.context() as patch:
        for key, count in {"train": 20, "val1": 4, "val2": 5}.items():
            patch.setitem(scenes_det.IMAGES, key, count)
        scenes_det.write_scenes_det(folder)
    return folder


@pytest.fixture
def copy(written, tmp_path):
    return shutil.copytree(written, tmp_path / "ILSVRC")


def halves(folder):
    return {half: folder / f"ImageSets/DET/{half}.txt" for half in HALVES}


def test_the_embedded_set_is_read_as_the_pipeline_reads_it(written, tmp_path):
    sets = read_det(written, halves(written))
    description = describe(tmp_path / "dataset.json", name="det", folder=written, horizontal_flip=False, sets=sets)
    assert description.images == {"train": 20, "val1": 4, "val2": 5}
    assert set(description.classes) <= {scenes_det.wnid(label) for label in range(10)}
    for key in sets:
        for scene in read_scenes(tmp_path / "dataset.json", description, key):
            assert scene.size == read_size(written / scene.file)
            assert not scene.ignored.any()
            assert len(scene.boxes)
            assert (scene.boxes >= 0).all()
            assert (scene.boxes[:, 2:] <= scene.size).all()
            assert (scene.boxes[:, 2:] > scene.boxes[:, :2]).all()
    names = [[image["file_name"] for image in sets[key]["images"]] for key in HALVES]
    assert not set(names[0]) & set(names[1])


def test_the_program_takes_the_lists_of_a_person_and_a_number_after_each_name(copy, tmp_path):
    """As the official lists have one."""
    names = (copy / "ImageSets/DET/val1.txt").read_text().split()
    lists = [tmp_path / f"my {half}.txt" for half in HALVES]
    lists[0].write_text(f"{names[2]} 17\n{names[0]} 3\n")
    lists[1].write_text(f"{names[1]}\n")
    code, output = run_program("prepare_det", "--folder", copy, "--val1", lists[0], "--val2", lists[1],
                               "--output", tmp_path / "dataset.json")  # fmt: skip
    assert code == 0, output
    description = ObjectsDescription.read(tmp_path / "dataset.json")
    assert (description.images["val1"], description.horizontal_flip) == (2, True)
    found = [scene.file for scene in read_scenes(tmp_path / "dataset.json", description, "val1")]
    assert found == [f"Data/DET/val/{name}.JPEG" for name in (names[2], names[0])]


def test_only_images_that_show_a_class_are_trained_on(copy):
    """-1 is one that does not, whatever else it may have."""
    [first, *_] = read_det(copy, halves(copy))["train"]["images"]
    name = first["file_name"].removeprefix("Data/DET/train/").removesuffix(".JPEG")
    for path in (copy / "ImageSets/DET").glob("train_*.txt"):
        path.write_text(path.read_text().replace(f"{name} 1", f"{name} -1"))
    found = read_det(copy, halves(copy))["train"]["images"]
    assert len(found) == 19
    assert first["file_name"] not in [image["file_name"] for image in found]


def damage(copy, what):
    lists, val = copy / "ImageSets/DET", sorted((copy / "Annotations/DET/val").glob("*.xml"))
    if what == "lists":
        for path in lists.glob("train_*.txt"):
            path.unlink()
    elif what == "both":
        (lists / "val2.txt").write_text((lists / "val1.txt").read_text())
    elif what == "twice":
        (lists / "val1.txt").write_text(2 * (lists / "val1.txt").read_text())
    elif what == "escape":
        (lists / "val1.txt").write_text("../../secret\n")
    elif what == "image":
        (copy / f"Data/DET/val/{val[0].stem}.JPEG").unlink()
    elif what == "broken":
        (copy / f"Data/DET/val/{val[0].stem}.JPEG").write_bytes(b"\xff\xd8\xff")
    elif what == "xml":
        val[0].unlink()
    elif what == "class":
        val[-1].write_text(val[-1].read_text().replace("<name>n0", "<name>n7"))
    elif what == "empty":
        (lists / "val2.txt").write_text("")
    elif what == "none":
        for path in (copy / "Annotations/DET/val").glob("*.xml"):
            path.write_text(path.read_text().replace("object>", "nothing>"))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("lists", r"ImageSets/DET has no train_<k>\.txt: .* must hold Data, Annotations, ImageSets"),
        ("both", r"val_00000001 is in .*val1\.txt and in .*val2\.txt: what is tested must not be trained on"),
        ("twice", r"val1\.txt, line 5: ILSVRC2012_val_00000001 is there a second time; remove it"),
        ("escape", r"val1\.txt, line 1: '\.\./\.\./secret' is not the name of an image"),
        ("image", r"val_00000001\.JPEG is missing, but .*val1\.txt names it; put it there"),
        ("broken", r"val_00000001\.JPEG is truncated or not an image"),
        ("xml", r"val_00000001\.xml is missing, but .*val1\.txt names it; put it there"),
        ("class", r"val_0000000\d\.xml: 'n7\d+' is none of the classes that are trained"),
        ("empty", r"val2\.txt (names no image|is empty)"),
        ("none", r"val1\.txt: its images have no object that counts"),
    ],
)
def test_what_is_wrong_is_one_error_that_names_the_file(copy, what, message):
    damage(copy, what)
    with pytest.raises(UserError, match=message) as error:
        read_det(copy, halves(copy))
    assert "\n" not in str(error.value)


def test_scenes_are_the_same_every_time(written, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        for key, count in {"train": 3, "val1": 2, "val2": 2}.items():
            patch.setitem(scenes_det.IMAGES, key, count)
        scenes_det.write_scenes_det(tmp_path / "one")
    for path in sorted((tmp_path / "one").rglob("train/**/*_[0-2].JPEG")):
        other = written / path.relative_to(tmp_path / "one")
        assert np.array_equal(path.read_bytes(), other.read_bytes())

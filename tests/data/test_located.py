"""ILSVRC's boxes for localisation: what is read, what is taken as it is meant, and what is refused."""

import pickle
import shutil

import numpy as np
import pytest
from conftest import run_program

from resnet.data.imagenet import ImageNetDescription, describe, read_index
from resnet.data.images import read_size
from resnet.data.located import Boxes, annotation_of, locate, read_boxes
from resnet.data.scattered import IMAGES, write_scattered
from resnet.errors import UserError
from resnet.files import read_arrays

OBJECT = "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"
WNID = "n00000007"


def xml(path, *objects, size=(80, 60)):
    head = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
    path.write_text(f"<annotation>{head}{''.join(OBJECT.format(*one) for one in objects)}</annotation>")
    return path


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder of the embedded set, of which there are few images."""
    folder = tmp_path_factory.mktemp("scattered")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(IMAGES, "train", 24)
        patch.setitem(IMAGES, "val", 20)
        write_scattered(folder / "ILSVRC2012")
    describe("scattered", folder / "ILSVRC2012", horizontal_flip=False, output=folder / "dataset.json")
    return folder


@pytest.fixture
def copy(written, tmp_path):
    return shutil.copytree(written, tmp_path / "copy")


def located(folder, split):
    description = ImageNetDescription.read(folder / "dataset.json")
    index = read_index(folder / "dataset.json", description, split)
    return locate(description.path / "Annotations", description, index, split, 1)


def test_the_embedded_set_is_read_as_it_was_drawn(written):
    """A box goes around what is lighter than the dimmed photograph, within the image."""
    from PIL import Image

    code, output = run_program("prepare_boxes", "--data", written / "dataset.json", "--output", written)
    assert code == 0, output
    assert "val: 20 of 20 images have boxes" in output
    found = read_arrays(written / "boxes-val.npz", Boxes)
    description = ImageNetDescription.read(written / "dataset.json")
    index = read_index(written / "dataset.json", description, "val")
    for place in range(len(found)):
        path = description.path / index.paths[found.images[place]]
        assert tuple(found.sizes[place]) == read_size(path)
        light = np.asarray(Image.open(path).convert("L"), float) > 160
        rows, columns = np.nonzero(light)
        boxes = found.of(place)
        around = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert np.abs(np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)]) - around).max() <= 5
    assert set(found.counts) == {1, 2}
    assert [found.part(range(3, 20, 5)).of(k).tolist() for k in range(4)] == [
        found.of(k).tolist() for k in (3, 8, 13, 18)
    ]


def test_the_first_pixel_is_1_and_the_last_one_is_in_the_box(tmp_path):
    boxes, left_out = read_boxes(xml(tmp_path / "a.xml", (WNID, 1, 2, 80, 60)), (80, 60), WNID)
    assert (boxes.tolist(), left_out) == ([[0, 1, 80, 60]], 0)


def test_the_oddities_of_the_official_files_are_taken_as_they_are_meant(tmp_path):
    path = xml(
        tmp_path / "a.xml",
        (WNID, 0, 0, 90, 60),
        ("Scottish_deerhound", 11, 11, 20, 20),
        ("n00000008", 11, 11, 20, 20),
        (WNID, 30, 30, 20, 40),
    )
    boxes, left_out = read_boxes(path, (80, 60), WNID)
    assert boxes.tolist() == [[0, 0, 80, 60], [10, 10, 20, 20]], "clipped; another name; not another class"
    assert left_out == 1, "without area"
    boxes, _ = read_boxes(xml(path, (WNID, 11, 11, 20, 30)), (160, 30), WNID)
    assert boxes.tolist() == [[20, 5, 40, 15]], "measured on the image at another size"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation><size>", "not an annotation in VOC's form"),
        ("<annotation></annotation>", "size/width of <annotation> is '', not a number"),
        (
            "<annotation><size><width>0</width><height>9</height></size></annotation>",
            "the size is 0x9; put the official",
        ),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><annotation/>", "a document type is declared"),
    ],
)
def test_what_is_no_annotation_is_one_error(tmp_path, text, message):
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(UserError, match=message) as error:
        read_boxes(tmp_path / "a.xml", (80, 60), WNID)
    assert str(error.value).startswith(str(tmp_path / "a.xml"))


def test_a_box_that_is_no_number_is_one_error(tmp_path):
    with pytest.raises(UserError, match="bndbox/xmin of <object> is 'x', not a number"):
        read_boxes(xml(tmp_path / "a.xml", (WNID, "x", 1, 2, 2)), (80, 60), WNID)


def test_training_images_may_be_without_boxes_but_validation_images_may_not(copy):
    annotations = copy / "ILSVRC2012/Annotations/CLS-LOC"
    first = sorted(annotations.glob("train/*/*.xml"))[0]
    first.unlink()
    assert len(located(copy, "train")) == 23
    missing = annotations / "val/ILSVRC2012_val_00000003.xml"
    text = missing.read_text()
    missing.write_text(text.replace("<name>n", "<name>n1").replace("<name>n10", "<name>n9"))
    with pytest.raises(UserError, match=r"00000003\.xml has no box of the image's class, n000000"):
        located(copy, "val")
    missing.unlink()
    with pytest.raises(
        UserError, match=r"00000003\.xml is missing, but val/ILSVRC2012_val_00000003\.JPEG is to be tested"
    ):
        located(copy, "val")
    shutil.rmtree(annotations / "train")
    code, output = run_program("prepare_boxes", "--data", copy / "dataset.json", "--output", copy)
    assert code == 1
    assert "CLS-LOC/train is not a folder" in output
    assert "data.imagenet.annotations" in output
    (annotations / "train").mkdir()
    with pytest.raises(UserError, match="CLS-LOC/train has a box for none of the images of"):
        located(copy, "train")


def test_the_boxes_of_a_validation_image_are_in_one_folder_however_the_images_lie(tmp_path):
    assert annotation_of(tmp_path, "val", "val/n1/a.JPEG") == annotation_of(tmp_path, "val", "val/a.JPEG")
    assert annotation_of(tmp_path, "train", "train/n1/a.JPEG") == tmp_path / "CLS-LOC/train/n1/a.xml"


def test_a_process_is_sent_its_own_images_and_no_others(written, monkeypatch):
    """Of ImageNet's 1.3 million images, with each of five thousand pieces."""
    sent = []

    def in_processes(function, pieces, workers):
        sent.extend(pickle.dumps((function, piece)) for piece in pieces)
        return map(function, pieces)

    monkeypatch.setattr("resnet.data.located.in_processes", in_processes)
    monkeypatch.setattr("resnet.data.located.PIECE", 1)
    found = located(written, "val")
    names = [path.name.encode() for path in sorted((written / "ILSVRC2012/val").iterdir())]
    assert [sum(name in one for name in names) for one in sent] == [1] * len(found) == [1] * 20

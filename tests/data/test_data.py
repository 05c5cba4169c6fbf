"""CIFAR-10's layout, the embedded digits, the split and the augmentation."""

import shutil
import struct

import numpy as np
import pytest
import torch
from conftest import CLASSES, CPU, PACKS, full_disk, random_images, run_program
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from resnet.data import cifar10, digits
from resnet.data.archive import tarfile
from resnet.data.batches import EvaluationBatches, TrainingBatches, load_splits, pixel_mean
from resnet.errors import UserError


@pytest.fixture
def folder(dataset, tmp_path):
    return shutil.copytree(dataset.parent / cifar10.FOLDER, tmp_path / cifar10.FOLDER)


def test_embedded_digits_are_read_back_by_an_independent_reader(tmp_path):
    code, output = run_program("prepare_digits", "--output", tmp_path / "dataset.json")
    assert code == 0, output
    folder = tmp_path / "cifar-10-batches-bin"
    images = []
    for name in [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]:
        content = (folder / name).read_bytes()
        for start in range(0, len(content), 3073):
            label, *values = struct.unpack("3073B", content[start : start + 3073])
            images.append((label, np.array(values).reshape(3, 32, 32)))
    assert len(images) == 1797
    assert (folder / "batches.meta.txt").read_text().split()[3] == "three"
    # Shrunk again, they are the digits of scikit-learn, whose grey values go to 16.
    source = load_digits()
    shrunk = {tuple((p[0].reshape(8, 4, 8, 4).mean((1, 3)) / 255 * 16).round().astype(int).ravel()) for _, p in images}
    assert len(shrunk) > 1700
    for label in range(10):
        assert sum(found == label for found, _ in images) == (source.target == label).sum()
    correlation = [
        np.corrcoef(p[0].reshape(8, 4, 8, 4).mean((1, 3)).ravel(), d.ravel())[0, 1]
        for (_, p), d in zip(images, _shuffled(source.images), strict=True)
    ]
    assert min(correlation) > 0.97


def _shuffled(images):
    return images[np.random.RandomState(20151210).permutation(len(images))]


def test_embedded_digits_are_the_same_bytes_every_time(tmp_path):
    for name in ("a", "b"):
        training, test = digits.load_images()
        cifar10.write_dataset(tmp_path / name, training, test, digits.CLASSES)
    for file in cifar10.ALL_FILES:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_full_disk_is_named(tmp_path):
    training, test = digits.load_images()
    with full_disk(1024), pytest.raises(UserError, match=r"cannot write .*data_batch_1\.bin: File too large"):
        cifar10.write_dataset(tmp_path, training, test, digits.CLASSES)


def test_what_is_written_is_what_is_read(folder):
    expected = random_images(100)
    found = cifar10.read_split(folder, "train")
    assert np.array_equal(found.pixels, expected.pixels)
    assert np.array_equal(found.labels, expected.labels)


def test_a_truncated_file_is_named(folder):
    path = folder / "data_batch_3.bin"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(UserError, match=r"data_batch_3\.bin has .* not a whole number of 3073-byte records"):
        cifar10.describe("x", folder, True)


def test_a_file_that_lacks_records_is_named(folder):
    path = folder / "data_batch_2.bin"
    path.write_bytes(path.read_bytes()[: -3 * 3073])
    with pytest.raises(UserError, match=r"data_batch_2\.bin has 17 records but data_batch_1\.bin has 20"):
        cifar10.describe("x", folder, True)


def test_a_wrong_label_is_named(folder):
    path = folder / "test_batch.bin"
    content = bytearray(path.read_bytes())
    content[5 * 3073] = 77
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"test_batch\.bin: record 5 has label 77, but there are only 10 classes"):
        cifar10.describe("x", folder, True)


@pytest.mark.parametrize("name", ["data_batch_5.bin", "batches.meta.txt"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(UserError, match=rf"{name} is missing"):
        cifar10.describe("x", folder, True)


@given(count=st.integers(10, 400), seed=st.integers(0, 5), fraction=st.sampled_from([0, 0.1, 0.25]))
@settings(max_examples=30, deadline=None)
def test_the_split_is_a_partition_and_follows_the_seed(count, seed, fraction):
    images = cifar10.Images(np.zeros((count, 3, 32, 32), np.uint8), np.arange(count))
    training, validation = cifar10.split_training(images, fraction, seed)
    assert sorted([*training.labels, *validation.labels]) == list(range(count))
    assert len(validation) == round(fraction * count)
    again, _ = cifar10.split_training(images, fraction, seed)
    assert np.array_equal(training.labels, again.labels)


def test_the_papers_split_is_45k_and_5k():
    images = cifar10.Images(np.zeros((50000, 1, 1, 1), np.uint8), np.arange(50000))
    training, validation = cifar10.split_training(images, 0.1, 0)
    assert (len(training), len(validation)) == (45000, 5000)


def test_shrinking_averages_squares():
    images = random_images(10)
    small = cifar10.shrink(images, 8)
    assert small.pixels.shape == (10, 3, 8, 8)
    assert small.pixels[3, 1, 2, 5] == round(images.pixels[3, 1, 8:12, 20:24].mean())


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1", "utf-16"])
def test_names_of_classes_are_lines_whatever_system_wrote_them(folder, encoding):
    names = ("café", "two words", *CLASSES[2:])
    (folder / "batches.meta.txt").write_bytes("\r\n".join([*names, "", ""]).encode(encoding))
    assert cifar10.read_classes(folder) == names


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\n\nb\n", r"batches\.meta\.txt, line 2: '' is not the name of a class"),
        (b"a\n\0\n", r"batches\.meta\.txt, line 2: '\\x00' is not the name of a class"),
        (b"\n\n", r"batches\.meta\.txt names no classes"),
        (b"\x81\n", r"batches\.meta\.txt is not text in UTF-8 or Latin-1; save it as UTF-8"),
    ],
)
def test_lines_that_name_no_class_are_named(folder, content, message):
    (folder / "batches.meta.txt").write_bytes(content)
    with pytest.raises(UserError, match=message):
        cifar10.describe("x", folder, True)


def make_batches(images, **changes):
    options = {"padding": 4, "horizontal_flip": True, "batch_size": 16, "seed": 0, "device": CPU, **changes}
    return TrainingBatches(images, pixel_mean(images), **options)


def slow_crop(images, mean, index, y, x, flip, padding):
    """Do what section 4.2 says, one image at a time."""
    image = images.pixels[index].astype(np.float32) / 255 - mean
    padded = np.pad(image, ((0, 0), (padding, padding), (padding, padding)))
    crop = padded[:, y : y + image.shape[1], x : x + image.shape[2]]
    return crop[:, :, ::-1] if flip else crop


@given(iteration=st.integers(0, 60), seed=st.integers(0, 3))
@settings(max_examples=15, deadline=None)
def test_batches_equal_the_slow_obvious_way(iteration, seed):
    images = random_images(50)
    batches = make_batches(images, seed=seed)
    found, labels = batches.batch(iteration)
    draws = batches.plan.draws(iteration)
    mean = pixel_mean(images).numpy()
    for row, (index, y, x, flip) in enumerate(zip(*(drawn.tolist() for drawn in draws.values()), strict=True)):
        expected = slow_crop(images, mean, index, y, x, flip, 4)
        np.testing.assert_allclose(found[row].numpy(), expected, atol=1e-6)
        assert labels[row] == images.labels[index]


def test_all_81_offsets_and_both_mirrorings_are_drawn_evenly():
    batches = make_batches(random_images(100), batch_size=100)
    epochs = [batches.plan.draws(iteration) for iteration in range(200)]
    y, x, flip = (torch.cat([draws[name] for draws in epochs]) for name in ("y", "x", "flip"))
    counts = torch.bincount(y * 9 + x, minlength=81)
    assert len(counts) == 81
    assert counts.min() > 150  # 247 expected, standard deviation 16
    assert counts.max() < 350
    assert 9500 < flip.sum() < 10500


def test_every_epoch_shows_every_image_once_and_batches_span_epochs():
    batches = make_batches(random_images(50), batch_size=16)
    stream = torch.cat([batches.plan.draws(i)["image"] for i in range(25)])[:400]
    for epoch in stream.split(50):
        assert sorted(epoch.tolist()) == list(range(50))
    assert not torch.equal(stream[:50], stream[50:100])


def test_a_batch_is_a_function_of_seed_and_iteration():
    images = random_images(50)
    first, second = make_batches(images), make_batches(images)
    for _ in range(7):
        first.batch(0)
    assert torch.equal(first.batch(9)[0], second.batch(9)[0])
    assert not torch.equal(first.batch(9)[0], make_batches(images, seed=1).batch(9)[0])


def test_no_mirroring_where_it_changes_the_class():
    images = random_images(50)
    batches = make_batches(images, horizontal_flip=False, padding=0)
    found, _ = batches.batch(0)
    expected = torch.from_numpy(images.pixels[batches.plan.draws(0)["image"]]).float() / 255 - pixel_mean(images)
    torch.testing.assert_close(found, expected)


def test_evaluation_sees_every_image_once():
    images = random_images(45)
    batches = list(EvaluationBatches(images, pixel_mean(images), 20, CPU))
    assert [len(labels) for _, labels in batches] == [20, 20, 5]
    assert torch.cat([labels for _, labels in batches]).tolist() == images.labels.tolist()


def test_an_existing_folder_is_described(folder, tmp_path):
    code, output = run_program("prepare_cifar10", "--folder", folder, "--output", tmp_path / "out/dataset.json")
    assert code == 0, output
    assert "100 training and 20 test images" in output
    description = cifar10.CifarDescription.read(tmp_path / "out/dataset.json")
    assert description.horizontal_flip
    assert description.classes == CLASSES


@pytest.mark.parametrize(("change", "message"), [(None, "is missing"), (b"x", "has changed since it was verified")])
def test_data_that_change_after_they_were_verified_are_named(folder, change, message):
    description = cifar10.describe("tiny", folder, True)
    load_splits(description, 8, 0.1, 0)
    path = folder / "data_batch_4.bin"
    content = path.read_bytes()
    path.unlink()
    if change is not None:
        path.write_bytes(content[:-1] + change)
    with pytest.raises(UserError, match=rf"data_batch_4\.bin {message}; delete its dataset\.json below data/"):
        load_splits(description, 8, 0.1, 0)


def test_an_archive_is_unpacked_and_a_truncated_one_is_refused(folder, tmp_path):
    archive = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, cifar10.FOLDER)
    output = tmp_path / "data/dataset.json"
    assert run_program("prepare_cifar10", "--archive", archive, "--output", output)[0] == 0
    described = cifar10.CifarDescription.read(output)
    assert (described.name, described.training_images) == ("cifar10-subset", 100)
    archive.write_bytes(archive.read_bytes()[:-2000])
    code, text = run_program("prepare_cifar10", "--archive", archive, "--output", tmp_path / "other/dataset.json")
    assert code == 1
    assert "is truncated or damaged" in text
    assert "Traceback" not in text
    assert not list((tmp_path / "other").iterdir())


def test_an_archive_cannot_write_outside_its_folder(folder, tmp_path):
    archive = tmp_path / "evil.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name in cifar10.ALL_FILES:
            tar.add(folder / name, f"{cifar10.FOLDER}/{name}")
        link = tarfile.TarInfo(f"{cifar10.FOLDER}/data_batch_1.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    code, text = run_program("prepare_cifar10", "--archive", archive, "--output", tmp_path / "data/dataset.json")
    assert code == 1
    assert "Traceback" not in text


@pytest.mark.skipif(not PACKS.is_dir(), reason="the pack of real CIFAR-10 images is not here")
def test_real_cifar10_is_read(tmp_path):
    with tarfile.open(PACKS / "cifar10-mini.tar.xz") as tar:
        tar.extractall(tmp_path, filter="data")
    description = cifar10.describe("cifar10", tmp_path / cifar10.FOLDER, True)
    assert (description.training_images, description.test_images) == (10000, 2000)
    assert description.classes[:3] == ("airplane", "automobile", "bird")
    images = cifar10.read_split(tmp_path / cifar10.FOLDER, "train")
    assert np.bincount(images.labels).tolist() == [1000] * 10
    # The published channel means of CIFAR-10's training images.
    np.testing.assert_allclose(pixel_mean(images).mean((1, 2)), [0.4914, 0.4822, 0.4465], atol=0.01)

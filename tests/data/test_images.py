"""Files of images: which are read, as what pixels, and which are refused."""

import contextlib
import os
import signal
import warnings

import numpy as np
import pytest
from conftest import photograph
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import v2

from resnet.data import images
from resnet.data.images import LONGEST, centre_crop, checked_size, read_image, read_size
from resnet.data.workers import in_processes
from resnet.errors import UserError


def ramp():
    return np.linspace(0, 255, 60 * 50).reshape(50, 60).astype(np.uint8)


def read(path):
    return np.asarray(read_image(path)[0], int)


@pytest.mark.parametrize("form", ["PNG", "GIF", "BMP", "TIFF", "WEBP", "JPEG", "MPO"])
def test_six_formats_are_read_whatever_the_file_is_called(tmp_path, form):
    path = tmp_path / "x.JPEG"
    if form == "MPO":
        # What many cameras write: a JPEG with more images after it.
        photograph(3).save(path, "MPO", save_all=True, append_images=[photograph(3, (30, 20))], quality=95)
    else:
        photograph(3).save(path, form, **({"quality": 95} if form in ("JPEG", "WEBP") else {}))
    assert read_size(path) == checked_size(path) == (60, 50)
    assert np.abs(read(path) - np.asarray(photograph(3), int)).mean() < (12 if form == "GIF" else 6)


@pytest.mark.parametrize(
    "content",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 60 50\n%%EndComments\nshowpage\n%%EOF\n",
        b"P6\n2 2\n255\n" + bytes(12),
        b"<svg xmlns='http://www.w3.org/2000/svg' width='60' height='50'/>",
        b"",
    ],
)
def test_other_formats_are_refused_by_their_content_and_start_nothing(tmp_path, monkeypatch, content):
    started = tmp_path / "started"
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {started}\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    path = tmp_path / "x.JPEG"
    path.write_bytes(content)
    for function in (read_image, checked_size, read_size):
        with pytest.raises(
            UserError, match=r"x\.JPEG is truncated or not an image \(.*JPEG, PNG, GIF, BMP, TIFF, WEBP"
        ):
            function(path)
    assert not started.exists()


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_16_bits_look_as_8(tmp_path, form):
    Image.fromarray(ramp()).save(tmp_path / "8", form)
    Image.fromarray(ramp().astype(np.uint16) * 257).save(tmp_path / "16", form)
    assert np.array_equal(read(tmp_path / "16"), read(tmp_path / "8"))
    assert np.array_equal(centre_crop(tmp_path / "16", 40, 32), centre_crop(tmp_path / "8", 40, 32))


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_pixels_without_a_known_range_are_refused(tmp_path, kind):
    path = tmp_path / "x.tif"
    Image.fromarray(ramp().astype(kind)).save(path)
    for function in (read_image, checked_size):
        with pytest.raises(UserError, match=r"x\.tif .*its pixels have 32 bits; save it with 8 or 16"):
            function(path)


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P", "1"])
def test_transparency_is_dropped_as_torchvision_does(tmp_path, mode):
    path = tmp_path / "x.png"
    grey = Image.fromarray(ramp())
    if mode == "P":
        palette = grey.convert("P")
        palette.save(path, transparency=bytes(range(256)))
    elif mode == "1":
        grey.convert("1").save(path)
    else:
        image = grey.convert(mode)
        image.putalpha(Image.fromarray(ramp().T.copy()).resize(grey.size))
        image.save(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = read(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # All that torchvision's loader does.
        assert np.array_equal(found, np.asarray(Image.open(path).convert("RGB"), int))


def test_an_image_that_is_too_narrow_to_resize_is_refused(tmp_path):
    Image.new("RGB", (3, 3 * LONGEST)).save(tmp_path / "narrow.png")
    Image.new("RGB", (3, 3 * LONGEST + 1)).save(tmp_path / "narrower.png")
    assert checked_size(tmp_path / "narrow.png") == (3, 3 * LONGEST)
    with pytest.raises(UserError, match=rf"narrower\.png .*3x{3 * LONGEST + 1} pixels are too narrow"):
        read_image(tmp_path / "narrower.png", 96)


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    photograph(3).save(tmp_path / "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60 * 50 // 2 - 1)
    with pytest.raises(UserError, match=r"x\.png .*exceeds limit"):
        read_size(tmp_path / "x.png")


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_what_is_cut_off_is_found_without_all_the_pixels(tmp_path, form):
    path = tmp_path / "x"
    photograph(3).save(path, form)
    content = path.read_bytes()
    for part in (0.02, 0.3, 0.7, 0.95):
        path.write_bytes(content[: int(part * len(content))])
        with pytest.raises(UserError, match=r"x is truncated or not an image \(.*\); replace it"):
            checked_size(path)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_damaged_files_are_read_or_refused_and_nothing_else(tmp_path, form):
    path, random = tmp_path / "x", np.random.RandomState(5)
    photograph(3).save(path, form)
    content = np.frombuffer(path.read_bytes(), np.uint8)
    for _ in range(150):
        damaged = content.copy()
        places = random.randint(0, min(len(content), 400), random.randint(1, 8))
        damaged[places] = random.randint(0, 256, len(places))
        path.write_bytes(damaged.tobytes())
        for function in (read_image, checked_size):
            # Any other error is one of this test.
            with warnings.catch_warnings(), contextlib.suppress(UserError):
                warnings.simplefilter("ignore")
                function(path)


def test_what_cannot_be_read_is_not_said_to_be_damaged(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    for name, message in (
        ("absent", "absent is missing"),
        ("loop", "cannot read .*loop: Too many"),
        (".", "cannot read"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            checked_size(tmp_path / name)
        assert "replace it" not in str(caught.value)


def double(number):
    return 2 * number


def end(number):
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(number):
    raise UserError(f"{number} is wrong")


def test_processes_give_what_one_gives_and_end_when_one_of_them_is_killed():
    assert list(in_processes(double, range(7), 1)) == list(in_processes(double, range(7), 2)) == list(range(0, 14, 2))
    with pytest.raises(UserError, match="0 is wrong"):
        list(in_processes(refuse, range(100), 2))
    with pytest.raises(UserError, match="a process that reads images was killed"):
        list(in_processes(end, range(100), 2))
    with pytest.raises(UserError, match="0 workers are too few"):
        list(in_processes(double, range(7), 0))


@pytest.mark.parametrize("form", ["L", "CMYK", "PNG", "RGBA"])
def test_odd_images_are_read_as_rgb(tmp_path, form):
    image, path = photograph(1), tmp_path / "odd.JPEG"
    if form in ("PNG", "RGBA"):
        image.convert("RGBA" if form == "RGBA" else "RGB").save(path, "PNG")
    else:
        image.convert(form).save(path, "JPEG", quality=95)
    found, *_ = images.read_image(path)
    assert found.mode == "RGB"
    reference = np.asarray(image.convert("L").convert("RGB") if form == "L" else image, float)
    assert np.abs(np.asarray(found, float) - reference).mean() < 6


def test_exif_orientation_is_not_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    photograph(1, (60, 40)).save(tmp_path / "x.JPEG", exif=exif)
    assert images.read_image(tmp_path / "x.JPEG")[0].size == (60, 40)


def test_a_small_image_is_decoded_once_unless_its_file_changes(tmp_path, monkeypatch):
    path, decoded = tmp_path / "x.JPEG", []
    whole = images.opened
    monkeypatch.setattr(images, "opened", lambda file: decoded.append(file) or whole(file))
    photograph(1, (60, 40)).save(path)
    first = [np.asarray(images.read_image(path, side)[0]) for side in (None, 32, 20)]
    assert len(decoded) == 1
    assert images.read_image(path, 32)[1:] == ((48, 32), (60, 40))
    # libjpeg decodes half of it.
    assert images.read_image(path, 8)[0].size == (30, 20)
    photograph(2, (60, 40)).save(path, quality=90)
    assert not np.array_equal(np.asarray(images.read_image(path)[0]), first[0])
    photograph(1, (300, 200)).save(tmp_path / "large.JPEG")
    for _ in range(2):
        images.read_image(tmp_path / "large.JPEG")
    assert decoded[-2:] == [tmp_path / "large.JPEG"] * 2
    path.unlink()
    with pytest.raises(UserError, match="is missing"):
        images.read_image(path)


def test_no_more_images_are_kept_than_there_is_room_for(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "KEPT", 2 * 60 * 40)
    kept = images._SmallImages()
    for number in range(3):
        photograph(number, (60, 40)).save(tmp_path / f"{number}.png")
        kept.keep(tmp_path / f"{number}.png", photograph(number, (60, 40)))
    assert [kept[tmp_path / f"{number}.png"] is not None for number in range(3)] == [True, True, False]


def test_an_image_smaller_than_the_crop_is_enlarged(tmp_path):
    photograph(1, (20, 10)).save(tmp_path / "x.JPEG")
    assert images.crop_of_resized(tmp_path / "x.JPEG", 256, 224, (0.99, 0.5)).shape == (224, 224, 3)


@given(
    width=st.integers(200, 700), height=st.integers(200, 700), side=st.integers(64, 480),
    across=st.floats(0, 0.999), down=st.floats(0, 0.999),
)  # fmt: skip
@example(width=257, height=257, side=64, across=0.0, down=0.0)
@settings(max_examples=25, deadline=None)
def test_a_crop_is_that_of_the_resized_image(tmp_path_factory, width, height, side, across, down):
    """Against resizing all of the image, fully decoded, with torchvision; DCT scaling may differ a little."""
    path = tmp_path_factory.mktemp("crop") / "x.JPEG"
    photograph(3, (width, height)).save(path, quality=95)
    found = images.crop_of_resized(path, side, 56, (across, down))
    with Image.open(path) as image:
        whole = v2.functional.resize(image.convert("RGB"), side, v2.InterpolationMode.BILINEAR, antialias=True)
    assert whole.size == images.resized((width, height), side)
    left, top = int(across * (whole.width - 55)), int(down * (whole.height - 55))
    expected = np.asarray(whole.crop((left, top, left + 56, top + 56)), float)
    difference = np.abs(found.astype(float) - expected)
    assert difference.mean() < 1
    assert np.percentile(difference, 99) < 10

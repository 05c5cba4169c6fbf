"""Files of tensors and arrays: damage is found and named, nothing in them is executed, and none holds NaN."""

import dataclasses
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from resnet.architectures import CifarNet
from resnet.errors import UserError
from resnet.files import read_arrays, write_arrays, write_json, write_rows
from resnet.run_folder import RunFolder
from resnet.settings import CifarRecipe
from resnet.training.checkpoint import fill, read_tensors, save_tensors

ADVICE = "do something"


@dataclasses.dataclass(frozen=True)
class Numbers:
    values: np.ndarray


class Code:
    """Runs a command where it is unpickled."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_one_flipped_bit_anywhere_is_an_error_or_changes_nothing(tmp_path):
    path, values = tmp_path / "w.pt", {"weight": torch.arange(40.0), "name": "a"}
    save_tensors(path, values)
    content = path.read_bytes()
    found = 0
    for place in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            read = read_tensors(path)
        except UserError:
            found += 1
        else:
            assert read["name"] == "a"
            assert torch.equal(read["weight"], values["weight"])
    assert found > len(content) / 28, "the rest is padding and dates"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        ("folder", "cannot read "),
        (b"", "is empty; do something"),
        (b"<html>404</html>", "is damaged or not a file of tensors; do something"),
        ("half", "is truncated; do something"),
        ("code", "holds posix.system and not tensors alone: it is not read, as that could run code"),
        ("old code", "holds posix.system and not tensors alone: it is not read, as that could run code"),
        ("list", "does not hold a dictionary of tensors; do something"),
        ("nan", "layer.0 holds numbers that are not finite; do something"),
    ],
)
def test_what_is_no_file_of_tensors_is_named(tmp_path, content, message):
    path = tmp_path / "w.pt"
    code = {"a": Code(f"touch {tmp_path}/executed")}
    if content == "folder":
        path.mkdir()
    elif content == "half":
        save_tensors(path, {"weight": torch.ones(1000)})
        path.write_bytes(path.read_bytes()[:2000])
    elif content == "old code":
        path.write_bytes(pickle.dumps(code, 2))
    elif content is not None and not isinstance(content, bytes):
        values = {"code": code, "list": [torch.ones(1)], "nan": {"layer": [torch.tensor([0, torch.nan])]}}
        torch.save(values[content], path)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_tensors(path, advice=ADVICE)
    assert message in str(error.value)
    assert "weights_only" not in str(error.value)
    assert not (tmp_path / "executed").exists()


def test_files_of_torch_s_old_format_are_read(tmp_path):
    torch.save({"weight": torch.ones(3)}, tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    assert not zipfile.is_zipfile(tmp_path / "w.pth")
    assert torch.equal(read_tensors(tmp_path / "w.pth")["weight"], torch.ones(3))


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_no_file_of_numbers_holds_nan_or_infinity(tmp_path, number):
    path, array = tmp_path / "file", np.array([1, number], np.float32)
    writers = [
        lambda: write_json(path, {"val": {"loss": [1.0, number]}}),
        lambda: write_rows(path, ("std",), [{"std": 1.0}, {"std": number}]),
        lambda: write_arrays(path, Numbers(array)),
        lambda: save_tensors(path, {"weight": torch.from_numpy(array)}),
    ]
    places = ("val.loss.1 is", "1.std is", "values holds", "weight holds")
    for write, place in zip(writers, places, strict=True):
        with pytest.raises(UserError, match=rf"file is not written: {place} .*not finite|not a finite number"):
            write()
        assert not path.exists()
    np.savez(tmp_path / "n.npz", values=array)
    with pytest.raises(UserError, match=r"n\.npz: values holds numbers that are not finite"):
        read_arrays(tmp_path / "n.npz", Numbers)


def test_weights_of_another_network_are_one_short_line(tmp_path):
    path, net = tmp_path / "weights.pt", CifarNet("resnet-8")
    for other, difference in [
        (CifarNet("plain-8").state_dict(), "the weights have model 'plain-8', but the net has 'resnet-8'"),
        (CifarNet("resnet-8", "B").state_dict(), "the weights have shortcut 'B', but the net has 'A'"),
        (unnamed(CifarNet("resnet-14")), "size mismatch for blocks.1.conv1.weight"),
        (unnamed(CifarNet("resnet-8").blocks), "they lack conv1.weight and 36 more, the net has no 0.conv1"),
        (CifarNet("resnet-8", classes=5).state_dict(), "size mismatch for fc.weight"),
    ]:
        with pytest.raises(UserError, match=rf"weights\.pt does not fit its config\.yaml: {difference}") as error:
            fill(net, other, path)
        assert len(str(error.value).splitlines()) == 1


def test_weights_of_before_files_said_of_which_network_they_are_load():
    net, before = CifarNet("resnet-8"), CifarNet("resnet-8")
    fill(net, unnamed(before), Path("weights.pt"))
    assert torch.equal(net.conv1.weight, before.conv1.weight)


def unnamed(net):
    return {key: value for key, value in net.state_dict().items() if key != "_extra_state"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        (b"recipe: [", "is not valid YAML"),
        (b"\xff\xfe", "is not text in UTF-8"),
        (b"recipe: {width: 1}", "has no model"),
        (b"recipe: 3", "has no recipe"),
        (b"{}", "has no recipe"),
        (b"", ": Expected `object`, got `null`"),
    ],
)
def test_a_run_s_config_that_is_missing_or_damaged_is_named(tmp_path, content, message):
    if content is not None:
        (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(UserError, match=rf"config\.yaml ?{message}"):
        RunFolder(tmp_path).recipe(CifarRecipe)

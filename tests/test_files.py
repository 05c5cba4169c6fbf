"""Files that are read, written and left over, and the one line that an error of them becomes."""

import dataclasses
import errno
import json
import os
import socket
import subprocess
import sys
from typing import TypedDict

import numpy as np
import pytest
from conftest import ROOT

from resnet.data.description import DataDescription
from resnet.data.image_statistics import ImageStatistics
from resnet.errors import UserError, run_program
from resnet.files import (
    atomic_path,
    read_arrays,
    read_json,
    read_lines,
    read_rows,
    write_arrays,
    write_rows,
    write_text,
)

ADVICE = "delete it and run Snakemake again"


class Detection(TypedDict):
    image_id: int
    bbox: tuple[float, float, float, float]
    score: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Described(DataDescription):
    images: dict[str, int]


@dataclasses.dataclass(frozen=True)
class Numbers:
    values: np.ndarray


@pytest.mark.parametrize("content", ["[1, 2", "", "[" * 100_000])
def test_json_that_is_none_is_named(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(UserError, match=rf"a\.json is not valid JSON \(.*\); {ADVICE}"):
        read_json(path)
    with pytest.raises(UserError, match=r"\); put it right$"):
        read_json(path, fix="put it right")


def test_json_of_another_kind_is_named(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"a": "x"}))
    assert read_json(path) == {"a": "x"}
    with pytest.raises(UserError, match=rf"a\.json: Expected `float`, got `str`.*; {ADVICE}"):
        read_json(path, dict[str, float])


def test_what_cannot_be_read_is_not_said_to_be_damaged(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x80")
    for name, message in (
        ("absent", "absent does not exist"),
        (".", "cannot read .*: Is a directory"),
        ("loop", "cannot read .*loop: Too many levels of symbolic links"),
        ("binary", "binary is not text in UTF-8"),
        ("x" * 300, "cannot read .*: File name too long"),
    ):
        for read in (read_json, lambda path: read_rows(path, {})):
            with pytest.raises(UserError, match=message) as caught:
                read(tmp_path / name)
            assert "delete" not in str(caught.value)
    with pytest.raises(UserError, match=r"cannot read .*loop: Too many levels"):
        read_arrays(tmp_path / "loop", Numbers)


def test_rows_are_read_as_their_columns_say(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("iteration,split,error,more\n1,train,0.5,x\n2,test,,y\n")
    columns = {"iteration": int, "split": str, "error": float | None}
    assert read_rows(path, columns) == [
        {"iteration": 1, "split": "train", "error": 0.5, "more": "x"},
        {"iteration": 2, "split": "test", "error": None, "more": "y"},
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\nten,1\n", r"a\.csv, row 1: Expected `int`, got `str` - at `\$\.a`"),
        ("a,b\n1,nan\n", r"a\.csv, row 1: Expected `float`, got `str` - at `\$\.b`"),
        ("a,b\n1,2\n1.5,2\n", r"a\.csv, row 2: Expected `int`, got `str` - at `\$\.a`"),
        ("a,b\n1,\n", r"a\.csv, row 1: Expected `float`, got `str` - at `\$\.b`"),
        ("a,c\n1,2\n", r"a\.csv has no column b"),
        ("a,b\n", r"a\.csv has no rows"),
        ("", r"a\.csv has no column a, b"),
        ("a,b\n1,2,3\n", r"a\.csv, row 1: it has another number of cells than the first line"),
        ("a,b\n1\n", r"a\.csv, row 1: it has another number of cells than the first line"),
        ('a,b\n"1,2\n', r"a\.csv is not CSV \(unexpected end of data\)"),
    ],
)
def test_wrong_rows_are_named(tmp_path, content, message):
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(UserError, match=f"{message}; {ADVICE}"):
        read_rows(path, {"a": int, "b": float})


def test_names_of_files_that_are_not_utf_8_keep_their_bytes(tmp_path):
    name = os.fsdecode(b"bild_\xe9.jpg")
    write_rows(tmp_path / "a.csv", ("path",), [{"path": name}])
    assert (tmp_path / "a.csv").read_bytes() == b"path\nbild_\xe9.jpg\n"


@pytest.mark.parametrize(
    "content",
    [
        "café\nzwei Wörter\n".encode(),
        "café\nzwei Wörter\n\n\n".encode("utf-8-sig"),
        "café\r\nzwei Wörter\r\n".encode("utf-16"),
        "café\rzwei Wörter".encode("latin-1"),
    ],
)
def test_lines_are_read_whatever_system_wrote_them(tmp_path, content):
    path = tmp_path / "names.txt"
    path.write_bytes(content)
    assert read_lines(path) == ["café", "zwei Wörter"]


def test_damaged_arrays_are_named(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, values=np.arange(1000))
    assert read_arrays(path, Numbers).values.sum() == 499_500
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"a\.npz is damaged \(the checksum of its part .* is wrong\); {ADVICE}"):
        read_arrays(path, Numbers)


def test_a_file_that_cannot_be_written_is_named_and_nothing_is_left(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*file/x/a\.txt: Not a directory"):
        write_text(tmp_path / "file/x/a.txt", "")
    # What is read meanwhile is not what cannot be written.
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a.txt"):
        (tmp_path / "absent").read_bytes()
    with pytest.raises(UserError, match=r"cannot write .*a\.txt: No space left"):
        fill_the_disk(tmp_path / "a.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def fill_the_disk(path):
    with atomic_path(path) as temporary:
        temporary.touch()
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "data/a.bin"), "data/a.bin: Permission denied"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "data"), "data: Is a directory"),
        (FileExistsError(errno.EEXIST, "File exists", "run"), "run is there already, and is no folder"),
        (OSError(errno.ELOOP, "Too many levels of symbolic links", "a"), "a: Too many levels of symbolic links"),
        (OSError(errno.ENOSPC, "No space left on device"), "cannot write a file: No space left on device"),
        (OSError(errno.EROFS, "Read-only file system", "a"), "cannot write a: Read-only file system"),
    ],
)
def test_errors_of_the_system_are_one_line(monkeypatch, error, message):
    def main():
        raise error

    monkeypatch.setattr(sys, "argv", ["scripts/program.py"])
    with pytest.raises(SystemExit, match=f"^program: error: {message}$"):
        run_program(main)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "there is not enough memory"),
        (
            RuntimeError("CUDA out of memory. Tried to allocate 2 GiB.\nMore"),
            r"CUDA out of memory\. Tried to .* \(accu",
        ),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), r"\[enforce fail\].* \(accumulate"),
    ],
)
def test_a_lack_of_memory_is_one_line(monkeypatch, error, message):
    def main():
        raise error

    monkeypatch.setattr(sys, "argv", ["scripts/program.py"])
    with pytest.raises(SystemExit, match=f"^program: error: {message}"):
        run_program(main)


def test_an_error_that_is_not_a_file_s_keeps_its_traceback():
    def main():
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    with pytest.raises(ConnectionResetError):
        run_program(main)


def test_output_that_nobody_reads_or_that_the_terminal_cannot_show_is_no_traceback():
    code = "from resnet.errors import run_program; run_program(lambda: print('\\udce9\\u2026' * {count}))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "scripts"), "PYTHONIOENCODING": "latin-1"}
    options = {"env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code.format(count=1)], **options) as process:
        assert process.communicate() == (rb"\udce9\u2026" + b"\n", b"")
    with subprocess.Popen([sys.executable, "-c", code.format(count=10**6)], **options) as process:
        process.stdout.close()
        assert process.stderr.read() == b"-c: error: whoever read the output has ended\n"
    assert process.returncode == 1


def test_a_program_ends_without_looking_for_unused_objects():
    """In torch's modules that takes half a second."""
    code = """if True:
        from resnet.errors import run_program

        class Unused:
            def __del__(self):
                print("looked for")

        def main():
            unused = Unused()
            unused.itself = unused

        run_program(main)
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
    assert subprocess.check_output([sys.executable, "-c", code], env=environment) == b""


def test_described_data_are_found_from_any_folder_and_after_a_move(tmp_path, monkeypatch):
    (tmp_path / "project/data/x/images").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    path = tmp_path / "project/data/x/dataset.json"
    facts = {"name": "x", "horizontal_flip": True, "classes": ("a",), "sha256": {}, "images": {}}
    for folder in ("data/x/images", str(path.parent / "images")):
        Described(folder=folder, **facts).write(path)
        assert json.loads(path.read_text())["folder"] == "images"
    Described(folder="../elsewhere", **facts).write(tmp_path / "other.json")
    monkeypatch.chdir(tmp_path)
    assert Described.read(path) == Described(folder=str(path.parent / "images"), **facts)
    assert (tmp_path / "elsewhere").samefile(Described.read(tmp_path / "other.json").folder)
    (tmp_path / "project").rename(tmp_path / "moved")
    moved = tmp_path / "moved/data/x"
    assert Described.read(moved / "dataset.json").folder == str(moved / "images")
    # As earlier versions wrote it.
    monkeypatch.chdir(tmp_path / "moved")
    (moved / "dataset.json").write_text(json.dumps({**facts, "folder": "data/x/images"}))
    assert Described.read(moved / "dataset.json").folder == "data/x/images"


def test_a_damaged_description_is_named(tmp_path):
    path = tmp_path / "dataset.json"
    for content, message in (("{}", "Object missing required field"), ("[1]", "Expected `object`, got `array`")):
        path.write_text(content)
        with pytest.raises(UserError, match=rf"dataset\.json: {message}.*; {ADVICE}"):
            Described.read(path)


def test_what_killed_writers_have_left_is_removed_by_the_next_one(tmp_path):
    killed = subprocess.Popen(["true"])
    killed.wait()
    here = socket.gethostname()
    left_over = [f".weights.pt.{killed.pid}@{here}.tmp", f".checkpoint.pt.{killed.pid}.tmp"]
    others = [
        f".weights.pt.{os.getppid()}@{here}.tmp",
        f".weights.pt.{killed.pid}@another-host.tmp",
        ".mine.tmp",
        "a.tmp",
    ]
    for name in (*left_over, *others):
        (tmp_path / name).touch()
    write_text(tmp_path / "result.json", "{}")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*others, "result.json"])


def test_equal_arrays_are_equal_files(tmp_path):
    arrays = ImageStatistics(np.ones((3, 4, 4), np.float32), np.ones(3, np.float32), np.eye(3, dtype=np.float32))
    for name in ("a.npz", "another-name.npz"):
        write_arrays(tmp_path / name, arrays)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "another-name.npz").read_bytes()

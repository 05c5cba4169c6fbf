"""Files that are whole or absent, and what killed writers leave."""

import os
import socket
import subprocess

import numpy as np

from resnet.data.pixels import Pixels
from resnet.files import write_arrays, write_text


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
    arrays = Pixels(np.ones((3, 4, 4), np.float32), np.ones(3, np.float32), np.eye(3, dtype=np.float32))
    for name in ("a.npz", "another-name.npz"):
        write_arrays(tmp_path / name, arrays)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "another-name.npz").read_bytes()

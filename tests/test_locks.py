"""Locks: one process at a time, others wait or say who works; also where the file system has no locks."""

import errno
import fcntl
import subprocess
import sys

import pytest
from conftest import ROOT

from resnet import locks
from resnet.errors import UserError

HOLDER = """
import sys, errno, fcntl
from pathlib import Path
from resnet import locks
if {without_flock}:
    def refuse(*_): raise OSError(errno.ENOTSUP, "Operation not supported")
    fcntl.flock = refuse
with locks.lock(Path(sys.argv[1]), "training in run"):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(path, without_flock=False):
    """Start a process that holds a lock until its stdin is closed."""
    program = HOLDER.format(without_flock=without_flock)
    return subprocess.Popen(
        [sys.executable, "-c", program, path],
        cwd=ROOT / "scripts",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(params=["flock", "no flock: ENOSYS", "no flock: ENOTSUP"])
def without_flock(request, monkeypatch):
    if request.param == "flock":
        return False

    def refuse(*_):
        raise OSError(getattr(errno, request.param.split()[-1]), "not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    return True


def test_a_lock_is_held_by_one_process_and_others_wait_or_say_who(tmp_path, without_flock):
    path = tmp_path / "new/lock"
    first = hold(path, without_flock)
    assert first.stdout.readline() == "held\n"
    with (
        pytest.raises(UserError, match=f"process {first.pid} on .* is already training in run; stop it or wait"),
        locks.lock(path, "training in run", wait=False),
    ):
        pass
    waiting = [hold(path, without_flock) for _ in range(2)]
    for process in waiting:
        assert process.stdout.readline().startswith(f"waiting for process {first.pid} on ")
    first.communicate()
    for process in waiting:
        process.stdin.close()
    for process in waiting:
        assert process.stdout.read() == "held\n"
        assert process.wait() == 0
        process.stdout.close()


def test_the_lock_of_a_killed_process_is_free(tmp_path, without_flock):
    first = hold(tmp_path / "lock", without_flock)
    assert first.stdout.readline() == "held\n"
    first.kill()
    first.communicate()
    with locks.lock(tmp_path / "lock", "training in run", wait=False):
        pass


def test_a_lock_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserError, match=r"cannot lock .*file/lock: .*file is there already, and is no folder"),
        locks.lock(tmp_path / "file/lock", "training"),
    ):
        pass


def test_files_of_a_running_process_are_claimed_until_it_ends(tmp_path):
    program = (
        "import sys\nfrom pathlib import Path\nfrom resnet import locks\n"
        "locks.claim(Path(sys.argv[1]), reads={'data', 'shared'}, writes={'weights', 'logs/a'})\n"
        "print('claimed', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, tmp_path]
    folder = ROOT / "scripts"
    first = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert first.stdout.readline() == "claimed\n"
    for reads, writes in (({"weights"}, set()), (set(), {"weights", "logs/a"}), (set(), {"data"})):
        with pytest.raises(UserError, match=rf"process {first.pid} on .* works on (weights|data), too; wait until"):
            locks.claim(tmp_path, reads, writes)
    locks.claim(tmp_path, {"shared"}, {"other"})
    first.kill()
    first.communicate()
    subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, check=True)
    assert len(list(tmp_path.glob("*.json"))) == 2, "the claims of ended processes are removed by the next"

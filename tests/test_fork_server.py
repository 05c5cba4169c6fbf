"""Programs that are forks of a server: all but the time is as if they were processes of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT

from resnet import fork_server
from resnet.fork_server import FORK_SERVER

# The server imports torch.
pytestmark = pytest.mark.slow

PROGRAM = f"""
import json, os, signal, sys, time
sys.path.insert(0, {str(ROOT / "scripts")!r})
from resnet.errors import UserError, run_program

def main():
    if sys.argv[1] == "tell":
        told = [sys.argv, os.getcwd(), dict(os.environ), sys.path, "torch" in sys.modules, os.isatty(1), __name__]
        print(json.dumps(told))
        print("é", file=sys.stderr)
    elif sys.argv[1] == "exit":
        sys.exit(int(sys.argv[2]))
    elif sys.argv[1] == "fail":
        raise UserError("the key x is wrong")
    elif sys.argv[1] == "break":
        1 / 0
    else:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))
        print(os.getpid(), flush=True)
        time.sleep(60)

if __name__ == "__main__":
    run_program(main)
"""


@pytest.fixture(scope="module")
def server():
    """The address of a server that runs until the tests end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
        patch.setenv(FORK_SERVER, "")
        fork_server.start()
        yield os.environ[FORK_SERVER]


@pytest.fixture
def program(tmp_path):
    """A function that starts the program with arguments and the address of a server."""
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")

    def begin(address, *arguments):
        return subprocess.Popen(
            [sys.executable, "program.py", *arguments],
            cwd=tmp_path,
            env={**os.environ, FORK_SERVER: address, "KÄSE": "a b"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return begin


def ended(process):
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def gone(process):
    """Return whether a process ends within seconds."""
    for _ in range(200):
        try:
            state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_a_fork_finds_what_a_process_of_its_own_would(server, program, tmp_path):
    code, out, err = ended(program(server, "tell", "a b", "é"))
    alone_code, alone_out, alone_err = ended(program("", "tell", "a b", "é"))
    told, alone = json.loads(out), json.loads(alone_out)
    assert (code, err) == (alone_code, alone_err) == (0, "é\n")
    assert told[2].pop(FORK_SERVER, "") == alone[2].pop(FORK_SERVER) == ""
    imported = 4
    assert (told.pop(imported), alone.pop(imported)) == (True, False)
    assert told == alone
    assert told[:2] == [["program.py", "tell", "a b", "é"], str(tmp_path)]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["exit", "0"], 0, ""),
        (["exit", "3"], 3, ""),
        (["fail"], 1, "program: error: the key x is wrong\n"),
        (["break"], 1, "ZeroDivisionError"),
    ],
)
def test_it_ends_as_the_fork_does(server, program, arguments, code, says):
    returned, out, err = ended(program(server, *arguments))
    assert (returned, out) == (code, "")
    assert says in err


def test_signals_reach_the_fork(server, program):
    # Some reach the waiting process before it has been told which process the fork is.
    for _ in range(5):
        waiting = program(server, "wait")
        fork = int(waiting.stdout.readline())
        assert fork != waiting.pid
        waiting.send_signal(signal.SIGTERM)
        assert ended(waiting) == (1, "", "told to stop\n")
    waiting = program(server, "wait")
    os.kill(int(waiting.stdout.readline()), signal.SIGKILL)
    assert ended(waiting)[0] == -signal.SIGKILL, "killed, as one that took too much memory would be"


def test_a_fork_ends_with_who_waits_for_it(server, program):
    waiting = program(server, "wait")
    fork = int(waiting.stdout.readline())
    waiting.kill()
    assert gone(fork)


def test_the_server_ends_with_who_started_it_and_programs_then_run_by_themselves(program):
    code = f"""if True:
        import os, signal
        from resnet import fork_server
        fork_server.start()
        print(os.environ[{FORK_SERVER!r}], flush=True)
        os.kill(os.getpid(), signal.SIGKILL)"""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    started = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT / "scripts")},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    address = Path(started.stdout.strip())
    for _ in range(600):
        if not address.parent.exists():
            break
        time.sleep(0.05)
    assert not address.parent.exists()
    code, out, _ = ended(program(str(address), "tell"))
    assert code == 0
    assert not json.loads(out)[4], "nobody has imported torch for it"


def test_without_a_place_for_its_socket_there_is_no_server(tmp_path, monkeypatch):
    long = tmp_path / ("x" * 110)
    long.mkdir()
    monkeypatch.setattr(fork_server.tempfile, "tempdir", str(long))
    monkeypatch.delenv(FORK_SERVER, raising=False)
    fork_server.start()
    assert FORK_SERVER not in os.environ
    assert not list(long.iterdir())

"""A server that has imported torch, of which programs are forks: each of them would import it for one or two seconds.

The demo is some sixty programs of a few seconds. Snakemake starts the server with :func:`start`; a program that finds
it in its environment asks it with :func:`ask`, as ``run_program`` does first. Then the program's own process waits,
passes signals on, and ends as the fork does; when it is killed, so is the fork. Where there is no server, or it has
ended, a program runs by itself. All that is different is that Snakemake's benchmarks see the process that waits, and
so have the time but not the memory. It is Python's own forkserver, but for programs that know nothing of each other.
"""

import contextlib
import gc
import importlib
import json
import multiprocessing
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TextIO

from resnet.signals import STOP

# The variable that says where the server is; ``run_program`` looks for it before it imports this module.
FORK_SERVER = "RESNET_FORK_SERVER"
# What takes long to import; of this project only what torchvision must not be imported without. Nothing may compute:
# a process that has threads cannot be forked.
PRELOADED = (
    "resnet.detection",
    "torchvision.models.detection",
    "matplotlib.pyplot",
    "matplotlib.backends.backend_pdf",
    "fontTools.subset",
    "seaborn",
    "yaml",
)
STREAMS = (0, 1, 2)
FORK = multiprocessing.get_context("fork")


def start() -> None:
    """Start a server that ends with this process, for the programs that this process starts from now on."""
    address = Path(tempfile.mkdtemp(prefix="resnet-"), "fork-server")
    code = f"import sys; sys.path[0] = sys.argv[1]; import {__name__} as server; server.main()"
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            listener.bind(str(address))
        except OSError:
            # Such a path may have 107 characters. Programs run by themselves.
            address.parent.rmdir()
            return
        listener.listen()
        # Nobody writes to this pipe, which is closed when this process ends, however it does.
        end, _ = os.pipe()
        subprocess.Popen(
            ["python", "-c", code, str(Path(__file__).parents[1]), str(address), str(listener.fileno())],
            stdin=end,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[listener.fileno()],
            # What a terminal tells all its processes is passed on by those that wait.
            start_new_session=True,
        )
        os.close(end)
    os.environ[FORK_SERVER] = str(address)


def ask(address: str) -> None:
    """Have this program run by a fork of the server, and end as the fork does; return where there is no server."""
    # Signals wait until it is known to whom they are to be passed.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
    fork, answers = _request(address)
    if fork:
        for number in STOP:
            if signal.getsignal(number) is not signal.SIG_IGN or number is signal.SIGUSR1:
                signal.signal(number, lambda number, _: _send(fork, number))
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if not fork:
        return
    code = int(answers.readline() or 1)
    if code < 0:
        # SIGKILL's cannot be set.
        with contextlib.suppress(OSError):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


def _request(address: str) -> tuple[int, TextIO]:
    """Ask for a fork; return which process it is, 0 where there is no server, and what says later how it ended."""
    request = {"arguments": sys.argv, "folder": str(Path.cwd()), "environment": dict(os.environ)}
    with socket.socket(socket.AF_UNIX) as connection:
        answers = connection.makefile()
        with contextlib.suppress(OSError):
            connection.connect(address)
            socket.send_fds(connection, [b"."], STREAMS)
            connection.sendall(json.dumps(request).encode() + b"\n")
            return int(answers.readline() or 0), answers
    return 0, answers


def _send(process: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)


def main() -> None:
    """Be the server, until the process that started it has ended."""
    address, listener = Path(sys.argv[2]), socket.socket(fileno=int(sys.argv[3]))
    with contextlib.suppress(ImportError):
        for name in PRELOADED:
            importlib.import_module(name)
        # What is imported is shared with all forks as long as nobody writes to it, the garbage collector included.
        gc.freeze()
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            with connection:
                FORK.Process(target=_attend, args=(listener, connection)).start()
    shutil.rmtree(address.parent)


def _attend(listener: socket.socket, connection: socket.socket) -> None:
    """Run a program; say which process it is, and how it ended; kill it when who asked for it has ended."""
    # So that nobody waits for an answer of a server that was killed.
    listener.close()
    _, streams, _, _ = socket.recv_fds(connection, 1, len(STREAMS))
    request = json.loads(connection.makefile().readline())
    program = FORK.Process(target=_become, args=(streams,), kwargs=request)
    program.start()
    for stream in streams:
        os.close(stream)

    def watch() -> None:
        # An error, too, says that nobody is there: one that was killed before it had read all that was said to it.
        with contextlib.suppress(OSError):
            connection.recv(1)
        program.kill()

    threading.Thread(target=watch, daemon=True).start()
    # What cannot be said is of no interest to a process that has ended.
    with contextlib.suppress(OSError):
        connection.sendall(f"{program.pid}\n".encode())
        program.join()
        connection.sendall(f"{program.exitcode}\n".encode())


def _become(streams: list[int], arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    """Do what ``python`` with these arguments does."""
    os.setpgid(0, 0)
    for number, received in enumerate(streams):
        os.dup2(received, number)
        os.close(received)
    # As they may be of another kind than the server's: a file, a pipe or a terminal.
    sys.stdout = open(1, "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, encoding=sys.stderr.encoding, errors=sys.stderr.errors, closefd=False)  # noqa: SIM115
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    # The fork asks nobody again.
    del os.environ[FORK_SERVER]
    sys.argv, sys.path[0] = arguments, str(Path(arguments[0]).absolute().parent)
    runpy.run_path(arguments[0], run_name="__main__")

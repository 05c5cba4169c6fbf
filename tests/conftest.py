"""What the tests share: a tiny data set in CIFAR-10's layout, a copy of the project, and ways to run programs."""

import contextlib
import functools
import io
import multiprocessing
import os
import resource
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from resnet.architectures import ImageNetNet, build_net, initialise
from resnet.classification.bn_statistics import measure_bn_statistics
from resnet.classification.cifar10 import cifar_task
from resnet.data import cifar10, imagenet
from resnet.settings import CifarRecipe, ImageNetRecipe
from resnet.training.distributed import Processes
from resnet.training.task import Task

ROOT = Path(__file__).resolve().parent.parent
PACKS = ROOT.parent / "shared/data"
# The tests are spread over the cores (pytest -n), so each process, and what it starts, computes in one thread.
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)
CPU = torch.device("cpu")
CLASSES = tuple(f"class{number}" for number in range(10))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With several processes (pytest-xdist, by files), begin with what takes longest: the whole paper, then the jobs.

    So the files at the end are short, and all processes end at about the same time.
    """
    first = ("test_paper.py", "test_jobs.py")
    items.sort(key=lambda item: first.index(item.path.name) if item.path.name in first else len(first))


def random_images(count: int, seed: int = 0) -> cifar10.Images:
    """Return noise with a mean that depends on the class, so that there is something to learn."""
    generator = np.random.RandomState(seed)
    labels = np.arange(count) % 10
    noise = generator.randint(0, 60, (count, 3, 32, 32))
    return cifar10.Images((noise + 18 * labels[:, None, None, None]).astype(np.uint8), labels.astype(np.int64))


@pytest.fixture(scope="session")
def dataset(tmp_path_factory) -> Path:
    """``dataset.json`` of 100 training and 20 test images."""
    root = tmp_path_factory.mktemp("data")
    folder = root / cifar10.FOLDER
    cifar10.write_dataset(folder, random_images(100), random_images(20, seed=1), CLASSES)
    cifar10.describe("tiny", folder, horizontal_flip=True).write(root / "dataset.json")
    return root / "dataset.json"


def tiny_recipe(**changes) -> CifarRecipe:
    """Return a recipe that takes a second."""
    values = {
        "model": "resnet-8",
        "image_size": 8,
        "padding": 1,
        "batch_size": 16,
        "iterations": 12,
        "lr_drops": (6, 9),
        "lr": 0.05,
        "log_interval": 4,
        "evaluation_interval": 6,
    }
    return CifarRecipe(**{**values, **changes})


def task(recipe: CifarRecipe, dataset: Path) -> functools.partial:
    """Return what builds the task of a recipe on the data set."""
    return functools.partial(cifar_task, recipe, cifar10.CifarDescription.read(dataset))


def in_float64(build_task: Callable[[Processes], Task]) -> Callable[[Processes], Task]:
    """Return what builds the same task with a network that computes in float64.

    In float32, batch normalisation over few values multiplies rounding errors from update to update, and how much
    depends on the processor. In float64, what is equal but for rounding is equal to many digits on every processor.
    """

    def build(processes: Processes) -> Task:
        built = build_task(processes)
        compute_in_float64(built.net)
        return built

    return build


def compute_in_float64(net: nn.Module) -> nn.Module:
    """Make a network compute in float64, also on images in float32; return it."""
    first = next(module for module in net.modules() if isinstance(module, nn.Conv2d))
    first.register_forward_pre_hook(lambda _, inputs: (inputs[0].double(),))
    return net.double()


def noise(seed=0, count=1, batch=12, side=64, dtype=torch.float32):
    """Batches of images as ``measure_bn_statistics`` takes them."""
    generator = torch.Generator().manual_seed(seed)
    images = [(torch.randn(batch, 3, side, side, generator=generator).to(dtype), None) for _ in range(count)]

    class Batches:
        device = torch.device("cpu")

        def __iter__(self):
            return iter(images)

    return Batches()


def imagenet_net(model, classes, *, image_size=224, **settings):
    """An untrained network of section 4.1."""
    return build_net(ImageNetRecipe.of_network(model=model, image_size=image_size, **settings), classes)


def small_net(model, width=1 / 16, measured=True, **changes):
    """An untrained classifier; its batch normalisation fits noise."""
    net = imagenet_net(model, 6, width=width, image_size=64, **changes)
    initialise(net, torch.Generator().manual_seed(1))
    if measured and isinstance(net, ImageNetNet):
        net.load_state_dict({**net.state_dict(), **measure_bn_statistics(net, noise(), lambda _: None)})
    return net.eval()


def same_weights(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name in ours:
        both = ours[name], theirs[name]
        assert torch.equal(*both) if torch.is_tensor(both[0]) else both[0] == both[1], name


def command_line(name: str, *arguments: object) -> list[str]:
    """Return the command that starts a program of ``scripts/``."""
    return [sys.executable, str(ROOT / "scripts" / f"{name}.py"), *map(str, arguments)]


def run_program(name: str, *arguments: object) -> tuple[int, str]:
    """Run a program of ``scripts/`` in this process, which costs no import of torch; return exit code and output."""
    output, threads = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True), torch.get_num_threads()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            become(command_line(name, *arguments)[1:])
            code = 0
        except SystemExit as stop:
            code = stop.code
        except BaseException:
            traceback.print_exc()
            code = 1
        finally:
            torch.set_num_threads(threads)
        if isinstance(code, str):
            print(code)
            code = 1
    return code or 0, output.buffer.getvalue().decode()


@contextlib.contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Let no file grow beyond ``size`` bytes, so that writes fail as they do on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def become(command: list[str]) -> None:
    """Do what ``python`` with this command line does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", command)
        patch.syspath_prepend(Path(command[0]).parent)
        runpy.run_path(command[0], run_name="__main__")


# Forks processes in milliseconds, as it has imported what they need, torch above all. It computes nothing itself:
# a process that has may not be forked.
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    ["conftest", "resnet.classification.imagenet", "resnet.detection.task", "resnet.detection.detect"]
)


class Started:
    """Processes of their own that call a function together, as torchrun would start them; used as a ``Popen`` is."""

    def __init__(self, count: int, function: Callable, *arguments: object) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            group = {"WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": server.getsockname()[1]}
        receiver, sender = SERVER.Pipe(duplex=False)
        self.processes = []
        for rank in range(count):
            # The server has that of its own start.
            environment = {**os.environ, **({**group, "RANK": rank, "LOCAL_RANK": rank} if count > 1 else {})}
            self.processes.append(SERVER.Process(target=call, args=(sender, environment, function, *arguments)))
        # The server finds what it is to import by this variable alone.
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
            for process in self.processes:
                process.start()
        sender.close()
        self.pid = self.processes[0].pid
        self.stdout = os.fdopen(os.dup(receiver.fileno()), encoding="utf-8")

    @property
    def returncode(self) -> int | None:
        codes = [process.exitcode for process in self.processes]
        return None if None in codes else next(filter(None, codes), 0)

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: int) -> None:
        for process in self.processes:
            if process.is_alive():
                os.kill(process.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float = 300) -> int:
        for process in self.processes:
            process.join(timeout)
        assert self.returncode is not None, "the processes do not end"
        return self.returncode

    def communicate(self, timeout: float = 300) -> tuple[str, None]:
        timer = threading.Timer(timeout, self.kill)
        timer.start()
        with self.stdout:
            output = self.stdout.read()
        timer.cancel()
        self.wait()
        return output, None


def call(output: Connection, environment: dict[str, object], function: Callable, *arguments: object) -> None:
    """Call a function whose output goes elsewhere."""
    for stream in (1, 2):
        os.dup2(output.fileno(), stream)
    output.close()
    sys.stdout, sys.stderr = (open(stream, "w", encoding="utf-8", closefd=False) for stream in (1, 2))  # noqa: SIM115
    os.environ.update({key: str(value) for key, value in environment.items()})
    function(*arguments)


def program(name: str, *arguments: object, processes: int = 1) -> Started:
    """Start a program of ``scripts/`` in a process of its own, or in several that work together."""
    return Started(processes, become, command_line(name, *arguments)[1:])


def photograph(seed, size=(60, 50)):
    generator = np.random.RandomState(seed)
    coarse = Image.fromarray(generator.randint(0, 255, (6, 6, 3)).astype(np.uint8))
    return coarse.resize(size, Image.Resampling.BICUBIC)


@pytest.fixture(scope="session")
def ilsvrc(tmp_path_factory):
    """``dataset.json`` of 6 classes: 48 training, 18 validation (flat, the devkit's numbering) and 4 test images."""
    root = tmp_path_factory.mktemp("ilsvrc")
    folder = root / "ILSVRC2012"
    wnids = [f"n0000000{number}" for number in range(6)]
    for label, wnid in enumerate(wnids):
        for place in range(8):
            path = folder / "train" / wnid / f"{wnid}_{place}.JPEG"
            path.parent.mkdir(parents=True, exist_ok=True)
            photograph(100 * label + place, (50 + place, 66 - 2 * place)).save(path, "JPEG")
    for split, count in (("val", 18), ("test", 4)):
        (folder / split).mkdir()
        for place in range(count):
            size = [(60, 50), (44, 70), (48, 48)][place % 3]
            photograph(5000 + place, size).save(folder / split / f"ILSVRC2012_{split}_{place + 1:08d}.JPEG", "JPEG")
    (folder / "synsets.txt").write_text("\n".join(reversed(wnids)))
    (folder / imagenet.GROUND_TRUTH).write_text("\n".join(str(6 - place % 6) for place in range(18)))
    imagenet.describe("tiny", folder, horizontal_flip=True, output=root / "dataset.json")
    code, output = run_program(
        "measure_image_statistics", "--data", root / "dataset.json", "--image-size", 32,
        "--test-shorter-side", 40, "--workers", 2, "--output", root / "image_statistics.npz",
    )  # fmt: skip
    assert code == 0, output
    return root / "dataset.json"


def image_statistics(dataset):
    return dataset.with_name("image_statistics.npz")


@pytest.fixture
def project(tmp_path) -> Path:
    """A copy of the project as a clone has it, without results, in a folder whose name needs care."""
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    copy = tmp_path / """the project's "{copy}" ~ é & $x"""
    for name in files.stdout.split():
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    return copy


def inactive_path() -> str:
    """Return a PATH without this environment, as of a person who has not activated it."""
    folders = os.environ["PATH"].split(os.pathsep)
    return os.pathsep.join(folder for folder in folders if folder != str(Path(sys.executable).parent))


def snakemake(folder: Path, *arguments: str, timeout: int = 1800) -> tuple[int, str]:
    """Run Snakemake in a copy of the project; return exit code and output."""
    environment = {**os.environ, "PATH": inactive_path()}
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    return done.returncode, done.stdout

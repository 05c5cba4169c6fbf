"""What the tests share: a tiny data set in CIFAR-10's layout, a copy of the project, and ways to run programs."""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from resnet.cifar import cifar_task
from resnet.data import cifar10
from resnet.settings import CifarRecipe

ROOT = Path(__file__).resolve().parent.parent
PACKS = ROOT.parent / "shared/data"
CLASSES = tuple(f"class{number}" for number in range(10))


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
    cifar10.write_description(root / "dataset.json", cifar10.describe("tiny", folder, horizontal_flip=True))
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
    return functools.partial(cifar_task, recipe, cifar10.read_description(dataset))


def command_line(name: str, *arguments: object) -> list[str]:
    """Return the command that starts a program of ``scripts/``."""
    return [sys.executable, str(ROOT / "scripts" / f"{name}.py"), *map(str, arguments)]


def program(name: str, *arguments: object) -> subprocess.Popen:
    """Start a program of ``scripts/``."""
    command = command_line(name, *arguments)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def run_program(name: str, *arguments: object) -> tuple[int, str]:
    """Run a program to its end; return exit code and output."""
    process = program(name, *arguments)
    output, _ = process.communicate(timeout=300)
    return process.returncode, output


@pytest.fixture
def project(tmp_path) -> Path:
    """A copy of the project as a clone has it, without results."""
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    copy = tmp_path / "project"
    for name in files.stdout.split():
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    return copy


def snakemake(folder: Path, *arguments: str, timeout: int = 600) -> tuple[int, str]:
    """Run Snakemake in a copy of the project; return exit code and output."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
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

"""Where numbers come from: the code, the software and the device that computed them."""

import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from resnet import __version__

# The folder of this project, which a repository must be of if its commit is to say anything about this code.
ROOT = Path(__file__).resolve().parents[2]


def commit(root: Path = ROOT) -> str | None:
    """Return the commit of the code in ``root``, with ``+changes`` if files differ from it.

    None where ``root`` is not the top of a repository: code that was unpacked inside another one is not in its commits.
    """
    # Named outright, so that git looks neither in the folders above nor at GIT_DIR.
    repository = ["git", f"--git-dir={root / '.git'}", f"--work-tree={root}"]
    command = [*repository, "describe", "--always", "--abbrev=40", "--dirty=+changes"]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def code() -> dict[str, str | None]:
    """Return the version and the commit of the code that runs."""
    return {"version": __version__, "commit": commit()}


def surroundings(device: torch.device, threads: int, processes: int, precision: str) -> dict[str, Any]:
    """Return the software and the hardware that work is done with."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "python": platform.python_version(),
        # A subclass of str, which torch.load would refuse.
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "device": gpu or processor_name(),
        # Which of them the processor has, or is told to use, decides how sums are rounded.
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": threads,
        "processes": processes,
        "precision": precision,
    }


def processor_name() -> str:
    """Return the processor's name and its number of cores."""
    cores = f"{os.cpu_count()} cores"
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {cores}"


def now() -> str:
    """Return date and time with the time zone, as ISO 8601 writes them."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")

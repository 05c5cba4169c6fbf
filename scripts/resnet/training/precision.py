"""Which precision ``auto`` is: by what the device computes in, and on a CPU by a trial before a long training."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

# Processors with one of these multiply bf16 numbers faster than float32.
BF16_FLAGS = {"avx512_bf16", "amx_bf16"}
# A trial takes as long as some twenty updates. Bf16 is worth its rounding where float32 takes so many times as long.
TRIAL_FROM_ITERATIONS = 5000
TRIAL_TURNS = 5
WORTH_IT = 1.3


def choose_precision(precision: str, device: torch.device) -> str:
    """Return float32 or bf16; auto is bf16 on a GPU that computes in it."""
    if precision != "auto":
        return precision
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"


def processor_has_bf16(path: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this processor says that it multiplies bf16 numbers."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith("flags")), "")
    return not BF16_FLAGS.isdisjoint(flags.split())


def speedup(compute: Callable[[str], None]) -> float:
    """Return how many times as fast something is in bf16 as in float32; it takes the precision, in turns."""
    seconds: dict[str, list[float]] = {"float32": [], "bf16": []}
    # The first turn is not counted.
    for _ in range(1 + TRIAL_TURNS):
        for precision, taken in seconds.items():
            start = time.perf_counter()
            compute(precision)
            taken.append(time.perf_counter() - start)
    slow, fast = (statistics.median(taken[1:]) for taken in seconds.values())
    return slow / fast

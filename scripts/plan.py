"""Say what targets would cost before anything runs: hours of each stage, GPU-hours, disk and downloads.

Arguments are those of snakemake: targets, --config, --configfile, --cores, profiles. What would run is what
``snakemake -n`` says. Training steps of some of its networks are measured here for a few seconds, and earlier runs on
this machine are made use of. Each row says how its hours are known.

    python scripts/plan.py
    python scripts/plan.py results/table6.csv --config scale=paper
"""

import argparse
import itertools
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from resnet.errors import UserError, run_program

if TYPE_CHECKING:
    from resnet.planning.plans import Estimate


def main() -> None:
    """Plan and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    _, arguments = parser.parse_known_args()
    text = dry_run(arguments)
    started = time.process_time()
    from resnet.planning.plans import Plan, read_jobs
    from resnet.planning.steps import Rates, earlier_runs, measure

    plan = Plan(read_jobs(text), time.process_time() - started)
    earlier = earlier_runs(Path("results"), plan.hardware)
    missing = plan.steps - earlier.keys()
    if missing:
        print("measuring some training steps …", file=sys.stderr, flush=True)
    estimates = plan.estimates(Rates(earlier | measure(missing, plan.hardware), earlier))
    print(*summary(estimates, cores_of(arguments)), sep="\n")


def dry_run(arguments: list[str]) -> str:
    """Return what ``snakemake -n -p`` says.

    Raises:
        UserError: it fails; the message is Snakemake's.
    """
    # Options that take several values may come last, so what is added comes first.
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--printshellcmds", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"{done.stderr}{done.stdout}".strip())
    return done.stdout


def cores_of(arguments: list[str]) -> int:
    """Return how many cores Snakemake would use."""
    given = [value for word, value in itertools.pairwise(arguments) if word in ("--cores", "-c", "-j")]
    return int(given[-1]) if given and given[-1].isdigit() else os.cpu_count() or 1


def summary(estimates: list["Estimate"], cores: int) -> list[str]:
    """Return the lines of the plan: a row for each stage and how its time is known, and what it all comes to."""
    if not estimates:
        return ["Nothing would run: everything is there."]
    # Rows: stage, jobs, processor time, GPU-hours, how it is known.
    row = "{:30}{:>6}{:>13}{:>11}  {}"
    lines: list[str] = [row.format("stage", "jobs", "time", "GPU-hours", "how the time is known")]
    for stage, known in sorted({(stage_of(one.rule), one.known) for one in estimates}):
        jobs = [one for one in estimates if (stage_of(one.rule), one.known) == (stage, known)]
        time_of_all = shown(sum(one.seconds for one in jobs))
        lines.append(row.format(stage[1:], len(jobs), time_of_all, gpu_hours(jobs), known))
    # What is on GPUs takes turns there. On the CPU jobs share the cores, and the longest one alone is a bound.
    on_gpu = sum(one.seconds for one in estimates if one.gpus)
    others = [one.seconds for one in estimates if not one.gpus]
    whole = on_gpu + max(sum(others) / cores, max(others, default=0))
    longest = max(estimates, key=lambda one: one.seconds)
    disk, downloads = (sum(getattr(one, what) for one in estimates) / 1e9 for what in ("disk", "download"))
    return [
        *lines,
        "",
        f"in all: about {shown(whole)} on {cores} cores{' and the GPUs' if on_gpu else ''}, "
        f"{gpu_hours(estimates)} GPU-hours; the longest job is {longest.rule}, {shown(longest.seconds)}",
        f"disk: about {disk:.1f} GB; {downloads:.1f} GB of downloads are part of it",
    ]


# How the names of rules begin that test networks.
TESTS = ("evaluate_", "measure_", "detect_", "improve_", "ensemble_", "predict_", "propose_", "refine_")


def stage_of(rule: str) -> str:
    """Return the stage of a rule, after a digit for its place."""
    if rule.startswith(("prepare_", "download_", "import_", "measure_image")):
        return "1data"
    if rule.startswith("train_"):
        return f"2{rule}"
    return "3tests" if rule.startswith(TESTS) else "4tables, figures, report"


def gpu_hours(estimates: list["Estimate"]) -> str:
    """Return the GPU-hours of some jobs."""
    hours = sum(one.seconds * one.gpus for one in estimates) / 3600
    return f"{hours:,.1f}" if hours else "0"


def shown(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    for unit, length in (("days", 48 * 3600), ("h", 5400), ("min", 60)):
        if seconds >= length:
            return f"{seconds / {'days': 86400, 'h': 3600, 'min': 60}[unit]:,.1f} {unit}"
    return f"{seconds:.0f} s"


if __name__ == "__main__":
    run_program(main)

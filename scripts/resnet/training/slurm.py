"""What a training asks Slurm, where it runs in a job of it: who trains along, when the end comes, to go on later."""

import contextlib
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, MutableMapping

# A training saves so many seconds before its job ends: an update and a checkpoint must fit into them.
SECONDS_TO_SAVE = 120
# The limit of a job may be changed while it runs.
LOOK_AGAIN_SECONDS = 3600


def adopt_step(environment: MutableMapping[str, str]) -> None:
    """Say in torchrun's words what srun says of a step with several tasks, where torchrun has not started it."""
    tasks = environment.get("SLURM_STEP_NUM_TASKS", "1")
    if "RANK" in environment or tasks == "1":
        return
    environment.update(
        WORLD_SIZE=tasks,
        RANK=environment["SLURM_PROCID"],
        LOCAL_RANK=environment["SLURM_LOCALID"],
        LOCAL_WORLD_SIZE=str(tasks_of_nodes(environment)[int(environment["SLURM_NODEID"])]),
        MASTER_PORT=environment.get("MASTER_PORT", str(20000 + int(environment["SLURM_JOB_ID"]) % 20000)),
    )
    if "MASTER_ADDR" not in environment:
        nodes = environment["SLURM_STEP_NODELIST"]
        hosts = subprocess.run(["scontrol", "show", "hostnames", nodes], capture_output=True, text=True, check=True)
        environment["MASTER_ADDR"] = hosts.stdout.split()[0]


def tasks_of_nodes(environment: Mapping[str, str]) -> list[int]:
    """Return how many tasks of a Slurm step each of its nodes has; Slurm writes 8(x2),4 for 8, 8 and 4."""
    groups = re.findall(r"(\d+)(?:\(x(\d+)\))?", environment["SLURM_STEP_TASKS_PER_NODE"])
    return [int(tasks) for tasks, nodes in groups for _ in range(int(nodes or 1))]


def requeue_job(environment: Mapping[str, str]) -> str | None:
    """Put the Slurm job that this process belongs to back into the queue, and say so, or why not; None outside Slurm.

    Slurm ends what is left of it, and starts it again under the same number when its turn comes.
    """
    job = environment.get("SLURM_JOB_ID")
    if job is None:
        return None
    try:
        subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, check=True)
    except OSError as error:
        return f"Slurm job {job} is not queued again: scontrol: {error.strerror}"
    except subprocess.CalledProcessError as error:
        return f"Slurm job {job} is not queued again: {error.stderr.strip()}"
    return f"Slurm job {job} is queued again"


@contextlib.contextmanager
def warned_of_the_end(environment: Mapping[str, str]) -> Iterator[None]:
    """Let SIGUSR1 come to this process in time before its Slurm job ends; nothing outside Slurm.

    Slurm can send such a signal itself (sbatch --signal), but does not send it again to a job that has been requeued.
    """
    over = threading.Event()

    def watch() -> None:
        while (left := seconds_left(environment)) is not None:
            if left <= SECONDS_TO_SAVE:
                os.kill(os.getpid(), signal.SIGUSR1)
                return
            if over.wait(min(left - SECONDS_TO_SAVE, LOOK_AGAIN_SECONDS)):
                return

    if "SLURM_JOB_ID" in environment:
        threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def seconds_left(environment: Mapping[str, str]) -> float | None:
    """Return the time that this process's Slurm job has left; None if it has no limit, or nobody can say."""
    command = ["squeue", "--noheader", "--jobs", environment["SLURM_JOB_ID"], "--format", "%L"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    # [days-][[hours:]minutes:]seconds, or a word such as UNLIMITED
    match = re.fullmatch(r"(?:(\d+)-)?(?:(?:(\d+):)?(\d+):)?(\d+)", done.stdout.strip())
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds

"""Slurm: its warning, its steps, and the time that a job has left."""

import os
import signal

import pytest
from conftest import run_program, task, tiny_recipe

from resnet.errors import StoppedError
from resnet.settings import Hardware
from resnet.training import checkpoint
from resnet.training.loop import train
from resnet.training.slurm import SECONDS_TO_SAVE, adopt_step, requeue_job, seconds_left, tasks_of_nodes
from training.conftest import arguments, long_recipe, same_run, signal_at


def test_slurms_warning_saves_and_queues_the_job_again(finished, dataset, tmp_path, monkeypatch):
    scontrol = tmp_path / "bin/scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f"#!/bin/sh\necho $* >> {tmp_path}/calls\n")
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{scontrol.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    folder = tmp_path / "run"
    command = arguments(dataset, folder, long_recipe(), Hardware(device="cpu", checkpoint_seconds=1000))
    with monkeypatch.context() as patch:
        signal_at(patch, 75, signal.SIGUSR1)
        code, output = run_program(*command)
    assert code == 128 + signal.SIGUSR1, output
    assert "SIGUSR1: saved" in output
    assert "Slurm job 77 is queued again" in output
    assert (tmp_path / "calls").read_text() == "requeue 77\n"
    train(folder, long_recipe(), Hardware(device="cpu"), task(long_recipe(), dataset))
    same_run(finished, folder)


def test_a_step_of_srun_is_told_in_torchruns_words(tmp_path, monkeypatch):
    scontrol = tmp_path / "scontrol"
    scontrol.write_text("#!/bin/sh\necho node7\necho node8\necho node9\n")
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    step = {
        "SLURM_STEP_NUM_TASKS": "20", "SLURM_STEP_TASKS_PER_NODE": "8(x2),4", "SLURM_STEP_NODELIST": "node[7-9]",
        "SLURM_PROCID": "17", "SLURM_NODEID": "2", "SLURM_LOCALID": "1", "SLURM_JOB_ID": "41234",
    }  # fmt: skip
    told = dict(step)
    adopt_step(told)
    assert {key: told[key] for key in told.keys() - step.keys()} == {
        "WORLD_SIZE": "20", "RANK": "17", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4", "MASTER_ADDR": "node7",
        "MASTER_PORT": "21234",
    }  # fmt: skip
    assert tasks_of_nodes({"SLURM_STEP_TASKS_PER_NODE": "8(x2),4"}) == [8, 8, 4]
    for alone in ({**step, "SLURM_STEP_NUM_TASKS": "1"}, {**step, "RANK": "3"}):
        told = dict(alone)
        adopt_step(told)
        assert told == alone


@pytest.mark.parametrize(
    ("shown", "seconds"),
    [("1-02:03:04", 93784), ("23:59:59", 86399), ("2:05", 125), ("59", 59), ("UNLIMITED", None), ("INVALID", None)],
)
def test_the_time_that_a_job_has_left(tmp_path, monkeypatch, shown, seconds):
    squeue = tmp_path / "squeue"
    squeue.write_text(f'#!/bin/sh\n[ "$*" = "--noheader --jobs 77 --format %L" ] && echo {shown}\n')
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert seconds_left({"SLURM_JOB_ID": "77"}) == seconds
    squeue.unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert seconds_left({"SLURM_JOB_ID": "77"}) is None


def test_a_training_saves_before_its_job_ends(dataset, tmp_path, monkeypatch):
    left = iter([SECONDS_TO_SAVE + 0.2, SECONDS_TO_SAVE])
    monkeypatch.setattr("resnet.training.slurm.seconds_left", lambda _: next(left))
    monkeypatch.setattr("resnet.training.loop.requeue_job", lambda _: "queued again")
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    recipe = tiny_recipe(iterations=100000, log_interval=1000, evaluation_interval=1000)
    with pytest.raises(StoppedError, match=r"SIGUSR1: saved .*\nqueued again"):
        train(tmp_path, recipe, Hardware(device="cpu", checkpoint_seconds=1000), task(recipe, dataset))
    assert (tmp_path / checkpoint.NAME).exists()


def test_a_job_that_cannot_be_queued_again_says_why(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert requeue_job({}) is None
    assert requeue_job({"SLURM_JOB_ID": "77"}) == (
        "Slurm job 77 is not queued again: scontrol: No such file or directory"
    )
    scontrol = tmp_path / "scontrol"
    scontrol.write_text("#!/bin/sh\necho Requested operation is presently disabled >&2\nexit 1\n")
    scontrol.chmod(0o755)
    assert requeue_job({"SLURM_JOB_ID": "77"}) == (
        "Slurm job 77 is not queued again: Requested operation is presently disabled"
    )

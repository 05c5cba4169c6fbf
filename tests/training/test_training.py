"""Training: what it writes, and that it survives everything with the same bits."""

import dataclasses
import hashlib
import json
import multiprocessing
import os
import random
import signal
import subprocess
import tempfile
import time
import types

import pandas as pd
import pytest
import torch
import yaml
from conftest import CPU, command_line, full_disk, in_float64, program, run_program, task, tiny_recipe
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet import __version__
from resnet.classification.errors import Totals, evaluate
from resnet.classification.task import ClassificationTask
from resnet.data.loader import load
from resnet.errors import InputError, StoppedError, UserError
from resnet.provenance import commit
from resnet.settings import Hardware, fingerprint, to_flags
from resnet.signals import STOP, StopSignals
from resnet.training import checkpoint
from resnet.training.distributed import Processes
from resnet.training.gpus import claim_gpu
from resnet.training.loop import Agreement, Training, load_checkpoint, save, train
from resnet.training.slurm import SECONDS_TO_SAVE, adopt_step, requeue_job, seconds_left, tasks_of_nodes
from resnet.versions import VERSIONS

FINAL_FILES = ("config.yaml", "metrics.csv", "result.json", "environment.json", "weights.pt")


def arguments(dataset, folder, recipe, hardware=None):
    hardware = hardware or Hardware(device="cpu", checkpoint_seconds=0.01)
    flags = f"{to_flags(recipe)} {to_flags(hardware)}".split()
    return ["train_cifar10", "--data", dataset, "--run-folder", folder, *flags]


def same_run(first, second):
    """Whether two run folders hold the same weights, bit for bit, and the same metrics and results."""
    ours, theirs = (torch.load(folder / "weights.pt", weights_only=True) for folder in (first, second))
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert ours[name] == theirs[name] if name == "_extra_state" else torch.equal(ours[name], theirs[name]), name
    for name in ("metrics.csv", "result.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


@pytest.fixture(scope="module")
def finished(dataset, tmp_path_factory):
    """A run that was never interrupted, long enough to be killed in the middle."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    train(folder, long_recipe(), Hardware(device="cpu"), task(long_recipe(), dataset))
    return folder


def long_recipe():
    return tiny_recipe(
        iterations=150,
        lr_drops=(80, 120),
        log_interval=10,
        evaluation_interval=30,
        warmup_from_depth=8,
        # The first error is 70 to 80 % (of seeds 0 to 3), the third below 50 %.
        warmup_error=55.0,
    )


@pytest.mark.processor
def test_the_run_folder(finished, dataset):
    assert all((finished / name).is_file() for name in FINAL_FILES)
    metrics = pd.read_csv(finished / "metrics.csv")
    assert list(metrics) == ["iteration", "epoch", "split", "loss", "top1_error", "top5_error", "lr"]
    assert metrics[metrics.split == "train"].iteration.tolist() == list(range(10, 151, 10))
    assert metrics[metrics.split == "test"].iteration.tolist() == list(range(30, 151, 30))
    assert metrics[metrics.split == "val"].iteration.tolist() == list(range(30, 151, 30))
    assert metrics.iloc[-1].epoch == pytest.approx(150 * 16 / 90, abs=1e-4)
    # The event: the small rate up to it, then the large one, then the drops.
    train_rows = metrics[metrics.split == "train"].set_index("iteration")
    result = json.loads((finished / "result.json").read_text())
    event = result["warmup_ended_at"]
    assert train_rows.top1_error[event] < 55 <= train_rows.top1_error[train_rows.index < event].min()
    assert train_rows.lr[event] == 0.01
    assert train_rows.lr[event + 10] == 0.05
    assert train_rows.lr[150] == pytest.approx(0.0005)
    assert result["test"]["top1_error"] == metrics[metrics.split == "test"].top1_error.iloc[-1]
    assert result["train"]["top1_error"] < 50, "the tiny task is learnt: 6 to 28 % with seeds 0 to 3, chance is 90 %"
    settings_ = yaml.safe_load((finished / "config.yaml").read_text())
    assert settings_["resolved"]["training_images"] == 90
    assert settings_["recipe"]["lr_drops"] == [80, 120]
    environment = json.loads((finished / "environment.json").read_text())
    (only,) = environment["slices"]
    assert (only["from"], only["to"], only["torch"], only["threads"]) == (0, 150, torch.__version__, 1)
    assert only["version"] == __version__
    assert only["seconds"] == pytest.approx(environment["seconds"], abs=0.1)


@pytest.mark.parametrize("attempt", range(4))
def test_kill_9_at_any_moment_and_resume_gives_the_same_bits(finished, dataset, tmp_path, attempt):
    folder = tmp_path / "run"
    command = arguments(dataset, folder, long_recipe())
    kills, moment = 0, random.Random(attempt)
    process = program(*command)
    # Kill at random moments once the first checkpoint is there, twice; then let it end.
    seconds = json.loads((finished / "environment.json").read_text())["seconds"]
    for _ in range(2):
        while not (folder / checkpoint.NAME).exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(moment.uniform(0, 0.4 * seconds))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.communicate()
        # Snakemake deletes what a failed job declares.
        for name in FINAL_FILES:
            (folder / name).unlink(missing_ok=True)
        process = program(*command)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert kills
    assert "resumed" in output
    same_run(finished, folder)


def signal_at(monkeypatch, iteration, number):
    """Make the training signal itself during an update."""
    update = Training.update

    def signalled(run):
        update(run)
        if run.iteration == iteration:
            signal.raise_signal(number)

    monkeypatch.setattr(Training, "update", signalled)


@pytest.mark.parametrize("number", STOP)
def test_a_signal_saves_and_leaves(dataset, tmp_path, monkeypatch, number):
    recipe, hardware = tiny_recipe(), Hardware(device="cpu", checkpoint_seconds=1000)
    train(tmp_path / "whole", recipe, hardware, task(recipe, dataset))
    with monkeypatch.context() as patch:
        signal_at(patch, 5, number)
        with pytest.raises(StoppedError, match=rf"{number.name}: saved .* at iteration 5 of 12") as stopped:
            train(tmp_path / "run", recipe, hardware, task(recipe, dataset))
    assert stopped.value.exit_code == 128 + number
    assert not (tmp_path / "run/result.json").exists()
    train(tmp_path / "run", recipe, hardware, task(recipe, dataset))
    same_run(tmp_path / "whole", tmp_path / "run")


def test_a_hangup_that_was_ignored_stays_so():
    """As nohup asks for."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert stop.received is None
            signal.raise_signal(signal.SIGUSR1)
            assert stop.received is signal.SIGUSR1
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("iteration", [6, 12])
def test_a_signal_during_an_evaluation_does_not_wait_for_its_end(dataset, tmp_path, monkeypatch, iteration):
    recipe, hardware = tiny_recipe(), Hardware(device="cpu", checkpoint_seconds=1000)
    evaluate_, seen, signalled = ClassificationTask.evaluate, [], False

    class Watched:
        """The pictures of a split in small batches, the second of which a signal comes with."""

        def __init__(self, batches, run):
            batches.batch_size = 2
            self.batches, self.run = batches, run

        def __iter__(self):
            for number, batch in enumerate(self.batches):
                if signalled and self.run.iteration == iteration:
                    seen.append(number)
                    if number == 1:
                        signal.raise_signal(signal.SIGTERM)
                yield batch

    def watched(task, autocast, until_stopped, processes):
        run = until_stopped.__self__
        evaluation = {split: Watched(batches, run) for split, batches in task.evaluation.items()}
        return evaluate_(dataclasses.replace(task, evaluation=evaluation), autocast, until_stopped, processes)

    monkeypatch.setattr(ClassificationTask, "evaluate", watched)
    train(tmp_path / "whole", recipe, hardware, task(recipe, dataset))
    signalled = True
    with pytest.raises(StoppedError, match=f"at iteration {iteration} of 12"):
        train(tmp_path / "run", recipe, hardware, task(recipe, dataset))
    signalled = False
    assert seen == [0, 1], "of ten batches"
    state = checkpoint.read(tmp_path / "run" / checkpoint.NAME, torch.device("cpu"))
    assert state["iteration"] == iteration
    assert [row["iteration"] for row in state["rows"] if row["split"] == "test"] == ([] if iteration == 6 else [6])
    train(tmp_path / "run", recipe, hardware, task(recipe, dataset))
    same_run(tmp_path / "whole", tmp_path / "run")


def test_several_processes_agree_after_every_slow_update_and_some_fast_ones(monkeypatch):
    clock, asked = [0.0], []

    class Two:
        count = 2

        def largest(self, *numbers):
            """The other one was signalled at second 45."""
            asked.append(clock[0])
            return [max(numbers[0], 15.0 if clock[0] >= 45 else 0), *numbers[1:]]

    monkeypatch.setattr("resnet.training.loop.time.monotonic", lambda: clock[0])
    for seconds, updates in ((20.0, [1, 2, 3]), (0.3, [1, 4, 7, 10]), (0.001, [1, 11, 21])):
        clock[0], agreed = 0.0, []
        agreement = Agreement(Two(), 0)
        for iteration in range(1, updates[-1] + 1):
            clock[0] += seconds
            if iteration >= agreement.next_iteration:
                number, late = agreement.reach(iteration, 0, 0)
                agreed.append(iteration)
                assert (number, late) == (15 if clock[0] >= 45 else 0, 0)
        assert agreed == updates


def test_slurms_warning_saves_and_queues_the_job_again(finished, dataset, tmp_path, monkeypatch):
    scontrol = tmp_path / "bin/scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f"#!/bin/sh\necho $* >> {tmp_path}/calls\n")
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{scontrol.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    folder = tmp_path / "run"
    command = arguments(dataset, folder, long_recipe(), Hardware(device="cpu", checkpoint_seconds=1000))
    process = program(*command)
    while not (folder / "config.yaml").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGUSR1)
    output, _ = process.communicate()
    assert process.returncode == 128 + signal.SIGUSR1, output
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


def test_a_worker_outlives_the_signals_of_its_job_until_its_parent_ends_it():
    class Numbers(torch.utils.data.Dataset):
        def __getitem__(self, key):
            return key

    stream = load(Numbers(), ([number] for number in range(100)), 1, pin=False, collate=lambda keys: keys[0])
    assert next(stream) == 0
    (worker,) = multiprocessing.active_children()
    for number in STOP:
        # Not by this process, which is the worker's parent.
        subprocess.run(["kill", f"-{number}", str(worker.pid)], check=True)
    assert [next(stream) for _ in range(50)] == list(range(1, 51))
    assert worker.is_alive()
    worker.terminate()
    worker.join(20)
    assert worker.exitcode == 0


@given(stops=st.lists(st.integers(1, 11), max_size=3, unique=True), model=st.sampled_from(["plain-8", "resnet-14"]))
@settings(max_examples=8, deadline=None)
def test_a_state_restored_anywhere_goes_on_with_the_same_bits(dataset, stops, model):
    recipe, hardware = tiny_recipe(model=model, ghost_batch_size=8), Hardware(device="cpu")

    def advance(run, end):
        while run.iteration < end:
            run.update()
            if run.is_due(recipe.log_interval):
                run.log_training()

    whole = Training(recipe, hardware, task(recipe, dataset))
    advance(whole, recipe.iterations)
    run = Training(recipe, hardware, task(recipe, dataset))
    for stop in sorted(stops):
        advance(run, stop)
        resumed = Training(recipe, hardware, task(recipe, dataset))
        resumed.restore(run.state())
        run = resumed
    advance(run, recipe.iterations)
    assert run.rows == whole.rows
    for ours, theirs in zip(run.net.parameters(), whole.net.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    for ours, theirs in zip(run.net.buffers(), whole.net.buffers(), strict=True):
        assert torch.equal(ours, theirs)


def test_two_processes_never_train_one_folder(dataset, tmp_path):
    recipe = tiny_recipe(iterations=100000, log_interval=1000, evaluation_interval=1000)
    first = program(*arguments(dataset, tmp_path / "run", recipe))
    while not (tmp_path / "run/config.yaml").exists():
        time.sleep(0.01)
    code, output = run_program(*arguments(dataset, tmp_path / "run", recipe))
    assert code == 1
    assert f"process {first.pid} on " in output
    assert "is already training in" in output
    first.kill()
    first.communicate()


def test_a_second_process_may_wait(dataset, tmp_path):
    recipe = tiny_recipe(iterations=100000, log_interval=1000, evaluation_interval=1000)
    command = arguments(dataset, tmp_path / "run", recipe)
    first = program(*command)
    while not (tmp_path / "run" / checkpoint.NAME).exists():
        time.sleep(0.01)
    second = program(*command, "--wait")
    assert second.stdout.readline().startswith(f"waiting for process {first.pid} on ")
    assert first.poll() is None
    first.kill()
    assert second.stdout.readline().startswith("resumed ")
    second.kill()
    for process in (first, second):
        process.communicate()


def test_a_finished_run_that_is_started_again_leaves_every_byte_as_it_was(dataset, tmp_path, capsys):
    recipe = tiny_recipe()
    train(tmp_path, recipe, Hardware(device="cpu"), task(recipe, dataset))
    before = {name: (tmp_path / name).read_bytes() for name in (*FINAL_FILES, checkpoint.NAME)}
    # Snakemake deletes what a job declares before it runs it.
    for name in FINAL_FILES:
        (tmp_path / name).unlink()
    train(tmp_path, recipe, Hardware(device="cpu", threads=2, checkpoint_seconds=7.0), task(recipe, dataset))
    assert "resumed" in capsys.readouterr().out
    for name, content in before.items():
        assert (tmp_path / name).read_bytes() == content, name


def test_each_start_that_goes_on_is_a_slice_of_the_provenance(dataset, tmp_path):
    recipe = tiny_recipe()
    run = Training(recipe, Hardware(device="cpu"), task(recipe, dataset))
    run.begin_slice(threads=4)
    for _ in range(5):
        run.update()
    run.extend_slice(seconds=2.5)
    checkpoint.save(tmp_path, run.state())
    train(tmp_path, recipe, Hardware(device="cpu"), task(recipe, dataset))
    environment = json.loads((tmp_path / "environment.json").read_text())
    first, second = environment["slices"]
    assert (first["from"], first["to"], first["threads"], first["seconds"]) == (0, 5, 4, 2.5)
    assert (second["from"], second["to"], second["threads"], second["processes"]) == (5, 12, 1, 1)
    assert first["finished"] <= second["started"] <= second["finished"]
    assert environment["seconds"] == pytest.approx(2.5 + second["seconds"], abs=0.1)


def test_a_run_from_before_slices_and_versions_is_resumed(dataset, tmp_path, capsys):
    recipe = tiny_recipe()
    run = Training(recipe, Hardware(device="cpu"), task(recipe, dataset))
    facts = {"recipe": dataclasses.asdict(recipe), "data": run.task.checksums, "recipe_version": 1}
    earlier = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    state = run.state()
    del state["slices"]
    checkpoint.save(tmp_path, {**state, "fingerprint": earlier, "seconds": 3.5})
    train(tmp_path, recipe, Hardware(device="cpu"), task(recipe, dataset))
    assert "resumed" in capsys.readouterr().out
    earliest, own = json.loads((tmp_path / "environment.json").read_text())["slices"]
    assert earliest == {"from": 0, "to": 0, "seconds": 3.5}
    assert own["to"] == 12


def test_a_raised_version_moves_the_checkpoint_aside(dataset, tmp_path, capsys, monkeypatch):
    recipe = tiny_recipe()
    train(tmp_path, recipe, Hardware(device="cpu"), task(recipe, dataset))
    monkeypatch.setitem(VERSIONS, "train_cifar10", 2)
    train(tmp_path, recipe, Hardware(device="cpu"), task(recipe, dataset))
    assert "kept the checkpoint of the earlier ones" in capsys.readouterr().out
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())["versions"]["train_cifar10"] == 2


def test_equal_weights_are_equal_files_whatever_their_layout(tmp_path):
    weights = {"weight": torch.randn(4, 3, 2, 2), "architecture": {"stride_in_3x3": True}}
    checkpoint.save_weights(tmp_path / "first.pt", weights)
    other = {**weights, "weight": weights["weight"].to(memory_format=torch.channels_last)}
    checkpoint.save_weights(tmp_path / "second-of-another-name.pt", other)
    assert (tmp_path / "first.pt").read_bytes() == (tmp_path / "second-of-another-name.pt").read_bytes()


def test_a_commit_is_of_the_repository_whose_top_the_code_is(tmp_path, monkeypatch):
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", tmp_path]
    code = tmp_path / "code"
    code.mkdir()
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "another project"]):
        subprocess.run([*git, *command], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert commit(tmp_path) == head
    assert commit(code) is None
    monkeypatch.setenv("GIT_DIR", str(tmp_path / ".git"))
    assert commit(code) is None
    assert commit(tmp_path / "missing") is None


def test_other_settings_move_the_checkpoint_aside_and_back(dataset, tmp_path, capsys):
    hardware = Hardware(device="cpu")
    train(tmp_path, tiny_recipe(), hardware, task(tiny_recipe(), dataset))
    first = torch.load(tmp_path / "weights.pt", weights_only=True)
    train(tmp_path, tiny_recipe(lr=0.04), hardware, task(tiny_recipe(lr=0.04), dataset))
    assert "settings or data have changed: kept the checkpoint" in capsys.readouterr().out
    assert len(list(tmp_path.glob("checkpoint-*.pt"))) == 1
    train(tmp_path, tiny_recipe(), hardware, task(tiny_recipe(), dataset))
    output = capsys.readouterr().out
    assert "found the checkpoint of these settings" in output
    again = torch.load(tmp_path / "weights.pt", weights_only=True)
    assert all(torch.equal(first[name], again[name]) for name in first if name != "_extra_state")


def test_a_damaged_checkpoint_is_named(dataset, tmp_path):
    train(tmp_path, tiny_recipe(), Hardware(device="cpu"), task(tiny_recipe(), dataset))
    path = tmp_path / checkpoint.NAME
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"checkpoint\.pt is truncated; move it away"):
        train(tmp_path, tiny_recipe(), Hardware(device="cpu"), task(tiny_recipe(), dataset))
    assert path.exists()


def test_a_pickle_is_not_executed(dataset, tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/executed",)

    torch.save({"fingerprint": Evil()}, tmp_path / checkpoint.NAME)
    with pytest.raises(UserError, match=r"holds posix\.system and not tensors alone: it is not read"):
        train(tmp_path, tiny_recipe(), Hardware(device="cpu"), task(tiny_recipe(), dataset))
    assert not (tmp_path / "executed").exists()


def test_a_loss_that_is_not_finite_names_the_iteration(dataset, tmp_path):
    code, output = run_program(*arguments(dataset, tmp_path / "run", tiny_recipe(model="plain-8", lr=1e30)))
    assert code == 1
    assert "Traceback" not in output
    assert "plain-8, seed 0: the loss is not finite at iteration" in output
    assert not (tmp_path / "run/weights.pt").exists()


def test_a_network_that_comes_to_nothing_in_the_last_update_is_an_error(dataset, tmp_path):
    recipe = tiny_recipe(iterations=1, lr_drops=(), log_interval=1, lr=1e30)
    with pytest.raises(UserError, match=r"seed 0: (the loss on val|a weight) is not finite at iteration 1; lower"):
        train(tmp_path, recipe, Hardware(device="cpu"), task(recipe, dataset))
    run = Training(recipe, Hardware(device="cpu"), task(recipe, dataset))
    run.net.fc.bias.data[0] = torch.inf
    with pytest.raises(UserError, match="a weight is not finite at iteration 0"):
        save(run, tmp_path)
    assert not {"weights.pt", "result.json", checkpoint.NAME} & {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("when", ["training", "evaluation"])
def test_a_run_whose_images_cannot_be_read_saves_first_and_goes_on_with_the_same_bits(dataset, tmp_path, when):
    recipe, hardware = tiny_recipe(), Hardware(device="cpu")
    build = task(recipe, dataset)

    class Failing:
        """Batches of which the one number 7, or the first evaluation after 6 updates, cannot be read."""

        def __init__(self, batches):
            self.batches, self.device = batches, CPU

        def batch(self, iteration):
            if iteration == 7:
                raise InputError("a process has died")
            return self.batches.batch(iteration)

        def __iter__(self):
            yield next(iter(self.batches))
            raise InputError("a process has died")

    def build_failing(processes):
        made = build(processes)
        if when == "training":
            made.training = Failing(made.training)
        else:
            made.evaluation["val"] = Failing(made.evaluation["val"])
        return made

    with pytest.raises(InputError):
        train(tmp_path / "failed", recipe, hardware, build_failing)
    state = torch.load(tmp_path / "failed" / checkpoint.NAME, weights_only=True)
    assert (state["iteration"], state["evaluated_at"]) == ((7, 6) if when == "training" else (6, 0))
    train(tmp_path / "failed", recipe, hardware, build)
    train(tmp_path / "whole", recipe, hardware, build)
    same_run(tmp_path / "failed", tmp_path / "whole")


def test_what_batch_normalisation_sees_is_in_the_fingerprint(dataset, tmp_path):
    def run(recipe, **hardware):
        return Training(recipe, Hardware(device="cpu", **hardware), task(recipe, dataset))

    whole, parts = run(tiny_recipe()), run(tiny_recipe(), accumulate=2)
    said = run(tiny_recipe(ghost_batch_size=8))
    assert (whole.ghost_batch_size, parts.ghost_batch_size) == (None, 8)
    assert parts.fingerprint == said.fingerprint == run(tiny_recipe(ghost_batch_size=8), accumulate=2).fingerprint
    assert (
        whole.fingerprint == fingerprint(whole.recipe, whole.task.checksums, whole.task.versions) != parts.fingerprint
    )
    # Goes on with other hardware if the recipe says so, and says how if not.
    checkpoint.save(tmp_path, parts.state())
    assert load_checkpoint(said, tmp_path)["iteration"] == 0
    with pytest.raises(UserError, match=r"over 8 images; 1 processes .* with 16: set ghost_batch_size to 8"):
        load_checkpoint(whole, tmp_path)
    assert (tmp_path / checkpoint.NAME).exists()


def test_processes_on_one_machine_take_different_gpus(tmp_path, monkeypatch):
    gpus = ["a", "b"]
    first, lock = claim_gpu(gpus, folder=tmp_path)
    second, other = claim_gpu(["b", "a"], folder=tmp_path)
    assert (first, second) == (0, 0), "a, then b, which CUDA_VISIBLE_DEVICES has put first"
    (third, shared), (fourth, _held) = claim_gpu(gpus, folder=tmp_path), claim_gpu(gpus, folder=tmp_path)
    assert (third, fourth) == (0, 1), "the least used"
    other.close()
    shared.close()
    assert claim_gpu(gpus, folder=tmp_path)[0] == 1
    assert (claim_gpu(gpus, 0, tmp_path)[0], claim_gpu(["c"], 3, tmp_path)[0]) == (0, 0)
    lock.close()
    with pytest.raises(UserError, match="needs a GPU, but this machine has 2"):
        claim_gpu(gpus, 2, tmp_path)
    (tmp_path / "file").touch()
    assert claim_gpu(gpus, folder=tmp_path / "file/locks") == (0, None)

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: types.SimpleNamespace(uuid=f"gpu-{index}"))
    monkeypatch.setattr(torch.cuda, "set_device", lambda _: None)
    one, two = Processes(Hardware()), Processes(Hardware())
    assert [str(processes.device) for processes in (one, two)] == ["cuda:0", "cuda:1"]


def test_cuda_without_a_gpu_is_one_clear_error(dataset, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    code, output = run_program(*arguments(dataset, tmp_path / "run", tiny_recipe(), Hardware(device="cuda")))
    assert code == 1
    assert output.strip().endswith("device is cuda, but torch sees no GPU; use auto or cpu")


def test_a_full_disk_is_one_clear_error_and_the_checkpoint_stays(dataset, tmp_path):
    folder = tmp_path / "run"
    assert run_program(*arguments(dataset, folder, tiny_recipe()))[0] == 0
    before = (folder / checkpoint.NAME).read_bytes()
    with full_disk(64 * 1024):
        code, output = run_program(*arguments(dataset, folder, tiny_recipe(iterations=13)))
    assert code == 1
    assert "checkpoint.pt" in output
    assert "Traceback" not in output
    kept = list(folder.glob("checkpoint-*.pt"))
    assert [path.read_bytes() for path in kept] == [before]
    assert not list(folder.glob(".*.tmp"))


def test_an_unknown_model_fails_before_torch_is_imported(dataset, tmp_path):
    python, *command = command_line(
        "train_cifar10", "--data", dataset, "--run-folder", tmp_path, "--model", "resnet-21"
    )
    done = subprocess.run([python, "-X", "importtime", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "the depth must be 6n+2" in done.stderr
    assert "| torch" not in done.stderr.replace("  ", "")


@pytest.mark.slow
def test_torch_compile_trains_the_same_net(dataset):
    recipe = tiny_recipe(iterations=3)
    build = in_float64(task(recipe, dataset))
    runs = [Training(recipe, Hardware(device="cpu", compile=word), build) for word in ("false", "true")]
    for run in runs:
        for _ in range(3):
            run.update()
    for ours, theirs in zip(runs[0].net.parameters(), runs[1].net.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


def test_recomputing_follows_the_memory_and_is_not_compiled(dataset):
    recipe = tiny_recipe(model="resnet-110")
    small = Training(recipe, Hardware(device="cpu"), task(recipe, dataset))
    assert not small.recompute_group
    assert not small.compiled
    deep = tiny_recipe(model="resnet-1202", image_size=32, batch_size=128)
    large = Training(deep, Hardware(device="cpu", compile="true"), task(deep, dataset))
    assert large.recompute_group == 20
    assert not large.compiled


def test_totals_against_counting(dataset):
    scores = torch.tensor([[3.0, 1, 2, 0, -1, -2], [0, 1, 2, 3, 4, 5], [5.0, 4, 3, 2, 1, 0]])
    labels = torch.tensor([0, 0, 1])
    totals = Totals(torch.device("cpu"))
    totals.add(scores, labels, torch.tensor(1.5))
    totals.add(scores[:1], labels[:1], torch.tensor(0.5))
    averages = totals.averages()
    assert averages["loss"] == pytest.approx((3 * 1.5 + 0.5) / 4)
    assert averages["top1_error"] == 50
    assert averages["top5_error"] == 25


@pytest.mark.processor
def test_evaluation_does_not_depend_on_the_batch_size(finished, dataset):
    run = Training(tiny_recipe(), Hardware(device="cpu"), in_float64(task(tiny_recipe(), dataset)))
    test = run.task.evaluation["test"]
    whole = evaluate(run.net, test, run.autocast)
    test.batch_size = 7
    assert evaluate(run.net, test, run.autocast) == pytest.approx(whole, rel=1e-6)
    assert run.net.training

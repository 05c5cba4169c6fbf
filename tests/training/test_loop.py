"""Training: what it writes, and that it goes on with the same bits wherever it was left."""

import json
import random
import signal
import subprocess
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
from resnet.errors import InputError, UserError
from resnet.settings import Hardware, fingerprint
from resnet.training import checkpoint, loop
from resnet.training.loop import Training, load_checkpoint, save, train
from training.conftest import FINAL_FILES, arguments, long_recipe, same_run


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


@pytest.mark.parametrize("attempt", [0, *(pytest.param(attempt, marks=pytest.mark.slow) for attempt in (1, 2, 3))])
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


def advance(run, end):
    while run.iteration < end:
        run.update()
        if run.is_due(run.recipe.log_interval):
            run.log_training()


@pytest.fixture(scope="module")
def begin(dataset):
    """Builds the training of a model."""

    def build(model):
        recipe = tiny_recipe(model=model, ghost_batch_size=8)
        return Training(recipe, Hardware(device="cpu"), task(recipe, dataset))

    return build


@pytest.fixture(scope="module")
def whole(begin):
    """Trainings that were never interrupted, by model."""
    trainings = {model: begin(model) for model in ("plain-8", "resnet-14")}
    for run in trainings.values():
        advance(run, run.recipe.iterations)
    return trainings


@given(stops=st.lists(st.integers(1, 11), max_size=3, unique=True), model=st.sampled_from(["plain-8", "resnet-14"]))
@settings(max_examples=8, deadline=None)
def test_a_state_restored_anywhere_goes_on_with_the_same_bits(begin, whole, stops, model):
    expected, run = whole[model], begin(model)
    for stop in sorted(stops):
        advance(run, stop)
        resumed = begin(model)
        resumed.restore(run.state())
        run = resumed
    advance(run, run.recipe.iterations)
    assert run.rows == expected.rows
    for ours, theirs in zip(run.net.parameters(), expected.net.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    for ours, theirs in zip(run.net.buffers(), expected.net.buffers(), strict=True):
        assert torch.equal(ours, theirs)


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


def test_recomputing_follows_the_memory_and_is_not_compiled(dataset, capsys):
    recipe = tiny_recipe(model="resnet-110")
    small = Training(recipe, Hardware(device="cpu"), task(recipe, dataset))
    assert not small.recompute_group
    assert small.compiled == "false"
    deep = tiny_recipe(model="resnet-1202", image_size=32, batch_size=128)
    large = Training(deep, Hardware(device="cpu", compile="true"), task(deep, dataset))
    assert large.recompute_group == 20
    assert large.compiled == "false"
    assert "not compiled, as activations are recomputed" in capsys.readouterr().out
    without_gpu = Training(recipe, Hardware(device="cpu", compile="cuda-graphs"), task(recipe, dataset))
    assert without_gpu.compiled == "false"
    assert "not captured, as there is no GPU" in capsys.readouterr().out


@pytest.mark.parametrize(("seconds", "compiled"), [(1, "false"), (2, "true")])
def test_a_training_is_compiled_where_that_saves_more_time_than_it_takes(dataset, monkeypatch, seconds, compiled):
    """A tenth of 996 updates of 1 or 2 seconds is 100 or 199; compiling takes 180."""
    recipe = tiny_recipe(iterations=1000, lr_drops=(500,), log_interval=2)
    run = Training(recipe, Hardware(device="cpu"), task(recipe, dataset))
    assert not run.may_compile, "there is no GPU"
    run.may_compile, nets = True, []
    run.begin_slice(1)
    monkeypatch.setattr(torch, "compile", lambda net: nets.append(net) or net)
    clock = types.SimpleNamespace(monotonic=lambda: 1000.0 + seconds * run.iteration)
    monkeypatch.setattr(loop, "time", clock)
    for _ in range(6):
        loop.advance(run, loop.show_progress(run))
    assert (run.compiled, run.slices[-1]["compile"], run.may_compile) == (compiled, compiled, False)
    assert (run.slices[-1].get("compiled_from"), len(nets)) == ((4, 1) if nets else (None, 0))


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

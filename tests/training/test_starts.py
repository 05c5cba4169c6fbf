"""A run that is started again: by two at once, when it has ended, with other settings, or with what cannot be read."""

import dataclasses
import hashlib
import json
import os
import subprocess
import time

import pytest
import torch
import yaml
from conftest import program, run_program, task, tiny_recipe

from resnet.errors import UserError
from resnet.provenance import commit
from resnet.settings import Hardware
from resnet.training import checkpoint
from resnet.training.loop import Training, train
from resnet.versions import VERSIONS
from training.conftest import FINAL_FILES, arguments


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
    keys = {
        field.name: getattr(recipe, field.name) for field in dataclasses.fields(recipe) if not field.metadata["added"]
    }
    facts = {"recipe": keys, "data": run.task.checksums, "recipe_version": 1}
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

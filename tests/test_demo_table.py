"""docs/reproduction/demo.csv: what the demo's runs ended with, and what the pages say of it."""

import runpy

import pytest
import yaml
from conftest import ROOT

from resnet.errors import UserError
from resnet.files import read_rows, write_json

COLLECT, GENERATE = (runpy.run_path(str(ROOT / "docs" / name)) for name in ("collect_demo.py", "generate.py"))
RECIPE = {"log_interval": 10, "batch_size": 64}


def run_folder(folder, result, resolved=None, seed=0, isa="AVX2", recipe=None, **found):
    """Write what a run folder says."""
    folder.mkdir(parents=True)
    slices = [{"device": "Some CPU, 2 cores", "instructions": isa}]
    write_json(folder / "result.json", {"seed": seed, "dataset": "digits", **result})
    write_json(folder / "environment.json", {"slices": slices})
    (folder / "config.yaml").write_text(yaml.safe_dump({"recipe": RECIPE | (recipe or {}), "resolved": resolved or {}}))
    if found:
        write_json(folder / "evaluation/average_precision.json", found)
    return folder


def collect(monkeypatch, table, *folders):
    monkeypatch.setattr("sys.argv", ["collect_demo.py", *map(str, folders), "--table", str(table)])
    COLLECT["main"]()
    return read_rows(table, {"seed": int, "value": float, "n": int})


def test_runs_are_added_and_those_that_ran_again_replaced(tmp_path, monkeypatch):
    table, runs = tmp_path / "demo.csv", tmp_path / "runs"
    error = {"model": "resnet-20", "train": {"top1_error": 4.0}, "val": {"top1_error": 9}, "test": {"top1_error": 5.55}}
    run_folder(runs / "a", error, {"test_images": 297, "val_images": 150})
    detector = {"model": "vgg-16", "dataset": "scenes-voc", "experiment": "voc07"}
    run_folder(runs / "b", detector, experiment="voc07", map50=61.26, objects=200)
    rows = collect(monkeypatch, table, runs)
    assert [(row["dataset"], row["metric"], row["value"], row["n"]) for row in rows] == [
        ("digits", "test error %", 5.5, 297),
        ("digits", "training error %", 4.0, 640),
        ("voc07", "mAP@.5 %", 61.3, 200),
    ]
    run_folder(tmp_path / "c", error | {"train": {"top1_error": 6.0}}, {"test_images": 297, "val_images": 150})
    run_folder(tmp_path / "d", error, {"test_images": 297, "val_images": 150}, isa="AVX512")
    rows = collect(monkeypatch, table, tmp_path / "c", tmp_path / "d")
    assert [row["value"] for row in rows if row["metric"] == "training error %"] == [6.0, 4.0]
    assert len(rows) == 5
    with pytest.raises(UserError, match=r"no result\.json"):
        collect(monkeypatch, table, tmp_path / "none")


def test_rows_of_an_earlier_recipe_are_left_out_when_a_network_has_some_by_todays(tmp_path, monkeypatch):
    table, found = tmp_path / "demo.csv", {"top1_error": 9.0}

    def runs(name, iterations, seed):
        classifier = {"model": "vgg-16", "val": found, "train": found}
        others = {"test_images": 297, "val_images": 150}
        changed = {"iterations": iterations, "seed": seed}
        run_folder(tmp_path / name / "classifier", classifier, others, seed=seed, recipe=changed)
        detector = {"model": "vgg-16", "dataset": "scenes-voc", "experiment": "voc07"}
        tested = {"experiment": "voc07", "map50": 61.26, "objects": 200}
        run_folder(tmp_path / name / "detector", detector, seed=seed, **tested)
        plain = {"model": "plain-20", "test": found, "train": found}
        run_folder(tmp_path / name / "plain", plain, others, seed=seed)
        return tmp_path / name

    assert len(collect(monkeypatch, table, runs("a", 100, 0))) == 5
    # Another seed is not another recipe.
    assert len(collect(monkeypatch, table, runs("b", 100, 1))) == 10
    rows = collect(monkeypatch, table, runs("c", 200, 2))
    # The classifier's recipe is its detector's, too.
    assert {(row["dataset"], row["seed"]) for row in rows if row["model"] == "vgg-16"} == {("digits", 2), ("voc07", 2)}
    assert {row["seed"] for row in rows if row["model"] == "plain-20"} == {0, 1, 2}


def test_all_networks_of_the_demo_are_trained_with_one_seed_by_one_command(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr("subprocess.run", lambda command, **options: calls.append((command, options)))
    COLLECT["make"](3, "AVX2", tmp_path / "runs")
    [(command, options)] = calls
    targets = command[command.index("--") + 1 :]
    assert all("/seed3/" in target for target in targets)
    named = [target.split("/")[-3] for target in targets if target.endswith("result.json")]
    assert {"plain-20", "resnet-1202", "vgg-16", "resnet-152"} < set(named)
    assert sum(target.endswith("average_precision.json") for target in targets) == 6
    assert options["env"]["ONEDNN_MAX_CPU_ISA"] == "AVX2"


def test_pages_say_the_range_over_the_runs(tmp_path, monkeypatch):
    lines = ["processor,isa,seed,model,dataset,metric,value,n"]
    lines += [
        f'"CPU, 2 cores",{isa},0,plain-20,digits,training error %,{value},640' for isa, value in (("A", 7), ("B", 9))
    ]
    (tmp_path / "demo.csv").write_text("\n".join(lines) + "\n")
    demo = GENERATE["demo"]
    monkeypatch.setitem(demo.__globals__, "REPRODUCTION", tmp_path)
    assert "| plain-20 | section 4.2 | training error % | 7.0 to 9.0 | 2 | 640 |" in demo()
    assert "CPU (A), CPU (B)" in demo()

"""The DAG itself: end to end at a tiny scale, single targets, reruns, resumed runs, errors, real data, style."""

import functools
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest
import torch
import torchvision
import yaml
from conftest import PACKS, ROOT, inactive_path, snakemake

# Each starts Snakemake, which takes 2 s before it does anything.
pytestmark = pytest.mark.slow
TINY = {
    "detector": {
        "recipe": {
            "side": 64,
            "max_side": 96,
            "anchor_sizes": [16, 32],
            "rois": 8,
            "before_nms": 50,
            "training_proposals": 20,
            "proposals": 10,
            "batch_size": 1,
            "iterations": 2,
            "lr": 0.001,
            "lr_drops": [1],
            "log_interval": 1,
            "evaluation_interval": 1,
            "evaluation_images": 2,
        },
        "statistics": {"side": 64, "images": 16},
    },
    "imagenet": {
        "recipe": {
            "width": 0.03,
            "image_size": 32,
            "min_side": 32,
            "max_side": 40,
            "test_side": 36,
            "batch_size": 8,
            "iterations": 4,
            "lr_drops": [2, 3],
            "log_interval": 2,
            "evaluation_interval": 2,
        },
        "exceptions": {
            **{f"resnet-{depth}": {"batch_size": 8} for depth in (50, 101, 152)},
            "vgg-16": {"iterations": 4, "lr_drops": [2, 3]},
        },
        "multiscale_sides": [32, 36],
    },
    "cifar10": {
        "recipe": {
            "batch_size": 16,
            "iterations": 4,
            "lr_drops": [2, 3],
            "log_interval": 2,
            "evaluation_interval": 2,
        },
        "exceptions": {
            "resnet-1202": {"batch_size": 2, "iterations": 1, "log_interval": 1, "evaluation_interval": 1},
            # Its gradients explode; after few updates at a usual rate, the running statistics give an infinite loss.
            "plain-110": {"lr": 1.0e-7, "warmup_lr": 1.0e-7},
        },
    },
}
ARTEFACTS = (
    *(f"table{number}.{form}" for number in range(1, 9) for form in ("csv", "md")), "fig4.pdf", "fig4.png",
    *(f"detection{name}.{form}" for name in ("_curves", "s-voc07", "s-voc12", "s-coco") for form in ("pdf", "png")),
    "detection_classes.csv",
    "cifar_architectures.csv", "cifar_architectures.md", "claims.csv",
    "fig1.pdf", "fig1.png", "fig6.pdf", "fig6.png", "fig7.pdf", "fig7.png", "report.html",
)  # fmt: skip


def configure(project: Path, changes: dict) -> list[str]:
    (project / "changes.yaml").write_text(yaml.safe_dump(changes))
    return ["--configfile", "config.yaml", "changes.yaml"]


def runs(project: Path) -> set[str]:
    return {str(path.parent.relative_to(project / "results/runs")) for path in project.rglob("weights.pt")}


def executed(output: str, rule: str) -> int:
    return len(re.findall(rf"^(?:local)?rule {rule}:", output, re.MULTILINE))


class Images(HTMLParser):
    def __init__(self):
        super().__init__()
        self.sources, self.links = [], []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag == "img":
            self.sources.append(values["src"])
        if tag in ("link", "script"):
            self.links.append(values)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The whole paper at a tiny scale, in a copy of the project."""
    from conftest import project as make_project

    copy = make_project.__wrapped__(tmp_path_factory.mktemp("whole"))
    code, output = snakemake(copy, *configure(copy, TINY))
    assert code == 0, output
    return copy


def test_everything_is_made(built):
    for name in ARTEFACTS:
        assert (built / "results" / name).stat().st_size > 100, name
    models = [f"{kind}-{depth}" for kind in ("plain", "resnet") for depth in (20, 32, 44, 56, 110)]
    expected = {f"demo/digits/{model}/seed0" for model in [*models, "resnet-1202"]} | {"demo/digits/resnet-110/seed1"}
    nets = ["plain-18", "plain-34", "resnet-18-A", "resnet-50", "resnet-101", "resnet-152", "vgg-16"]
    nets += [f"resnet-34-{option}" for option in "ABC"]
    expected |= {f"demo/handwriting/{net}/seed0" for net in nets} | {"demo/handwriting/resnet-152/seed1"}
    expected |= {
        f"demo/detector-torchvision-trained/{experiment}/{net}/seed0"
        for experiment in ("voc07", "voc12", "voc12-server", "coco")
        for net in ("vgg-16", "resnet-101")
    }
    assert runs(built) == expected
    table = pd.read_csv(built / "results/table6.csv")
    assert table[table.layers == 110].runs.tolist() == [2]
    assert table[table.source == "reproduced"].scale.unique().tolist() == ["demo"]
    for folder in expected:
        weights = torch.load(built / "results/runs" / folder / "weights.pt", weights_only=True)
        assert all(torch.isfinite(value).all() for key, value in weights.items() if key != "_extra_state")
    submission = built / "results/runs/demo/handwriting/ensemble/test_submission.txt"
    assert [len(set(line.split())) for line in submission.read_text().splitlines()] == [5] * 40


def test_the_report_is_whole_by_itself(built):
    page = (built / "results/report.html").read_text()
    parser = Images()
    parser.feed(page)
    assert len(parser.sources) == 8
    assert all(source.startswith("data:image/png;base64,") for source in parser.sources)
    assert not parser.links
    for text in (
        "Table 3",
        "ResNet-34 B",
        "resnet-152, seed 1",
        "Table 6",
        "Table 7",
        "torchvision engine",
        "voc12, resnet-101, seed 0",
        "plain-110, seed 0",
        "resnet-110, seed 1",
        "demo",
        "digits",
        "quoted",
        "6.43 (6.61±0.16)",
    ):
        assert text in page, text


def test_nothing_is_done_twice(built):
    code, output = snakemake(built, "--configfile", "config.yaml", "changes.yaml")
    assert code == 0, output
    assert "Nothing to be done" in output


def test_snakemakes_own_report(built):
    code, output = snakemake(built, "--configfile", "config.yaml", "changes.yaml", "--report", "report.html")
    assert code == 0, output
    page = (built / "report.html").read_text()
    for text in ("Table 6", "Figures", "fig7"):
        assert text in page


def test_a_comment_or_other_hardware_does_not_retrain_but_a_setting_does(built, tmp_path):
    copy = shutil.copytree(built, tmp_path / "copy", symlinks=True)
    target = "results/runs/demo/digits/resnet-20/seed0/weights.pt"
    program = copy / "scripts/resnet/training/loop.py"
    program.write_text(program.read_text() + "\n# a comment\n")
    (copy / "data/digits/dataset.json").touch()
    changes = TINY | {"hardware": {"checkpoint_seconds": 77}}
    code, output = snakemake(copy, "-n", *configure(copy, changes), "--", target)
    assert code == 0, output
    assert executed(output, "train_cifar10") == 0, output
    changed = TINY | {"cifar10": TINY["cifar10"] | {"recipe": TINY["cifar10"]["recipe"] | {"lr": 0.5}}}
    code, output = snakemake(copy, "-n", *configure(copy, changed), "--", target)
    assert executed(output, "train_cifar10") == 1, output


def rules_after(folder: Path, file: str, old: str, new: str) -> set[str]:
    """The rules that would run after an edit of a file, which is taken back."""
    path = folder / file
    text, times = path.read_text(), path.stat()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    code, output = snakemake(folder, "-n", "--configfile", "config.yaml", "changes.yaml")
    path.write_text(text)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert code == 0, output
    return set(re.findall(r"^(?:local)?rule (\w+):", output, re.MULTILINE)) - {"all"}


@pytest.mark.parametrize(
    ("file", "rules"),
    [
        ("rendering/detections.py", {"plot_detections", "plot_detection_curves"}),
        (
            "rendering/tables.py",
            {f"tabulate_{name}" for name in ("table1", "table5", "table6", "measures", "detections")}
            | {"tabulate_cifar_architectures", "check_claims"},
        ),
        ("rendering/report.html.j2", set()),
        ("detection/metrics.py", {"write_submission"}),
    ],
)
def test_an_edit_makes_again_what_is_drawn_or_written_by_that_file(built, file, rules):
    ending = {"py": "# a comment\n", "j2": "<!-- a comment -->\n"}[file.rsplit(".", 1)[1]]
    text = (built / "scripts/resnet" / file).read_text()
    found = rules_after(built, f"scripts/resnet/{file}", text, text + ending)
    assert found - {"render_report"} == rules
    assert ("render_report" in found) == (file != "detection/metrics.py")


def test_a_raised_version_makes_that_work_again_and_what_comes_of_it(built):
    raised = rules_after(built, "scripts/resnet/versions.py", '"evaluate_detections": 1', '"evaluate_detections": 2')
    assert "evaluate_detections" in raised
    assert not raised & {"detect_objects", "train_detector", "evaluate_imagenet", "tabulate_table6"}
    raised = rules_after(built, "scripts/resnet/versions.py", '"decode": ', '"decode": 1')
    assert raised >= {"measure_pixels", "train_imagenet", "evaluate_imagenet", "train_detector", "detect_objects"}
    assert not raised & {"prepare_handwriting", "train_cifar10", "measure_responses"}


def test_a_single_target_makes_only_its_ancestors(project):
    code, output = snakemake(project, *configure(project, TINY), "--", "results/fig1.pdf")
    assert code == 0, output
    assert runs(project) == {"demo/digits/plain-20/seed0", "demo/digits/plain-56/seed0"}
    assert sorted(path.name for path in (project / "results").glob("*.*")) == [".gitignore", "fig1.pdf", "fig1.png"]


def test_a_demo_never_touches_another_scale(project):
    other = project / "results/runs/paper/cifar10/plain-20/seed0"
    other.mkdir(parents=True)
    (other / "checkpoint.pt").write_text("two weeks of work")
    code, output = snakemake(
        project, *configure(project, TINY), "--", "results/runs/demo/digits/plain-20/seed0/weights.pt"
    )
    assert code == 0, output
    assert [path.name for path in other.iterdir()] == ["checkpoint.pt"]
    code, output = snakemake(project, "-n", "--", "results/runs/paper/cifar10/plain-20/seed0/weights.pt")
    assert code != 0
    assert "MissingRuleException" in output


def test_paper_scale_plans_the_papers_runs(project):
    code, output = snakemake(project, "-n", "--config", "scale=paper")
    assert code == 0, output
    assert executed(output, "train_cifar10") == 15
    assert executed(output, "train_imagenet") == 11
    assert executed(output, "measure_statistics") == 1
    assert executed(output, "train_detector") == 6, "without the pictures of VOC 2012 test, nothing for its server"
    assert executed(output, "download_archive") == 7


def test_published_weights_are_tested_without_training(project, tmp_path):
    """Of torchvision's files, found in a folder, or downloaded where there is none."""
    published = {"resnet34": torchvision.models.resnet34, "resnet50": torchvision.models.resnet50}
    weights = tmp_path / "a person's {weights} & more"
    weights.mkdir()
    for name, build in published.items():
        torch.save(build(num_classes=20).state_dict(), weights / f"{name}-0a1b2c3d.pth")
    changes = TINY | {"data": {"imagenet": {"weights": str(weights)}}}
    changes["imagenet"] = TINY["imagenet"] | {"weights": "torchvision"}
    folder = "results/runs/demo/handwriting/{}/torchvision/evaluation/10crop.json"
    targets = [folder.format("resnet-34-B"), folder.format("resnet-50")]
    code, output = snakemake(project, *configure(project, changes), "--", *targets)
    assert code == 0, output
    assert executed(output, "train_imagenet") == 0
    assert json.loads((project / targets[1]).read_text())["source"] == "torchvision (resnet50-0a1b2c3d.pth)"
    (weights / "resnet50-0a1b2c3d.pth").unlink()
    changes["imagenet"]["multiscale_sides"] = [32]
    code, output = snakemake(project, "-n", "-F", *configure(project, changes), "--", targets[1])
    assert code != 0
    assert "resnet50-….pth does not exist; it is named in config.yaml under data.imagenet.weights" in output
    changes["data"] = {"imagenet": {"weights": None}}
    code, output = snakemake(project, "-n", *configure(project, changes), "--", "results/table3.csv")
    assert code == 0, output
    assert (executed(output, "train_imagenet"), executed(output, "download_weights")) == (0, 5)


def test_detectors_of_published_weights_need_no_imagenet(project):
    changes = {"scale": "paper", "detector": {"weights": "torchvision"}}
    code, output = snakemake(project, "-n", *configure(project, changes), "--", "results/table7.csv")
    assert code == 0, output
    assert executed(output, "train_detector") == 4
    assert executed(output, "download_weights") == executed(output, "import_weights") == 2
    for rule in ("train_imagenet", "measure_statistics", "measure_pixels", "prepare_imagenet"):
        assert executed(output, rule) == 0, rule


def test_the_engine_has_a_folder_of_its_own(project):
    changes = TINY | {"detector": TINY["detector"] | {"engine": "detectron2"}}
    code, output = snakemake(project, "-n", *configure(project, changes), "--", "results/table8.csv")
    assert code == 0, output
    assert "results/runs/demo/detector-detectron2-trained/coco/resnet-101/seed0/weights.pt" in output


def test_archives_of_voc_and_coco_are_downloaded_checked_and_unpacked(project, tmp_path):
    """Archives made of the scenes, from a local server."""
    code, output = snakemake(project, "--", "data/scenes-voc/dataset.json")
    assert code == 0, output
    for name, folder, below in (
        ("voc.tar", project / "data/scenes-voc", "VOCdevkit"),
        ("coco.zip", project / "data/scenes-coco/coco", ""),
    ):
        form = name.split(".")[1]
        shutil.make_archive(str(tmp_path / name.split(".")[0]), form, folder, below or None)
    handler = functools.partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        archives = {
            key: [
                {
                    "url": f"http://127.0.0.1:{server.server_port}/{name}",
                    "md5": hashlib.md5((tmp_path / name).read_bytes()).hexdigest(),
                }
            ]
            for key, name in (("voc", "voc.tar"), ("coco", "coco.zip"))
        }
        changes = {"scale": "paper", "data": {key: {"archives": value} for key, value in archives.items()}}
        targets = ["data/voc/dataset.json", "data/coco/dataset.json"]
        code, output = snakemake(project, *configure(project, changes), "--", *targets)
        server.shutdown()
    assert code == 0, output
    for target, sets in zip(targets, (6, 2), strict=True):
        assert len(json.loads((project / target).read_text())["images"]) == sets


def test_imagenet_says_where_to_get_it(project):
    code, output = snakemake(project, "--config", "scale=paper", "--", "data/imagenet/dataset.json")
    assert code != 0
    assert "prepare_imagenet: error: ILSVRC2012 cannot be downloaded without an account: register at" in output


def start(project: Path, *arguments: str) -> subprocess.Popen:
    """Start Snakemake with a process group of its own, as a terminal and Slurm do."""
    environment = {**os.environ, "PATH": inactive_path()}
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    return subprocess.Popen(
        command, cwd=project, env=environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def wait_for(path: Path, process: subprocess.Popen) -> None:
    while not path.exists() and process.poll() is None:
        time.sleep(0.01)
    assert path.exists()


def test_several_processes_train_in_the_dag_and_save_at_a_signal(project):
    recipe = TINY["imagenet"]["recipe"] | {"iterations": 40, "lr_drops": [20, 30]}
    changes = TINY | {"imagenet": TINY["imagenet"] | {"recipe": recipe}, "hardware": {"processes": 2}}
    run = project / "results/runs/demo/handwriting/resnet-18-A/seed0"
    arguments = (*configure(project, changes), "--", str((run / "weights.pt").relative_to(project)))
    process = start(project, *arguments)
    wait_for(run / "config.yaml", process)
    os.killpg(process.pid, signal.SIGUSR1)
    process.wait()
    log = next((project / "logs/train_imagenet").glob("demo-resnet-18-A-*.log"))
    assert "SIGUSR1: saved" in log.read_text()
    assert (run / "checkpoint.pt").exists()
    assert not (run / "weights.pt").exists()
    code, output = snakemake(project, *arguments)
    assert code == 0, output
    assert json.loads((run / "environment.json").read_text())["slices"][-1]["processes"] == 2
    text = log.read_text()
    assert text.index("SIGUSR1: saved") < text.index("resumed"), "the log of all starts"


def test_a_detector_uses_as_many_processes_and_parts_as_its_batch_allows(project):
    changes = {"scale": "paper", "hardware": {"processes": 8, "accumulate": 2}, "detector": {"weights": "torchvision"}}
    folder = "results/runs/paper/detector-torchvision-torchvision/{}/vgg-16/seed0/weights.pt"
    arguments = configure(project, changes)
    for experiment, launcher in (("voc07", "python"), ("coco", "torchrun .* --nproc-per-node 8 .*")):
        code, output = snakemake(project, "-n", "-p", *arguments, "--", folder.format(experiment))
        assert code == 0, output
        assert re.search(rf"exec {launcher} scripts/train_detector\.py", output)
        assert "--accumulate 1 >" in output


def test_a_cluster_is_asked_for_what_the_rules_compute(project):
    """Whatever this machine has; on the cluster a job that asks for a GPU fails where there is none."""
    with (project / "workflow/Snakefile").open("a") as file:
        file.write('\nprint("local:", *sorted(workflow._localrules))\n')
    changes = {"scale": "paper", "hardware": {"processes": 8}}
    arguments = ("-n", "-p", "--workflow-profile", "workflow/profiles/slurm", *configure(project, changes))
    code, output = snakemake(project, *arguments)
    assert code == 0, output
    jobs = {}
    for block in re.split(r"\n(?=rule )", output):
        jobs.setdefault(block.split(":")[0].removeprefix("rule "), block)
    for name, gpus, memory in (
        ("train_cifar10", 1, 8000),
        ("train_imagenet", 8, 128000),
        ("evaluate_imagenet", 1, 8000),
        ("measure_responses", 1, 4000),
    ):
        resources = re.search("resources: (.*)", jobs[name])[1]
        assert re.findall("gpu=([0-9]+)|mem_mb=([0-9]+)", resources) == [("", str(memory)), (str(gpus), "")], resources
        assert int(re.search("runtime=([0-9]+)", resources)[1]) <= 24 * 60
    assert "--device cuda" in jobs["train_imagenet"]
    assert "exec torchrun --standalone --nproc-per-node 8 " in jobs["train_imagenet"]
    local = set(re.search("^local: (.*)", output, re.MULTILINE)[1].split())
    work = {"train_", "measure_", "evaluate_imagenet", "detect_", "prepare_imagenet", "prepare_voc", "prepare_coco"}
    assert {name for name in jobs if not name.startswith(tuple(work)) and "_" in name} <= local
    assert not {name for name in local if name.startswith(tuple(work - {"measure_"}))}
    arguments += ("--profile", "workflow/profiles/two-nodes", "--forcerun", "train_imagenet")
    code, output = snakemake(project, *arguments, "--", "results/runs/paper/imagenet/resnet-50/seed0/weights.pt")
    assert code == 0, output
    assert "exec srun --nodes=2 --ntasks-per-node=8 " in output
    assert re.search("resources: .*mem_mb=128000.* gpu=16, .*mpi=srun, nodes=2, tasks_per_node=8", output)


def test_executors_that_call_gpus_by_another_name_are_asked_for_them_by_every_rule_that_needs_one():
    text = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    rules = {block.split(":")[0] for block in re.split(r"^rule ", text, flags=re.MULTILINE) if "gpu=" in block}
    assert "train_detector" in rules
    for executor in ("aws-batch", "googlebatch", "htcondor"):
        profile = yaml.safe_load((ROOT / f"workflow/profiles/{executor}/config.yaml").read_text())
        assert set(profile["set-resources"]) == rules, executor


def test_the_same_command_goes_on_after_a_signal_to_all_and_after_kill_9(project):
    """A signal to all of them does not end Snakemake or the shell before the training has saved.

    A second command that needs the same files is refused while the first one runs.
    """
    recipe = TINY["cifar10"]["recipe"] | {"batch_size": 64, "iterations": 12, "lr_drops": [6, 8]}
    arguments = configure(project, {"cifar10": {"recipe": recipe}, "hardware": {"checkpoint_seconds": 1000}})
    run = project / "results/runs/demo/digits/resnet-110/seed0"
    target = str((run / "weights.pt").relative_to(project))
    code, output = snakemake(project, *arguments, "--", target)
    assert code == 0, output
    whole = torch.load(run / "weights.pt", weights_only=True)
    metrics = (run / "metrics.csv").read_bytes()
    shutil.rmtree(run)
    log = project / "logs/train_cifar10/demo-resnet-110-seed0.log"
    for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGKILL):
        process = start(project, *arguments, "--", target)
        wait_for(run / "config.yaml", process)
        before = (run / "checkpoint.pt").read_bytes() if number is not signal.SIGUSR1 else b""
        if number is signal.SIGUSR1:
            os.killpg(process.pid, signal.SIGSTOP)
            code, output = snakemake(project, *arguments, "--", target)
            assert (code, f"process {process.pid} on " in output) == (1, True), output
            assert "works on " in output
            assert (run / "config.yaml").exists()
            os.killpg(process.pid, signal.SIGCONT)
        os.killpg(process.pid, number)
        assert process.wait() == (-number if number is signal.SIGKILL else 1)
        # Snakemake has waited for the training.
        assert (f"{number.name}: saved" in log.read_text()) == (number is not signal.SIGKILL)
        assert ((run / "checkpoint.pt").read_bytes() == before) == (number is signal.SIGKILL)
        assert not (run / "weights.pt").exists()
    code, output = snakemake(project, *arguments, "--", target)
    assert code == 0, output
    assert log.read_text().count("resumed") == 3
    again = torch.load(run / "weights.pt", weights_only=True)
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    assert (run / "metrics.csv").read_bytes() == metrics


def test_a_typo_is_one_error_that_names_the_key(project):
    code, output = snakemake(project, "-n", "--config", "sclae=paper")
    assert code != 0
    assert "config.yaml: unknown key sclae; did you mean scale?" in output
    assert "Traceback" not in output


def test_a_key_that_is_given_twice_is_an_error_in_every_configuration_file(project):
    (project / "mine.yaml").write_text("cifar10: {recipe: {lr: 0.5}}\ncifar10: {}\n")
    code, output = snakemake(project, "-n", "--configfile", "mine.yaml")
    assert code != 0
    assert f"{project}/mine.yaml: key cifar10 is there twice (lines 1 and 2); put both into one" in output
    with (project / "config.yaml").open("a") as file:
        file.write("detector: {engine: detectron2}\n")
    code, output = snakemake(project, "-n")
    assert code != 0
    assert re.search(r"config.yaml: key detector is there twice \(lines \d+ and \d+\)", output)


def test_every_key_can_be_given_on_the_command_line(project):
    config = yaml.safe_load((project / "config.yaml").read_text())
    config["data"]["cifar10"]["folder"] = "/nowhere"
    (project / "config.yaml").write_text(yaml.safe_dump(config))
    values = [
        "data={cifar10: {folder: null}, coco: {year: 2017}}",
        "hardware={compile: true}",
        "cifar10={recipe: {lr: 1e-3}}",
    ]
    target = "results/runs/short/cifar10/resnet-20/seed0/weights.pt"
    code, output = snakemake(project, "-n", "-p", "--config", "scale=short", *values, "--", target)
    assert code == 0, output
    assert executed(output, "download_archive") == 1
    assert "--lr 0.001 " in output
    assert "--compile true " in output


def test_networks_without_seeds_are_left_out_of_everything(project):
    changes = {
        "cifar10": {"seeds": {"resnet-1202": []}},
        "imagenet": {"seeds": {"resnet-101": []}},
        "detector": {"seeds": {"vgg-16": []}},
        "data": {"coco": {"folder": "/coco"}},
    }
    code, output = snakemake(project, "-n", *configure(project, changes))
    assert code == 0, output
    assert "config.yaml: there are no detectors with resnet-101, left out in imagenet.seeds" in output
    assert "config.yaml: data.coco.folder has no effect: detector.data.coco is scenes-coco" in output
    assert "/resnet-1202/" not in output
    assert "/resnet-101/" not in output
    assert (executed(output, "train_cifar10"), executed(output, "train_imagenet")) == (11, 10)
    for rule in ("train_detector", "prepare_scenes", "plot_detections", "measure_statistics"):
        assert executed(output, rule) == 0, rule
    assert executed(output, "tabulate_detections") == 2
    assert executed(output, "render_report") == 1


def test_an_unknown_model_has_no_rule(project):
    code, output = snakemake(project, "-n", "--", "results/runs/demo/digits/resnet-21/seed0/weights.pt")
    assert code != 0
    assert "MissingRuleException" in output


def test_bad_data_are_named_by_the_failing_job(project, tmp_path):
    folder = tmp_path / "{cifar}'s $x"
    folder.mkdir()
    changes = {"scale": "short", "data": {"cifar10": {"folder": str(folder)}}}
    code, output = snakemake(project, *configure(project, changes), "--", "data/cifar10/dataset.json")
    assert code != 0
    assert f"prepare_cifar10: error: {folder}/batches.meta.txt is missing" in output


def test_an_archive_is_downloaded_checked_and_unpacked(project, dataset, tmp_path):
    archive = tmp_path / "c++ {x} é&touch $HOME ‽.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(dataset.parent / "cifar-10-batches-bin", "cifar-10-batches-bin")
    handler = functools.partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        source = {
            "url": f"http://127.0.0.1:{server.server_port}/{archive.name}?download=1",
            "md5": hashlib.md5(archive.read_bytes()).hexdigest(),
        }
        changes = {"scale": "paper", "data": {"cifar10": source}}
        code, output = snakemake(project, *configure(project, changes), "--", "data/cifar10/dataset.json")
        server.shutdown()
    assert code == 0, output
    assert json.loads((project / "data/cifar10/dataset.json").read_text())["training_images"] == 100
    assert sorted(path.name for path in (project / "data").rglob("*") if path.name.startswith(".")) == []


@pytest.mark.skipif(not PACKS.is_dir(), reason="the pack of real CIFAR-10 images is not here")
def test_real_cifar10_at_short_scale(project, tmp_path):
    with tarfile.open(PACKS / "cifar10-mini.tar.xz") as tar:
        tar.extractall(tmp_path, filter="data")
    recipe = {"iterations": 30, "lr_drops": [20, 25], "log_interval": 10, "evaluation_interval": 30}
    changes = {"scale": "short", "data": {"cifar10": {"folder": str(tmp_path)}}, "cifar10": {"recipe": recipe}}
    target = "results/runs/short/cifar10/resnet-20/seed0/result.json"
    code, output = snakemake(project, *configure(project, changes), "--", target)
    assert code == 0, output
    result = json.loads((project / target).read_text())
    settings = yaml.safe_load((project / target).with_name("config.yaml").read_text())
    assert (
        settings["resolved"] | {"training_images": 9000, "test_images": 2000, "horizontal_flip": True}
        == (settings["resolved"])
    )
    assert result["image_size"] == 32
    assert result["train"]["top1_error"] < 83, "75 % with seeds 0 and 1, chance is 90 %"


@pytest.mark.skipif(not PACKS.is_dir(), reason="the packs of real VOC and COCO pictures are not here")
def test_real_voc_and_coco_at_a_tiny_schedule(project, tmp_path):
    """Real pictures and objects from reading to average precision; 2007 stands in for 2012, which no pack has."""
    for name in ("voc2007-pocket", "coco-pocket"):
        with tarfile.open(PACKS / f"{name}.tar.xz") as tar:
            tar.extractall(tmp_path, filter="data")
    devkit = tmp_path / "VOCdevkit"
    shutil.copytree(devkit / "VOC2007", devkit / "VOC2012")
    lists = devkit / "VOC2012/ImageSets/Main"
    (lists / "test.txt").unlink()
    changes = TINY | {
        "data": {"voc": {"folder": str(devkit)}, "coco": {"folder": str(tmp_path / "coco_pocket"), "year": 2017}},
        "detector": TINY["detector"] | {"data": {"voc": "voc", "coco": "coco"}, "seeds": {"vgg-16": [0]}},
    }
    folder = "results/runs/demo/detector-torchvision-trained/{}/vgg-16/seed0/evaluation/average_precision.json"
    targets = [folder.format("voc07"), folder.format("coco"), "results/detections-voc07.png"]
    code, output = snakemake(project, *configure(project, changes), "--", *targets)
    assert code == 0, output
    voc, coco = (json.loads((project / target).read_text()) for target in targets[:2])
    assert (voc["test_set"], voc["classes_without_objects"]) == ("voc2007_test", ["cat", "tvmonitor"])
    assert 0 <= voc["map50"] <= 100
    assert (coco["images"], coco["metric"]) == (24, "coco")
    assert len(coco["classes_without_objects"]) > 10
    classes = pd.read_csv((project / targets[0]).with_name("classes.csv"), index_col="class")
    assert classes.loc["cat"].isna().ap50
    assert classes.loc["person"].objects > 0


def test_every_value_in_a_command_is_quoted():
    """But how the command of a training begins, which is made of several words."""
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    commands = re.findall(r"^    shell:\n((?:        .*\n)+)", rules, re.MULTILINE)
    values = re.findall(r"\{+(\w+(?:\.\w+)*)(:q)?\}", "".join(commands))
    assert len(values) > 3 * len(commands) > 60
    assert {value for value, quoted in values if not quoted} <= {"resources.launcher", "TRAIN"}


@pytest.mark.parametrize(
    "command",
    [
        "ruff check .",
        "ruff format --check .",
        "snakefmt --check workflow",
        "snakemake --lint",
        "snakemake -n --workflow-profile workflow/profiles/slurm --config scale=paper",
    ],
)
def test_style(project, command):
    name, *arguments = command.split()
    program = Path(sys.executable).with_name(name)
    done = subprocess.run([program, *arguments], cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

"""What the tests of the DAG share: the whole paper at a tiny scale, and how Snakemake is started."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import yaml
from conftest import inactive_path

TINY = {
    "detector": {
        "recipe": {
            "shorter_side": 64,
            "max_size": 96,
            "anchor_sizes": [16, 32],
            "rois": 8,
            "rpn_pre_nms_top_n_train": 50,
            "rpn_pre_nms_top_n_test": 25,
            "rpn_post_nms_top_n_train": 20,
            "rpn_post_nms_top_n_test": 10,
            "batch_size": 1,
            "iterations": 2,
            "lr": 0.001,
            "lr_drops": [1],
            "log_interval": 1,
            "evaluation_interval": 1,
            "evaluation_images": 2,
        },
        "bn_statistics": {"size": 64, "images": 16},
    },
    "imagenet": {
        "recipe": {
            "width": 0.03,
            "image_size": 32,
            "scale_min": 32,
            "scale_max": 40,
            "test_shorter_side": 36,
            "batch_size": 8,
            "iterations": 4,
            "lr_drops": [2, 3],
            "log_interval": 2,
            "evaluation_interval": 2,
        },
        "overrides": {
            **{f"resnet-{depth}": {"batch_size": 8} for depth in (50, 101, 152)},
            "vgg-16": {"iterations": 4, "lr_drops": [2, 3]},
        },
        "multiscale_shorter_sides": [32, 36],
    },
    "cifar10": {
        "recipe": {
            "batch_size": 16,
            "iterations": 4,
            "lr_drops": [2, 3],
            "log_interval": 2,
            "evaluation_interval": 2,
        },
        "overrides": {
            "resnet-1202": {"batch_size": 2, "iterations": 1, "log_interval": 1, "evaluation_interval": 1},
            # Its gradients explode; after few updates at a usual rate, the running statistics give an infinite loss.
            "plain-110": {"lr": 1.0e-7, "warmup_lr": 1.0e-7},
        },
    },
}
# A network that the paper does not have.
RESNET_8 = {"resnet-8": [0]}


def add_artefacts(project: Path) -> None:
    """Add the table and the figure of docs/extending.md to a copy of the project, and nothing else."""
    page = (project / "docs/extending.md").read_text()
    examples = re.findall(r"`(workflow/artefacts/\w+\.yaml)`:\n\n```yaml\n(kind: .*?)```", page, re.DOTALL)
    assert [Path(file).stem for file, _ in examples] == ["centre_crop", "plain_nets"]
    for file, text in examples:
        (project / file).write_text(text)


def configure(project: Path, changes: dict) -> list[str]:
    (project / "changes.yaml").write_text(yaml.safe_dump(changes))
    return ["--configfile", "config.yaml", "changes.yaml"]


def runs(project: Path) -> set[str]:
    return {str(path.parent.relative_to(project / "results/runs")) for path in project.rglob("weights.pt")}


def executed(output: str, rule: str) -> int:
    return len(re.findall(rf"^(?:local)?rule {rule}:", output, re.MULTILINE))


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

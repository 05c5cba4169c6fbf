"""The whole paper at a tiny scale, in one copy of the project: what is made, what is made again, and the reports."""

import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
import torch
from conftest import snakemake

from resnet.artefacts import read_artefacts
from resnet.sections import DEFAULT_SECTIONS, OPTIONAL
from workflow.conftest import RESNET_8, TINY, add_artefacts, configure, executed, runs

# Each starts Snakemake, which takes 2 s before it does anything.
pytestmark = pytest.mark.slow
# Two runs of one network, so that a table has their mean.
WITH_RESNET_8 = TINY | {"cifar10": TINY["cifar10"] | {"seeds": {**RESNET_8, "resnet-110": [0, 1]}}}


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
    """The whole paper at a tiny scale, with a network, a table and a figure more, in a copy of the project."""
    from conftest import project as make_project

    copy = make_project.__wrapped__(tmp_path_factory.mktemp("whole"))
    add_artefacts(copy)
    code, output = snakemake(copy, *configure(copy, WITH_RESNET_8))
    assert code == 0, output
    return copy


def figures_of(project: Path, *sections: str) -> list[str]:
    artefacts = read_artefacts(project / "workflow/artefacts").values()
    return [one.name for one in artefacts if one.is_figure and one.section in (sections or DEFAULT_SECTIONS)]


def test_everything_is_made(built):
    artefacts = read_artefacts(built / "workflow/artefacts")
    assert {"centre_crop", "plain_nets"} < set(artefacts)
    for name, artefact in artefacts.items():
        if artefact.section in OPTIONAL:
            continue
        forms = ("pdf", "png", "json") if artefact.is_figure else ("csv", "md", "json")
        for form in forms if artefact.section else ["csv"]:
            assert (built / f"results/{name}.{form}").stat().st_size > 100, (name, form)
    sheet = pd.read_csv(built / "results/runs.csv")
    sheet = sheet[~sheet.section.isin(OPTIONAL)]
    assert set(sheet.folder) == {f"results/runs/{folder}" for folder in runs(built)}
    models = [f"{kind}-{depth}" for kind in ("plain", "resnet") for depth in (20, 32, 44, 56, 110)]
    expected = {f"demo/digits/{model}/seed0" for model in [*models, "resnet-1202", "resnet-8"]} | {
        "demo/digits/resnet-110/seed1"
    }
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
    assert len(parser.sources) == len(figures_of(built))
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
        "Errors on the centre crop",
        "Plain nets of 32 and 44 layers",
        "resnet-8 (not in the paper)",
    ):
        assert text in page, text


def test_nothing_is_done_twice(built):
    code, output = snakemake(built, "--configfile", "config.yaml", "changes.yaml")
    assert code == 0, output
    assert "Nothing to be done" in output


def test_a_section_by_itself_has_a_report_of_what_it_shows(built):
    code, output = snakemake(built, "--configfile", "config.yaml", "changes.yaml", "--", "cifar10")
    assert code == 0, output
    assert f"The report: {built.resolve()}/results/report-cifar10.html" in output
    assert (executed(output, "train_cifar10"), executed(output, "render_report")) == (0, 1)
    page = (built / "results/report-cifar10.html").read_text()
    parser = Images()
    parser.feed(page)
    assert len(parser.sources) == len(figures_of(built, "cifar10"))
    for text, there in (("Table 6", True), ("plain-110, seed 0", True), ("Table 3", False), ("resnet-50", False)):
        assert (text in page) == there, text
    claims, all_claims = (pd.read_csv(built / f"results/claims{section}.csv") for section in ("-cifar10", ""))
    assert claims.verdict.tolist() == all_claims[all_claims["about"] == "cifar10"].verdict.tolist()


def test_snakemakes_own_report(built):
    code, output = snakemake(built, "--configfile", "config.yaml", "changes.yaml", "--report", "report.html")
    assert code == 0, output
    page = (built / "report.html").read_text()
    for text in (
        "Table 6",
        "Figures",
        "Fig. 7",
        "Errors on the centre crop",
        "Dashed: training error on augmented batches.",
    ):
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
            {f"tabulate_{name}" for name in ("cifar_errors", "evaluations", "classes", "footnotes")}
            | {"tabulate_cifar_architectures", "tabulate_imagenet_architectures", "check_claims"},
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
    assert not raised & {"detect_objects", "train_detector", "evaluate_imagenet", "tabulate_cifar_errors"}
    raised = rules_after(built, "scripts/resnet/versions.py", '"decode": ', '"decode": 1')
    assert raised >= {
        "measure_image_statistics",
        "train_imagenet",
        "evaluate_imagenet",
        "train_detector",
        "detect_objects",
    }
    assert not raised & {"prepare_handwriting", "train_cifar10", "measure_responses"}

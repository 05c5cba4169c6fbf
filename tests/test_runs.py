"""The runs of a configuration as one sheet, and which of them an artefact shows."""

import dataclasses

import pytest
import yaml
from conftest import ROOT

from resnet.artefacts import read_artefacts
from resnet.config import load
from resnet.runs import first_of_each, run_folder, select, sheet, shown
from resnet.settings import EXPERIMENTS, LOCALISER_STAGES

WORKFLOW = ROOT / "workflow"
PAPER = yaml.safe_load((WORKFLOW / "scales/paper.yaml").read_text())
ADDED = {
    "cifar10": {"seeds": {"resnet-8": [3], "resnet-20": [0, 1]}},
    "imagenet": {"seeds": {"resnet-18-B": [0]}},
    "detector": {"seeds": {"resnet-50": [0]}},
}


@pytest.fixture(scope="module")
def artefacts():
    return read_artefacts(WORKFLOW / "artefacts")


def configured(changes=None):
    config = yaml.safe_load((ROOT / "config.yaml").read_text()) | (changes or {})
    loaded = load(config, WORKFLOW)
    return loaded, sheet(loaded, PAPER)


def models(runs):
    return list(dict.fromkeys(run.model for run in runs))


def test_seeds_of_others_are_those_of_all_networks_that_are_not_named():
    seeds = {"others": [], "resnet-20": [0, 1], "resnet-164": [0]}
    config, _ = configured({"cifar10": {"seeds": seeds}, "detector": {"seeds": {"vgg-16": [0], "others": [5]}}})
    assert config.cifar10.seeds == {"resnet-20": [0, 1], "resnet-164": [0]}
    assert config.detector.seeds == {"vgg-16": [0], "resnet-101": [5]}
    config, _ = configured({"cifar10": {"seeds": {"others": [3]}}})
    assert config.cifar10.seeds["resnet-1202"] == [3]
    assert "resnet-110+no-warmup" not in config.cifar10.seeds, "a network that the scale does not run stays out"
    config, runs = configured({"sections": ["imagenet"], "imagenet": {"seeds": {"resnet-50": [0], "others": []}}})
    assert models(select(runs, section=["imagenet", "detection"])) == ["resnet-50"]
    assert ["Table 5" in note for note in config.notes] == [True], "of detectors nothing is said where none are made"


def test_the_papers_scale_has_the_papers_runs():
    _, runs = configured({"scale": "paper"})
    counts = {section: len(select(runs, section=section)) for section in ("imagenet", "cifar10", "detection")}
    # VOC 2012's test images are not at hand, so nothing is trained for its server.
    assert counts == {"imagenet": 11, "cifar10": 15, "detection": 6}
    assert all(run.in_paper for run in runs)
    [run] = select(runs, model="resnet-110", seed=4)
    assert dataclasses.astuple(run) == (
        "cifar10", "cifar10", "", "resnet-110", 4, "seed4", "results/runs/paper/cifar10/resnet-110/seed4", True,
    )  # fmt: skip


def test_runs_have_the_folders_that_rules_have_as_patterns():
    config, runs = configured()
    for run in runs:
        stage = {"experiment": run.experiment} if run.experiment in LOCALISER_STAGES else {}
        pattern = run_folder(config, run.section, **stage)
        assert pattern.format(model=run.model, source=run.source, experiment=run.experiment) == run.folder


def test_rows_are_selected_by_value_and_by_several():
    _, runs = configured()
    assert models(select(runs, section="cifar10", model=["plain-20", "plain-56"])) == ["plain-20", "plain-56"]
    assert {run.experiment for run in select(runs, section="detection")} == set(EXPERIMENTS) - {"det"}
    assert [run.seed for run in first_of_each(select(runs, model="resnet-152"))] == [0]


def test_published_weights_are_runs_of_their_own(artefacts):
    _, runs = configured({"imagenet": {"weights": "torchvision"}})
    published = select(runs, is_published=True)
    expected = ["resnet-34-B", "resnet-50", "resnet-101", "resnet-152", "vgg-16"]
    assert sorted(models(published)) == sorted(expected)
    assert {run.source for run in published} == {"torchvision"}
    assert shown(artefacts["table4"], runs, "torchvision") == [
        run
        for model in ("resnet-34-B", "resnet-50", "resnet-101", "resnet-152")
        for run in select(published, model=model)
    ]
    # There are none of plain nets, and the claims are about trained ones.
    assert not any(run.is_published for run in shown(artefacts["table2"], runs, "torchvision"))
    assert not any(run.is_published for run in shown(artefacts["table4"], runs))


def test_a_network_that_is_added_comes_after_the_papers_in_the_tables_of_its_section(artefacts):
    _, runs = configured(ADDED)
    _, before = configured()
    added = {"imagenet": "resnet-18-B", "cifar10": "resnet-8", "detection": "resnet-50"}
    for artefact in artefacts.values():
        found, earlier = models(shown(artefact, runs)), models(shown(artefact, before))
        more = [added[artefact.section]] if artefact.shows_others else []
        assert found == earlier + more, artefact.name
    assert not any(
        run.in_paper for section, model in added.items() for run in select(runs, section=section, model=model)
    )


def test_a_seed_that_is_added_counts_in_tables_and_not_in_figures(artefacts):
    _, runs = configured(ADDED)
    assert [run.seed for run in select(shown(artefacts["table6"], runs), model="resnet-20")] == [0, 1]
    assert [run.seed for run in select(shown(artefacts["fig6"], runs), model="resnet-20")] == [0]


def test_detectors_are_shown_experiment_by_experiment(artefacts):
    _, runs = configured()
    pairs = [(run.experiment, run.model) for run in shown(artefacts["table7"], runs)]
    assert pairs == [(one, model) for one in ("voc07", "voc12") for model in ("vgg-16", "resnet-101")]

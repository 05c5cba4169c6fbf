"""What config.yaml and the scales may say of localisation."""

import pytest
from conftest import ROOT

from resnet.config import load
from resnet.errors import UserError
from resnet.files import read_yaml
from resnet.runs import select, sheet

WORKFLOW = ROOT / "workflow"


def loaded(**changes):
    config = read_yaml(ROOT / "config.yaml") | {"sections": ["appendix"]}
    return load(config | changes, WORKFLOW)


def test_overrides_are_those_of_a_stage_then_of_a_model():
    changes = {"overrides": {"rcnn": {"lr": 0.3}, "resnet-50": {"lr": 0.4, "lr_drops": [1]}}}
    localisation = loaded(localisation=changes).localisation
    assert [localisation.recipe(stage, "resnet-101", 0).lr for stage in ("rpn", "rcnn")] == [0.1, 0.3]
    assert localisation.recipe("rcnn", "resnet-50", 0).lr == 0.4
    assert localisation.recipe("rcnn", "resnet-50", 7).lr_drops == (1,)
    assert localisation.recipe("rcnn", "resnet-50+longer", 0).lr == 0.4, "a variation has its network's"


def test_each_network_has_a_run_of_each_stage():
    config = loaded()
    runs = select(sheet(config, read_yaml(WORKFLOW / "scales/paper.yaml")), section="appendix", dataset="scattered")
    assert [(run.experiment, run.model, run.folder) for run in runs] == [
        (stage, model, f"results/runs/demo/localiser/{stage}/{model}/seed0")
        for stage in ("rpn", "rcnn")
        for model in ("resnet-50", "resnet-101")
    ]
    assert all(run.in_paper for run in runs)


def test_the_paper_s_ensemble_has_three_networks_and_the_demo_s_those_that_it_trains(tmp_path):
    (tmp_path / "Annotations/CLS-LOC").mkdir(parents=True)
    data = read_yaml(ROOT / "config.yaml")["data"]
    data["imagenet"]["folder"] = str(tmp_path)
    paper = loaded(scale="paper", data=data)
    assert [member["model"] for member in paper.localisation.ensemble] == ["resnet-50", "resnet-101", "resnet-152"]
    assert not [note for note in paper.notes if "localis" in note]
    assert [member["model"] for member in loaded().localisation.ensemble] == ["resnet-50", "resnet-101"]


def test_without_boxes_there_are_no_localisers_which_is_said_where_they_are_asked_for(tmp_path):
    data = read_yaml(ROOT / "config.yaml")["data"]
    data["imagenet"]["folder"] = str(tmp_path)
    config = loaded(scale="paper", data=data)
    assert (config.localisation.seeds, config.localisation.ensemble) == ({}, [])
    said = "there are no localisers: data.imagenet.annotations names no folder of CLS-LOC/"
    assert said in config.notes
    assert said not in loaded(scale="paper", data=data, sections=["imagenet"]).notes
    data["imagenet"]["annotations"] = str(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/CLS-LOC").mkdir(parents=True)
    assert list(loaded(scale="paper", data=data).localisation.seeds) == ["resnet-50", "resnet-101", "resnet-152"]


def test_a_localiser_goes_with_its_classifier():
    config = loaded(imagenet={"seeds": {"resnet-50": []}})
    assert list(config.localisation.seeds) == ["resnet-101"]
    assert [member["model"] for member in config.localisation.ensemble] == ["resnet-101"]
    assert "there are no localisers with resnet-50, left out in imagenet.seeds" in config.notes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": {"vgg-16": [0]}}, "localisation, rpn, vgg-16: model must be a plain or residual net, not 'vgg-16'"),
        (
            {"seeds": {"resnet-34-Z": [0]}},
            "localisation.seeds: resnet-34-Z starts with a network that is not in",
        ),
        ({"overrides": {"rpm": {}}}, "localisation, rpn, rpm: unknown model 'rpm'"),
        (
            {"ensemble": [{"model": "resnet-50", "seed": 3}]},
            "localisation.ensemble: resnet-50 with seed 3 is not a run",
        ),
        ({"recipe": {"anchor_sizes": []}}, "localisation.recipe.anchor_sizes is []"),
        ({"recipe": {"stage": "rpn"}}, "unknown key localisation.recipe.stage"),
    ],
)
def test_a_wrong_setting_is_one_error(changes, message):
    with pytest.raises(UserError) as error:
        loaded(localisation=changes)
    assert message in str(error.value)


def test_settings_that_no_run_feels_are_said():
    changes = {"overrides": {"rcnn": {"anchor_sizes": [30]}, "resnet-152": {"lr": 1.0}}}
    notes = loaded(localisation=changes).notes
    assert "localisation.overrides.rcnn.anchor_sizes has no effect: only the proposal network has it" in notes
    assert any(note.startswith("localisation.overrides.resnet-152 has no effect") for note in notes)

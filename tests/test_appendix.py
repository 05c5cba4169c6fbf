"""The runs of appendix B: what the configuration may say of them, and which of them its tables show."""

import pytest
import yaml
from conftest import ROOT

from resnet.artefacts import read_artefacts
from resnet.config import load
from resnet.errors import UserError
from resnet.runs import select, sheet, shown

WORKFLOW = ROOT / "workflow"
PAPER = yaml.safe_load((WORKFLOW / "scales/paper.yaml").read_text())


def configured(**changes):
    return load(yaml.safe_load((ROOT / "config.yaml").read_text()) | changes, WORKFLOW)


@pytest.mark.parametrize(
    ("detector", "message"),
    [
        ({"appendix": {"vco": {"vgg-16": [0]}}}, "detector.appendix: vco is none of voc07, voc12, "),
        ({"appendix": {"coco": {"vgg-19": [0]}}}, "detector.appendix.coco: vgg-19 starts with a network that is not"),
        (
            {"appendix": {"coco": {"resnet-101+context": []}}},
            "detector, voc07, resnet-101+coco: starts_with is coco/resnet-101+context, which is not run; give it",
        ),
        (
            {"overrides": {"vgg-16": {"starts_with": "coco/resnet-101"}}},
            "detector, voc07, vgg-16: starts_with is coco/resnet-101, which is another network",
        ),
        (
            {"overrides": {"resnet-101+context": {"starts_with": "voc07/resnet-101+coco"}}},
            "starts_with is coco/resnet-101+context, which itself starts with a detector; name one that does not",
        ),
        # On DET, only what the appendix names is trained.
        (
            {"overrides": {"resnet-101+coco": {"starts_with": "det/resnet-101"}}},
            "detector, voc07, resnet-101+coco: starts_with is det/resnet-101, which is not run",
        ),
        ({"overrides": {"vgg-16": {"starts_with": "coco"}}}, "starts_with is 'coco'; it must be null or the detector"),
        ({"multiscale_shorter_sides": [600, 400]}, "must be two sizes or more, increasing, not [600, 400]"),
    ],
)
def test_what_is_wrong_is_named(detector, message):
    with pytest.raises(UserError) as error:
        configured(detector=detector)
    assert message in str(error.value)


@pytest.mark.parametrize("scale", ["demo", "paper"])
def test_a_detector_that_starts_with_another_one_has_its_anchors(scale):
    detector = configured(scale=scale).detector
    first, second, plain = (
        detector.recipe(*run, 0)
        for run in (("coco", "resnet-101+context"), ("voc07", "resnet-101+coco"), ("voc07", "resnet-101"))
    )
    assert second.anchor_sizes == first.anchor_sizes
    assert (plain.anchor_sizes == first.anchor_sizes) == (scale == "demo")
    assert (first.context, second.context, plain.context) == (True, True, False)
    # What a person says of a network is said of its variations, too.
    assert (
        configured(detector={"overrides": {"resnet-101": {"lr": 0.5}}})
        .detector.recipe("coco", "resnet-101+context", 0)
        .lr
        == 0.5
    )


def test_overrides_of_det_are_those_of_its_runs():
    loaded = configured(detector={"overrides": {"det": {"lr": 0.5}, "resnet-101+context": {"context": True}}})
    assert loaded.notes == ()
    assert loaded.detector.recipe("det", "resnet-101+context", 0).lr == 0.5
    assert loaded.detector.runs("det").keys() == {"resnet-101+context"}


def test_tables_show_the_runs_of_section_4_3_beside_those_of_the_appendix():
    artefacts, runs = read_artefacts(WORKFLOW / "artefacts"), sheet(configured(), PAPER)
    for table, experiment, expected in (
        ("table9", "coco", ["vgg-16", "resnet-101", *["resnet-101+context"] * 3]),
        ("table10", "voc07", ["vgg-16", "resnet-101", "resnet-101+coco"]),
        ("table11", "voc12", ["vgg-16", "resnet-101", "resnet-101+coco"]),
    ):
        found = shown(artefacts[table], runs)
        assert [run.model for run in found] == expected
        assert {run.experiment for run in found} == {experiment}
    assert all(run.in_paper for run in select(runs, section="appendix"))
    assert artefacts["table9"].tests("resnet-101+context") == ["refined", "refined-multiscale"]
    assert artefacts["table9"].tests("vgg-16") == [""]
    # Section 4.3 is what it was.
    assert {run.model for run in shown(artefacts["table8"], runs)} == {"vgg-16", "resnet-101"}


def test_what_an_engine_or_a_missing_network_cannot_do_is_left_out():
    sections = ["cifar10", "detection", "appendix"]
    loaded = configured(detector={"engine": "detectron2"}, sections=sections)
    assert loaded.notes == ("there are no resnet-101+coco, resnet-101+context: engine detectron2 computes no context",)
    assert not any(loaded.detector.appendix.values())
    assert not any(configured(imagenet={"seeds": {"resnet-101": []}}).detector.appendix.values())

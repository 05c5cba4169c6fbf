"""Tables and figures as data: what a file says, and the one line for a file that is wrong."""

import pytest
import yaml
from conftest import ROOT

from resnet.artefact_kinds import KINDS
from resnet.artefacts import read_artefact, read_artefacts
from resnet.errors import UserError

FOLDER = ROOT / "workflow/artefacts"


@pytest.fixture(scope="module")
def artefacts():
    return read_artefacts(FOLDER)


def test_the_paper_is_all_there_section_by_section(artefacts):
    assert {artefact.kind for artefact in artefacts.values()} == set(KINDS)
    shown = [artefact for artefact in artefacts.values() if artefact.section]
    assert [artefact.section for artefact in shown] == sorted(
        (artefact.section for artefact in shown), key=["imagenet", "cifar10", "detection", "appendix"].index
    )
    assert {"table1", "table2", "table3", "table4", "table5", "table6", "table7", "table8"} < set(artefacts)
    assert {"table9", "table10", "table11"} < set(artefacts)
    assert {"fig1", "fig4", "fig6", "fig7"} < set(artefacts)


def test_every_kind_has_one_rule_and_every_artefact_one_kind():
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    for kind in set(KINDS) - {"claims"}:
        assert rules.count(f'artefact=names_of_kind("{kind}")') == 1, kind


def test_every_kind_is_explained():
    page = (ROOT / "docs/extending.md").read_text()
    assert [kind for kind in KINDS if kind != "claims" and f"`{kind}`" not in page] == []


def test_an_artefact_names_its_networks_in_the_order_of_its_file(artefacts):
    assert artefacts["table2"].models == ["plain-18", "resnet-18-A", "plain-34", "resnet-34-A"]
    assert artefacts["table4"].models == ["resnet-34-B", "resnet-34-C", "resnet-50", "resnet-101", "resnet-152"]
    assert artefacts["fig1"].models == ["plain-56", "plain-20"]
    assert artefacts["table7"].experiments == ["voc07", "voc12"]
    assert artefacts["detections-coco"].experiments == ["coco"]


def test_other_networks_are_shown_where_a_row_is_one_network(artefacts):
    tables = {name for name, artefact in artefacts.items() if artefact.shows_others and not artefact.is_figure}
    assert tables == {"table3", "table4", "table6", "table7", "table8", "cifar_architectures", "detection_classes"}


def changed(tmp_path, name, change):
    values = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    change(values)
    file = tmp_path / f"{name}.yaml"
    file.write_text(yaml.safe_dump(values))
    return file


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("table3", lambda v: v.update(kind="tabel"), "kind is 'tabel'; it must be one of imagenet_architectures, "),
        ("table3", lambda v: v.pop("kind"), "missing key kind"),
        (
            "table3",
            lambda v: v.update(section="cifar10"),
            "section is 'cifar10'; it must be one of imagenet, detection, appendix",
        ),
        ("table3", lambda v: v.pop("caption"), "missing key caption"),
        ("table3", lambda v: v.update(captoin="x"), "unknown key captoin; did you mean caption?"),
        ("table3", lambda v: v.update(protocol="5crop"), "protocol is '5crop'; it must be one of center, 10crop, "),
        ("table3", lambda v: v["rows"][0].update(modle="x"), "unknown key rows.0.modle; did you mean model?"),
        (
            "table3",
            lambda v: v["rows"][0].update(top1_error="high"),
            "rows.0.top1_error is 'high'; it must be a number",
        ),
        (
            "table3",
            lambda v: v["columns"][0].update(metric="map"),
            "columns.0.metric is 'map'; it must be one of top1_",
        ),
        ("table3", lambda v: v["rows"][0].update(model="resnet-51"), "unknown model 'resnet-51': expected plain-<"),
        ("table3", lambda v: v.update(rows=[]), "rows is []; it must be a list that is not empty"),
        (
            "table7",
            lambda v: v["columns"][0].update(experiment="voc"),
            "columns.0.experiment is 'voc'; it must be one ",
        ),
        ("table6", lambda v: v["rows"][6].update(model="resnet-21"), "model 'resnet-21': the depth must be 6n+2"),
        ("fig1", lambda v: v["panels"][0]["curves"][0].pop("split"), "missing key panels.0.curves.0.split"),
        (
            "fig7",
            lambda v: v["curves"][0].update(style="dotted"),
            "curves.0.style is 'dotted'; it must be one of solid",
        ),
        ("claims", lambda v: v["claims"][0].pop("about"), "missing key claims.0.about"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_file_and_key(tmp_path, name, change, message):
    file = changed(tmp_path, name, change)
    with pytest.raises(UserError) as error:
        read_artefact(file)
    assert str(error.value).startswith(f"{file}: {message}")
    assert "\n" not in str(error.value)


def test_a_key_that_is_there_twice_and_a_name_that_no_rule_can_have_are_errors(tmp_path):
    file = tmp_path / "table3.yaml"
    file.write_text((FOLDER / "table3.yaml").read_text() + "protocol: center\n")
    with pytest.raises(UserError, match=r"key protocol is there twice \(lines \d+ and \d+\)"):
        read_artefact(file)
    with pytest.raises(UserError, match=r"Table 3\.yaml: an artefact's name has small letters"):
        read_artefact(file.rename(tmp_path / "Table 3.yaml"))

"""Claims: what sets runs apart from the paper's, and verdicts on the paper's own numbers."""

import copy
import dataclasses
import json
import statistics

import check_claims
import pandas as pd
import pytest
import yaml
from conftest import run_program

from rendering.paper_facts import (
    ARTEFACTS,
    BY_ID,
    CLAIMS,
    PRINTED,
    SCALES,
    Noisy,
    config,
    expected,
    kinds,
    make_facts,
    paper,
    result,
    rows_of,
    verdicts,
)
from resnet.errors import UserError
from resnet.rendering.claims import COLUMNS, judge
from resnet.rendering.facts import Facts, Run
from resnet.sections import SECTIONS
from resnet.settings import EXPERIMENTS


@pytest.fixture
def facts():
    return make_facts()


def test_each_claim_holds_by_the_papers_runs_in_nine_of_ten_cases_or_is_declared_open():
    repeats = 120
    counts = {claim: {} for claim in BY_ID}
    # A published number was measured on the same test images, so that only the seeds are others.
    reached = {claim for claim in BY_ID if "reaches" in kinds(BY_ID[claim])}
    for seed in range(repeats):
        found = verdicts(make_facts(Noisy(seed)))
        found |= verdicts(make_facts(Noisy(seed, sampling=False)), reached)
        for claim, verdict in found.items():
            counts[claim][verdict] = counts[claim].get(verdict, 0) + 1
    for claim, found in counts.items():
        said = expected(BY_ID[claim])
        share = found.get("holds", 0) / repeats
        if said == "open":
            assert share < 0.9, claim
            assert found.get("does not hold", 0) / repeats <= 0.05, claim
        else:
            assert found.get(said, 0) / repeats >= 0.9, claim


def test_no_comparison_of_equal_networks_holds_but_by_chance():
    """Every network has the mean of all: what is said of their order must not hold."""

    def equal(values):
        return dict.fromkeys(values, statistics.mean(values.values()))

    ordered = {"falls", "rises", "lower", "higher", "ensemble below its members"}
    compared = [claim for claim in BY_ID if kinds(BY_ID[claim]) & ordered]
    assert len(compared) >= 15
    repeats = 300
    held = dict.fromkeys(compared, 0)
    for seed in range(repeats):
        for claim, verdict in verdicts(make_facts(Noisy(seed), equal), compared).items():
            held[claim] += verdict == "holds"
    assert max(held.values()) / repeats <= 0.05


def test_the_papers_numbers_give_what_is_declared(facts):
    found = rows_of(facts)
    for claim, row in found.items():
        # Numbers that are declared open hold or are open, as chance will.
        assert row["verdict"] in {expected(BY_ID[claim]), "holds" if expected(BY_ID[claim]) == "open" else ""}, claim
    assert all(row["comparable"] in ("yes", None) and not row["reason"] for row in found.values() if "runs" in row)
    assert (found["resnet-1202-size"]["runs"], found["resnet-1202-size"]["comparable"]) == (None, None)
    assert (found["detection-voc"]["runs"], found["detection-voc"]["samples"]) == (4, 12032)
    row = found["residual-gain"]
    assert row["closest"] == "resnet-20 − resnet-110, test error (%)"
    assert row["difference"] == pytest.approx(8.75 - 6.61)
    assert (row["runs"], row["samples"]) == (9, 10000)
    assert "resnet-110 6.61 ± 0.00 (5 runs)" in row["evidence"]


@pytest.mark.parametrize(
    ("claim", "model", "train", "test"),
    [
        ("degradation", "plain-56", 0.5, 8.0),
        ("plain-suffer", "plain-44", 0.5, 9.0),
        ("plain-110", "plain-110", 50, 50),
        ("residual-gain", "resnet-56", 0.05, 20),
        ("residual-not-degraded", "resnet-56", 5, 7),
        ("resnet-110-error", "resnet-110", 0.05, 8),
        ("warmup", "resnet-110", 12, 8),
        ("resnet-1202-optimises", "resnet-1202", 0.5, 7.93),
        ("resnet-1202-overfits", "resnet-1202", 0.06, 5),
    ],
)
def test_a_claim_fails_when_the_numbers_say_so(facts, claim, model, train, test):
    facts.runs["cifar10"][model] = [Run(result(model, train, test), config("cifar10", model))]
    assert verdicts(facts)[claim] == "does not hold"


def test_a_difference_that_chance_explains_is_open(facts):
    for test, verdict in ((9.6, "open"), (9.9, "open"), (11.5, "holds"), (8, "does not hold")):
        facts.runs["cifar10"]["plain-56"] = [Run(result("plain-56", 5.6, test), config("cifar10", "plain-56"))]
        assert verdicts(facts)["degradation"] == verdict, test


def test_claims_about_counts_and_responses_fail_too(facts):
    facts.architectures["resnet-20"]["parameters"] += 1
    facts.architectures["plain-20"]["paper_layers"] = 21
    facts.architectures["resnet-1202"]["parameters"] = 19_300_000
    facts.responses["resnet-20"] = [3]
    facts.responses["resnet-110"] = [4]
    found = verdicts(facts)
    for claim in ("same-cost", "depth-6n-plus-2", "resnet-1202-size", "smaller-responses", "deeper-smaller-responses"):
        assert found[claim] == "does not hold", claim
    facts.architectures["resnet-110"]["parameters"] = 1_200_000
    assert verdicts(facts)["fewer-parameters"] == "holds"


@pytest.mark.parametrize(
    ("count", "value", "claim"),
    [
        ("depth_ratio", 7, "eight-times-deeper"),
        ("construction_error", 0.1, "constructed-solution"),
        ("shortcut_flops_34", 100, "same-cost"),
        ("flops_34_of_vgg_19", 25, "flops-34"),
        ("layers_resnet_34", 36, "depth-6n-plus-2"),
        ("projections_added_by_c", 12, "thirteen-projections"),
        ("bottleneck_flops_ratio", 1.3, "bottleneck-cost"),
        ("projection_parameters_ratio", 1.5, "projection-doubles"),
        ("shared_stride_resnet-101", 32, "shared-layers"),
    ],
)
def test_a_claim_about_a_count_fails_by_that_count(facts, count, value, claim):
    facts = dataclasses.replace(facts, counts=facts.counts | {count: value})
    assert verdicts(facts, [claim]) == {claim: "does not hold"}


@pytest.mark.parametrize(("key", "smallest"), [("std", 1e-5), ("std", 0), ("gradient", 1e-6), ("gradient", 0)])
def test_signals_that_vanish_in_a_layer_are_seen(facts, key, smallest):
    facts.signals["imagenet"]["plain-34"][1][key] = smallest
    assert verdicts(facts, ["signals", "signals-cifar10"]) == {"signals": "does not hold", "signals-cifar10": "holds"}


def test_numbers_that_are_printed_differently_are_seen(facts):
    printed = copy.deepcopy(facts.printed)
    printed["table14"]["ResNet (ILSVRC'15)"]["top5_error"] = 9.0
    printed["table7"]["VGG-16"]["voc07_map"] = 73.3
    printed["table11"]["baseline VGG-16"]["classes"][3] += 2
    found = verdicts(dataclasses.replace(facts, printed=printed))
    claims = {"printed-localisation", "printed-voc", "printed-means"}
    assert {claim for claim in claims if found[claim] == "does not hold"} == claims


def test_options_that_differ_as_much_as_they_gain_are_not_close(facts):
    facts.evaluations["10crop"]["resnet-34-C"][0]["top1_error"] = 21
    assert verdicts(facts, ["shortcuts-differ-little"]) == {"shortcuts-differ-little": "does not hold"}


def test_an_ensemble_of_other_members_is_seen(facts):
    facts.evaluations["multiscale"]["ensemble"][0]["members"].pop()
    assert verdicts(facts, ["ensemble-members"]) == {"ensemble-members": "does not hold"}


def test_footnotes_fail_when_the_numbers_say_so(facts):
    facts.runs["cifar10"]["resnet-56+single-layer"][0].result["test"]["top1_error"] = 8
    facts.runs["imagenet"]["plain-34+3x"][0].result["train"]["top1_error"] = 20
    facts.runs["imagenet"]["plain-101"][0].result["train"]["top1_error"] = 20
    for row in facts.curves["resnet-110+no-warmup"]:
        row["top1_error"] = 50
    claims = ["single-layer", "longer-training", "bottleneck-degradation", "no-warmup"]
    assert set(verdicts(facts, claims).values()) == {"does not hold"}


@pytest.mark.parametrize(
    ("claim", "model", "top1"),
    [
        ("imagenet-degradation", "plain-34", 27),
        ("resnet-34-beats-18", "resnet-34-A", 29),
        ("resnet-34-beats-plain-34", "resnet-34-A", 30),
        ("eighteen-comparable", "plain-18", 31),
        ("shortcuts-beat-plain", "resnet-34-C", 30),
        ("shortcuts-order", "resnet-34-B", 28),
        ("deeper-is-better", "resnet-101", 24),
        ("plain-34-near-vgg", "vgg-16", 26),
    ],
)
def test_a_claim_about_imagenet_fails_when_the_numbers_say_so(facts, claim, model, top1):
    facts.evaluations["10crop"][model][0]["top1_error"] = top1
    assert verdicts(facts)[claim] == "does not hold"


def test_other_claims_about_imagenet_fail_too(facts):
    for row in facts.curves["plain-34"][-10:] + facts.curves["plain-34"][50:60]:
        row["top1_error"] = 20
    facts.curves["resnet-18-A"], facts.curves["plain-18"] = facts.curves["plain-18"], facts.curves["resnet-18-A"]
    facts.evaluations["multiscale"]["ensemble"][0]["top5_error"] = 5
    facts.evaluations["multiscale"]["resnet-152"][0]["top5_error"] = 5.3
    facts.table1["50-layer"]["flops_1e9"] = 4.1
    found = verdicts(facts)
    for claim in (
        "imagenet-training-degradation",
        "resnet-18-converges-faster",
        "ensemble",
        "single-model",
        "single-model-beats-ensembles",
        "imagenet-flops",
    ):
        assert found[claim] == "does not hold", claim


@pytest.mark.parametrize(
    ("claim", "name", "map50", "mean"),
    [
        ("detection-voc", "voc07/resnet-101", 70, None),
        ("detection-voc", "voc12/resnet-101", 67, None),
        ("detection-coco", "coco/resnet-101", 48.4, 19),
        ("detection-localisation", "coco/resnet-101", 48.4, 22.0),
        ("detection-localisation", "coco/resnet-101", 38.0, 27.0),
        ("box-refinement", "coco/resnet-101/refined", 49.9, 25.0),
        ("global-context", "coco/resnet-101+context/refined", 48.0, 30.0),
        ("multi-scale-detection", "coco/resnet-101+context/refined-multiscale", 53.8, 28.0),
        ("voc-improved", "voc07/resnet-101+coco/refined-multiscale", 70, None),
        ("coco-ensemble", "coco/ensemble/refined-multiscale", 50, 35.0),
    ],
)
def test_a_claim_about_detectors_fails_when_the_numbers_say_so(facts, claim, name, map50, mean):
    facts.detections[name][0] |= {"map50": map50, "map": mean}
    assert verdicts(facts)[claim] == "does not hold"


def test_detectors_of_other_settings_are_no_comparison_of_networks(facts):
    recipe = {**facts.detectors["coco/resnet-101"][0]["recipe"], "engine": "detectron2"}
    facts.detectors["coco/resnet-101"] = [{**facts.detectors["coco/resnet-101"][0], "recipe": recipe}]
    assert verdicts(facts)["detection-same-implementation"] == "does not hold"


def test_a_detector_from_before_a_setting_was_added_has_the_same_settings(facts):
    first = facts.detectors["coco/vgg-16"][0]
    earlier = {key: value for key, value in first["recipe"].items() if key not in ("context", "shorter_side")}
    facts.detectors["coco/vgg-16"] = [{**first, "recipe": {**earlier, "side": first["recipe"]["shorter_side"]}}]
    assert verdicts(facts)["detection-same-implementation"] == "holds"


def changed(model, section="cifar10", dataset=None, resolved=None, **recipe):
    """``config.yaml`` of a run whose settings are not the paper's."""
    base = config(section, model)
    return {
        "recipe": {**base["recipe"], **recipe},
        "resolved": {**base["resolved"], **(resolved or {})},
        "dataset": {"name": dataset or base["dataset"]["name"]},
    }


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iterations": 100}, "iterations 100 (paper: 64,000)"),
        ({"image_size": 8}, "image_size 8 (paper: 32)"),
        ({"batch_size": 64}, "batch_size 64 (paper: 128)"),
        ({"dataset": "digits"}, "data set digits (paper: cifar10)"),
        ({"resolved": {"test_images": 2000}}, "test images 2,000 (paper: 10,000)"),
        ({"lr_drops": [50, 75]}, "lr_drops 50, 75 (paper: 32,000, 48,000)"),
        ({"warmup_lr": None}, "warmup_lr none (paper: 0.01)"),
    ],
)
def test_only_runs_by_the_papers_recipe_contradict_it_whatever_the_scale_is_called(facts, changes, reason):
    for model in ("plain-20", "plain-56", "resnet-110"):
        run = Run(result(model, 50 if model == "plain-20" else 5, 20), changed(model, **changes))
        facts.runs["cifar10"][model] = [run]
    found = rows_of(facts)
    for claim, verdict in (("degradation", "not seen at this scale"), ("resnet-110-error", "not tested")):
        assert found[claim]["verdict"] == verdict
        assert found[claim]["reason"] == f"not the paper's runs: {reason}"
        assert found[claim]["comparable"] == "no"
        assert "%" in found[claim]["evidence"]


def test_a_claim_may_hold_on_runs_that_are_not_the_papers(facts):
    for model in ("plain-20", "plain-56"):
        error = {"plain-20": 8, "plain-56": 80}[model]
        runs = [Run(result(model, error, error), changed(model, dataset="digits", resolved={"test_images": 360}))]
        facts.runs["cifar10"][model] = runs
    row = rows_of(facts)["degradation"]
    assert (row["verdict"], row["comparable"]) == ("holds", "no")
    # Short trainings end far apart, so small differences of single runs say nothing.
    facts.runs["cifar10"]["plain-56"] = [Run(result("plain-56", 11, 11), runs[0].config)]
    assert rows_of(facts)["degradation"]["verdict"] == "open"


def test_choices_where_the_paper_is_silent_keep_a_run_comparable(facts):
    silent = {"seed": 3, "ghost_batch_size": 64, "validation_fraction": 0, "precision": "bf16", "log_interval": 50}
    run = facts.runs["cifar10"]["plain-56"][0]
    facts.runs["cifar10"]["plain-56"] = [Run(run.result, changed("plain-56", **silent))]
    assert rows_of(facts)["degradation"]["comparable"] == "yes"


def test_runs_on_imagenet_and_detectors_are_compared_with_the_papers_too(facts):
    [run] = facts.runs["imagenet"]["resnet-152"]
    facts.runs["imagenet"]["resnet-152"] = [Run(run.result, changed("resnet-152", "imagenet", width=0.125))]
    found = rows_of(facts)
    for claim in ("deeper-is-better", "ensemble"):
        assert found[claim]["reason"] == "not the paper's runs: " + (
            "resnet-152: width 0.125 (paper: 1)" if claim == "deeper-is-better"
            else "ensemble, resnet-152: width 0.125 (paper: 1)"
        )  # fmt: skip
    facts.evaluations["multiscale"]["resnet-50"][0]["sides"] = [64, 96]
    assert (
        "resnet-50: sizes of the test 64, 96 (paper: 224, 256, 384, 480, 640)"
        in rows_of(facts)["deeper-is-better"]["reason"]
    )
    [run] = facts.runs["imagenet"]["resnet-101"]
    facts.runs["imagenet"]["resnet-101"] = [Run(run.result, changed("resnet-101", "imagenet", iterations=9))]
    base = facts.detectors["coco/vgg-16"][0]
    facts.detectors["coco/vgg-16"] = [{**base, "recipe": {**base["recipe"], "iterations": 450}}]
    base = facts.detectors["coco/resnet-101+context"][0]
    facts.detectors["coco/resnet-101+context"] = [{**base, "recipe": {**base["recipe"], "lr": 0.5}}]
    for claim, of in (("voc-improved", " of coco/resnet-101+context"), ("coco-ensemble", "")):
        assert f"lr 0.5 (paper: 0.001){of}" in rows_of(facts)[claim]["reason"], claim
    reason = rows_of(facts)["detection-coco"]["reason"]
    assert "vgg-16: iterations 450 (paper: 320,000)" in reason
    assert "resnet-101: the classifier's iterations 9 (paper: 600,000)" in reason


def test_what_was_not_measured_is_not_tested_and_said(facts):
    del facts.runs["cifar10"]["resnet-1202"], facts.evaluations["10crop"]["plain-34"], facts.curves["plain-18"]
    facts.detections["coco/vgg-16"][0]["map"] = None
    found = rows_of(facts)
    for claim, reason in (
        ("resnet-1202-optimises", "no run of resnet-1202 on CIFAR-10"),
        ("imagenet-degradation", "no 10-crop test of plain-34 on ImageNet"),
        ("resnet-18-converges-faster", "no curve of plain-18 on ImageNet"),
        ("detection-coco", "vgg-16 has a run without a number"),
    ):
        assert (found[claim]["verdict"], found[claim]["reason"]) == ("not tested", reason)
    assert found["degradation"]["verdict"] == "holds"


def test_a_claim_whose_section_is_left_out_gives_that_as_the_reason(tmp_path):
    """The claims of sections that are not asked for are not there."""
    options = ("--sections", "cifar10", "--left-out", "detection=detector: {weights: x} = 'there are no data'")
    table = run_check_claims(tmp_path / "claims.csv", *options)
    about = table.claim.map(lambda claim: BY_ID[claim]["about"])
    expected = [claim["about"] for claim in CLAIMS["claims"] if claim["about"] in ("cifar10", "detection")]
    assert about.tolist() == expected
    of_runs = table.claim.map(lambda claim: "tests" in BY_ID[claim] and not claim.startswith(("printed", "shared")))
    reasons = table[(about == "detection") & of_runs].reason
    assert set(reasons) == {"detector: {weights: x} = 'there are no data'"}
    assert "no run of plain-20 on CIFAR-10" in set(table[about == "cifar10"].reason)


def test_a_claim_is_about_the_section_of_what_it_measures():
    of_metrics = {"cifar10": "cifar10", "imagenet": "imagenet"} | dict.fromkeys(EXPERIMENTS, "detection")
    of_metrics["localisation"] = "appendix"
    for claim in CLAIMS["claims"]:
        metrics = [name.split(".")[0] for test in claim.get("tests", []) for name in test.get("metrics", [])]
        # Counts need no runs; footnote 4 is about nets on both data sets. The appendix improves detectors.
        sections = {of_metrics[name] for name in metrics if name != "counted"}
        if claim["about"] == "appendix":
            assert sections <= {"detection", "appendix"}, claim["id"]
            continue
        both = {"cifar10"} if claim["id"] == "bottleneck-degradation" else set()
        assert sections - both <= {claim["about"]} <= set(SECTIONS), claim["id"]


def test_each_of_the_papers_69_claims_has_a_row_in_its_order():
    numbers = [claim["number"] for claim in CLAIMS["claims"] if "number" in claim]
    assert numbers == [f"C{number:02}" for number in range(1, 70)]
    assert all(("tests" in claim) != ("untested" in claim) for claim in CLAIMS["claims"])


def test_nothing_holds_of_nothing():
    nothing = Facts(paper(), CLAIMS["noise"], {})
    found = verdicts(nothing)
    assert set(found.values()) == {"not tested"}


def test_a_test_that_is_not_understood_is_named(facts):
    for test, message in (
        ({"kind": "louder", "models": ["plain-20"], "metrics": ["cifar10.test"]}, "unknown kind 'louder'"),
        ({"kind": "falls", "models": ["plain-20"], "metrics": ["cifar10.tset"]}, "unknown metric 'cifar10.tset'"),
        ({"kind": "falls", "models": ["plain-20"]}, "a test of kind 'falls' needs models and metrics"),
        ({"kind": "above", "models": ["plain-20"], "metrics": ["cifar10.test"], "by": 1}, "the parameters do not fit"),
    ):
        claim = {"id": "mine", "about": "cifar10", "section": "", "statement": "", "tests": [test]}
        with pytest.raises(UserError, match=rf"claims\.yaml, mine: {message}"):
            judge([claim], {}, facts, "paper")


def test_a_damaged_run_folder_is_named(tmp_path):
    (tmp_path / "result.json").write_text('{"model": "plain-20", "iterations": 100}')
    for text, message in (
        (None, "does not exist"),
        ("recipe: [", "is not valid YAML"),
        ("recipe: {}", "Object missing required field"),
        ("{recipe: {}, resolved: {}, dataset: {name: 3}}", r"Expected `str`, got `int` - at `\$\.dataset\.name`"),
    ):
        if text is not None:
            (tmp_path / "config.yaml").write_text(text)
        with pytest.raises(UserError, match=rf"config\.yaml.*{message}"):
            check_claims.read_runs([tmp_path / "result.json"])


def test_a_run_that_does_not_say_what_it_was_tested_on_tests_nothing(facts):
    [run] = facts.runs["cifar10"]["plain-56"]
    facts.runs["cifar10"]["plain-56"] = [Run(run.result, {**run.config, "resolved": {}})]
    row = rows_of(facts)["degradation"]
    reason = "a run does not say how many test images it was tested on"
    assert (row["verdict"], row["reason"]) == ("not tested", reason)


def run_check_claims(output, *files):
    common = ("--artefact", ARTEFACTS / "claims.yaml", "--paper", SCALES / "paper.yaml", "--scale", "paper",
              "--printed", *(ARTEFACTS / f"{name}.yaml" for name in PRINTED))  # fmt: skip
    code, text = run_program("check_claims", *common, "--output", output, *files)
    assert code == 0, text
    return pd.read_csv(output)


def test_the_program_tests_nothing_on_nothing(tmp_path):
    table = run_check_claims(tmp_path / "none.csv", "--results", "--imagenet")
    assert tuple(table) == COLUMNS
    printed = table.claim.str.startswith("printed")
    assert set(table.verdict[~printed]) == {"not tested"}
    assert table.reason[~printed].notna().all()
    assert (table.verdict[printed] == "holds").sum() == 3


def test_the_program_judges_what_the_files_say(facts, tmp_path):
    table = run_check_claims(tmp_path / "all.csv", *written(facts, tmp_path)).set_index("claim")
    in_memory = pd.DataFrame(rows_of(facts).values()).set_index("claim")
    assert table.verdict.to_dict() == in_memory.verdict.map(str).to_dict()
    assert table.difference.equals(in_memory.difference)
    assert table.samples.equals(in_memory.samples)


def written(facts, folder):
    """Write facts as the files that the pipeline makes; return the options that name them."""

    def write(path, content):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    def table(path, rows):
        return write(path, pd.DataFrame(rows).to_csv(index=False))

    files = {}
    for section, option in (("cifar10", "--results"), ("imagenet", "--imagenet")):
        for model, runs in facts.runs[section].items():
            for seed, run in enumerate(runs):
                run_folder = folder / section / model / f"seed{seed}"
                write(run_folder / "config.yaml", yaml.safe_dump(run.config))
                path = write(run_folder / "result.json", json.dumps({"iterations": 1, **run.result}))
                files.setdefault(option, []).append(path)
    files["--responses"] = [
        table(folder / model / "seed0/responses.csv", {"std": values}) for model, values in facts.responses.items()
    ]
    files["--metrics"] = [table(folder / model / "seed0/metrics.csv", rows) for model, rows in facts.curves.items()]
    for option, counted in (("--architectures", facts.architectures), ("--table1", facts.table1)):
        rows = [{"method": method, **row} for method, row in counted.items()]
        files[option] = [table(folder / f"{option[2:]}.csv", rows)]
    counts = [{"count": name, "value": value} for name, value in facts.counts.items()]
    files["--counts"] = [table(folder / "counts.csv", counts)]
    for section, models in facts.signals.items():
        rows = [row for rows in models.values() for row in rows]
        files[f"--{section}-signals"] = [table(folder / section / "layer_signals.csv", rows)]
    files["--evaluations"] = [
        write(folder / model / f"{protocol}.json", json.dumps(run))
        for protocol, models in facts.evaluations.items()
        for model, [run] in models.items()
    ]
    files["--detections"] = [
        write(folder / name / "ap.json", json.dumps(run)) for name, [run] in facts.detections.items()
    ]
    files["--detectors"] = [
        write(folder / name / "config.yaml", yaml.safe_dump({**run, "recipe": jsonable(run["recipe"])}))
        for name, [run] in facts.detectors.items()
    ]
    files["--localisations"] = [
        write(folder / f"{name}.json", json.dumps(run)) for name, [run] in facts.localisations.items()
    ]
    files["--localisers"] = [
        write(folder / name / "config.yaml", yaml.safe_dump({**run, "recipe": jsonable(run["recipe"])}))
        for name, [run] in facts.localisers.items()
    ]
    return [part for option, paths in files.items() for part in (option, *paths)]


def jsonable(recipe):
    return {key: list(value) if isinstance(value, tuple) else value for key, value in recipe.items()}

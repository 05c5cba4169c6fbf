"""Tables and figures from results that a test makes up."""

import argparse
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, run_program
from PIL import Image

from resnet.artefacts import read_artefact
from resnet.data.objects import Scene
from resnet.errors import UserError
from resnet.records import CifarResult
from resnet.rendering import exhibits, figures, tables
from resnet.rendering.detections import draw_sheet, found_in

ARTEFACTS = ROOT / "workflow/artefacts"
DEPTHS = (20, 32, 44, 56, 110)


def result(model, seed, train, test, lowest=None):
    return {
        "model": model,
        "seed": seed,
        "layers": int(model.split("-")[1]),
        "parameters": 1_000_000,
        "iterations": 100,
        "warmup_ended_at": 400,
        "dataset": "cifar10",
        "train": {"top1_error": train},
        "val": {"top1_error": test},
        "test": {"top1_error": test},
        "lowest_test_top1_error": lowest or test,
    }


@pytest.fixture
def results():
    """Results that agree with the paper."""
    made = {f"resnet-{depth}": [result(f"resnet-{depth}", 0, 0.05, 9 - 0.5 * i)] for i, depth in enumerate(DEPTHS)}
    made["resnet-110"] = [result("resnet-110", seed, 0.05, error) for seed, error in enumerate((6.43, 6.60, 6.80))]
    made["resnet-1202"] = [result("resnet-1202", 0, 0.06, 7.93)]
    plain = zip(DEPTHS, (1.3, 1.3, 2.5, 5.6, 70), (9.6, 10.1, 11.4, 13.2, 70), strict=True)
    return made | {f"plain-{depth}": [result(f"plain-{depth}", 0, train, test)] for depth, train, test in plain}


def test_table_6_has_the_papers_rows_in_its_order(results):
    rows = tables.cifar_error_rows(read_artefact(ARTEFACTS / "table6.yaml"), results, "paper")
    assert [(row["method"], row["layers"]) for row in rows] == [
        ("Maxout", None), ("NIN", None), ("DSN", None), ("FitNet", 19), ("Highway", 19), ("Highway", 32),
        ("ResNet", 20), ("ResNet", 32), ("ResNet", 44), ("ResNet", 56), ("ResNet", 110), ("ResNet", 1202),
    ]  # fmt: skip
    quoted, ours = rows[:6], rows[6:]
    assert all(row["source"].startswith("quoted: ") and "top1_error" not in row for row in quoted)
    assert all(row["source"] == "reproduced" for row in ours)
    assert [row["paper_top1_error"] for row in rows] == [
        9.38, 8.81, 8.22, 8.39, 7.54, 8.80, 8.75, 7.51, 7.17, 6.97, 6.43, 7.93
    ]  # fmt: skip
    deep = ours[4]
    assert deep["top1_error"] == 6.43
    assert deep["top1_error_mean"] == pytest.approx(6.61)
    assert deep["top1_error_std"] == pytest.approx(0.1852, abs=1e-4)
    assert deep["runs"] == 3
    assert ours[0]["top1_error_mean"] is None
    assert tables.cifar_error_cells(deep) == [
        "ResNet", "110", "1.0M", "1.7M", "6.43 (6.61±0.19)", "6.43 (6.61±0.16)", "+0.00", "3"
    ]  # fmt: skip


def test_a_network_that_is_not_trained_has_a_row_without_numbers(results):
    del results["resnet-1202"]
    row = tables.cifar_error_rows(read_artefact(ARTEFACTS / "table6.yaml"), results, "paper")[-1]
    assert row["source"] == "not trained"
    assert tables.cifar_error_cells(row) == ["ResNet (not trained)", "1202", "", "19.4M", "–", "7.93", "", ""]


def test_numbers_have_a_difference_to_the_papers_on_its_data_only(results):
    for dataset, difference in (("cifar10", "-0.03"), ("digits", "")):
        results["resnet-110"] = [{**result("resnet-110", 0, 0.05, 6.58), "dataset": dataset}]
        row = tables.cifar_error_rows(read_artefact(ARTEFACTS / "table6.yaml"), results, "paper")[10]
        # One run against the paper's mean of five, not against their best.
        assert tables.cifar_error_cells(row)[4:7] == ["6.58", "6.43 (6.61±0.16)", difference]
    for dataset, difference in (("imagenet", "+0.15"), ("handwriting", "")):
        found = {"resnet-50": [{**evaluation("resnet-50", 23, 6.71), "dataset": dataset}]}
        paper = read_artefact(ARTEFACTS / "table3.yaml")
        row = tables.evaluation_rows(paper, found, "paper", "trained")[7]
        assert tables.evaluation_cells(paper, row)[3] == difference


def test_numbers_on_other_images_than_the_papers_have_no_difference():
    for name, found in (("table5", {"ensemble": [evaluation("ensemble", 18, 3.9)]}), ("table7", detections())):
        paper = read_artefact(ARTEFACTS / f"{name}.yaml")
        row = tables.evaluation_rows(paper, found, "paper", "trained")[-1]
        headings, cells = tables.evaluation_headings(paper), tables.evaluation_cells(paper, row)
        assert len(headings) == len(cells)
        assert headings.count("difference") == sum(
            column.get("same_images", True) for column in paper.values["columns"]
        )
        assert sum(cell.startswith(("+", "-")) for cell in cells) == headings.count("difference")


def test_table_6_as_files(results, tmp_path):
    files = []
    for model, runs in results.items():
        for run in runs:
            path = tmp_path / f"{model}/seed{run['seed']}/result.json"
            path.parent.mkdir(parents=True)
            path.write_text(json.dumps(run))
            files.append(path)
    code, output = run_program(
        "tabulate_cifar_errors", "--artefact", ARTEFACTS / "table6.yaml", "--scale", "paper", "--results", *files,
        "--csv", tmp_path / "t.csv", "--md", tmp_path / "t.md", "--json", tmp_path / "t.json",
    )  # fmt: skip
    assert code == 0, output
    table = pd.read_csv(tmp_path / "t.csv")
    assert tuple(table) == tables.CIFAR_ERROR_COLUMNS
    assert table.top1_error.isna().sum() == 6
    assert "| ResNet | 20 |" in (tmp_path / "t.md").read_text()


def detections():
    """The paper's own numbers of Tables 7 and 8."""
    values = {
        "voc07/vgg-16": (73.2, None),
        "voc07/resnet-101": (76.4, None),
        "voc12/vgg-16": (70.4, None),
        "voc12/resnet-101": (73.8, None),
        "coco/vgg-16": (41.5, 21.2),
        "coco/resnet-101": (48.4, 27.2),
    }
    return {name: [detection(name, *maps)] for name, maps in values.items()}


def detection(name, map50, mean=None):
    experiment, model = name.split("/")
    test_set = {"voc07": "voc2007_test", "voc12": "voc2012_val", "coco": "val"}[experiment]
    identity = {"experiment": experiment, "model": model, "engine": "torchvision", "test_set": test_set}
    identity["dataset"] = "coco" if experiment == "coco" else "voc"
    return {**identity, "seed": 0, "source": "reproduced", "map50": map50, "map": mean}


def imagenet_evaluations():
    """The paper's own numbers of Tables 2 to 4, by protocol and model."""
    evaluations = {"10crop": {}, "multiscale": {}}
    for table, protocol in ((3, "10crop"), (4, "multiscale")):
        for row in read_artefact(ARTEFACTS / f"table{table}.yaml").values["rows"]:
            if "model" in row:
                evaluations[protocol][row["model"]] = [evaluation(row["model"], row["top1_error"], row["top5_error"])]
    for row in read_artefact(ARTEFACTS / "table2.yaml").values["rows"]:
        for kind in ("plain", "resnet"):
            if row[kind] not in evaluations["10crop"]:
                evaluations["10crop"][row[kind]] = [evaluation(row[kind], row[f"{kind}_top1_error"], 9)]
    return evaluations


def evaluation(model, top1, top5):
    errors = {"top1_error": top1, "top5_error": top5}
    return {"model": model, **errors, "dataset": "imagenet", "source": "reproduced"}


def test_tables_7_and_8_have_the_papers_numbers_and_say_what_was_measured():
    rows = tables.evaluation_rows(read_artefact(ARTEFACTS / "table7.yaml"), detections(), "paper", "trained")
    assert [row["method"] for row in rows] == ["VGG-16", "ResNet-101"]
    assert all(row[key] == row[f"paper_{key}"] for row in rows for key in ("voc07_map", "voc12_map"))
    assert rows[0]["test_set"] == "voc2007_test; voc2012_val"
    assert rows[0]["engine"] == "torchvision"
    paper = read_artefact(ARTEFACTS / "table8.yaml")
    runs = {**detections(), "coco/vgg-16": [detection("coco/vgg-16", 40, 20), detection("coco/vgg-16", 42, 22)]}
    rows = tables.evaluation_rows(paper, runs, "paper", "trained")
    assert [(row["paper_map50"], row["paper_map"]) for row in rows] == [(41.5, 21.2), (48.4, 27.2)]
    assert tables.evaluation_cells(paper, rows[0]) == [
        "VGG-16", "41.00 ± 1.41", "41.50", "-0.50", "21.00 ± 1.41", "21.20", "-0.20", "2",
        "reproduced (torchvision engine)",
    ]  # fmt: skip
    assert tables.evaluation_rows(paper, {}, "paper", "trained")[0]["source"] == "not trained"


def test_error_tables_have_the_papers_rows_in_its_order():
    evaluations = imagenet_evaluations()
    paper = read_artefact(ARTEFACTS / "table3.yaml")
    tested = evaluations["10crop"]
    tested["resnet-50"] = [evaluation("resnet-50", 22, 6), evaluation("resnet-50", 24, 7)]
    rows = tables.evaluation_rows(paper, tested, "paper", "trained")
    assert [row["method"] for row in rows][:3] == ["VGG-16", "GoogLeNet", "PReLU-net"]
    assert [row["source"].split(":")[0] for row in rows][:3] == ["reproduced", "quoted", "quoted"]
    row = rows[7]
    assert (row["top1_error"], row["top1_error_std"], row["paper_top1_error"]) == (23, pytest.approx(2**0.5), 22.85)
    assert tables.evaluation_cells(paper, row)[1:4] == ["23.00 ± 1.41", "22.85", "+0.15"]
    assert tables.evaluation_cells(paper, rows[1]) == [
        "GoogLeNet (quoted)",
        "–",
        "–",
        "",
        "–",
        "9.15",
        "",
        "",
        "quoted",
    ]
    del tested["vgg-16"]
    assert tables.evaluation_rows(paper, tested, "paper", "trained")[0]["source"] == "not trained"
    rows = tables.evaluation_rows(paper, tested, "paper", "torchvision")
    assert rows[0]["source"] == "no weights from torchvision"


def test_networks_that_the_paper_does_not_have_come_last_and_say_so(results):
    results["resnet-164"] = [result("resnet-164", seed, 0.05, error) for seed, error in enumerate((6.0, 6.2))]
    row = tables.cifar_error_rows(read_artefact(ARTEFACTS / "table6.yaml"), results, "paper", ["resnet-164"])[-1]
    assert (row["in_paper"], row["top1_error_mean"], row["source"]) == ("no", pytest.approx(6.1), "reproduced")
    assert tables.cifar_error_cells(row) == [
        "resnet-164 (not in the paper)", "164", "1.0M", "", "6.00 (6.10±0.14)", "", "", "2",
    ]  # fmt: skip
    runs = {**detections(), "coco/resnet-50": [detection("coco/resnet-50", 44, 24)]}
    table = read_artefact(ARTEFACTS / "table8.yaml")
    rows = tables.evaluation_rows(table, runs, "paper", "trained", ["resnet-50"])
    assert [(row["method"], row["in_paper"]) for row in rows] == [
        ("VGG-16", "yes"), ("ResNet-101", "yes"), ("resnet-50", "no"),
    ]  # fmt: skip
    assert tables.evaluation_cells(table, rows[-1]) == [
        "resnet-50 (not in the paper)", "44.00", "–", "", "24.00", "–", "", "1", "reproduced (torchvision engine)",
    ]  # fmt: skip
    assert set(rows[-1]) <= set(tables.evaluation_columns(table))


def test_what_a_table_prints_is_written_once(results, tmp_path):
    """Markdown and the report show the cells of the JSON, in which a cell may hold what Markdown takes for a border."""
    table = read_artefact(ARTEFACTS / "table6.yaml")
    printed = exhibits.exhibit(table, ("a", "b"), [("x|y", "1")], note="More.")
    arguments = argparse.Namespace(**{form: tmp_path / f"t.{form}" for form in ("csv", "md", "json")}, scale="demo")
    exhibits.write_table(arguments, ("a",), [{"a": 1 / 3}], printed)
    assert exhibits.read_exhibit(tmp_path / "t.json") == printed
    assert printed.note == f"{table.note} More."
    text = (tmp_path / "t.md").read_text()
    assert text.startswith(f"# {table.title}\n\nDemo scale: ")
    assert text.endswith(f"\n\n{table.caption}\n\n{printed.note}\n\n| a | b |\n| --- | --- |\n| x\\|y | 1 |\n")
    assert (tmp_path / "t.csv").read_text() == "a\n0.333333\n"


def test_table_2_pairs_plain_and_residual():
    evaluations = imagenet_evaluations()
    rows = tables.evaluation_rows(read_artefact(ARTEFACTS / "table2.yaml"), evaluations["10crop"], "paper", "trained")
    assert [(row["plain_top1_error"], row["resnet_top1_error"]) for row in rows] == [(27.94, 27.88), (28.54, 25.03)]


def metrics(last, iterations=64000, points=64):
    rows = []
    for point in range(1, points + 1):
        iteration = iterations * point // points
        for split in ("train", "test", "val"):
            rows.append({"iteration": iteration, "split": split, "top1_error": last + 60 / point**1.5})
    return pd.DataFrame(rows)


@pytest.fixture
def curves():
    return {f"{kind}-{depth}": metrics(last) for last, (kind, depth) in enumerate(
        [("resnet", d) for d in (*DEPTHS, 1202)] + [("plain", d) for d in DEPTHS]
    )}  # fmt: skip


@pytest.mark.parametrize("name", ["fig1", "fig6"])
def test_error_figures_at_paper_scale_look_as_the_paper_says(curves, name, tmp_path):
    drawing = figures.drawing_of(read_artefact(ARTEFACTS / f"{name}.yaml"), curves)
    figure = figures.draw_errors(drawing, curves, "", digitised=True)
    for axis, panel in zip(figure.axes, drawing["panels"], strict=True):
        assert axis.get_xlabel() == "iter. (1e4)"
        assert axis.get_ylabel() == panel["ylabel"]
        assert axis.get_xlim() == pytest.approx((3.5 if "starts_at" in panel else 0, 6.4))
        assert axis.get_ylim() == (0, 20)
        assert axis.get_yticks().tolist() == panel["yticks"]
        curve = panel["curves"][-1]
        drawn = next(line for line in axis.lines if len(line.get_xdata()) == 64)
        assert drawn.get_color() == panel["curves"][0]["colour"]
        if "legend" in curve:
            texts = [text.get_text() for text in axis.get_legend().get_texts()]
            assert texts == [c["legend"] for c in panel["curves"] if "legend" in c]
    figures.save(figure, [tmp_path / "a.pdf", tmp_path / "a.png"])
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_the_error_axis_grows_where_a_net_fails(curves):
    curves["plain-56"] = metrics(85, iterations=280)
    drawing = figures.drawing_of(read_artefact(ARTEFACTS / "fig1.yaml"), curves)
    figure = figures.draw_errors(drawing, curves, "demo", digitised=False)
    assert figure.axes[0].get_ylim() == (0, 100)


@pytest.mark.parametrize(("iterations", "label", "end"), [(6400, "iter.", 6400), (64000, "iter. (1e4)", 6.4)])
def test_the_axis_counts_as_the_papers_does_where_the_run_is_long_enough(iterations, label, end):
    curves = {model: metrics(5, iterations) for model in ("plain-20", "plain-56")}
    drawing = figures.drawing_of(read_artefact(ARTEFACTS / "fig1.yaml"), curves)
    for axis in figures.draw_errors(drawing, curves, "", digitised=False).axes:
        assert axis.get_xlabel() == label
        assert axis.get_xlim() == pytest.approx((0, end))


def test_the_papers_ends_are_marked_beside_runs_of_its_length_only():
    for iterations, marks in ((64000, 1), (100, 0)):
        curves = {model: metrics(5, iterations) for model in ("plain-20", "plain-56")}
        drawing = figures.drawing_of(read_artefact(ARTEFACTS / "fig1.yaml"), curves)
        axis = figures.draw_errors(drawing, curves, "", digitised=True).axes[0]
        assert sum(len(line.get_xdata()) == 2 for line in axis.lines) == 2 * marks


def test_a_figure_is_drawn_without_the_runs_that_it_lacks_and_says_so(curves):
    del curves["resnet-1202"], curves["resnet-110"]
    drawing = figures.drawing_of(read_artefact(ARTEFACTS / "fig6.yaml"), curves)
    figure = figures.draw_errors(drawing, curves, "short scale", digitised=False)
    assert len(figure.axes) == 2
    assert [text.get_text() for text in figure.axes[1].get_legend().get_texts()][-1] == "ResNet-56"
    assert figure.get_supxlabel() == "short scale; not trained: resnet-110, resnet-1202"
    with pytest.raises(UserError, match=r"fig7 shows plain-20, .*, but no run of them is given"):
        figures.drawing_of(read_artefact(ARTEFACTS / "fig7.yaml"), ["resnet-164"])


def test_ends_of_curves_stand_beside_the_papers_each_once(curves):
    datasets = dict.fromkeys(curves, "cifar10") | {"resnet-1202": "digits"}
    drawing = figures.drawing_of(read_artefact(ARTEFACTS / "fig6.yaml"), curves)
    rows = figures.end_values(drawing, curves, datasets)
    assert len(rows) == 20, "two splits of ten networks, although ResNet-110 is in two panels"
    by_curve = {(row[0], row[1].split()[0]): row[2:] for row in rows}
    assert by_curve["resnet-20", "test"] == ["0.12", "8.8", "-8.68"]
    assert by_curve["resnet-56", "train"] == ["3.12", "–", ""]
    assert by_curve["resnet-1202", "test"] == ["5.12", "7.85", ""]


def test_a_colour_may_be_any_that_there_is():
    figure = read_artefact(ARTEFACTS / "fig1.yaml")
    assert [figures.colour(name, figure) for name in ("red", "teal", "#123456")] == ["#e8000b", "teal", "#123456"]
    with pytest.raises(UserError, match="fig1: there is no colour 'rot'; those of the paper are olive, red,"):
        figures.colour("rot", figure)


def test_responses_are_drawn_in_order_and_sorted():
    lengths = {"plain-20": 19, "plain-56": 55, "resnet-20": 19, "resnet-56": 55, "resnet-110": 109}
    runs = {
        model: pd.DataFrame({"layer": range(1, n + 1), "std": [1 + (layer * 7 % n) / n for layer in range(n)]})
        for model, n in lengths.items()
    }
    drawing = figures.drawing_of(read_artefact(ARTEFACTS / "fig7.yaml"), runs)
    top, bottom = figures.draw_responses(drawing, runs, "").axes
    assert [len(line.get_xdata()) for line in top.lines] == list(lengths.values())
    for line, below in zip(top.lines, bottom.lines, strict=True):
        assert sorted(line.get_ydata(), reverse=True) == list(below.get_ydata())
    assert top.get_ylim() == (0.5, 3.5)
    assert top.get_xlim() == (0, 110)
    runs["plain-56"].loc[0, "std"] = 29
    top, bottom = figures.draw_responses(drawing, runs, "").axes
    assert top.get_yscale() == bottom.get_yscale() == "log", "else the other nets would be a line at the bottom"


def test_a_broken_metrics_file_is_named(tmp_path):
    path = tmp_path / "plain-20/seed0/metrics.csv"
    path.parent.mkdir(parents=True)
    path.write_text("iteration,split\n1,train\n")
    code, output = run_program(
        "plot_errors",
        "--artefact",
        ARTEFACTS / "fig1.yaml",
        "--metrics",
        path,
        "--output",
        tmp_path / "a.pdf",
        "--json",
        tmp_path / "a.json",
    )
    assert code == 1
    assert f"{path} has no column top1_error" in output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", r"result\.json: Expected `object`, got `array`; delete it and run Snakemake again"),
        (
            '{"model": "resnet-20"}',
            r"result\.json: Object missing required field",
        ),
        (None, r"result\.json: Expected `float`, got `str` - at `\$\.test\.top1_error`"),
    ],
)
def test_a_result_that_was_edited_is_named(results, tmp_path, text, message):
    path = tmp_path / "result.json"
    path.write_text(text or json.dumps({**results["resnet-20"][0], "test": {"top1_error": "9.1"}}))
    with pytest.raises(UserError, match=message):
        tables.read_results([path], CifarResult)


def test_an_evaluation_that_was_edited_is_named(tmp_path):
    path = tmp_path / "10crop.json"
    kind = tables.evaluated(read_artefact(ARTEFACTS / "table3.yaml"))
    path.write_text('{"model": "resnet-50", "top1_error": NaN, "top5_error": 7, "dataset": "x", "source": "y"}')
    with pytest.raises(UserError, match=r"10crop\.json is not valid JSON"):
        tables.read_evaluations([path], kind)
    path.write_text('{"model": "resnet-50", "top5_error": 7}')
    with pytest.raises(UserError, match=r"10crop\.json: Object missing required field"):
        tables.read_evaluations([path], kind)


def test_names_of_classes_are_drawn_as_they_are(tmp_path):
    """Neither as formulas nor as names that legends leave out; broken formulas are no errors."""
    Image.new("RGB", (60, 50)).save(tmp_path / "a.jpg")
    boxes = np.array([[5.0, 6, 30, 40], [20, 10, 50, 45]])
    scene = Scene(1, "a.jpg", (60, 50), boxes, np.array([0, 1]), np.zeros(2, bool))
    names = {1: r"$\frac{", 3: "_<b>"}
    detections = [{"image_id": 1, "category_id": number, "bbox": [1, 2, 3, 4], "score": 0.5} for number in names]
    found = {"vgg-16": found_in(detections, [scene], names, "red")}
    figure = draw_sheet(tmp_path, [scene], tuple(names.values()), found, "")
    figures.save(figure, [tmp_path / "a.pdf", tmp_path / "a.png"])
    texts = [text.get_text() for axis in figure.axes for text in axis.texts]
    assert texts == [*names.values(), *(f"{name} 0.50" for name in names.values())]


def test_fig4_looks_as_the_paper_says(tmp_path):
    models = ("plain-18", "plain-34", "resnet-18-A", "resnet-34-A")
    runs = {model: metrics(25 + place, 600000) for place, model in enumerate(models)}
    drawing = figures.drawing_of(read_artefact(ARTEFACTS / "fig4.yaml"), runs)
    figure = figures.draw_errors(drawing, runs, "", digitised=True)
    for axis, kind in zip(figure.axes, ("plain", "ResNet"), strict=True):
        assert axis.get_ylim() == (20, 63)
        assert axis.get_xlabel() == "iter. (1e4)"
        assert axis.get_xlim() == (0, 60)
        assert [text.get_text() for text in axis.get_legend().get_texts()] == [f"{kind}-18", f"{kind}-34"]
        widths = [line.get_linewidth() for line in axis.lines if len(line.get_xdata()) == 64]
        assert widths == [0.7, 0.7, 2, 2]


@pytest.mark.parametrize("gap", [0, 3, 60])
def test_names_are_written_beside_their_curves_and_over_none(gap):
    """Curves that cross each other all the way, that run side by side, and of which one is at the bottom."""
    random, runs = np.random.RandomState(0), {}
    for place, model in enumerate(("plain-18", "plain-34", "resnet-18-A", "resnet-34-A")):
        run = metrics(5 + gap * (place % 2), 240, points=24)
        runs[model] = run.assign(top1_error=run["top1_error"] + random.uniform(0, 4, len(run)))
    drawing = figures.drawing_of(read_artefact(ARTEFACTS / "fig4.yaml"), runs)
    figure = figures.draw_errors(drawing, runs, "demo", digitised=False)
    figure.draw_without_rendering()
    for axis in figure.axes:
        names = [text.get_window_extent() for text in axis.texts]
        assert len(names) == 2
        assert not names[0].overlaps(names[1])
        for line in axis.lines[:4]:
            corners = axis.transData.transform(line.get_xydata())
            at = np.linspace(0, len(corners) - 1, 2000)
            points = np.stack([np.interp(at, range(len(corners)), values) for values in corners.T], 1)
            for name in names:
                assert axis.bbox.count_contains(name.corners()) == 4
                assert not ((points > name.min) & (points < name.max)).all(1).any()
                assert not name.overlaps(axis.get_legend().get_window_extent())


RENDERERS = [
    "plot_errors", "plot_responses", "tabulate_cifar_errors", "tabulate_evaluations", "check_claims", "render_report",
    "evaluate_ensemble", "evaluate_detections", "write_submission", "tabulate_classes", "plot_detections",
    "plot_detection_curves",
]  # fmt: skip


def test_renderers_import_no_torch():
    code = (
        f"import sys, {', '.join(RENDERERS)}, "
        "resnet.rendering.report, resnet.rendering.figures, resnet.rendering.tables; import seaborn; "
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT / "scripts", check=True)


def test_every_program_explains_itself():
    for path in sorted((*(ROOT / "scripts").glob("*.py"), *(ROOT / "benchmarks").glob("*.py"))):
        code, output = run_program(f"../{path.parent.name}/{path.stem}", "--help")
        assert code == 0, path
        assert len(output) > 200, path

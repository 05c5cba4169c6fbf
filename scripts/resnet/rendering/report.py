"""The report: one self-contained page with every artefact beside the paper's values; no torch."""

import base64
import collections
import statistics
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from resnet.files import read_json, read_rows, read_table, read_yaml
from resnet.records import (
    ARCHITECTURES,
    CLAIMS,
    RESPONSES,
    TABLE1,
    ClassifierResult,
    Config,
    DetectorResult,
    Result,
    RunEnvironment,
)
from resnet.rendering.comparisons import Verdict
from resnet.rendering.tables import (
    PAPERS_DATASETS,
    TABLE6_HEADINGS,
    TABLE6_KINDS,
    architecture_grid,
    measure_cells,
    measure_headings,
    measure_kinds,
    read_paper,
    scale_note,
    table6_cells,
)
from resnet.sections import SECTIONS

TEMPLATE = Path(__file__).with_name("report.html.j2")
FIGURE_CAPTIONS = {
    "fig1": "The runs of the left panel of Fig. 6. In the paper, the deeper plain net is worse already on the data "
    "that it is trained on.",
    "fig4": "Thin: training error on augmented crops. Bold: validation error of the centre crops. Left: plain "
    "nets. Right: ResNets with option A, which have the same parameters.",
    "fig6": "Dashed: training error on augmented batches. Bold: test error. The 110-layer plain net is not "
    "drawn, as in the paper.",
    "fig7": "Standard deviation of the output of each 3×3 layer, after batch normalisation and before ReLU or "
    "addition, over the test images.",
}


# In the order of the report's legend, with what each says of a claim.
VERDICTS = {
    Verdict.HOLDS: "the numbers are on the claim's side, by more than chance explains",
    Verdict.OPEN: "chance explains the difference: more runs or images may tell",
    Verdict.FAILS: "the numbers are on the other side, in runs by the paper's recipe on its data",
    Verdict.NOT_SEEN: "the numbers are on the other side, but other trainings than the paper's cannot contradict it",
    Verdict.NOT_TESTED: "something was not measured, or an absolute number needs the paper's recipe and data",
}
PAIR = ("difference", "margin")
DETECTION_FIGURES = {
    "detection_curves": {
        "inches": 9.3,
        "caption": "Top: training loss. Bottom: mAP on a part of the test set, looked at during the training; the "
        "tables report the whole set after it.",
    },
    "detections": {
        "inches": 5.5,
        "caption": "Test images, spread over the set whatever was found in them: with their objects, and with as "
        "many of each detector's detections as there are objects, those of the highest scores.",
    },
}


def render(
    *,
    scale: str,
    sections: list[str],
    left_out: dict[str, str],
    errors: dict[Path, Path],
    table1: list[Path],
    table6: Path | None,
    architectures: Path | None,
    claims: Path,
    figures: dict[str, Path],
    drawings: dict[str, Path],
    runs: list[Path],
    detection_tables: dict[Path, Path],
    detection_figures: list[Path],
    detectors: list[Path],
) -> str:
    """Return the report as HTML; what is not given has no part in it.

    Args:
        scale: name of the scale.
        sections: what the report shows, of ``SECTIONS``.
        left_out: the sections that could not be made, each with the reason.
        errors: results/table2.csv to table5.csv, each with its published table (``workflow/paper/table<n>.yaml``).
        table1: results/table1.csv and its published table, or neither.
        table6: results/table6.csv.
        architectures: results/cifar_architectures.csv.
        claims: results/claims.csv, or that of one section.
        figures: the PNG of each figure.
        drawings: what the paper shows in each figure (``workflow/paper/fig*.yaml``).
        runs: the run folders.
        detection_tables: results/table7.csv and table8.csv, each with its published table.
        detection_figures: the PNGs of curves and test images.
        detectors: the run folders of the detectors.
    """
    folders = [Run(folder, ClassifierResult) for folder in runs]
    detector_runs = [Run(folder, DetectorResult) for folder in detectors]
    by_model: dict[str, Run] = {}
    for run in folders:
        by_model.setdefault(run.model, run)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template(TEMPLATE.name).render(
        scale=scale,
        scale_note=scale_note(scale),
        sections=[SECTIONS[section] for section in sections],
        left_out={SECTIONS[section]: reason for section, reason in left_out.items()},
        claims_file=claims.name,
        claims=[row | {"comparison": comparison_cell(row)} for row in read_table(claims, CLAIMS)],
        verdicts=VERDICTS,
        figures=[
            {
                "name": name,
                "title": drawing["title"],
                "caption": FIGURE_CAPTIONS[name],
                "inches": drawing["size_inches"][0],
                "image": embedded(figures[name]),
                "comparison": _comparison(drawing, by_model),
            }
            for name, drawing in ((name, read_paper(path)) for name, path in drawings.items())
        ],
        errors=[_metric_table(table, read_paper(published)) for table, published in errors.items()],
        detections=[_metric_table(table, read_paper(published)) for table, published in detection_tables.items()],
        detection_figures=[
            {"name": path.stem, "image": embedded(path), **DETECTION_FIGURES[path.stem.split("-")[0]]}
            for path in detection_figures
        ],
        detectors=[run.detector_provenance() for run in detector_runs],
        table1=_architectures(*table1) if table1 else None,
        table6={"headings": TABLE6_HEADINGS, "rows": [table6_cells(row) for row in read_table(table6, TABLE6_KINDS)]}
        if table6
        else None,
        architectures=read_table(architectures, ARCHITECTURES) if architectures else [],
        runs=[run.provenance() for run in folders],
        seconds=sum(run.environment["seconds"] for run in [*folders, *detector_runs]),
        datasets=sorted({run.config["dataset"]["name"] for run in [*folders, *detector_runs]}),
    )


def embedded(path: Path) -> str:
    """Return a PNG as a data URL."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


class Run:
    """A finished run's files."""

    def __init__(self, folder: Path, kind: type[Result]) -> None:
        self.folder = folder
        self.config = read_yaml(folder / "config.yaml", Config)
        self.result = read_json(folder / "result.json", kind)
        self.environment = read_json(folder / "environment.json", RunEnvironment)
        self.model = self.result["model"]

    def end(self, split: str) -> float:
        """Return the last error of a split in percent."""
        return self.result[split]["top1_error"]

    def response(self) -> float:
        """Return the median of the responses' standard deviations."""
        return statistics.median(row["std"] for row in read_rows(self.folder / "responses.csv", RESPONSES))

    def provenance(self) -> dict[str, Any]:
        """Return what the report says of a classifier's run."""
        return self._facts() | {
            "warmup": self.result["warmup_ended_at"],
            "errors": [f"{self.end(s):.2f}" if s in self.result else "–" for s in ("train", "val", "test")],
        }

    def detector_provenance(self) -> dict[str, Any]:
        """Return what the report says of a detector's run."""
        result = self.result
        facts = {key: result[key] for key in ("experiment", "engine", "source")}
        return self._facts() | facts | {"loss": f"{result['train']['loss']:.3f}"}

    def _facts(self) -> dict[str, Any]:
        result, environment = self.result, self.environment
        # Of the times that the run was started and went on; earlier run folders tell of the last one only.
        slices = environment.get("slices", [environment])
        return {
            "model": self.model,
            "seed": result["seed"],
            "iterations": f"{result['iterations']:,}",
            "dataset": result["dataset"],
            "seconds": f"{environment['seconds']:,.0f}",
            "images_per_second": f"{environment['images_per_second']:,.0f}",
            "device": each("{device}; {threads} thread(s)", slices),
            "software": each("torch {torch}, Python {python}", slices),
            "commit": each("{commit:.12}", slices),
            "finished": slices[-1].get("finished", "unknown"),
            "fingerprint": self.config["fingerprint"][:12],
            "folder": str(self.folder),
        }


def each(pattern: str, slices: list[dict[str, Any]]) -> str:
    """Return what a pattern says of each slice of a run, in order and each text once; facts that are not known so."""
    texts = [
        pattern.format_map(collections.defaultdict(lambda: "unknown", {k: v for k, v in part.items() if v is not None}))
        for part in slices
    ]
    return ", ".join(dict.fromkeys(texts))


def comparison_cell(row: dict[str, Any]) -> str:
    """Return the difference on which a claim's verdict hangs, and its margin."""
    if row["difference"] is None or row["verdict"] == Verdict.NOT_TESTED:
        return ""
    pair = (row[key] for key in PAIR)
    difference, margin = (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" for value in pair)
    return f"{difference} ± {margin}" if row["margin"] else f"{difference} (exact)"


def _metric_table(path: Path, paper: dict[str, Any]) -> dict[str, Any]:
    """Return Table 2, 3, 4, 5, 7 or 8 as printed."""
    cells = [measure_cells(paper, row) for row in read_table(path, measure_kinds(paper))]
    return {
        "name": path.stem,
        "title": paper["title"],
        "note": paper["note"],
        "headings": measure_headings(paper),
        "rows": cells,
    }


def _architectures(path: Path, published: Path) -> dict[str, Any]:
    """Return Table 1 as printed, and the networks that it does not show."""
    paper = read_paper(published)
    rows = read_table(path, TABLE1)
    headings, cells = architecture_grid(paper, rows)
    return {"headings": headings, "rows": cells, "others": [row for row in rows if not row["conv1"]]}


def _comparison(drawing: dict[str, Any], runs: dict[str, Run]) -> dict[str, Any]:
    """Return the end of each curve (or the median response) beside the paper's, where that could be read off.

    They have a difference where the run was trained on the paper's data.
    """
    rows = []
    for curve in drawing.get("curves") or [curve for panel in drawing["panels"] for curve in panel["curves"]]:
        if (run := runs.get(curve["model"])) is None:
            continue
        is_response = "digitised_median" in curve
        published = curve.get("digitised_median", curve.get("digitised_end"))
        measured = run.response() if is_response else run.end(curve["split"])
        what = "median std" if is_response else f"{curve['split']} error (%), end"
        comparable = published is not None and run.result["dataset"] in PAPERS_DATASETS
        difference = f"{measured - published:+z.2f}" if comparable else ""
        row = [curve["model"], what, f"{measured:.2f}", "–" if published is None else f"{published:g}", difference]
        if row not in rows:
            rows.append(row)
    return {"headings": ("model", "value", "here", "paper (read off the figure)", "difference"), "rows": rows}

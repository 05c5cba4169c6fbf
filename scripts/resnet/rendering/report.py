"""The report: one self-contained page with every artefact beside the paper's values; no torch."""

import base64
import collections
import re
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from resnet.files import read_table
from resnet.records import CLAIMS, ClassifierResult, Config, DetectorResult, Result, RunEnvironment
from resnet.rendering.comparisons import Verdict
from resnet.rendering.exhibits import Exhibit, read_exhibit, scale_note
from resnet.rendering.scales import Page, beside
from resnet.run_folder import RunFolder
from resnet.sections import SECTIONS

TEMPLATE = Path(__file__).with_name("report.html.j2")
# Longer tables are folded.
LONG_TABLE = 40

# In the order of the report's legend, with what each says of a claim.
VERDICTS = {
    Verdict.HOLDS: "the numbers are on the claim's side, by more than chance explains",
    Verdict.OPEN: "chance explains the difference: more runs or images may tell",
    Verdict.FAILS: "the numbers are on the other side, in runs by the paper's recipe on its data",
    Verdict.NOT_SEEN: "the numbers are on the other side, but other trainings than the paper's cannot contradict it",
    Verdict.NOT_TESTED: "something was not measured, or an absolute number needs the paper's recipe and data",
}
# Of one claim, and of several.
SAID = {
    Verdict.HOLDS: ("holds", "hold"),
    Verdict.OPEN: ("is open", "are open"),
    Verdict.FAILS: ("does not hold", "do not hold"),
    Verdict.NOT_SEEN: ("is not seen at this scale", "are not seen at this scale"),
    Verdict.NOT_TESTED: ("is not tested", "are not tested"),
}
PAIR = ("difference", "margin")
# What a claim's place in the paper names: "Fig. 4 left", "Tables 3 and 4".
NAMED = re.compile(r"(Fig|Table)s?\.? (\d+)(?: and (\d+))?")


def shown_page(scale: str, claims: Path, exhibits: list[Path]) -> Page:
    """Return what a report shows that depends on its scale.

    Args:
        scale: its name.
        claims: results/claims.csv, or that of one section.
        exhibits: what its tables and figures show (``results/<name>.json``); a figure's PNG lies beside it.
    """
    shown = [(read_exhibit(path), path) for path in exhibits]
    return Page(
        scale,
        {row["claim"]: row["verdict"] for row in read_table(claims, CLAIMS)},
        [one for one, _ in shown],
        {one.name: embedded(path.with_suffix(".png")) for one, path in shown if one.is_figure},
    )


def render(
    page: Page,
    *,
    sections: list[str],
    left_out: dict[str, str],
    claims: Path,
    runs: list[Path],
    detectors: list[Path],
    others: Sequence[Page] = (),
) -> str:
    """Return the report as HTML.

    Args:
        page: its tables and figures, and their scale.
        sections: what the report is about, of ``SECTIONS``.
        left_out: the sections and figures that could not be made, each with the reason.
        claims: results/claims.csv, or that of one section.
        runs: the run folders of classifiers.
        detectors: the run folders of detectors.
        others: what the reports of other scales have shown.
    """
    folders = [Run(folder, ClassifierResult) for folder in runs]
    detector_runs = [Run(folder, DetectorResult) for folder in detectors]
    names = {one.name for one in page.exhibits}
    judged = [
        row
        | {"comparison": comparison_cell(row), "evidence_in": evidence_in(row["section"], names)}
        | {"elsewhere": {other.scale: other.verdicts.get(row["claim"]) for other in others}}
        for row in read_table(claims, CLAIMS)
    ]
    verdicts = [row["verdict"] for row in judged]
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template(TEMPLATE.name).render(
        scale=page.scale,
        scale_note=scale_note(page.scale),
        others=[other.scale for other in others],
        sections=[SECTIONS[section] for section in sections],
        left_out={SECTIONS.get(name, name): reason for name, reason in left_out.items()},
        claims_file=claims.name,
        claims=judged,
        verdicts={
            verdict: {
                "count": (count := verdicts.count(verdict)),
                "said": SAID[verdict][count != 1],
                "meaning": meaning,
            }
            for verdict, meaning in VERDICTS.items()
        },
        parts={
            section: {
                "title": title,
                "claims": [claim for claim in judged if claim["about"] == section],
                "artefacts": [
                    {
                        "shown": beside(one, others),
                        "image": page.images.get(one.name),
                        "elsewhere": {o.scale: o.images[one.name] for o in others if one.name in o.images},
                        "seen": seen(one),
                        "label": label(one),
                    }
                    for one in page.exhibits
                    if one.section == section
                ],
            }
            for section, title in SECTIONS.items()
        },
        long_table=LONG_TABLE,
        detectors=[run.detector_provenance() for run in detector_runs],
        runs=[run.provenance() for run in folders],
        time=duration(sum(run.environment["seconds"] for run in [*folders, *detector_runs])),
        datasets=sorted({run.config["dataset"]["name"] for run in [*folders, *detector_runs]}),
    )


def embedded(path: Path) -> str:
    """Return a PNG as a data URL."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def evidence_in(place: str, names: Container[str]) -> dict[str, str]:
    """Return the tables and figures that a claim's place in the paper names and the report has: text by name."""
    found = [
        (f"{kind.lower()}{number}", f"{kind}{'.' if kind == 'Fig' else ''} {number}")
        for kind, *numbers in NAMED.findall(place)
        for number in filter(None, numbers)
    ]
    return {name: text for name, text in found if name in names}


def label(shown: Exhibit) -> str:
    """Return the short name of an artefact: Fig. 6, Table 3; where it has no number, its title."""
    found = re.match(r"(Fig\.|Table) \d+", shown.title)
    return found[0] if found else shown.title


def seen(shown: Exhibit) -> str:
    """Return what is seen in a figure, for those who do not see it: its caption, and the values that it shows."""
    values = "; ".join(" ".join(row[: shown.texts + 1]) for row in shown.rows)
    return f"{shown.caption} {values}".strip()


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    if seconds >= 2 * 3600:
        return f"{seconds / 3600:,.1f} h"
    return f"{seconds / 60:.1f} min" if seconds >= 120 else f"{seconds:.0f} s"


class Run:
    """A finished run's files."""

    def __init__(self, folder: Path, kind: type[Result]) -> None:
        self.folder, run = folder, RunFolder(folder)
        self.config, self.result = run.config_as(Config), run.result(kind)
        self.environment = run.environment(RunEnvironment)
        self.model = self.result["model"]

    def end(self, split: str) -> float:
        """Return the last error of a split in percent."""
        return self.result[split]["top1_error"]

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
            "time": duration(environment["seconds"]),
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

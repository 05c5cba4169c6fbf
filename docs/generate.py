"""Write what is generated in *.md and docs/*.md: the tables of results, of every setting, and of renamed keys.

It lies between ``<!-- name: python docs/generate.py -->`` and ``<!-- end -->``. Results are those of the run folders in
docs/reproduction/<data set>-<scale>/ (``result.json`` and ``environment.json`` of each run); the demo's, those of
docs/reproduction/demo.csv, which docs/collect_demo.py writes.

    python docs/generate.py             # write
    python docs/generate.py --check     # fail where a page is stale
"""

import argparse
import dataclasses
import re
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from resnet.errors import UserError, run_program  # noqa: E402
from resnet.files import read_json, read_rows, read_yaml, write_text  # noqa: E402
from resnet.rules import kinds_of, limits_of, rules_of  # noqa: E402
from resnet.schema import CifarKeys, DetectorKeys, ImageNetKeys, LocalisationKeys, WorkflowHardware, schemas  # noqa: E402
from resnet.settings import BatchNormStatistics, CifarRecipe, DetectorRecipe, ImageNetRecipe, LocaliserRecipe  # noqa: E402

REPRODUCTION = ROOT / "docs/reproduction"
PART = re.compile(r"(<!-- (\w+): python docs/generate\.py -->\n).*?(<!-- end -->)", re.DOTALL)
SETTINGS = {
    "`cifar10`": CifarKeys,
    "`cifar10.recipe`": CifarRecipe,
    "`imagenet`": ImageNetKeys,
    "`imagenet.recipe`": ImageNetRecipe,
    "`detector`": DetectorKeys,
    "`detector.recipe`": DetectorRecipe,
    "`detector.bn_statistics`": BatchNormStatistics,
    "`localisation`": LocalisationKeys,
    "`localisation.recipe`": LocaliserRecipe,
    "`hardware`": WorkflowHardware,
}

# Of each data set of the demo: the section it stands for, a metric, and the networks that tell most.
DEMO = {
    "digits": (
        "section 4.2",
        "training error %",
        ("plain-20", "plain-56", "resnet-20", "resnet-56", "resnet-110"),
    ),
    "handwriting": (
        "section 4.1",
        "validation error %",
        ("plain-18", "plain-34", "resnet-18-A", "resnet-34-A", "resnet-50", "resnet-101", "resnet-152"),
    ),
    "voc07": ("section 4.3, VOC 2007", "mAP@.5 %", ("vgg-16", "resnet-101")),
    "coco": ("section 4.3, COCO", "mAP@.5 %", ("vgg-16", "resnet-101")),
}


def pages() -> list[Path]:
    """Return the pages that may have generated parts."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def updated(text: str) -> str:
    """Return a page with its generated parts made again."""
    return PART.sub(lambda match: f"{match[1]}{PARTS[match[2]]()}{match[3]}", text)


def table(headings: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return a Markdown table; where it has no rows, nothing."""
    headings, rows = list(headings), [list(map(str, row)) for row in rows]
    lines = [headings, ["---"] * len(headings), *rows] if rows else []
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def results() -> str:
    """Return the table of what has been run, beside the paper, and on what."""
    runs = [Run.read(path) for path in sorted(REPRODUCTION.glob("cifar10-*/**/result.json"))]
    if not runs:
        return "No runs have been committed yet.\n"
    lengths = sorted({run.iterations for run in runs}, reverse=True)
    rows = []
    for model in sorted({run.model for run in runs}, key=lambda name: (name.split("-")[0], int(name.split("-")[1]))):
        found = [[run.error for run in runs if (run.model, run.iterations) == (model, length)] for length in lengths]
        cells = (f"{mean_of(errors)} ({len(errors)})" if errors else "–" for errors in found)
        rows.append([model, published(model), *cells])
    ours = (f"ours, {length:,}, {devices(runs, length)} (runs)" for length in lengths)
    return table(["network", "paper, 64,000 iterations: test error %", *ours], rows)


def devices(runs: "list[Run]", iterations: int) -> str:
    """Return what the runs of so many iterations were trained on."""
    return "; ".join({device: 0 for run in runs if run.iterations == iterations for device in run.devices})


@dataclasses.dataclass
class Run:
    """A run on CIFAR-10 that was published: which network, its test error in percent, and what it was trained on."""

    model: str
    iterations: int
    error: float
    devices: list[str]

    @classmethod
    def read(cls, path: Path) -> "Run":
        """Read a run folder by its ``result.json``."""
        result, around = read_json(path), read_json(path.with_name("environment.json"))
        # A slice that code from before it was recorded has trained says nothing of its device.
        devices = [part["device"] for part in around["slices"] if "device" in part]
        return cls(result["model"], result["iterations"], result["test"]["top1_error"], devices)


def published(model: str) -> str:
    """Return the paper's test error of a network: Table 6's, or what was read off Fig. 6."""
    rows = read_yaml(ROOT / "workflow/artefacts/table6.yaml")["rows"]
    figure = read_yaml(ROOT / "workflow/artefacts/fig6.yaml")
    row = next((row for row in rows if row.get("model") == model), {})
    if "top1_error_mean" in row:
        return spread(row["top1_error_mean"], row["top1_error_std"])
    if row:
        return f"{row['top1_error']:.2f}"
    curves = (curve for panel in figure["panels"] for curve in panel["curves"] if curve["split"] == "test")
    read_off = {curve["model"]: curve["digitised_end"] for curve in curves if "digitised_end" in curve}
    return f"about {read_off[model]:g} (Fig. 6)" if model in read_off else "–"


def mean_of(errors: list[float]) -> str:
    """Return the error of a single run, or the mean of several and their standard deviation."""
    return spread(statistics.mean(errors), statistics.stdev(errors)) if len(errors) > 1 else f"{errors[0]:.2f}"


def spread(mean: float, deviation: float) -> str:
    """Return a mean and its standard deviation."""
    return f"{mean:.2f}±{deviation:.2f}"


def demo() -> str:
    """Return the telling numbers of the demo's runs: their range over seeds and processors."""
    path = REPRODUCTION / "demo.csv"
    if not path.exists():
        return "No runs have been committed yet.\n"
    columns = {"processor": str, "isa": str, "seed": int, "model": str, "metric": str, "value": float, "n": int}
    rows = read_rows(path, {"dataset": str, **columns})
    lines = []
    for dataset, (where, metric, models) in DEMO.items():
        for model in models:
            runs = [row for row in rows if (row["dataset"], row["metric"], row["model"]) == (dataset, metric, model)]
            if values := [row["value"] for row in runs]:
                lines.append([model, where, metric, span(values), len(runs), max(row["n"] for row in runs)])
    machines = sorted({f"{row['processor'].split(',')[0]} ({row['isa']})" for row in rows})
    headings = ("network", "demo of", "number", "lowest to highest", "runs", "of so many images or objects")
    return (
        table(headings, lines) + f"\nOver seeds, and on {', '.join(machines)} ([all numbers](reproduction/demo.csv)).\n"
    )


def span(values: list[float]) -> str:
    """Return the lowest and the highest of some numbers, as printed."""
    return " to ".join(dict.fromkeys(f"{value:.1f}" for value in (min(values), max(values))))


def settings() -> str:
    """Return the table of every setting, class by class; what several recipes share is said once."""
    parts, seen = [], set()
    for where, kind in SETTINGS.items():
        rows = []
        for field in dataclasses.fields(kind):
            rule, text = rules_of(kind)[field.name], field.metadata["help"]
            if (field.name, text, field.default) in seen or field.metadata["identity"] or "object" in kinds_of(rule):
                continue
            seen.add((field.name, text, field.default))
            limits = limits_of(rule.get("items", rule)) or " ".join(map(str, rule.get("items", rule).get("enum", [])))
            unit = f"{text}, {field.metadata['unit']}" if field.metadata["unit"] else text
            rows.append([f"`{field.name}`", shown(field.default), limits, unit.replace("|", "\\|")])
        parts.append(f"### {where}\n\n" + table(("key", "default", "may be", "what it is"), rows))
    return "\n".join(parts)


def renamed() -> str:
    """Return the table of the configuration's keys that had other names."""
    config, _scale = schemas(ROOT / "workflow/scales")
    return table(("was", "is"), ((f"`{before}`", f"`{now}`") for before, now in _renamed(config, "")))


def _renamed(rule: Any, path: str) -> Iterator[tuple[str, str]]:
    for key, inner in rule.get("properties", {}).items():
        if "was" in inner:
            yield f"{path}{inner['was']}", f"{path}{key}"
        yield from _renamed(inner, f"{path}{key}.")


def shown(value: Any) -> str:
    """Return a default as it is written in config.yaml."""
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)


PARTS: dict[str, Callable[[], str]] = {"results": results, "demo": demo, "settings": settings, "renamed": renamed}


def main() -> None:
    """Write the pages, or check them.

    Raises:
        UserError: a page is stale.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, fail where a page is stale")
    check = parser.parse_args().check
    for page in pages():
        before = page.read_text(encoding="utf-8")
        if (after := updated(before)) != before:
            if check:
                raise UserError(f"{page} is stale: python docs/generate.py")
            write_text(page, after)
            print(f"wrote {page}")


if __name__ == "__main__":
    run_program(main)

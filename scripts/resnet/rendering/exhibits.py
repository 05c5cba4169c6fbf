"""What readers see of an artefact: heading, caption and printed cells, written once; no torch.

The program that makes a table or a figure prints its numbers and writes what is printed as JSON beside its data. Its
Markdown, and the report, are made of that.
"""

import argparse
import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from resnet.artefacts import Artefact
from resnet.files import read_json, write_json, write_rows, write_text

# What a scale means for reading numbers beside the paper's.
SCALE_NOTES = {
    "demo": "Demo scale: narrow nets, small images and a few hundred iterations. The numbers cannot be "
    "compared with the paper's, and single runs end far apart. Claims about which of two nets is better can be "
    "tested, with care: so short a run shows how hard a net is to optimise, not where it would end after the "
    "paper's iterations.",
    "short": "Short scale: a tenth of the paper's iterations. Errors are expected to lie above the paper's.",
    "paper": "Paper scale: the paper's schedules on CIFAR-10, ImageNet, PASCAL VOC and MS COCO.",
}

# A number and the paper's have a difference only where both were measured on the same images; a part of a data set has
# another name.
PAPERS_DATASETS = ("cifar10", "imagenet", "voc", "coco")
NOT_IN_PAPER = "not in the paper"
DIFFERENCE = "difference"


@dataclasses.dataclass(frozen=True)
class Exhibit:
    """A table as printed, or a figure's texts with the values beside the paper's.

    Attributes:
        name: that of the artefact; a figure's image is ``<name>.png``.
        section: of ``resnet.sections.SECTIONS``.
        is_figure: there is an image.
        title: its heading.
        caption: what is seen in it.
        note: what else one should know to read it; empty for nothing.
        headings: of the columns; none where there are no cells.
        rows: the cells.
        texts: how many columns, from the left, are texts rather than numbers.
        inches: width of the image; None for a table.
    """

    name: str
    section: str
    is_figure: bool
    title: str
    caption: str
    note: str
    headings: list[str]
    rows: list[list[str]]
    texts: int = 1
    inches: float | None = None


def exhibit(
    artefact: Artefact,
    headings: Iterable[str] = (),
    rows: Iterable[Sequence[str]] = (),
    *,
    note: str = "",
    texts: int = 1,
    inches: float | None = None,
) -> Exhibit:
    """Return what readers see of an artefact: the texts of its file, and what was measured.

    Differences to the paper have no column where there are none: at a scale with other data.

    Args:
        artefact: the table or figure.
        headings: of the columns.
        rows: the cells.
        note: what the numbers add to its note.
        texts: how many columns, from the left, are texts.
        inches: width of a figure's image.
    """
    head = {key: getattr(artefact, key) for key in ("name", "section", "is_figure", "title", "caption")}
    notes = " ".join(text for text in (artefact.note, note) if text)
    columns, cells = [*headings], [[*row] for row in rows]
    kept = [i for i, name in enumerate(columns) if name != DIFFERENCE or any(row[i] for row in cells)]
    cells = [[row[i] for i in kept] for row in cells]
    return Exhibit(**head, note=notes, headings=[columns[i] for i in kept], rows=cells, texts=texts, inches=inches)


def scale_note(scale: str) -> str:
    """Return what a scale means for reading numbers beside the paper's; of a person's own it is not known."""
    return SCALE_NOTES.get(scale, f"Scale: {scale}." if scale else "")


def difference_cell(dataset: str | None, ours: float | None, theirs: float | None) -> str:
    """Return how far a number is from the paper's, if it was measured on the paper's data."""
    if ours is None or theirs is None or dataset not in PAPERS_DATASETS:
        return ""
    return f"{ours - theirs:+z.2f}"


def add_table_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that all programs of tables have."""
    parser.add_argument("--artefact", type=Path, required=True, help="the table: workflow/artefacts/<name>.yaml")
    parser.add_argument("--others", nargs="*", default=[], help="networks to show that the paper does not have")
    parser.add_argument("--scale", default="", help="name of the scale; none for what does not depend on it")
    parser.add_argument("--csv", type=Path, required=True, help="CSV to write: the numbers")
    parser.add_argument("--md", type=Path, required=True, help="Markdown to write: the table as printed")
    parser.add_argument("--json", type=Path, required=True, help="JSON to write: what the report shows")


def add_figure_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that all programs of figures have."""
    parser.add_argument("--artefact", type=Path, required=True, help="the figure: workflow/artefacts/<name>.yaml")
    parser.add_argument("--note", default="", help="a line under the figure")
    parser.add_argument("--output", type=Path, nargs="+", required=True, help="files to write: .pdf, .png")
    parser.add_argument("--json", type=Path, required=True, help="JSON to write: what the report shows beside it")


def write_table(
    arguments: argparse.Namespace,
    columns: tuple[str, ...],
    rows: list[dict[str, Any]],
    shown: Exhibit,
    *,
    digits: int | None = 6,
) -> None:
    """Write a table where the options of ``add_table_arguments`` say.

    Args:
        arguments: the options.
        columns: of the CSV.
        rows: the numbers; empty cells are empty.
        shown: the table as printed.
        digits: after the point, to which numbers are rounded in the CSV; None for all that they have.
    """
    if digits is not None:
        rows = [{key: round(v, digits) if isinstance(v, float) else v for key, v in row.items()} for row in rows]
    write_rows(arguments.csv, columns, rows)
    write_exhibit(arguments.json, shown)
    texts = (f"# {shown.title}", scale_note(arguments.scale), shown.caption, shown.note)
    cells = [shown.headings, ["---"] * len(shown.headings), *shown.rows]
    lines = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells)
    write_text(arguments.md, "\n\n".join(text for text in (*texts, lines) if text) + "\n")


def write_exhibit(path: Path, shown: Exhibit) -> None:
    """Write what readers see of an artefact as JSON to ``path``."""
    write_json(path, dataclasses.asdict(shown))


def read_exhibit(path: Path) -> Exhibit:
    """Read what ``write_exhibit`` wrote.

    Raises:
        UserError: the file is absent or holds something else.
    """
    return Exhibit(**read_json(path, Exhibit))

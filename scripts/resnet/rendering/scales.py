"""What the reports of other scales have shown, beside this one's; no torch."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from resnet.files import read_json, write_json
from resnet.rendering.exhibits import Exhibit
from resnet.rendering.tables import NOT_TRAINED


@dataclasses.dataclass(frozen=True)
class Page:
    """What a report shows that depends on its scale.

    Attributes:
        scale: its name.
        verdicts: on each claim.
        exhibits: its tables and figures.
        images: the figures' PNG files as data URLs, by name.
    """

    scale: str
    verdicts: dict[str, str]
    exhibits: list[Exhibit]
    images: dict[str, str]

    def exhibit(self, name: str) -> Exhibit | None:
        """Return the table or figure of a name, if the report has it."""
        return next((one for one in self.exhibits if one.name == name), None)


def write_page(path: Path, page: Page) -> None:
    """Write what a report shows as JSON to ``path``, for those of other scales."""
    write_json(path, dataclasses.asdict(page))


def read_pages(paths: Sequence[Path]) -> list[Page]:
    """Read what ``write_page`` wrote, and put together what reports of the same scale have shown; the last counts.

    Raises:
        UserError: a file is absent or holds something else.
    """
    pages: dict[str, Page] = {}
    for path in paths:
        value = read_json(path, Page)
        page = Page(**value | {"exhibits": [Exhibit(**one) for one in value["exhibits"]]})
        before = pages.get(page.scale, Page(page.scale, {}, [], {}))
        pages[page.scale] = Page(
            page.scale,
            before.verdicts | page.verdicts,
            [*page.exhibits, *(one for one in before.exhibits if page.exhibit(one.name) is None)],
            before.images | page.images,
        )
    return list(pages.values())


def beside(shown: Exhibit, pages: Sequence[Page]) -> Exhibit:
    """Return a table with a further column for each of its numbers that is another at another scale.

    Published values are the same at every scale, so they are not repeated. A table that has other rows at the other
    scale, of more networks for instance, stays as it is.
    """
    headings, rows, ours = list(shown.headings), [list(row) for row in shown.rows], _columns(shown)
    for page in pages:
        other = page.exhibit(shown.name)
        if other is None or _names(other) != _names(shown):
            continue
        for (heading, number), cells in list(_columns(other).items())[other.texts :]:
            if cells == ours.get((heading, number)) or not any(cell.strip("–") for cell in cells):
                continue
            headings.append(f"{heading}, {page.scale} scale")
            rows = [[*row, cell] for row, cell in zip(rows, cells, strict=True)]
    return dataclasses.replace(shown, headings=headings, rows=rows)


def _columns(shown: Exhibit) -> dict[tuple[str, int], list[str]]:
    """Return the cells of each column by its heading, and how many columns before it have the same: "paper", say."""
    return {
        (heading, shown.headings[:place].count(heading)): [row[place] for row in shown.rows]
        for place, heading in enumerate(shown.headings)
    }


def _names(shown: Exhibit) -> list[list[str]]:
    """Return what names each row, whether it was trained at this scale or not."""
    return [[text.replace(f" ({NOT_TRAINED})", "") for text in row[: shown.texts]] for row in shown.rows]

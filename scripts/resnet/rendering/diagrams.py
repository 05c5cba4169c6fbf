"""Diagrams of networks and of building blocks (Figs. 2, 3 and 5), drawn from their operations; no torch."""

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnet.errors import UserError
from resnet.files import read_rows
from resnet.records import OPERATIONS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The paper's colours of the maps' sizes in Fig. 3, from the largest; what is no convolution stays white.
SIZE_COLOURS = ("#cfe2f3", "#fce5cd", "#d9d2e9", "#d9ead3", "#f4cccc")
BOXED = ("conv", "max pool", "average pool", "fc")
# In Fig. 3, in inches: a box with what is below it, and columns from middle to middle.
PITCH, BOX_HEIGHT, BOX_WIDTH, COLUMN, MARGIN = 0.19, 0.116, 0.84, 1.15, 0.5
# In Figs. 2 and 5, in inches.
BLOCK_PITCH, BLOCK_HEIGHT, BLOCK_WIDTH, BLOCK_COLUMN, PLUS = 0.52, 0.24, 1.05, 1.75, 0.085
ARROW = {"arrowstyle": "-|>,head_length=0.22,head_width=0.11", "shrinkA": 0, "shrinkB": 0, "color": "black"}
LOOK = {"font.family": "STIXGeneral", "mathtext.fontset": "stix", "pdf.fonttype": 42, "savefig.dpi": 300}


@dataclasses.dataclass(frozen=True)
class Operation:
    """A row of ``operations.csv``."""

    kind: str
    inputs: tuple[int, ...]
    kernel: int | None
    stride: int | None
    channels: int
    side: int | None
    multiply_adds: int


@dataclasses.dataclass(frozen=True)
class Shortcut:
    """A shortcut connection.

    Attributes:
        start: the operation whose output it takes.
        end: the addition.
        grows: it does not leave what it takes as it is, as the dimensions grow (zero padding, or a projection).
    """

    start: int
    end: int
    grows: bool


@dataclasses.dataclass(frozen=True)
class Diagram:
    """A network, or a part of it.

    Attributes:
        operations: all of them, by their numbers.
        path: the numbers of those from input to output that are not on a shortcut.
        shortcuts: those around parts of the path, in its order.
    """

    operations: list[Operation]
    path: list[int]
    shortcuts: list[Shortcut]

    @property
    def multiply_adds(self) -> int:
        """Those of one image: the paper's FLOPs."""
        return sum(one.multiply_adds for one in self.operations)


def read_diagrams(path: Path) -> dict[str, Diagram]:
    """Read ``operations.csv``.

    Raises:
        UserError: it is missing or damaged.
    """
    fields = [field.name for field in dataclasses.fields(Operation)]
    found: dict[str, list[Operation]] = {}
    for row in read_rows(path, OPERATIONS):
        row["inputs"] = tuple(map(int, row["inputs"].split()))
        found.setdefault(row["network"], []).append(Operation(**{name: row[name] for name in fields}))
    return {name: diagram(operations) for name, operations in found.items()}


def diagram(operations: list[Operation]) -> Diagram:
    """Return the operations of a network with its path and its shortcuts.

    Of the two branches that an addition joins, the one of more operations is on the path.
    """
    lengths: list[int] = []
    for one in operations:
        lengths.append(1 + max((lengths[number] for number in one.inputs), default=0))
    path = [len(operations) - 1]
    while before := operations[path[-1]].inputs:
        path.append(max(before, key=lambda number: lengths[number]))
    path.reverse()
    on_path, shortcuts = set(path), []
    for end in path:
        for start in sorted(set(operations[end].inputs) - {path[path.index(end) - 1]}):
            grows = start not in on_path
            while start not in on_path:
                [start] = operations[start].inputs
            shortcuts.append(Shortcut(start, end, grows))
    return Diagram(operations, path, shortcuts)


def named(diagrams: dict[str, Diagram], name: str) -> Diagram:
    """Return a diagram.

    Raises:
        UserError: there is none of this name.
    """
    if name not in diagrams:
        raise UserError(f"there are no operations of {name}; there are {', '.join(diagrams)}")
    return diagrams[name]


def layer_text(operation: Operation) -> str:
    """Return an operation as Fig. 3 names it: ``3×3 conv, 64, /2``, ``pool, /2``, ``avg pool`` or ``fc 1000``."""
    step = f", /{operation.stride}" if (operation.stride or 1) > 1 else ""
    if operation.kind == "conv":
        return f"{operation.kernel}×{operation.kernel} conv, {operation.channels}{step}"
    return {"max pool": f"pool{step}", "average pool": "avg pool", "fc": f"fc {operation.channels}"}[operation.kind]


def flops_beside_the_papers(
    drawing: dict[str, Any], diagrams: dict[str, Diagram]
) -> tuple[tuple[str, ...], list[list[str]]]:
    """Return headings and cells: the FLOPs of each network, as counted and as printed in Fig. 3's caption."""
    rows = [
        [column["title"], f"{named(diagrams, column['network']).multiply_adds / 1e9:.2f}", f"{column['flops_1e9']:.1f}"]
        for column in drawing["networks"]
    ]
    return ("network", "FLOPs (10⁹)", "the paper"), rows


def draw_networks(drawing: dict[str, Any], diagrams: dict[str, Diagram]) -> "Figure":
    """Draw networks side by side, their layers in rows of one size of the output: Fig. 3.

    Args:
        drawing: ``networks``, each with its ``network`` and ``title`` (``workflow/artefacts/fig3.yaml``).
        diagrams: those of ``read_diagrams``.
    """
    columns = [named(diagrams, column["network"]) for column in drawing["networks"]]
    rows = _rows(columns)
    height = rows[None] + max(_count(column, None) for column in columns) + 1.9
    figure, axis = _canvas((MARGIN + COLUMN * len(columns) + 0.16, PITCH * height), (-MARGIN, 2.2 * PITCH))
    for size, row in rows.items():
        axis.text(0.04 - MARGIN, -PITCH * row, f"output\nsize: {size or 1}", fontsize=6, va="center", linespacing=0.95)
    colours = dict(zip(rows, itertools.cycle(SIZE_COLOURS), strict=False))
    for number, (column, titles) in enumerate(zip(columns, drawing["networks"], strict=True)):
        middle = COLUMN * (number + 0.5)
        axis.text(middle, 1.65 * PITCH, titles["title"], fontsize=8, ha="center", va="center", weight="bold")
        flops = f"{column.multiply_adds / 1e9:.1f} billion FLOPs"
        axis.text(middle, 0.9 * PITCH, flops, fontsize=6, ha="center", va="center")
        _draw_network(axis, column, middle, rows, colours)
    return figure


def _sizes(column: Diagram) -> list[int | None]:
    """Return the sizes of a network's outputs in their order; None is that of vectors."""
    return list(dict.fromkeys(one.side for one in map(column.operations.__getitem__, column.path) if one.kind in BOXED))


def _count(column: Diagram, size: int | None) -> int:
    """Return how many boxes a network has at a size."""
    path = map(column.operations.__getitem__, column.path)
    return sum(one.kind in BOXED and one.side == size for one in path)


def _rows(columns: Sequence[Diagram]) -> dict[int | None, float]:
    """Return the row at which each size of the output begins; between sizes there is some room. Row 0 has the image."""
    sizes = {size for column in columns for size in _sizes(column)}
    rows, row = {}, 1.6
    for size in sorted(sizes, key=lambda size: -(size or 0)):
        rows[size] = row
        row += max(_count(column, size) for column in columns) + 0.6
    return rows


def _draw_network(
    axis: "Axes", column: Diagram, middle: float, rows: dict[int | None, float], colours: dict[int | None, str]
) -> None:
    """Draw the boxes of a network from top to bottom, the arrows between them, and its shortcuts."""
    used: dict[int | None, int] = dict.fromkeys(rows, 0)
    _box(axis, (middle, 0), (BOX_WIDTH * 0.5, BOX_HEIGHT), "image", "#ffffff", 6)
    # The bottom of the last box up to each operation of the path, and the top of the first box after it.
    bottoms, tops, waiting, last = {}, {}, [column.path[0]], -BOX_HEIGHT / 2
    bottoms[column.path[0]] = last
    for number in column.path[1:]:
        operation = column.operations[number]
        if operation.kind in BOXED:
            y = -PITCH * (rows[operation.side] + used[operation.side])
            used[operation.side] += 1
            colour = colours[operation.side] if operation.kind == "conv" else "#ffffff"
            _arrow(axis, (middle, last), (middle, y + BOX_HEIGHT / 2))
            _box(axis, (middle, y), (BOX_WIDTH, BOX_HEIGHT), layer_text(operation), colour, 6)
            tops |= dict.fromkeys(waiting, y + BOX_HEIGHT / 2)
            waiting, last = [], y - BOX_HEIGHT / 2
        bottoms[number] = last
        waiting.append(number)
    for shortcut in column.shortcuts:
        start, end = ((bottoms[number] + tops[number]) / 2 for number in (shortcut.start, shortcut.end))
        # Where one ends the next one starts.
        ends = (middle, start - 0.012), (middle, end + 0.012)
        _around(axis, *ends, (middle + BOX_WIDTH / 2, 0.17), dotted=shortcut.grows)


def draw_blocks(drawing: dict[str, Any], diagrams: dict[str, Diagram]) -> "Figure":
    """Draw building blocks side by side: Figs. 2 and 5.

    Args:
        drawing: ``blocks``, each with its ``part`` of a network; ``general``, where layers are drawn as any weight
            layer, and signals as formulas (``workflow/artefacts/fig2.yaml``, ``fig5.yaml``).
        diagrams: those of ``read_diagrams``.
    """
    blocks = [named(diagrams, block["part"]) for block in drawing["blocks"]]
    general = drawing.get("general", False)
    counts = [sum(block.operations[number].kind in BOXED for number in block.path) for block in blocks]
    size = (BLOCK_COLUMN * len(blocks) + 0.75 * general, BLOCK_PITCH * max(counts) + 0.87)
    figure, axis = _canvas(size, (-0.3 * general, 0.5))
    for number, (block, count) in enumerate(zip(blocks, counts, strict=True)):
        # Shorter blocks stand in the middle of the height.
        top = -BLOCK_PITCH * (max(counts) - count) / 2
        heights = _draw_block(axis, block, (BLOCK_COLUMN * (number + 0.45), top), general)
        for shortcut in block.shortcuts:
            _draw_shortcut(axis, BLOCK_COLUMN * (number + 0.45), heights, shortcut, general)
    return figure


def _draw_block(axis: "Axes", block: Diagram, top: tuple[float, float], general: bool) -> dict[int, float]:
    """Draw a block from top to bottom: boxes, additions, and arrows with what is computed on the way beside them.

    Returns:
        the height of the input and of each addition.
    """
    middle, y = top
    half = BLOCK_HEIGHT / 2
    text = r"$\mathbf{x}$" if general else f"{block.operations[block.path[0]].channels}-d"
    heights, last = {block.path[0]: y + half + 0.1}, y + half + 0.36
    _beside(axis, (middle, last - 0.07), text, -1 if general else 1)
    text = ""
    for number in block.path[1:]:
        operation = block.operations[number]
        if operation.kind == "relu":
            text = "relu"
            continue
        edge = PLUS if operation.kind == "add" else half
        _arrow(axis, (middle, last), (middle, y + edge))
        _beside(axis, (middle, (last + y + edge) / 2), text, 1)
        if operation.kind == "add":
            _plus(axis, (middle, y))
            heights[number] = y
        else:
            name = "weight layer" if general else f"{operation.kernel}×{operation.kernel}, {operation.channels}"
            _box(axis, (middle, y), (BLOCK_WIDTH, BLOCK_HEIGHT), name, "#ffffff", 9)
        last, text, y = y - edge, "", y - BLOCK_PITCH
    _arrow(axis, (middle, last), (middle, last - 0.26))
    _beside(axis, (middle, last - 0.11), text, 1)
    return heights


def _draw_shortcut(axis: "Axes", middle: float, heights: dict[int, float], shortcut: Shortcut, general: bool) -> None:
    """Draw the shortcut of a block and, in general, the formulas of Fig. 2."""
    edge = BLOCK_WIDTH / 2
    start, end = heights[shortcut.start], heights[shortcut.end]
    _around(axis, (middle, start), (middle + PLUS, end), (middle + edge, 0.32), dotted=shortcut.grows)
    if general:
        between = (start + end) / 2 + 0.09
        place = {"va": "center", "linespacing": 1.25}
        axis.text(middle + edge + 0.38, between, "$\\mathbf{x}$\nidentity", fontsize=10, ha="left", **place)
        axis.text(middle - edge - 0.06, between, r"$\mathcal{F}(\mathbf{x})$", fontsize=11, ha="right", **place)
        axis.text(middle - 0.2, end, r"$\mathcal{F}(\mathbf{x})+\mathbf{x}$", fontsize=11, ha="right", **place)


def _canvas(size: tuple[float, float], corner: tuple[float, float]) -> tuple["Figure", "Axes"]:
    """Return a figure of some inches and an axis whose units are inches, with its left upper corner at ``corner``."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams.update(LOOK)
    from matplotlib.figure import Figure

    figure = Figure(figsize=size)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(corner[0], corner[0] + size[0]), ylim=(corner[1] - size[1], corner[1]))
    axis.set_axis_off()
    return figure, axis


def _box(
    axis: "Axes", middle: tuple[float, float], size: tuple[float, float], text: str, colour: str, points: float
) -> None:
    from matplotlib.patches import FancyBboxPatch

    corner = (middle[0] - size[0] / 2, middle[1] - size[1] / 2)
    style = f"round,pad=0,rounding_size={0.18 * size[1]}"
    axis.add_patch(FancyBboxPatch(corner, *size, boxstyle=style, facecolor=colour, edgecolor="black", linewidth=0.6))
    # Descenders need a little room.
    axis.text(middle[0], middle[1] + 0.04 * size[1], text, fontsize=points, ha="center", va="center_baseline")


def _arrow(axis: "Axes", start: tuple[float, float], end: tuple[float, float]) -> None:
    from matplotlib.patches import FancyArrowPatch

    axis.add_patch(FancyArrowPatch(start, end, **ARROW, mutation_scale=9, linewidth=0.6))


def _around(
    axis: "Axes", start: tuple[float, float], end: tuple[float, float], right: tuple[float, float], *, dotted: bool
) -> None:
    """Draw a shortcut: level to the edge of the boxes, round them by so much, and level to its end."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Line

    edge, room = right
    # The curve reaches three quarters of the way to its control points.
    out, head = edge + room * 4 / 3, (end[0] + 0.03, end[1])
    points = [start, (edge, start[1]), (out, start[1]), (out, end[1]), (edge, end[1]), head]
    line = Line(points, [Line.MOVETO, Line.LINETO, *[Line.CURVE4] * 3, Line.LINETO])
    style = (0, (0.1, 2.4)) if dotted else "-"
    axis.add_patch(PathPatch(line, linewidth=0.7, linestyle=style, capstyle="round", fill=False))
    _arrow(axis, head, end)


def _plus(axis: "Axes", middle: tuple[float, float]) -> None:
    from matplotlib.patches import Circle

    axis.add_patch(Circle(middle, PLUS, facecolor="white", edgecolor="black", linewidth=0.7))
    x, y = middle
    axis.plot([x - PLUS, x + PLUS], [y, y], color="black", linewidth=0.7)
    axis.plot([x, x], [y - PLUS, y + PLUS], color="black", linewidth=0.7)


def _beside(axis: "Axes", place: tuple[float, float], text: str, side: int) -> None:
    if text:
        x, y = place
        points = 11 if "$" in text else 9
        axis.text(x + 0.07 * side, y, text, fontsize=points, ha="left" if side > 0 else "right", va="center")

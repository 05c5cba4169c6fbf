"""Names of curves, written beside them where nothing else is drawn."""

import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation

# How far along the axis a name may be, and how far from its curve, in points: what is tried first is liked best.
PLACES = (0.72, 0.64, 0.8, 0.56, 0.88, 0.48, 0.4, 0.32, 0.24, 0.16)
DISTANCES = (4, 9, 15, 22, 30)
# The room around a name that stays free, in pixels.
ROOM = 2


class Label(NamedTuple):
    """The name of a curve, the curve in the axis's units, and whether the paper writes the name below it."""

    axis: "Axes"
    text: str
    colour: str
    x: Sequence[float]
    y: Sequence[float]
    below: bool


def write_labels(figure: "Figure", labels: Iterable[Label]) -> None:
    """Write names into a figure that is complete otherwise: its limits and legends stay as they are."""
    # Now the layout is what it will be.
    figure.draw_without_rendering()
    for axis, those in itertools.groupby(labels, key=lambda label: label.axis):
        taken = [legend.get_window_extent()] if (legend := axis.get_legend()) else []
        # Curves, and the lines of the grid.
        points = np.concatenate([_drawn(line.get_transform().transform(line.get_xydata())) for line in axis.lines])
        for label in those:
            taken.append(_write(label, points, taken).get_window_extent())


def _write(label: Label, points: np.ndarray, taken: list[Any]) -> "Annotation":
    """Write a name where it covers the fewest of the lines' ``points`` (N, 2) and none of the boxes ``taken``."""
    axis = label.axis
    style = {"color": label.colour, "ha": "center", "annotation_clip": False, "textcoords": "offset points"}
    name = axis.annotate(label.text, (0, 0), (0, 0), **style)
    (first, last), (low, high) = axis.get_xlim(), axis.get_ylim()
    tried = []
    for order, (distance, place, other_side) in enumerate(itertools.product(DISTANCES, PLACES, (False, True))):
        x = first + place * (last - first)
        spot = (x, min(max(float(np.interp(x, label.x, label.y)), low), high)), label.below != other_side, distance
        _move(name, *spot)
        box = name.get_window_extent().padded(ROOM)
        inside = ((points > box.min) & (points < box.max)).all(1).sum()
        hidden = axis.bbox.count_contains(box.corners()) < 4 or any(box.overlaps(other) for other in taken)
        tried.append((hidden, inside, order, spot))
        if not hidden and not inside:
            break
    _move(name, *min(tried)[3])
    return name


def _move(name: "Annotation", point: tuple[float, float], below: bool, distance: float) -> None:
    """Move a name to a distance above or below a point."""
    name.xy = point
    name.set_position((0, -distance if below else distance))
    name.set_verticalalignment("top" if below else "bottom")


def _drawn(corners: np.ndarray) -> np.ndarray:
    """Return points a pixel or so apart along the lines between ``corners`` (N, 2), in pixels."""
    lengths = np.hypot(*np.diff(corners, axis=0).T)
    along = np.concatenate([[0], lengths.cumsum()])
    at = np.linspace(0, along[-1], int(along[-1]) + 2)
    return np.stack([np.interp(at, along, corners[:, axis]) for axis in (0, 1)], 1)

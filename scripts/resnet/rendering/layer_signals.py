"""The signals along trainings (section 4.1): forward and backward, layer by layer; no torch."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnet.errors import UserError
from resnet.files import read_rows
from resnet.records import LAYER_SIGNALS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows = list[dict[str, Any]]
KEYS = ("std", "gradient")
HEADINGS = ("by the last layer's", "smallest output", "largest", "smallest gradient", "largest")
# The look of the first measured update, of the next ones, and of the last; more updates have those of MANY.
COLOURS = ("#000000", "#00b8e6", "#1a9850", "#b3a600", "#d400d4", "#7a4fd0", "#8c564b", "#e8000b")
MANY = "turbo"


def read_signals(path: Path) -> dict[str, Rows]:
    """Read ``layer_signals.csv``: its rows by their model.

    Raises:
        UserError: it is missing or damaged.
    """
    rows: dict[str, Rows] = {}
    for row in read_rows(path, LAYER_SIGNALS):
        rows.setdefault(row["model"], []).append(row)
    return rows


def smallest_and_largest(rows: Rows, key: str) -> tuple[float, float]:
    """Return the smallest and the largest signal of a layer as a part of the last layer's, over all updates."""
    last = {row["iteration"]: row[key] for row in sorted(rows, key=lambda row: row["layer"])}
    # The branch of a last block may be dead, and its shortcut not.
    parts = [row[key] / last[row["iteration"]] if last[row["iteration"]] else math.inf for row in rows if row[key]]
    parts += [0.0 for row in rows if not row[key]]
    return min(parts), max(parts)


def cells(drawing: dict[str, Any], signals: dict[str, Rows]) -> list[list[str]]:
    """Return under ``HEADINGS`` the range of each network's signals."""
    return [
        [panel["title"], *(f"{value:.2g}" for key in KEYS for value in smallest_and_largest(rows, key))]
        for panel in drawing["panels"]
        if (rows := signals.get(panel["model"]))
    ]


def draw_layer_signals(drawing: dict[str, Any], signals: dict[str, Rows], note: str) -> "Figure":
    """Draw, per network, the layers' outputs (top) and gradients (bottom), a line per measured update.

    Args:
        drawing: ``panels``, each with a ``model`` and a ``title`` (``workflow/artefacts/signals-*.yaml``).
        signals: those of ``read_signals``.
        note: a line under the figure, such as the scale; empty for none.

    Raises:
        UserError: no network of the drawing was measured.
    """
    # Claims are judged on the rows, and draw nothing.
    from resnet.rendering.figures import new_figure, scale_by_powers, write_note

    panels = [panel for panel in drawing["panels"] if panel["model"] in signals]
    absent = [panel["model"] for panel in drawing["panels"] if panel["model"] not in signals]
    if not panels:
        raise UserError(f"the figure shows {', '.join(absent)}, but {', '.join(signals)} were measured")
    figure, axes = new_figure((1.75 * len(panels) + 0.7, 4.2), 2, len(panels))
    rows_of_axes = axes[: len(panels)], axes[len(panels) :]
    for row, key, label in zip(rows_of_axes, KEYS, ("std of the output", "norm of the gradient"), strict=True):
        for axis, panel in zip(row, panels, strict=True):
            _draw_lines(axis, signals[panel["model"]], key)
            axis.sharey(row[0])
            axis.tick_params(labelleft=axis is row[0])
        scale_by_powers(row[0])
        row[0].set_ylabel(label)
    for top, bottom, panel in zip(*rows_of_axes, panels, strict=True):
        top.set_title(panel["title"], fontsize=9)
        top.tick_params(labelbottom=False)
        bottom.set_xlabel("layer")
    lines, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        lines, labels, loc="outside upper center", ncols=min(4, len(labels)), title="update", title_fontsize=8
    )
    write_note(figure, note, absent)
    return figure


def _draw_lines(axis: "Axes", rows: Rows, key: str) -> None:
    """Draw a value of the layers, a line per measured update."""
    updates = sorted({row["iteration"] for row in rows})
    for update, colour in zip(updates, _colours(len(updates)), strict=True):
        line = sorted((row["layer"], row[key]) for row in rows if row["iteration"] == update)
        label = f"{update:,}" + (" (end)" if update == updates[-1] else "")
        axis.plot(*zip(*line, strict=True), color=colour, linewidth=1.1, label=label)
    axis.set_xlim(1, max(row["layer"] for row in rows))


def _colours(count: int) -> list[Any]:
    """Return the colours of so many measured updates."""
    from matplotlib import colormaps

    if count > len(COLOURS):
        return list(colormaps[MANY].resampled(count)(range(count)))
    return [*COLOURS[: count - 1], COLOURS[-1]]

"""The figures of the paper in the paper's own look, drawn from CSV files; no torch.

seaborn takes two seconds to import, so it is imported where curves are drawn.
"""

import copy
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnet.artefacts import Artefact
from resnet.errors import UserError
from resnet.files import atomic_path
from resnet.rendering.exhibits import difference_cell
from resnet.run_folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from resnet.rendering.labels import Label

COLOURS = {
    "olive": "#b3a600",
    "red": "#e8000b",
    "cyan": "#00b8e6",
    "green": "#1a9850",
    "black": "#000000",
    "magenta": "#d400d4",
}
# Of the values beside a figure.
COMPARISON = ("model", "value", "here", "paper (read off the figure)", "difference")
STYLES = {"solid": "-", "dashed": (0, (4, 2))}
THEME = {
    "axes.linewidth": 0.8,
    "axes.edgecolor": "black",
    "axes.axisbelow": True,
    "axes.labelcolor": ".15",
    "axes.titlesize": 12,
    "font.family": "sans-serif",
    "font.sans-serif": ["Arial", "DejaVu Sans", "Liberation Sans", "Bitstream Vera Sans", "sans-serif"],
    "font.size": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "xtick.major.width": 0.8,
    "ytick.major.width": 0.8,
    "xtick.color": ".15",
    "ytick.color": ".15",
    "xtick.top": True,
    "ytick.right": True,
    "lines.solid_capstyle": "round",
    "patch.linewidth": 0.8,
    "legend.fancybox": False,
    "legend.edgecolor": "black",
    "legend.framealpha": 1,
    "legend.fontsize": 8,
    "legend.borderpad": 0.3,
    "legend.handlelength": 1.8,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "text.color": ".15",
    "pdf.fonttype": 42,
    "savefig.dpi": 200,
}


def read_runs(paths: Iterable[Path], columns: dict[str, Any]) -> dict[str, "pd.DataFrame"]:
    """Read one CSV per model, with some columns as ``read_rows`` takes them.

    Raises:
        UserError: a file is missing, has no such columns or no rows, or a cell is wrong.
    """
    import pandas as pd

    runs = {}
    for path in paths:
        run = RunFolder.of(path)
        table = pd.DataFrame(run.rows(path.name, columns), columns=list(columns))
        # Of empty cells alone, pandas would not make numbers.
        runs[run.model] = table.astype({name: float for name, kind in columns.items() if kind == float | None})
    return runs


def drawing_of(figure: Artefact, models: Iterable[str]) -> dict[str, Any]:
    """Return how a figure is drawn in the paper, with the curves of those of its models that are among ``models``.

    The others are named under ``absent``, and ``write_note`` says so.

    Raises:
        UserError: it shows none of the models, or in a colour that there is not.
    """
    drawing, models = copy.deepcopy(figure.values), set(models)
    panels = drawing.get("panels", [drawing])
    if not models & set(figure.models):
        raise UserError(f"{figure.name} shows {', '.join(figure.models)}, but no run of them is given")
    for panel in panels:
        panel["curves"] = [curve for curve in panel["curves"] if curve["model"] in models]
        for curve in panel["curves"]:
            curve["colour"] = colour(curve["colour"], figure)
    if "panels" in drawing:
        drawing["panels"] = [panel for panel in panels if panel["curves"]]
    return drawing | {"absent": [model for model in figure.models if model not in models]}


def colour(name: str, figure: Artefact) -> str:
    """Return one of the paper's colours by its name, or any other as matplotlib names it.

    Raises:
        UserError: there is no such colour.
    """
    from matplotlib.colors import is_color_like

    if name not in COLOURS and not is_color_like(name):
        raise UserError(f"{figure.name}: there is no colour {name!r}; those of the paper are {', '.join(COLOURS)}")
    return COLOURS.get(name, name)


def read_datasets(results: Iterable[Path]) -> dict[str, str]:
    """Return the data set of each model's run, from its ``result.json``.

    Raises:
        UserError: a file is absent, or does not say.
    """
    return {run.model: run.result({"dataset": str})["dataset"] for run in map(RunFolder.of, results)}


def end_values(drawing: dict[str, Any], runs: dict[str, "pd.DataFrame"], datasets: dict[str, str]) -> list[list[str]]:
    """Return cells under ``COMPARISON``: the end of each curve beside the paper's, where that could be read off."""
    curves = [curve for panel in drawing["panels"] for curve in panel["curves"]]
    rows = [
        _compared(curve, f"{curve['split']} error (%), end", _curve(runs, curve)["top1_error"].iloc[-1], datasets)
        for curve in curves
    ]
    # A run may be in several panels.
    return [list(row) for row in dict.fromkeys(map(tuple, rows))]


def medians(drawing: dict[str, Any], runs: dict[str, "pd.DataFrame"], datasets: dict[str, str]) -> list[list[str]]:
    """Return cells under ``COMPARISON``: the median of each network's responses beside the paper's."""
    return [
        _compared(curve, "median std", runs[curve["model"]]["std"].median(), datasets) for curve in drawing["curves"]
    ]


def _compared(curve: dict[str, Any], what: str, measured: float, datasets: dict[str, str]) -> list[str]:
    published = curve.get("digitised_median", curve.get("digitised_end"))
    difference = difference_cell(datasets.get(curve["model"]), measured, published)
    return [curve["model"], what, f"{measured:.2f}", "–" if published is None else f"{published:g}", difference]


def save(figure: "Figure", outputs: Iterable[Path]) -> None:
    """Write a figure in the formats that the file names end with; the same data give the same bytes."""
    for output in outputs:
        form = output.suffix.removeprefix(".")
        with atomic_path(output) as temporary:
            figure.savefig(temporary, format=form, metadata={"CreationDate": None} if form == "pdf" else None)


def new_figure(size: tuple[float, float], rows: int, columns: int, **options: Any) -> tuple["Figure", list["Axes"]]:
    """Return a figure and its panels, row by row, in the paper's look."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams.update(THEME)
    # Not by pyplot, which takes a fifth of a second to import and keeps its figures.
    figure = Figure(size, layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False, gridspec_kw=options).flat)


def draw_errors(drawing: dict[str, Any], runs: dict[str, "pd.DataFrame"], note: str, digitised: bool) -> "Figure":
    """Draw error against iterations: Figs. 1, 4 and 6.

    Args:
        drawing: how the paper draws it (``drawing_of``).
        runs: per model, rows of iteration, split, top1_error.
        note: a line under the figure, such as the scale; empty for none.
        digitised: mark the paper's end values, read off its image, as ticks at the right edge.
    """
    from resnet.rendering.labels import write_labels

    panels = drawing["panels"]
    figure, axes = new_figure(
        drawing["size_inches"], 1, len(panels), width_ratios=[panel.get("width_ratio", 1) for panel in panels]
    )
    top, labels = _error_range(drawing, runs), []
    for axis, panel in zip(axes, panels, strict=True):
        labels += _draw_error_panel(axis, panel, drawing, runs, top)
        if digitised:
            _mark_ends(axis, panel, drawing, runs)
    write_note(figure, note, drawing["absent"])
    write_labels(figure, labels)
    return figure


def draw_responses(drawing: dict[str, Any], runs: dict[str, "pd.DataFrame"], note: str) -> "Figure":
    """Draw the standard deviation of each layer's response, in layer order (top) and sorted (bottom): Fig. 7.

    Args:
        drawing: how the paper draws it (``drawing_of``).
        runs: per model, rows of layer and std.
        note: a line under the figure, such as the scale; empty for none.
    """
    import seaborn as sns

    figure, axes = new_figure(drawing["size_inches"], 2, 1)
    low, high = drawing["ylim"]
    values = [value for curve in drawing["curves"] for value in runs[curve["model"]]["std"]]
    fits = min(values) >= low and max(values) <= high
    for axis, xlabel, ordered in zip(axes, drawing["xlabels"], (False, True), strict=True):
        for curve in drawing["curves"]:
            deviations = runs[curve["model"]].sort_values("layer")["std"].tolist()
            if ordered:
                deviations.sort(reverse=True)
            sns.lineplot(
                x=range(1, len(deviations) + 1),
                y=deviations,
                ax=axis,
                label=curve["legend"],
                color=curve["colour"],
                linestyle=STYLES[curve["style"]],
                linewidth=1.2,
                errorbar=None,
            )
        axis.set(xlim=drawing["xlim"], xticks=drawing["xticks"], xlabel=xlabel, ylabel=drawing["ylabel"])
        # The paper's range where it holds every value, else the range of the values.
        if fits:
            axis.set(ylim=(low, high), yticks=drawing["yticks"])
        elif max(values) > 10 * min(values) > 0:
            scale_by_powers(axis)
        else:
            axis.set_ylim(0, 1.05 * max(values))
        axis.legend(loc="upper right")
    write_note(figure, note, drawing["absent"])
    return figure


def _error_range(drawing: dict[str, Any], runs: dict[str, "pd.DataFrame"]) -> float:
    """Return the top of the error axis: the paper's, or 100 where a curve ends outside the paper's axis."""
    low, top = drawing["ylim"]
    curves = [curve for panel in drawing["panels"] for curve in panel["curves"]]
    ends = [_curve(runs, curve)["top1_error"].iloc[-1] for curve in curves]
    return top if low <= min(ends) and max(ends) <= top else 100


def _curve(runs: dict[str, "pd.DataFrame"], curve: dict[str, Any]) -> "pd.DataFrame":
    table = runs[curve["model"]]
    rows = table[table["split"] == curve["split"]]
    if rows.empty:
        raise UserError(f"metrics of {curve['model']} have no rows of split {curve['split']!r}")
    return rows


def _draw_error_panel(
    axis: "Axes", panel: dict[str, Any], drawing: dict[str, Any], runs: dict[str, "pd.DataFrame"], top: float
) -> list["Label"]:
    """Draw a panel; return the names that are to be written beside its curves."""
    import seaborn as sns

    from resnet.rendering.labels import Label

    ends = [int(_curve(runs, curve)["iteration"].iloc[-1]) for curve in panel["curves"]]
    last, unit, suffix = max(ends), *iteration_unit(max(ends), drawing["iteration_unit"])
    # A panel that shows the last part of the schedule shows all of it where a run is shorter (ResNet-1202 in the demo).
    first = panel.get("starts_at", 0) / drawing["paper_iterations"] * last
    first = first if first < min(ends) else 0
    for curve in panel["curves"]:
        rows = _curve(runs, curve)
        sns.lineplot(
            x=rows["iteration"] / unit,
            y=rows["top1_error"],
            ax=axis,
            label=curve.get("legend", "_unnamed"),
            legend=False,
            color=curve["colour"],
            linestyle=STYLES[curve["style"]],
            linewidth=curve["width"],
            errorbar=None,
            estimator=None,
        )
    wide = top > drawing["ylim"][1]
    axis.set(xlim=(first / unit, last / unit), xlabel=f"iter.{suffix}", ylabel=panel["ylabel"])
    axis.set(ylim=(0 if wide else drawing["ylim"][0], top), yticks=range(0, 101, 20) if wide else panel["yticks"])
    if "grid" in panel:
        for level in axis.get_yticks()[1:] if wide else panel["grid"]:
            axis.axhline(level, color="black", linewidth=0.5, linestyle=(0, (3, 3)), zorder=0)
    if "legend" in panel:
        axis.legend(loc="best" if wide else panel["legend"])
    return [
        Label(axis, curve["text"], curve["colour"], list(rows["iteration"] / unit), list(rows["top1_error"]), below)
        for curve, below in _sides(panel["curves"], runs)
        for rows in [_curve(runs, curve)]
    ]


def iteration_unit(last: int, unit: int) -> tuple[int, str]:
    """Return what an axis that ends at ``last`` iterations counts in, and how its label says so.

    That is the paper's ``unit``, a power of ten, or single iterations for a run that is shorter.
    """
    return (unit, f" (1e{len(str(unit)) - 1})") if last >= unit else (1, "")


def _sides(curves: list[dict[str, Any]], runs: dict[str, "pd.DataFrame"]) -> list[tuple[dict[str, Any], bool]]:
    """Return the curves with a name, and which have it below: all but the highest; a single one as in the paper."""
    named = sorted((c for c in curves if "text" in c), key=lambda c: -_curve(runs, c)["top1_error"].iloc[-1])
    if len(named) == 1:
        return [(named[0], named[0]["place"] == "below")]
    return [(curve, place > 0) for place, curve in enumerate(named)]


def _mark_ends(axis: "Axes", panel: dict[str, Any], drawing: dict[str, Any], runs: dict[str, "pd.DataFrame"]) -> None:
    """Mark the paper's end values as ticks at the right edge, of the runs that are as long as the paper's."""
    for curve in panel["curves"]:
        as_long = _curve(runs, curve)["iteration"].iloc[-1] == drawing["paper_iterations"]
        if as_long and "digitised_end" in curve:
            axis.plot(
                [1.0, 1.03],
                [curve["digitised_end"]] * 2,
                transform=axis.get_yaxis_transform(),
                color=curve["colour"],
                linewidth=curve["width"],
                clip_on=False,
            )


def scale_by_powers(axis: "Axes") -> None:
    """Scale an axis by powers of ten, also where its values span only one."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axis.set_yscale("log")
    low, high = axis.get_ylim()
    axis.yaxis.set_major_locator(LogLocator(subs=(1.0,) if high / low > 100 else (1.0, 3.0), numticks=9))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:g}"))
    axis.yaxis.set_minor_locator(NullLocator())


def write_note(figure: "Figure", note: str, absent: Sequence[str] = ()) -> None:
    """Write a line under a figure, and which networks it lacks."""
    parts = [note] if note else []
    if absent:
        parts.append(f"not trained: {', '.join(absent)}")
    if parts:
        figure.supxlabel("; ".join(parts), fontsize=7, color="0.35")

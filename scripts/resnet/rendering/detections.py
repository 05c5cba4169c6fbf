"""Figures of detectors: their curves, and what they find on test images; no torch."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from resnet.artefacts import Artefact
from resnet.data.images import read_image
from resnet.data.objects import Scene
from resnet.rendering.figures import COLOURS, colour, iteration_unit, new_figure, write_note

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ITERATION_UNIT = 10_000
# Of detectors that an artefact's file does not name.
OTHER_CURVE = COLOURS["cyan"]
OTHER_BOX = "#7dff5c"


@dataclasses.dataclass(frozen=True)
class Found:
    """What is drawn on an image: boxes (N, 4), left to bottom in pixels, with a text each."""

    boxes: np.ndarray
    texts: list[str]
    colour: str
    # Drawn with thin lines: difficult objects and crowds.
    thin: np.ndarray


def draw_curves(figure: Artefact, metrics: dict[str, dict[str, "pd.DataFrame"]], note: str) -> "Figure":
    """Draw training loss (top) and mAP at an IoU of 0.5 (bottom) against iterations; a column per experiment.

    Args:
        figure: the artefact, with a title for each experiment and a colour for each detector.
        metrics: per experiment and model, the rows of ``metrics.csv``.
        note: a line under the figure, such as the scale; empty for none.
    """
    import seaborn as sns

    titles = {panel["experiment"]: panel["title"] for panel in figure.values["panels"]}
    colours = {curve["model"]: colour(curve["colour"], figure) for curve in figure.values["curves"]}
    drawn, axes = new_figure((3.1 * len(metrics), 4.6), 2, len(metrics))
    loss_axes, map_axes = axes[: len(metrics)], axes[len(metrics) :]
    for column, (experiment, runs) in enumerate(metrics.items()):
        last = max(table["iteration"].max() for table in runs.values())
        unit, suffix = iteration_unit(last, ITERATION_UNIT)
        for model, table in runs.items():
            style = {"color": colours.get(model, OTHER_CURVE), "linewidth": 1.2, "errorbar": None, "legend": False}
            train, test = (table[table["split"] == split] for split in ("train", "test"))
            losses, maps = loss_axes[column], map_axes[column]
            sns.lineplot(x=train["iteration"] / unit, y=train["loss"], ax=losses, label=_name(model), **style)
            sns.lineplot(x=test["iteration"] / unit, y=test["map50"], ax=maps, marker="o", markersize=3, **style)
        loss_axes[column].set(xlabel="", ylabel="training loss" if not column else "")
        loss_axes[column].set_title(titles[experiment], fontsize=9)
        map_axes[column].set(xlabel=f"iter.{suffix}", ylabel="mAP@.5 (%)" if not column else "")
        for axis in (loss_axes[column], map_axes[column]):
            axis.set_xlim(0, last / unit)
            axis.set_ylim(bottom=0)
    loss_axes[0].legend(loc="upper right")
    write_note(drawn, note)
    return drawn


def draw_sheet(
    folder: Path, scenes: list[Scene], classes: tuple[str, ...], found: dict[str, dict[int, Found]], note: str
) -> "Figure":
    """Draw test images in rows: with their objects, then with what each model finds in them.

    Args:
        folder: the data set's folder.
        scenes: the images.
        classes: the names of the labels.
        found: per model and image, what it finds.
        note: a line under the figure; empty for none.
    """
    columns = 1 + len(found)
    ratios = [scene.size[1] / scene.size[0] for scene in scenes]
    figure, axes = new_figure((2.3 * columns, 0.35 + 2.15 * sum(ratios)), len(scenes), columns, height_ratios=ratios)
    for row, scene in enumerate(scenes):
        image = read_image(folder / scene.file)[0]
        shown = [truth_of(scene, classes), *(one[scene.id] for one in found.values())]
        for column, boxes in enumerate(shown):
            axis = axes[row * columns + column]
            axis.imshow(image, extent=(0, image.width, image.height, 0))
            axis.set(xticks=[], yticks=[], xlim=(0, image.width), ylim=(image.height, 0))
            if row == 0:
                axis.set_title(["ground truth", *map(_name, found)][column], fontsize=9)
            _draw_boxes(axis, boxes, image.width)
    write_note(figure, note)
    return figure


def choose_scenes(scenes: list[Scene], count: int) -> list[Scene]:
    """Return some images with objects, spread over the set; which ones does not depend on what was found."""
    labelled = [scene for scene in scenes if len(scene.boxes)]
    places = np.linspace(0, len(labelled) - 1, min(count, len(labelled))).round().astype(int)
    return [labelled[place] for place in places]


def truth_of(scene: Scene, classes: tuple[str, ...]) -> Found:
    """Return the objects of an image; those that do not count are thin and say why not."""
    texts = [classes[label] + (" (not counted)" if ignored else "") for label, ignored in _pairs(scene)]
    return Found(scene.boxes, texts, "#00c2ff", scene.ignored)


def found_in(
    detections: list[dict[str, Any]], scenes: list[Scene], names: dict[int, str], colour: str
) -> dict[int, Found]:
    """Return what was found in some images, by image: of each as many detections as it has objects, the surest.

    So no threshold decides what is seen of a detector. ``names`` are those of the categories.
    """
    images: dict[int, list[dict[str, Any]]] = {scene.id: [] for scene in scenes}
    for detection in detections:
        if detection["image_id"] in images:
            images[detection["image_id"]].append(detection)
    found = {}
    for scene in scenes:
        ones = sorted(images[scene.id], key=lambda one: -one["score"])[: len(scene.boxes)]
        boxes = np.array([one["bbox"] for one in ones]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        texts = [f"{names[one['category_id']]} {one['score']:.2f}" for one in ones]
        found[scene.id] = Found(boxes, texts, colour, np.zeros(len(ones), bool))
    return found


def box_colour(figure: Artefact, model: str) -> str:
    """Return the colour in which an artefact draws a detector's boxes."""
    colours = {one["model"]: one["colour"] for one in figure.values["boxes"]}
    return colour(colours.get(model, OTHER_BOX), figure)


def _pairs(scene: Scene) -> list[tuple[int, bool]]:
    return list(zip(scene.labels.tolist(), scene.ignored.tolist(), strict=True))


def _draw_boxes(axis: "Axes", found: Found, width: int) -> None:
    from matplotlib.patches import Rectangle

    for (left, top, right, bottom), text, thin in zip(found.boxes.tolist(), found.texts, found.thin, strict=True):
        box = Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=found.colour)
        box.set(linewidth=0.6 if thin else 1.2, linestyle=":" if thin else "-")
        axis.add_patch(box)
        # Inside the image: under the upper edge of boxes at the top, and ending at the right edge.
        at_right = left > 0.6 * width
        axis.text(
            right if at_right else left,
            top if top > 0.08 * width else bottom,
            text,
            fontsize=5.5,
            color="black",
            ha="right" if at_right else "left",
            va="bottom" if top > 0.08 * width else "top",
            bbox={"facecolor": found.colour, "edgecolor": "none", "pad": 0.6, "alpha": 0.85},
            clip_on=True,
            # Names of classes are no formulas.
            parse_math=False,
        )


def _name(model: str) -> str:
    return model.replace("vgg", "VGG").replace("resnet", "ResNet")

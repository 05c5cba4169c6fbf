"""The XML of an image's objects, as PASCAL VOC has it, and ILSVRC after it."""

import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np

from resnet.errors import UserError


class _Builder(ElementTree.TreeBuilder):
    """Refuses document types: they are where entities are declared, whose expansion can fill the memory."""

    def doctype(self, *_: str | None) -> None:
        raise UserError("a document type is declared")


def parse(path: Path) -> ElementTree.Element:
    """Parse an XML file that nobody has to trust.

    Raises:
        UserError: it is missing or no XML; the message names it.
    """
    try:
        return ElementTree.fromstring(path.read_bytes(), ElementTree.XMLParser(target=_Builder()))
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except (ElementTree.ParseError, UserError, ValueError, LookupError) as error:
        raise UserError(f"{path} is not an annotation in VOC's form ({error}); put the official file there") from None


def number_in(element: ElementTree.Element, place: str, path: Path) -> float:
    """Return the number at a place within an element of the file ``path``.

    Raises:
        UserError: there is none.
    """
    text = element.findtext(place, "")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{path}: {place} of <{element.tag}> is {text.strip()!r}, not a number")
    return value


def objects_in(path: Path, size: tuple[int, int]) -> tuple[list[tuple[str, list[float]]], int]:
    """Return names and boxes of the objects in an image of ILSVRC, and how many were left out for want of area.

    A box is left, top, right, bottom in pixels of the image, continuous, clipped to it; scaled, where it was measured
    on the image at another size.

    Args:
        path: the XML.
        size: width and height of the image.

    Raises:
        UserError: it is no annotation, or a number in it is wrong.
    """
    root, names, corners = parse(path), [], []
    annotated = [number_in(root, f"size/{side}", path) for side in ("width", "height")]
    if min(annotated) <= 0:
        raise UserError(f"{path}: the size is {annotated[0]:g}x{annotated[1]:g}; put the official file there")
    for thing in root.findall("object"):
        names.append(thing.findtext("name", "").strip())
        ends = [number_in(thing, f"bndbox/{side}", path) for side in ("xmin", "ymin", "xmax", "ymax")]
        # The first pixel is 1, and the last one is in the box.
        corners.append([ends[0] - 1, ends[1] - 1, *ends[2:]])
    limits = np.array([*size, *size], np.float64)
    boxes = (np.array(corners, np.float64).reshape(-1, 4) * (limits / np.tile(annotated, 2))).clip(0, limits)
    has_area = np.all(boxes[:, 2:] > boxes[:, :2], axis=1).tolist()
    kept = [(name, box) for name, box, there in zip(names, boxes.tolist(), has_area, strict=True) if there]
    return kept, len(names) - len(kept)

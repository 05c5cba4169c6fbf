"""The XML of an image's objects, as PASCAL VOC has it, and ILSVRC after it."""

import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path

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

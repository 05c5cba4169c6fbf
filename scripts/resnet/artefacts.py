"""The tables and figures of the paper, and its claims, as data: one file each in ``workflow/artefacts``; no torch.

A file says of which kind its artefact is, to which section it belongs, what it is called, what is seen in it, which
networks it shows, and what the paper printed. Which rule makes it, of which runs, and what the reports show follows
from the files. A kind is an entry of ``artefact_kinds.KINDS``, a rule, and the rule's program.
"""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from resnet.artefact_kinds import ENSEMBLE, KINDS, TEXT, mapping
from resnet.checked import check_keys, checked
from resnet.errors import UserError
from resnet.files import read_yaml
from resnet.sections import SECTIONS
from resnet.settings import parse_imagenet_model, parse_model


@dataclasses.dataclass(frozen=True)
class Artefact:
    """A table, a figure, or the claims.

    Attributes:
        name: that of its file, and of the files that are made.
        kind: which program makes it, of ``KINDS``.
        section: of ``SECTIONS``; empty for the claims, which are about all.
        title: its heading.
        caption: what is seen in it.
        note: what else one should know to read it; empty for nothing.
        values: the other keys of its file.
    """

    name: str
    kind: str
    section: str
    title: str
    caption: str
    note: str
    values: dict[str, Any]

    @property
    def is_figure(self) -> bool:
        """Whether it is drawn; tables are written."""
        return KINDS[self.kind].is_figure

    @property
    def needs_runs(self) -> bool:
        """Whether it is not made where none of its networks is run: a figure of trained ones."""
        return self.is_figure and KINDS[self.kind].shows_runs

    @property
    def parts(self) -> list[str]:
        """The networks, and parts of them, of which a diagram shows the operations."""
        return list(dict.fromkeys(_found(self.values, {"network", "part"})))

    @property
    def models(self) -> list[str]:
        """The networks that its file names, in that order."""
        keys = {column.get("of", "model") for column in self.values.get("columns", ())} | {"model"}
        return list(dict.fromkeys([*_found(self.values, keys), *self.values.get("models", ())]))

    @property
    def experiments(self) -> list[str]:
        """What its detectors were trained and tested on, in the order of its file."""
        return list(dict.fromkeys([*_found(self.values, {"experiment"}), *self.values.get("experiments", ())]))

    def tests(self, model: str) -> list[str]:
        """Return how the rows of a table test a network, of ``settings.TESTS``; where none says it, the plain test."""
        rows = self.values.get("rows", ())
        return list(dict.fromkeys(row.get("tested", "") for row in rows if row.get("model") == model)) or [""]

    @property
    def shows_others(self) -> bool:
        """Whether it shows networks that the paper does not have, too: where a row is a network, and nothing else."""
        several = any("of" in column for column in self.values.get("columns", ()))
        several |= any("tested" in row for row in self.values.get("rows", ()))
        return KINDS[self.kind].shows_others and not several and ENSEMBLE not in self.models


def read_artefacts(folder: Path) -> dict[str, Artefact]:
    """Read all artefacts by name: section by section, figures before tables, by name and number.

    Raises:
        UserError: a file is not as its kind asks for; the message names file, key and fix.
    """
    artefacts = sorted(map(read_artefact, folder.glob("*.yaml")), key=_order)
    return {artefact.name: artefact for artefact in artefacts}


def read_artefact(file: Path) -> Artefact:
    """Read an artefact.

    Raises:
        UserError: the file is absent or not as its kind asks for; the message names file, key and fix.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", file.stem):
        raise UserError(f"{file}: an artefact's name has small letters, digits, - and _ only; rename the file")
    values = read_yaml(file, dict[str, Any], "correct it")
    check_keys(file)
    head = mapping({"kind": {"type": "string", "enum": list(KINDS)}})
    checked({key: value for key, value in values.items() if key == "kind"}, head, str(file))
    kind = KINDS[values["kind"]]
    own = kind.schema(values) if callable(kind.schema) else kind.schema
    texts = dict.fromkeys(("kind", "title", "caption"), TEXT)
    texts |= {"section": {"type": "string", "enum": list(kind.sections)}} if kind.sections else {}
    schema = mapping(texts, {"note": TEXT})
    schema["properties"] |= own["properties"]
    schema["required"] += own["required"]
    values = checked(values, schema, str(file))
    common = {key: values.pop(key, "") for key in ("kind", "section", "title", "caption", "note")}
    artefact = Artefact(file.stem, **common, values=values)
    _check_models(artefact, file)
    return artefact


def _found(value: Any, keys: set[str]) -> Iterator[str]:
    """Yield the texts that stand under some keys, anywhere in a nest of mappings and lists."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from [item] if key in keys and isinstance(item, str) else _found(item, keys)
    elif isinstance(value, list):
        for item in value:
            yield from _found(item, keys)


def _check_models(artefact: Artefact, file: Path) -> None:
    parse = parse_model if artefact.section == "cifar10" else parse_imagenet_model
    for model in artefact.models if artefact.section else ():
        try:
            _ = model == ENSEMBLE or parse(model)
        except UserError as error:
            raise UserError(f"{file}: {error}") from None


def _order(artefact: Artefact) -> tuple[Any, ...]:
    """Return what artefacts are sorted by: table10 comes after table9."""
    sections = ["", *SECTIONS]
    name = [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", artefact.name)]
    return sections.index(artefact.section), not artefact.is_figure, name

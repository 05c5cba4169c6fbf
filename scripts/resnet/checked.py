"""YAML files that people write, checked by a schema, with errors that name the file, the key and the fix; no torch."""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from resnet.errors import UserError
from resnet.files import LOADER
from resnet.rules import Fault, Rule, faults, read, requirement


def checked(value: Any, schema: Rule, name: str) -> Any:
    """Return ``value``, the content of the file ``name``, with each setting as the type that its rule asks for.

    Raises:
        UserError: it does not fit; the message has a line for each key that is wrong.
    """
    value = read(value, schema)
    lines = [f"{name}: {line}" for fault in faults(value, schema) for line in _explain(fault)]
    if lines:
        raise UserError("\n".join(dict.fromkeys(lines)))
    return value


def check_keys(file: Path) -> None:
    """Check that no key of a YAML file is there twice: YAML's readers take the last one without a word.

    Raises:
        UserError: one is; the message names it, and its lines.
    """
    try:
        node = yaml.compose(file.read_text(encoding="utf-8"), Loader=LOADER)
    except yaml.YAMLError:
        # Snakemake reads JSON, too, and not all of it is YAML. What is neither it has refused.
        return
    if lines := [f"{file}: {line}" for line in _repeated(node, "")]:
        raise UserError("\n".join(lines))


def _repeated(node: yaml.Node | None, path: str) -> Iterator[str]:
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _repeated(item, _join(path, index))
    if not isinstance(node, yaml.MappingNode):
        return
    lines: dict[str, list[int]] = {}
    for key, value in node.value:
        lines.setdefault(str(key.value), []).append(key.start_mark.line + 1)
        yield from _repeated(value, _join(path, key.value))
    for key, found in lines.items():
        if len(found) > 1:
            yield f"key {_join(path, key)} is there twice (lines {' and '.join(map(str, found))}); put both into one"


def _explain(fault: Fault) -> list[str]:
    """Say what is wrong with which key, and what was probably meant."""
    if fault.broken == "additionalProperties":
        known = fault.rule["properties"]
        renamed = {rule["was"]: name for name, rule in known.items() if "was" in rule}
        lines = []
        for key in (key for key in fault.value if key not in known):
            if key in renamed:
                lines.append(f"{_join(fault.key, key)} is called {renamed[key]} now")
                continue
            meant = list(_inside(fault.rule, str(key))) or difflib.get_close_matches(str(key), known, 1)
            hint = f"did you mean {' or '.join(meant)}?" if meant else f"known keys: {', '.join(known)}"
            lines.append(f"unknown key {_join(fault.key, key)}; {hint}")
        return lines
    if fault.broken == "required":
        return [f"missing key {_join(fault.key, key)}" for key in fault.rule["required"] if key not in fault.value]
    return [f"{fault.key or 'the file'} is {fault.value!r}; it must be {requirement(fault.rule)}"]


def _inside(rule: Rule, key: str) -> Iterator[str]:
    """Yield where mappings within a rule have a key, with dots."""
    for name, inner in rule.get("properties", {}).items():
        if name == key:
            yield name
        yield from (_join(name, path) for path in _inside(inner, key))


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)

"""One rule per setting, by which the configuration and the programs' command lines are read and checked alike.

A rule is a fragment of JSON schema. It comes from a field of a settings class (``setting``), so that all that is known
of a setting stands in one place.
"""

import argparse
import dataclasses
import functools
import os.path
import sys
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

Rule = dict[str, Any]
# The default of a setting that has none.
REQUIRED = dataclasses.MISSING

KINDS = {int: "integer", float: "number", str: "string", bool: "boolean", None: "null", types.NoneType: "null"}
NAMES = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "null": "null",
    "array": "a list",
    "object": "a mapping of keys to values",
}
ITEMS = {"integer": "whole numbers", "number": "numbers"}
LIMITS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
    "multipleOf": "a multiple of",
}


class Fault(NamedTuple):
    """A thing in a value that does not fit its rule.

    Attributes:
        key: where it is, with dots; empty for the value as a whole.
        value: what is there.
        rule: what it should fit.
        broken: the part of the rule that it does not.
    """

    key: str
    value: Any
    rule: Rule
    broken: str


def setting(
    default: Any,
    help: str,
    *,
    unit: str = "",
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
    below: float | None = None,
    multiple_of: int | None = None,
    choices: tuple[int | str, ...] = (),
    pattern: str = "",
    path: bool = False,
    empty: bool = True,
    unique: bool = False,
    identity: bool = False,
    was: str = "",
    added: bool | Callable[[dict[str, Any]], Any] = False,
) -> Any:
    """Return the dataclass field of a setting, with all that is known of it: its type is its annotation.

    A type may be a settings class, a tuple of any number of items, or a dict with names as its keys. Limits and choices
    are then those of the items; ``empty`` says whether a tuple may have none, ``unique`` whether each is there once.
    An optional setting may be None whatever its limits. Infinity and NaN never fit. Text must fit its ``pattern``,
    which ``help`` puts in words; in a ``path``, ``~`` is the home folder. ``identity`` marks what names a run, which a
    recipe within a configuration does not have. A setting whose default is ``REQUIRED`` must be given.

    Two things keep earlier runs readable. ``was`` is the name that the setting had before. ``added`` marks one that
    came when there were runs already: they were made with its default, or with what it makes of their other settings.
    """
    limits = {
        "minimum": minimum,
        "exclusiveMinimum": above,
        "maximum": maximum,
        "exclusiveMaximum": below,
        "multipleOf": multiple_of,
        "enum": list(choices) or None,
        "pattern": pattern or None,
        "format": "path" if path else None,
    }
    limits = {name: limit for name, limit in limits.items() if limit is not None}
    metadata = {"help": help, "unit": unit, "limits": limits, "empty": empty, "unique": unique, "identity": identity}
    metadata |= {"was": was, "added": added}
    # The default of a class within another is that of each of its settings.
    if isinstance(default, dict):
        return dataclasses.field(default_factory=dict, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@functools.cache
def rules_of(settings: type) -> dict[str, Rule]:
    """Return the rule of every field of a settings class."""
    rules = {}
    for field in dataclasses.fields(settings):
        rule = {"description": field.metadata["help"], **_rule(field.type, **field.metadata)}
        if field.metadata["was"]:
            rule["was"] = field.metadata["was"]
        if field.default_factory is not dataclasses.MISSING:
            rule["default"] = field.default_factory()
        elif field.default is not REQUIRED:
            rule["default"] = list(field.default) if isinstance(field.default, tuple) else field.default
        rules[field.name] = rule
    return rules


def _rule(annotation: Any, limits: Rule, empty: bool, unique: bool, **_other: Any) -> Rule:
    kinds = typing.get_args(annotation)
    if dataclasses.is_dataclass(annotation):
        return schema_of(annotation, identity=False)
    if typing.get_origin(annotation) is tuple:
        items = _rule(kinds[0], limits, empty, unique)
        return {"type": "array", "items": items, "minItems": int(not empty), "uniqueItems": unique}
    if typing.get_origin(annotation) is dict:
        return {"type": "object", "additionalProperties": _rule(kinds[1], limits, empty, unique)}
    if isinstance(annotation, types.UnionType):
        [kind] = (kind for kind in kinds if kind is not types.NoneType)
        rule = _rule(kind, limits, empty, unique)
        return {**rule, "type": [rule["type"], "null"]}
    return {"type": KINDS[annotation], **limits}


@functools.cache
def schema_of(settings: type, identity: bool = True) -> Rule:
    """Return the JSON schema of a settings class, with or without what names a run."""
    named = {field.name for field in dataclasses.fields(settings) if field.metadata["identity"]}
    properties = {name: rule for name, rule in rules_of(settings).items() if identity or name not in named}
    required = [name for name, rule in properties.items() if "default" not in rule]
    return {"type": "object", "additionalProperties": False, "properties": properties, "required": required}


def with_defaults(value: dict[str, Any], rule: Rule) -> dict[str, Any]:
    """Return a mapping, and those within it, with what its rule has for the keys that are not given."""
    given = dict(value)
    for key, inner in rule["properties"].items():
        if "properties" in inner and isinstance(given.get(key, {}), dict):
            given[key] = with_defaults(given.get(key, {}), inner)
        elif key not in given and "default" in inner:
            given[key] = inner["default"]
    return given


def read(value: Any, rule: Rule) -> Any:
    """Return a value as its rule's type: numbers written as text, null, true and whole floats mean what they say.

    ``snakemake --config`` and a program's command line give text only, and YAML takes 1e-3 for text. A folder's ``~``
    becomes the home folder. What does not fit stays as it is, for ``faults`` to find.
    """
    kinds = kinds_of(rule)
    if value is None and "null" in kinds:
        return None
    if "object" in kinds and (value is None or isinstance(value, dict)):
        known, other = rule.get("properties", {}), rule.get("additionalProperties") or {}
        return {str(key): read(item, known.get(str(key), other)) for key, item in (value or {}).items()}
    if "array" in kinds and isinstance(value, list | tuple):
        return [read(item, rule.get("items", {})) for item in value]
    if isinstance(value, str):
        return _read_text(value, rule, kinds)
    if isinstance(value, bool) and str(value).lower() in rule.get("enum", ()):
        return str(value).lower()
    if isinstance(value, float) and "integer" in kinds and value.is_integer():
        return int(value)
    return value


def _read_text(text: str, rule: Rule, kinds: list[str]) -> Any:
    word = text.strip().lower()
    if "string" in kinds:
        if "null" in kinds and word in ("", "~", "null", "none"):
            return None
        return os.path.expanduser(text) if rule.get("format") == "path" else text  # noqa: PTH111, it stays a text
    if "null" in kinds and word in ("", "~", "null", "none"):
        return None
    if "object" in kinds and word in ("", "~", "null"):
        return {}
    if "boolean" in kinds and word in ("true", "false"):
        return word == "true"
    if "integer" in kinds or "number" in kinds:
        for kind in (int, float):
            try:
                number = kind(text)
            except ValueError:
                continue
            return read(number, rule) if kind is float else number
    return text


def kinds_of(rule: Rule) -> list[str]:
    """Return the types that a rule allows."""
    kinds = rule.get("type", [])
    return [kinds] if isinstance(kinds, str) else kinds


def faults(value: Any, schema: Rule) -> Iterator[Fault]:
    """Yield each thing in a value, as ``read`` returns it, that does not fit."""
    for error in _validator()(schema).iter_errors(value):
        yield Fault(".".join(map(str, error.absolute_path)), error.instance, error.schema, error.validator)


@functools.cache
def _validator() -> Any:
    # Imported late, as a program's --help needs none of it.
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    def is_number(_checker: Any, value: Any) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max

    kinds = {
        "number": is_number,
        "integer": lambda _checker, value: isinstance(value, int) and not isinstance(value, bool),
        "array": lambda _checker, value: isinstance(value, list | tuple),
    }
    return extend(Draft202012Validator, type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(kinds))


def reader(rule: Rule) -> Callable[[str], Any]:
    """Return what argparse calls to read a value by its rule."""

    def read_argument(text: str) -> Any:
        value = read(text, rule)
        if any(faults(value, rule)):
            raise argparse.ArgumentTypeError(f"{text} is not {requirement(rule)}")
        return float(value) if "number" in kinds_of(rule) and value is not None else value

    return read_argument


def requirement(rule: Rule) -> str:
    """Say what a rule asks for: "a number, at least 0 and below 1"."""
    kinds = kinds_of(rule)
    named = [NAMES[kind] for kind in kinds if kind != "null"]
    if "enum" in rule:
        named = [f"one of {', '.join(map(str, rule['enum']))}"]
    elif "pattern" in rule:
        named = [rule["description"]]
    elif limits := limits_of(rule):
        named[-1] += f", {limits}"
    elif choices := rule.get("items", {}).get("enum"):
        named[-1] += f" of {', '.join(map(str, choices))}"
    elif (items := rule.get("items", {}).get("type")) in ITEMS:
        named[-1] += f" of {ITEMS[items]}"
    if rule.get("minItems"):
        named[-1] += " that is not empty"
    if rule.get("uniqueItems"):
        named[-1] += ", each once"
    return " or ".join(["null"] * ("null" in kinds) + named)


def limits_of(rule: Rule) -> str:
    """Say which limits a rule sets: "at least 0 and below 1"."""
    limits = [f"{words} {rule[name]}" for name, words in LIMITS.items() if name in rule]
    return " and ".join(limits)

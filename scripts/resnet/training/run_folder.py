"""Reading ``config.yaml`` of a run folder: what was trained, and how."""

from pathlib import Path
from typing import Any

from resnet.errors import UserError
from resnet.files import read_yaml
from resnet.settings import Recipe, updated


def read_config(run: Path, *keys: str) -> dict[str, Any]:
    """Read a run folder's ``config.yaml``, which must have some keys.

    Raises:
        UserError: it is missing, damaged or that of another kind of run.
    """
    path = run / "config.yaml"
    config = read_yaml(path, dict[str, Any])
    _require(path, config, keys)
    return config


def read_recipe(run: Path, kind: type[Recipe], *keys: str) -> dict[str, Any]:
    """Return the recipe in a run folder's ``config.yaml``, which must have some keys; under today's names.

    Raises:
        UserError: the file is missing, damaged or that of another kind of run.
    """
    recipe = read_config(run, "recipe")["recipe"]
    recipe = updated(recipe, kind) if isinstance(recipe, dict) else recipe
    _require(run / "config.yaml", recipe, keys)
    return recipe


def _require(path: Path, values: Any, keys: tuple[str, ...]) -> None:
    if missing := [key for key in keys if not isinstance(values, dict) or key not in values]:
        raise UserError(f"{path} has no {missing[0]}: is it the config of another kind of run?")

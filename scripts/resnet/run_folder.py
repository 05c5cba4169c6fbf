"""The one reader of a run's files, wherever they are read; no torch.

A run folder is complete by itself. What an earlier version has written is read under today's names.
"""

import dataclasses
import functools
from pathlib import Path
from typing import Any, TypeVar

from resnet.errors import UserError
from resnet.files import read_json, read_rows, read_yaml
from resnet.settings import Recipe, updated

AnyRecipe = TypeVar("AnyRecipe", bound=Recipe)


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """A folder ``results/runs/<scale>/<data set>/<model>/seed<k>/`` or ``…/torchvision/``.

    What reads a file raises ``UserError`` where it is missing, damaged, or that of another kind of run.
    """

    path: Path

    @classmethod
    def of(cls, file: Path) -> "RunFolder":
        """Return the folder of one of its files."""
        return cls(file.parent)

    @property
    def model(self) -> str:
        """The network, by the folder's place."""
        return self.path.parent.name

    @property
    def weights(self) -> Path:
        """The file of the network's weights, for ``resnet.training.checkpoint``."""
        return self.path / "weights.pt"

    @functools.cached_property
    def config(self) -> dict[str, Any]:
        """``config.yaml``: recipe, data and versions."""
        return self.config_as(dict[str, Any])

    def config_as(self, kind: Any) -> dict[str, Any]:
        """Return ``config.yaml``, compared with ``kind``."""
        return read_yaml(self.path / "config.yaml", kind)

    def said(self, key: str) -> dict[str, Any]:
        """Return a mapping in ``config.yaml``, such as ``resolved``."""
        if not isinstance(value := self.config.get(key), dict):
            raise self._of_another_kind(f"no {key}")
        return value

    def recipe(self, kind: type[AnyRecipe]) -> AnyRecipe:
        """Return what was trained, and how."""
        values = updated(self.said("recipe"), kind)
        # Of weights that were imported.
        values.pop("source", None)
        names = [field.name for field in dataclasses.fields(kind)]
        if missing := [name for name in names if name not in values]:
            raise self._of_another_kind(f"no {missing[0]}")
        if unknown := [name for name in values if name not in names]:
            raise self._of_another_kind(f"a {unknown[0]}")
        settings: dict[str, Any] = {
            k: tuple(value) if isinstance(value, list) else value for k, value in values.items()
        }
        try:
            return kind(**settings)
        except UserError as error:
            raise UserError(f"{self.path / 'config.yaml'}: {error}") from None

    @property
    def source(self) -> str | None:
        """Whose weights these are, if they were not trained here."""
        return self.said("recipe").get("source")

    def result(self, kind: Any = Any) -> dict[str, Any]:
        """Return ``result.json``, compared with ``kind``."""
        return read_json(self.path / "result.json", kind)

    def environment(self, kind: Any = Any) -> dict[str, Any]:
        """Return ``environment.json``, compared with ``kind``."""
        return read_json(self.path / "environment.json", kind)

    def rows(self, name: str, columns: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the rows of a CSV file of the run, such as ``metrics.csv``, compared with ``columns``."""
        return read_rows(self.path / name, columns)

    def _of_another_kind(self, what: str) -> UserError:
        return UserError(f"{self.path / 'config.yaml'} has {what}: is it the config of another kind of run?")

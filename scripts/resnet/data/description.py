"""``dataset.json``: what of a data set has been checked, and where it lies; of any kind of data set."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from resnet.files import read_json, write_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Description = TypeVar("Description", bound="DataclassInstance")


def write(path: Path, description: Any) -> None:
    """Write a dataclass with a ``folder``; the same data give the same bytes.

    A folder below that of ``path`` is written as seen from there, so that both can be moved together; any other as an
    absolute path. So a program finds it from wherever it is started.
    """
    folder, home = Path(description.folder).absolute(), path.parent.absolute()
    place = folder.relative_to(home) if folder.is_relative_to(home) else folder
    write_json(path, {**dataclasses.asdict(description), "folder": str(place)})


def read(path: Path, kind: type[Description]) -> Description:
    """Read ``dataset.json``; its ``folder`` is then as seen from the working directory.

    Raises:
        UserError: it is missing or damaged.
    """
    facts = read_json(path, kind)
    names = {field.name for field in dataclasses.fields(kind)}
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in facts.items() if key in names
    }
    beside = path.parent / values["folder"]
    # Earlier descriptions have it as seen from the folder of the project.
    folder = values["folder"] if not beside.is_dir() and Path(values["folder"]).is_dir() else str(beside)
    return kind(**{**values, "folder": folder})

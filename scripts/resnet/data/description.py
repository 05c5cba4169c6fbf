"""``dataset.json``: what of a data set has been checked, and where it lies; of any kind of data set."""

import dataclasses
from pathlib import Path
from typing import Any, Self

from resnet.files import read_json, write_json


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataDescription:
    """A data set on disk that has been checked, as written to ``dataset.json``.

    Attributes:
        name: of the data set.
        folder: where its files are.
        horizontal_flip: false where what is mirrored is of another class, as with digits: then nothing is flipped.
        classes: their names, in the order of the labels.
        sha256: of the files that identify the data.
        version: of the work that described it; descriptions from before it was written have the first.
    """

    name: str
    folder: str
    horizontal_flip: bool
    classes: tuple[str, ...]
    sha256: dict[str, str]
    version: int = 1

    @property
    def path(self) -> Path:
        """The folder that holds the files."""
        return Path(self.folder)

    def as_subset(self) -> Self:
        """The same under a name that tells it from the whole: numbers on a part do not compare with the paper's."""
        return dataclasses.replace(self, name=f"{self.name}-subset")

    def write(self, path: Path) -> None:
        """Write ``dataset.json``; the same data give the same bytes.

        A folder below that of ``path`` is written as seen from there, so that both can be moved together; any other as
        an absolute path. So a program finds it from wherever it is started.
        """
        folder, home = self.path.absolute(), path.parent.absolute()
        place = folder.relative_to(home) if folder.is_relative_to(home) else folder
        write_json(path, {**dataclasses.asdict(self), "folder": str(place)})

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read ``dataset.json``; its ``folder`` is then as seen from the working directory.

        Raises:
            UserError: it is missing or damaged.
        """
        facts = read_json(path, cls)
        names = {field.name for field in dataclasses.fields(cls)}
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in facts.items() if key in names
        }
        beside = path.parent / values["folder"]
        # Earlier descriptions have it as seen from the folder of the project.
        if beside.is_dir() or not Path(values["folder"]).is_dir():
            values["folder"] = str(beside)
        return cls(**values)

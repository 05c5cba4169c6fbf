"""Listing folders of images as the field's tools do, without what systems and editors leave in them."""

import os
from collections.abc import Iterator
from pathlib import Path

from resnet.errors import UserError

# What torchvision's folders read; those that this project does not are refused when they are opened.
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
# Of macOS's archives, of network storage, of Windows and of Linux; names with a point in front are hidden everywhere.
SYSTEM = ("__MACOSX", "@eaDir", "Thumbs.db", "desktop.ini", "$RECYCLE.BIN", "System Volume Information", "lost+found")


def is_hidden(name: str) -> bool:
    """Return whether a file or a folder is none of the data: hidden, or put there by a system."""
    return name.startswith(".") or name in SYSTEM


class Listing:
    """Lists folders, and remembers what it leaves out.

    Attributes:
        left_out: by what they are, the paths of files and folders.
    """

    def __init__(self) -> None:
        self.left_out: dict[str, set[str]] = {}

    def entries(self, folder: Path) -> list[os.DirEntry]:
        """Return what is in a folder and not hidden, in the order of the names.

        Raises:
            UserError: a link leads nowhere.
        """
        shown = []
        with os.scandir(folder) as found:
            for entry in found:
                if is_hidden(entry.name):
                    self._leave_out("that are hidden", entry.path)
                elif entry.is_symlink() and not Path(entry.path).exists():
                    raise UserError(f"{entry.path} is a link that leads nowhere; mend it or remove it")
                else:
                    shown.append(entry)
        return sorted(shown, key=lambda entry: entry.name)

    def class_folders(self, folder: Path) -> list[str]:
        """Return the names of the folders in a folder, which are classes.

        Raises:
            UserError: images lie beside them, or a link leads nowhere.
        """
        entries = self.entries(folder)
        classes = [entry.name for entry in entries if entry.is_dir()]
        files = [entry.path for entry in entries if not entry.is_dir()]
        beside = [path for path in files if path.lower().endswith(SUFFIXES)]
        if classes and beside:
            raise UserError(
                f"{folder} has {len(beside)} images beside the folders of the classes, {beside[0]} for one; move "
                "them to their classes, or away"
            )
        for path in files:
            if path not in beside:
                self._leave_out("that are no images", path)
        return classes

    def images(self, folder: Path, nested: bool = True) -> Iterator[tuple[str, int]]:
        """Yield path and size in bytes of each file that is named as an image, also of those in folders inside.

        Raises:
            UserError: a link leads nowhere, or in a circle.
        """
        yield from self._images(folder, nested, (os.path.realpath(folder),))

    def _images(self, folder: Path, nested: bool, above: tuple[str, ...]) -> Iterator[tuple[str, int]]:
        for entry in self.entries(folder):
            if entry.name.lower().endswith(SUFFIXES) and not entry.is_dir():
                yield entry.path, entry.stat().st_size
            elif not (nested and entry.is_dir()):
                self._leave_out("that are no images", entry.path)
            elif (inside := os.path.realpath(entry.path)) in above:
                raise UserError(f"{entry.path} is a link that leads back to {inside}; remove it")
            else:
                yield from self._images(Path(entry.path), nested, (*above, inside))

    def _leave_out(self, kind: str, path: str) -> None:
        self.left_out.setdefault(kind, set()).add(path)

    def summary(self) -> list[str]:
        """Return a line for each kind of what was left out."""
        return [
            f"left out: {len(paths)} files and folders {kind}, {min(paths)} for one"
            for kind, paths in self.left_out.items()
        ]

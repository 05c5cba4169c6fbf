"""The files that a program is made of, found by reading its imports; nothing is imported for it."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path


def library(program: str) -> list[str]:
    """Return the files beside a program that it imports, directly or not, wherever in their text.

    With each module come the files that have its name and another ending, such as a template. What is imported for
    types only is left out.
    """
    folder, found, waiting = Path(program).parent, set(), [Path(program)]
    while waiting:
        for name in _imported(waiting.pop()):
            for file in _files(folder, name) - found:
                found.add(file)
                waiting += [file] if file.suffix == ".py" else []
    return sorted(map(str, found))


@functools.cache
def _files(folder: Path, name: str) -> frozenset[Path]:
    """Return the files of a module below ``folder``, and those that make the packages around it."""
    path = folder.joinpath(*name.split("."))
    packages = [parent / "__init__.py" for parent in (path, *path.parents) if folder in parent.parents]
    files = [*packages, *path.parent.glob(f"{path.name}.*")]
    return frozenset(file for file in files if file.is_file())


@functools.cache
def _imported(file: Path) -> frozenset[str]:
    """Return the names of modules that a file imports; of what is imported from a package, it may be a module too."""
    names = set()
    for node in _statements(ast.parse(file.read_text(encoding="utf-8")).body):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(names)


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements and those within them, but for those that only a type checker sees."""
    for node in body:
        yield node
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        for inner in ("body", "orelse", "finalbody", "handlers", "cases"):
            yield from _statements(getattr(node, inner, []))

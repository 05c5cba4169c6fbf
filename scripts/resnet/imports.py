"""The files that a program is made of, found by reading its imports; nothing is imported for it.

Every dry run asks it of all programs that render. So imports are found by their form, in a tenth of a parser's time.
"""

import functools
import os
import re
from collections import defaultdict
from pathlib import Path

# "import a.b, c as d" and "from a.b import c, d as e", whose names may stand in parentheses.
IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+)?import[ \t]+(\([^)]*\)|[^\n]*)", re.MULTILINE)
FOR_TYPES = re.compile(r"^([ \t]*)if TYPE_CHECKING:.*\n(?:\1[ \t]+.*\n|[ \t]*\n)*", re.MULTILINE)
COMMENT = re.compile(r"#[^\n]*")
NAME = re.compile(r"([\w.]+)(?:\s+as\s+\w+)?")


def library(program: str) -> list[str]:
    """Return the files beside a program that it imports, directly or not, wherever in their text.

    With each module come the files that have its name and another ending, such as a template. What is imported for
    types only is left out.
    """
    folder, found, waiting = Path(program).parent, set(), [program]
    while waiting:
        for name in imported(waiting.pop()):
            for file in _files(folder, name) - found:
                found.add(file)
                waiting += [file] if file.endswith(".py") else []
    return sorted(found)


@functools.cache
def _files(folder: Path, name: str) -> frozenset[str]:
    """Return the files of a module below ``folder``, and those that make the packages around it."""
    parts, modules = name.split("."), _modules(folder)
    packages = (".".join([*parts[:count], "__init__"]) for count in range(1, len(parts) + 1))
    return frozenset(file for module in (name, *packages) for file in modules.get(module, ()))


@functools.cache
def _modules(folder: Path) -> dict[str, list[str]]:
    """Return the files below ``folder`` by the name of the module that they are, or lie beside."""
    modules = defaultdict(list)
    for place, folders, files in os.walk(folder):
        folders[:] = [one for one in folders if one.isidentifier() and one != "__pycache__"]
        packages = Path(place).relative_to(folder).parts
        for file in files:
            modules[".".join([*packages, file.partition(".")[0]])].append(str(Path(place, file)))
    return modules


@functools.cache
def imported(file: str) -> frozenset[str]:
    """Return the names of modules that a file imports; of what is imported from a package, it may be a module too."""
    names = set()
    for package, imported in IMPORT.findall(FOR_TYPES.sub("", Path(file).read_text(encoding="utf-8"))):
        several = NAME.findall(COMMENT.sub("", imported))
        names |= {package, *(f"{package}.{name}" for name in several)} if package else set(several)
    return frozenset(names)

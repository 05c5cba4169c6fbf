"""The library's wings: which folder may import which, and that nothing which renders needs torch."""

import ast
import graphlib
from pathlib import Path

import pytest
from conftest import ROOT

LIBRARY = ROOT / "scripts/resnet"
# What each may import besides itself and the modules beside the wings. Imports of types count as others do.
ALLOWED = {
    "data": set(),
    "training": {"data"},
    "classification": {"data", "training"},
    "detection": {"data", "training", "classification"},
    "localisation": {"data", "training", "classification", "detection"},
    "planning": {"data", "training", "classification", "detection"},
    "rendering": {"data"},
}


def modules_imported(file: Path) -> list[str]:
    """Return the library's modules that a file imports, anywhere in it."""
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [name for name in found if name.startswith("resnet.")]


def wings_imported(files: list[Path]) -> set[str]:
    return {name.split(".")[1] for file in files for name in modules_imported(file)} & set(ALLOWED)


def test_every_folder_of_the_library_is_a_wing():
    assert {path.parent.name for path in LIBRARY.glob("*/__init__.py")} == set(ALLOWED)


@pytest.mark.parametrize("wing", ALLOWED)
def test_a_wing_imports_only_those_below_it(wing):
    assert wings_imported(list((LIBRARY / wing).rglob("*.py"))) <= ALLOWED[wing] | {wing}


def test_the_modules_beside_the_wings_import_none_of_them():
    assert wings_imported(list(LIBRARY.glob("*.py"))) == set()


def test_no_modules_import_each_other():
    """Also not by way of others."""
    names = {
        path: ".".join(("resnet", *path.relative_to(LIBRARY).with_suffix("").parts)) for path in LIBRARY.rglob("*.py")
    }
    imported = {name: set(modules_imported(path)) & set(names.values()) for path, name in names.items()}
    list(graphlib.TopologicalSorter(imported).static_order())


def test_what_renders_imports_no_torch():
    seen, left = set(), set((LIBRARY / "rendering").rglob("*.py"))
    while left:
        file = left.pop()
        seen.add(file)
        text = file.read_text(encoding="utf-8")
        tree = ast.parse(text)
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not {name for name in names if name.split(".")[0] in ("torch", "torchvision")}, file
        below = (LIBRARY.parent / (name.replace(".", "/") + ".py") for name in modules_imported(file))
        left |= {path for path in below if path.is_file()} - seen

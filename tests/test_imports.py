"""What a program is made of, and what it has imported when it answers."""

import ast
import subprocess
import sys

import pytest
from conftest import ROOT

from resnet.detection import Tracer
from resnet.imports import FOR_TYPES, imported, library

# Each takes a tenth of a second or more.
HEAVY = ("torch", "numpy", "scipy", "sklearn", "pandas", "matplotlib", "PIL", "requests", "snakemake")
HELP = """
import contextlib, io, os, runpy, sys
for program in sys.argv[1:]:
    sys.argv, sys.path[0] = [program, "--help"], os.path.dirname(program)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        runpy.run_path(program, run_name="__main__")
    for name in {heavy}:
        if name in sys.modules:
            sys.exit(f"{{program}} imports {{name}}")
"""


def test_programs_answer_before_they_import_what_takes_long():
    programs = sorted(map(str, ROOT.glob("scripts/*.py")))
    command = [sys.executable, "-c", HELP.format(heavy=HEAVY), *programs]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_imports_are_followed_wherever_they_stand_but_for_types(tmp_path):
    lazy = (
        "def door():\n    try:\n        from house.cellar import wine\n    except ImportError:\n        import attic\n"
    )
    for name, text in {
        "program.py": "import json\nfrom house.hall import door\n",
        "house/__init__.py": "",
        "house/hall.py": lazy,
        "house/cellar/__init__.py": "",
        "house/cellar/wine.py": "if TYPE_CHECKING:\n    from house.guests import Guest\n",
        "house/cellar/wine.yaml.j2": "{{ year }}",
        "house/guests.py": "",
        "house/stable.py": "import house.hall\n",
        "attic.py": "import program\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert library(str(tmp_path / "program.py")) == [
        str(tmp_path / name)
        for name in (
            "attic.py",
            "house/__init__.py",
            "house/cellar/__init__.py",
            "house/cellar/wine.py",
            "house/cellar/wine.yaml.j2",
            "house/hall.py",
            "program.py",
        )
    ]


def test_imports_found_by_their_form_are_those_that_a_parser_finds(tmp_path):
    forms = "import a, b.c as d  # e\nfrom f import (\n    g as h,  # i\n    j,\n)\nfrom k.l import m as n, o\n"
    (tmp_path / "forms.py").write_text(forms)
    for path in [tmp_path / "forms.py", *ROOT.glob("scripts/**/*.py")]:
        parsed = set()
        for node in ast.walk(ast.parse(FOR_TYPES.sub("", path.read_text(encoding="utf-8")))):
            if isinstance(node, ast.Import):
                parsed |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                parsed |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        assert imported(str(path)) == parsed, path


def test_a_part_of_the_tracer_is_imported_when_something_of_it_is_used(monkeypatch):
    monkeypatch.setitem(sys.modules, "colorsys", Tracer("colorsys"))
    from colorsys import is_compile_supported

    assert isinstance(sys.modules["colorsys"], Tracer)
    from colorsys import rgb_to_hsv

    assert rgb_to_hsv(1, 1, 1) == (0, 0, 1)
    assert not isinstance(sys.modules["colorsys"], Tracer)
    with pytest.raises(AttributeError, match="is_compile_supported"):
        is_compile_supported("cpu")

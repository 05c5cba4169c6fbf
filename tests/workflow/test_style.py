"""Style of the rules and of the code."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import snakemake.benchmark
from conftest import ROOT

# Each starts Snakemake, which takes 2 s before it does anything.
pytestmark = pytest.mark.slow


def test_every_rule_says_in_one_line_what_it_does():
    """Which is what snakemake --list shows."""
    text = "".join(path.read_text() for path in [*ROOT.glob("workflow/rules/*.smk"), ROOT / "workflow/Snakefile"])
    rules = re.findall(r"^(?:use rule \w+ as|rule) (\w+).*:\n(.*)", text, re.MULTILINE)
    assert len(rules) > 30
    for rule, line in rules:
        assert re.fullmatch(r'    """[A-Z].*\."""', line), rule


def test_the_interval_of_benchmarks_is_still_called_what_the_snakefile_sets():
    assert snakemake.benchmark.BENCHMARK_INTERVAL_SHORT


def test_every_value_in_a_command_is_quoted():
    """But how the command of a training begins, which is made of several words."""
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    commands = re.findall(r"^    shell:\n((?:        .*\n)+)", rules, re.MULTILINE)
    values = re.findall(r"\{+(\w+(?:\.\w+)*)(:q)?\}", "".join(commands))
    assert len(values) > 3 * len(commands) > 60
    assert {value for value, quoted in values if not quoted} <= {"resources.launcher", "TRAIN", "PROGRAMS"}


@pytest.mark.parametrize(
    "command",
    [
        "ruff check .",
        "ruff format --check .",
        "snakefmt --check workflow",
        pytest.param(f"pyrefly check --python-interpreter-path {shlex.quote(sys.executable)}", id="pyrefly check"),
        "snakemake --lint",
    ],
)
def test_style(project, command):
    name, *arguments = shlex.split(command)
    program = Path(sys.executable).with_name(name)
    if not program.is_file():
        pytest.skip(f"{name} is not installed")
    done = subprocess.run([program, *arguments], cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

"""README.md, docs/ and the other pages: links land, commands run, what is generated is current."""

import copy
import itertools
import re
import runpy
import shlex
import subprocess
from argparse import Namespace
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, run_program, snakemake
from snakemake.cli import parse_args, parse_config
from snakemake.utils import update_config

from resnet.config import load
from resnet.files import write_json
from resnet.settings import CifarRecipe, DetectorRecipe, ImageNetRecipe, LocaliserRecipe

PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md"))]
GENERATE = ROOT / "docs/generate.py"
PROGRAMS = ("make", "snakemake", "python", "pip", "conda", "docker")


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Return what links to a page's headings end with, as GitHub makes it."""
    headings = re.findall(r"^#+ (.*)", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands() -> list[str]:
    """Return the commands of all pages, in blocks and in lines; those that leave something out are no commands."""
    found = []
    for page in PAGES:
        text = page.read_text()
        blocks = "\n".join(re.findall(r"^```\n(.*?)^```", text, re.DOTALL | re.MULTILINE)).replace("\\\n", " ")
        found += [re.sub(r"\s{2,}#.*", "", line) for line in blocks.splitlines()]
        found += re.findall(r"`([^`\n]+ [^`\n]*)`", prose(page).replace("\\|", "|"))
    known = [line.strip() for line in found if line.split()[:1] and line.split()[0] in PROGRAMS and "…" not in line]
    return sorted(set(known))


def those_of(program: str) -> list[list[str]]:
    return [shlex.split(line)[1:] for line in commands() if line.split()[0] == program]


def test_what_is_generated_is_current():
    generate = runpy.run_path(str(GENERATE))
    for page in generate["pages"]():
        text = page.read_text()
        assert generate["updated"](text) == text, f"{page} is stale: python docs/generate.py"
        assert text.count("<!-- end -->") == len(re.findall("python docs/generate.py -->", text)), page


def test_a_stale_page_is_found(tmp_path):
    updated = runpy.run_path(str(GENERATE))["updated"]
    stale = "a\n<!-- settings: python docs/generate.py -->\n| `gone` |\n<!-- end -->\nb"
    fresh = updated(stale)
    assert "gone" not in fresh
    assert "| `weight_decay` | 0.0001 |" in fresh
    assert fresh.startswith("a\n<!-- settings")
    assert fresh.endswith("<!-- end -->\nb")
    assert updated(fresh) == fresh


def test_runs_on_cifar10_stand_beside_the_paper(tmp_path):
    """As in the paper: one run's error, or mean and standard deviation; of plain nets, what was read off Fig. 6."""
    errors = {
        ("short", "resnet-110", 0): 7.0,
        ("short", "resnet-110", 1): 7.2,
        ("short", "plain-110", 0): 60.0,
        ("short", "plain-20", 0): 16.5,
        ("paper", "plain-20", 0): 10.5,
        ("paper", "resnet-20", 0): 9.5,
    }
    for (scale, model, seed), error in errors.items():
        run = tmp_path / f"cifar10-{scale}/{model}/seed{seed}"
        iterations = {"short": 6400, "paper": 64000}[scale]
        write_json(run / "result.json", {"model": model, "iterations": iterations, "test": {"top1_error": error}})
        write_json(run / "environment.json", {"slices": [{"from": 0}, *[{"device": f"{scale} CPU"}] * 2]})
    results = runpy.run_path(str(GENERATE))["results"]
    results.__globals__["REPRODUCTION"] = tmp_path
    assert results().splitlines() == [
        "| network | paper, 64,000 iterations: test error % | ours, 64,000, paper CPU (runs) | "
        "ours, 6,400, short CPU (runs) |",
        "| --- | --- | --- | --- |",
        "| plain-20 | about 9.6 (Fig. 6) | 10.50 (1) | 16.50 (1) |",
        "| plain-110 | – | – | 60.00 (1) |",
        "| resnet-20 | 8.75 | 9.50 (1) | – |",
        "| resnet-110 | 6.61±0.16 | – | 7.10±0.14 (2) |",
    ]
    results.__globals__["REPRODUCTION"] = tmp_path / "none"
    assert results() == "No runs have been committed yet.\n"


def test_the_front_page_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


def test_every_link_lands():
    count = 0
    for page in PAGES:
        for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", prose(page).replace("\n", " ")):
            if target.startswith(("http:", "https:")):
                continue
            count += 1
            goal = (page.parent / target).resolve() if target else page
            assert goal.exists(), f"{page}: {target}"
            assert not anchor or anchor in anchors(goal), f"{page}: {target}#{anchor}"
    assert count > 20


def test_every_page_is_linked_from_the_front_page():
    text = (ROOT / "README.md").read_text()
    assert [page for page in PAGES if f"({page.relative_to(ROOT)})" not in text and page.name != "README.md"] == []


def test_defaults_of_the_choices_are_those_of_the_programs():
    """A row may name several keys, with their defaults in the same order."""
    kinds = {"CIFAR-10": CifarRecipe, "ImageNet": ImageNetRecipe, "Detectors": DetectorRecipe}
    kinds["Localisation"] = LocaliserRecipe
    shown = runpy.run_path(str(GENERATE))["shown"]
    text = (ROOT / "docs/choices.md").read_text()
    rows = 0
    for heading, kind in kinds.items():
        part = re.search(rf"^## {heading}\n(.*?)^## ", text, re.DOTALL | re.MULTILINE)[1]
        for keys, default in re.findall(r"^\| [^|]* \| (`[^|]*) \| ([^|]*) \|", part, re.MULTILINE):
            names = re.findall(r"`(\w+)`", keys)
            assert default == ", ".join(shown(getattr(kind, name)) for name in names), keys
            rows += len(names)
    assert rows > 15


def test_messages_that_are_explained_are_those_of_the_programs():
    """In the first column of the troubleshooting; other programs' messages are listed here."""
    others = {
        "No space left on device", "ensurepip is not available", "snakemake: command not found", "CUDA out of memory",
        "Killed", "bus error", "no space left", "Directory cannot be locked", "MissingRuleException",
        "Nothing to be done", "MissingOutputException", "/dev/shm", ".venv", "val/",
    }  # fmt: skip
    files = [
        *ROOT.glob("scripts/**/*.py"),
        *ROOT.glob("workflow/**/*.smk"),
        ROOT / "workflow/Snakefile",
        ROOT / "Makefile",
    ]
    source = re.sub(r'"\s*\n\s*f?"', "", "\n".join(path.read_text() for path in files))
    checked = 0
    for cell in re.findall(r"^\| ([^|]*`[^|]*) \|", (ROOT / "docs/troubleshooting.md").read_text(), re.MULTILINE):
        for message in set(re.findall("`([^`]+)`", cell)) - others:
            pieces = [piece.strip() for piece in message.split("…") if piece.strip()]
            assert all(piece in source for piece in pieces), message
            checked += 1
    assert checked > 10


def test_the_workflow_of_ci_calls_what_there_is():
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    lines = [line for job in jobs.values() for step in job["steps"] for line in step.get("run", "").splitlines()]
    for line in lines:
        program, *arguments = shlex.split(line)
        if program == "make":
            check_make(arguments)
    assert {"make test", "make", "ruff check .", "snakemake --lint"} <= set(lines)


def check_make(arguments: list[str]) -> None:
    done = subprocess.run(["make", "-n", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"make {arguments}: {done.stderr}"


def test_every_make_has_its_target():
    assert len(those_of("make")) > 5
    for arguments in those_of("make"):
        check_make(arguments)


def test_every_program_exists_and_has_the_options_that_are_given_it():
    assert len(those_of("python")) > 5
    for program, *arguments in those_of("python"):
        if program == "-c":
            continue
        path = ROOT / program
        assert path.is_file(), program
        if path.parent.name == "scripts":
            code, output = run_program(path.stem, "--help")
            assert code == 0, output
            # It hands what it does not know to Snakemake.
            options = set() if path.stem == "plan" else set(re.findall(r"--[\w-]+", " ".join(arguments)))
        else:
            output = path.read_text()
            options = set(re.findall(r"--[\w-]+", " ".join(arguments)))
        assert all(option in output for option in options), (program, options)


def test_files_that_other_programs_are_given_exist():
    for program in ("pip", "conda", "docker"):
        for arguments in those_of(program):
            for flag, value in itertools.pairwise(arguments):
                assert flag not in ("-r", "-f", "-c") or (ROOT / value).is_file(), value


def snakemakes() -> list[Namespace]:
    """Return the commands of Snakemake, and those of what hands its arguments to it, as it reads them."""
    plans = [words for program, *words in those_of("python") if program == "scripts/plan.py"]
    return [parse_args(arguments)[1] for arguments in [*those_of("snakemake"), *plans]]


def test_every_configuration_on_a_command_line_is_accepted():
    base = yaml.safe_load((ROOT / "config.yaml").read_text())
    configurations = [parse_config(command.config) for command in snakemakes() if command.config]
    assert len(configurations) > 5
    for changes in configurations:
        config = copy.deepcopy(base)
        update_config(config, changes)
        load(config, ROOT / "workflow")


@pytest.mark.slow
@pytest.mark.parametrize("on_cluster", [False, True])
def test_targets_and_profiles_of_all_commands_can_be_planned(project, on_cluster):
    targets = {target for command in snakemakes() for target in command.targets}
    profiles = {
        profile
        for command in snakemakes()
        for profile in (command.workflow_profile, *(command.profile or ()))
        if profile
    }
    assert {"cifar10", "detection", "results/table6.csv"} <= targets
    slurm, beside = "workflow/profiles/slurm", "workflow/profiles/two-nodes"
    assert profiles - {"workflow/profiles/default"} == {slurm, beside}
    options = ["--workflow-profile", slurm, "--profile", beside] if on_cluster else []
    code, output = snakemake(project, "-n", "--quiet", "all", *options, "--", *sorted(targets))
    assert code == 0, output

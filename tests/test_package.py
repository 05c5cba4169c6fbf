"""The library as a package: what ``pip install -e .`` gives a notebook."""

import json
import re
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT

import resnet

NOTEBOOK = """
import importlib.metadata, json, site, sys
site.addsitedir(sys.argv[1])
import resnet.data.cifar10
package = importlib.metadata.distribution("resnet")
print(json.dumps([resnet.__file__, package.version, package.requires]))
"""


def test_the_version_to_cite_is_that_of_the_library():
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == resnet.__version__


def test_the_works_that_comments_cite_by_number_are_listed_and_no_others():
    texts = [file.read_text(encoding="utf-8") for file in ROOT.glob("scripts/resnet/*/*.py")]
    texts += [file.read_text(encoding="utf-8") for file in ROOT.glob("scripts/resnet/[a-z]*.py")]
    cited = {number for text in texts for number in re.findall(r"[ (]\[(\d+)\]", text)}
    assert cited == set(re.findall(r"\[(\d+)\]", resnet.__doc__))


@pytest.mark.slow
def test_the_library_installs_for_notebooks(project, tmp_path):
    """From a folder whose name needs care; without the network, as what it depends on is there."""
    pytest.importorskip("setuptools", "77", reason="pip would download it")
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        tmp_path / "site",
    ]
    done = subprocess.run([*install, "-e", "."], cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    command = [sys.executable, "-c", NOTEBOOK, tmp_path / "site"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    file, version, needs = json.loads(found)
    assert file == str(project / "scripts/resnet/__init__.py")
    assert version == resnet.__version__
    assert "torch" in {name.split("==")[0] for name in needs}

"""The workflow in another folder than its own: programs are the project's, results lie where Snakemake runs."""

import pytest
from conftest import ROOT, snakemake

pytestmark = pytest.mark.slow

MODULE = """
configfile: "config.yaml"
module resnet:
    snakefile: {snakefile!r}
    config: config
use rule * from resnet
rule mine:
    default_target: True
    input: "results/runs.csv"
"""


@pytest.mark.parametrize("how", ["module", "snakefile"])
def test_another_folder_uses_the_workflow(project, tmp_path, how):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "config.yaml").write_text((ROOT / "config.yaml").read_text())
    # Snakemake takes braces in an input for a wildcard.
    project = project.rename(tmp_path / "the project's ~ é & $x")
    snakefile = str(project / "workflow/Snakefile")
    if how == "module":
        (folder / "Snakefile").write_text(MODULE.format(snakefile=snakefile))
    arguments = ["results/runs.csv"] if how == "module" else ["--snakefile", snakefile, "results/runs.csv"]
    code, output = snakemake(folder, *arguments)
    assert code == 0, output
    assert "resnet-1202" in (folder / "results/runs.csv").read_text()
    assert not (project / "results/runs.csv").exists()


def test_every_program_is_started_by_the_place_of_the_project():
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    assert "python scripts/" not in rules
    assert '"scripts/' not in rules
    assert '"workflow/' not in rules

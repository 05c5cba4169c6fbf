"""What is said to a person who asks for something that nothing makes."""

import pytest

from resnet.targets import meant

TARGETS = ("all", "cifar10", "imagenet", "table6", "results/table6.csv", "fig6", "results/fig6.pdf")


@pytest.mark.parametrize(
    ("target", "advice"),
    [
        ("tabel6", "did you mean table6?"),
        ("results/table6.pdf", "did you mean results/table6.csv?"),
        ("results/fig6.csv", "did you mean results/fig6.pdf?"),
        ("paper", "for the scale paper say --config scale=paper"),
        ("scale=paper", "for the scale paper say --config scale=paper"),
        ("results/runs/paper/cifar10/resnet-20/seed0/result.json", "for the scale paper say --config scale=paper"),
        ("device=cpu", "settings follow --config; the first lines of config.yaml show how"),
        ("results/runs/demo/digits/resnet-21/seed0/result.json", "snakemake --list-target-rules names the targets, "),
    ],
)
def test_a_target_that_nothing_makes_has_advice(target, advice):
    assert meant(target, TARGETS, "demo", ("demo", "paper")).startswith(advice)

"""What a person may have meant who asked for something that nothing makes."""

import difflib
import re
from collections.abc import Collection


def meant(target: str, targets: Collection[str], scale: str, scales: Collection[str]) -> str:
    """Return what to ask for instead of a target that nothing makes.

    Args:
        target: what was asked for.
        targets: the names of sections, tables and figures, and their files.
        scale: the one in use.
        scales: those that there are.
    """
    run = re.match(r"results/runs/([^/]+)/", target)
    other = run[1] if run else target.removeprefix("scale=")
    if other in scales and other != scale:
        return f"for the scale {other} say --config scale={other}"
    if "=" in target:
        return "settings follow --config; the first lines of config.yaml show how"
    if close := difflib.get_close_matches(target, targets, 1):
        return f"did you mean {close[0]}?"
    return "snakemake --list-target-rules names the targets, results/runs.csv all runs"

"""The paper's claims, judged on what was measured; no torch.

A claim is data, in ``workflow/artefacts/claims.yaml``: a statement, and one test or more, all of which must hold. A
test compares networks by one of ``KINDS`` on one or more of ``facts.METRICS``, or is one of ``FACT_KINDS``, which look
at counts and settings. ``comparisons`` says when a comparison holds, fails, or is open.
"""

import dataclasses
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from resnet.errors import UserError
from resnet.rendering.comparisons import (
    Comparison,
    Measured,
    Verdict,
    above,
    below,
    closer_than_gain,
    closest,
    falls,
    lower,
    no_worse,
    positive,
    reaches,
    rises,
    similar,
    together,
)
from resnet.rendering.facts import METRICS, Facts, Metric, MissingError, found
from resnet.settings import DetectorRecipe, updated

# The columns of claims.csv, one row per claim:
# number      of the statement in the paper, C01 to C69; empty for one of ours
# verdict     holds, open, does not hold, not seen at this scale, or not tested
# reason      why it is not tested, or what sets the runs apart from the paper's
# evidence    the numbers
# closest     the comparison on which the verdict hangs, as a sum that should be above zero
# difference  that sum, in the numbers' unit (percentage points, mostly)
# margin      the difference that chance explains
# runs        how many runs were compared
# samples     the size of the smallest set that a number was measured on: images, or objects of detectors
# comparable  yes where all runs have the paper's recipe and data, no where not, empty where no run is looked at
COLUMNS = (
    "number", "claim", "about", "section", "statement", "verdict", "reason", "evidence", "closest", "difference",
    "margin", "runs", "samples", "comparable", "scale",
)  # fmt: skip
SHOWN_DIFFERENCES = 4


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a test found: its comparisons, the numbers of runs that they compare, and both as text."""

    comparisons: list[Comparison]
    evidence: str
    measured: tuple[Measured, ...] = ()


Parameters = dict[str, Any]
# Each compares the numbers of the models of a test, in their order; the parameters are the test's other keys.
KINDS: dict[str, Callable[[list[Measured], Parameters], list[Comparison]]] = {
    "falls": lambda chain, keys: falls(chain, **keys),
    "rises": lambda chain, keys: rises(chain, **keys),
    "lower": lambda chain, keys: [one for ours in chain[:-1] for one in lower(ours, chain[-1], **keys)],
    "higher": lambda chain, keys: [one for ours in chain[:-1] for one in lower(chain[-1], ours, **keys)],
    "closer than the gain": lambda chain, keys: closer_than_gain(chain, **keys),
    "no worse": lambda chain, keys: no_worse(chain, **keys),
    "similar": lambda chain, keys: similar(*chain, **keys),
    "below": lambda chain, keys: [one for number in chain for one in below(number, **keys)],
    "above": lambda chain, keys: [one for number in chain for one in above(number, **keys)],
    "reaches": lambda chain, keys: [one for number in chain for one in reaches(number, **keys)],
}


def judge(
    claims: list[dict[str, Any]],
    thresholds: dict[str, float],
    facts: Facts,
    scale: str,
    left_out: Mapping[str, str] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """Return one row of ``COLUMNS`` per claim.

    Args:
        claims: those of ``claims.yaml``.
        thresholds: what its words such as "considerably" stand for.
        facts: what was measured.
        scale: name of the scale.
        left_out: sections that were not made, each with the reason; it is that of the claims that need them.

    Raises:
        UserError: a claim's test is not understood.
    """
    return [{"scale": scale, **_judge(claim, thresholds, facts, left_out)} for claim in claims]


def _judge(
    claim: dict[str, Any], thresholds: dict[str, float], facts: Facts, left_out: Mapping[str, str]
) -> dict[str, Any]:
    row = {key: claim.get(key) for key in ("number", "about", "section", "statement")} | {"claim": claim["id"]}
    if "untested" in claim:
        return row | {"verdict": Verdict.NOT_TESTED, "reason": claim["untested"]}
    try:
        findings = [_test(test, thresholds, facts) for test in claim["tests"]]
    except MissingError as missing:
        return row | {"verdict": Verdict.NOT_TESTED, "reason": left_out.get(claim["about"], str(missing))}
    except UserError as error:
        raise UserError(f"claims.yaml, {claim['id']}: {error}") from None
    comparisons = [one for finding in findings for one in finding.comparisons]
    measured = [number for finding in findings for number in finding.measured if number.source]
    differs = [(number.name, text) for number in measured for text in number.differs]
    weakest = closest(comparisons)
    return row | {
        "verdict": _verdict(together(comparisons), bool(differs), "comparable_at" in claim),
        "reason": _reason(differs, {number.name for number in measured}),
        "evidence": "; ".join(finding.evidence for finding in findings),
        "closest": weakest.text,
        "difference": round(weakest.difference, 4),
        "margin": round(weakest.margin, 4),
        "runs": _runs(measured),
        "samples": min((number.samples for number in measured if number.samples), default=None),
        "comparable": ("no" if differs else "yes") if measured else None,
    }


def _verdict(found: Verdict, differs: bool, absolute: bool) -> Verdict:
    """Return the verdict on a claim; only runs by the paper's recipe can contradict it, or test an absolute number."""
    if differs and absolute:
        return Verdict.NOT_TESTED
    return Verdict.NOT_SEEN if differs and found is Verdict.FAILS else found


def _test(test: dict[str, Any], thresholds: dict[str, float], facts: Facts) -> Finding:
    keys = dict(test)
    kind = keys.pop("kind")
    if kind in FACT_KINDS:
        try:
            return FACT_KINDS[kind](facts, **keys)
        except TypeError as error:
            raise UserError(f"the parameters do not fit: {error}") from None
    models, names = (keys.pop(key, None) for key in ("models", "metrics"))
    if not models or not names:
        raise UserError(f"a test of kind {kind!r} needs models and metrics")
    if than := keys.pop("than", None):
        models = [*models, than]
    keys = {key: thresholds.get(value, value) for key, value in keys.items()}
    compare, metrics = _known(KINDS, kind, "kind"), [_known(METRICS, name, "metric") for name in names]
    findings = [_compare(compare, keys, metric, [metric.of(facts, model) for model in models]) for metric in metrics]
    return Finding(
        [one for finding in findings for one in finding.comparisons],
        "; ".join(finding.evidence for finding in findings),
        tuple(number for finding in findings for number in finding.measured),
    )


def _compare(
    compare: Callable[[list[Measured], Parameters], list[Comparison]],
    keys: Parameters,
    metric: Metric,
    numbers: list[list[Measured]],
) -> Finding:
    """Compare networks by one metric, part by part where it has several."""
    if len({len(parts) for parts in numbers}) != 1 or not numbers[0]:
        raise MissingError(f"{metric.label}: the curves have too few points")
    try:
        comparisons = [one for chain in zip(*numbers, strict=True) for one in compare(list(chain), keys)]
    except TypeError as error:
        raise UserError(f"the parameters do not fit: {error}") from None
    comparisons = [dataclasses.replace(one, text=f"{one.text}, {metric.label}") for one in comparisons]
    return Finding(comparisons, text_of(metric, numbers), tuple(number for parts in numbers for number in parts))


def _known(values: dict[str, Any], name: str, what: str) -> Any:
    if name not in values:
        raise UserError(f"unknown {what} {name!r}; there are {', '.join(values)}")
    return values[name]


def text_of(metric: Metric, numbers: list[list[Measured]]) -> str:
    """Return the numbers of networks as text: ``test error (%): plain-20 9.60, resnet-110 6.61 ± 0.16 (5 runs)``."""
    texts = []
    for parts in numbers:
        text = " / ".join(metric.text(number.mean) for number in parts)
        if (runs := len(parts[0].values)) > 1:
            spread = statistics.stdev(parts[0].values)
            text += f" ± {metric.text(spread)} ({runs} runs)"
        texts.append(f"{parts[0].name} {text}")
    return f"{metric.label}: {', '.join(texts)}"


def same_cost(facts: Facts) -> Finding:
    """Residual nets with option A and plain nets of one depth have the same parameters and multiply-adds."""
    counts = {
        model: tuple(row[key] for key in ("parameters", "multiply_adds")) for model, row in facts.architectures.items()
    }
    pairs = [(model, model.replace("resnet", "plain")) for model in counts if model.startswith("resnet")]
    pairs = [pair for pair in pairs if pair[1] in counts]
    if not pairs:
        raise MissingError("no plain and residual net of one depth was counted")
    text = ", ".join(f"{ours} {counts[ours][0]:,} and {theirs} {counts[theirs][0]:,}" for ours, theirs in pairs)
    wrong = sum(counts[ours] != counts[theirs] for ours, theirs in pairs)
    return Finding([_none_of(wrong, "pairs with another cost")], f"parameters: {text}")


def as_architecture_table(facts: Facts) -> Finding:
    """Counted layers, filters and shortcuts are those of the architecture table."""
    if not facts.architectures:
        raise MissingError("no network was counted")
    wrong = []
    for model, row in facts.architectures.items():
        columns = [key for key in row if f"paper_{key}" in row]
        shortcuts = 3 * row["n"] if model.startswith("resnet") else 0
        if any(row[key] != row[f"paper_{key}"] for key in columns) or row["shortcuts"] != shortcuts:
            wrong.append(model)
    text = f"counted in {len(facts.architectures)} nets; different: {', '.join(wrong) or 'none'}"
    return Finding([_none_of(len(wrong), "nets with other layers")], text)


def flops_as_printed(facts: Facts, within: float, without_fc: list[str], of: str, than: list[str]) -> Finding:
    """Counted FLOPs are the printed ones, some of them without fc layers; one network has fewer than others."""
    flops = {
        method: Measured(method, (row["conv_flops_1e9" if method in without_fc else "flops_1e9"],))
        for method, row in facts.table1.items()
    }
    deepest, *others = (found(flops, name, f"{name} was not counted") for name in (of, *than))
    printed = {method: row["paper_flops_1e9"] for method, row in facts.table1.items()}
    comparisons = [one for other in others for one in lower(deepest, other)]
    for method, number in flops.items():
        comparisons += reaches(number, value=printed[method], within=within)
    texts = [f"{method} {number.mean:.2f} ({printed[method]:g})" for method, number in flops.items()]
    return Finding(comparisons, "counted (printed) in 10⁹: " + ", ".join(texts))


def ensemble_below_members(facts: Facts) -> Finding:
    """The ensemble's multi-scale top-5 error is below that of every network that was tested alone."""
    metric = METRICS["imagenet.multiscale.top5"]
    ensemble = metric.of(facts, "ensemble")
    alone = [metric.of(facts, model) for model in facts.evaluations["multiscale"] if model != "ensemble"]
    if not alone:
        raise MissingError("no network was tested alone")
    comparisons = [one for numbers in alone for one in lower(ensemble[0], numbers[0])]
    return Finding(comparisons, text_of(metric, [ensemble, *alone]), tuple(number for [number] in [ensemble, *alone]))


def gains_at_high_overlap(facts: Facts, of: str, than: str, factor: float) -> Finding:
    """The gain in COCO's mAP@[.5, .95] is more than ``factor`` times that in mAP@.5."""
    (ours, theirs), (our_50, their_50) = (
        [METRICS[metric].of(facts, model)[0] for model in (of, than)] for metric in ("coco.map", "coco.map50")
    )
    gain, gain_50 = ours.mean - theirs.mean, our_50.mean - their_50.mean
    text = f"gain in mAP@[.5, .95] − {factor:g} × gain in mAP@.5"
    comparison = positive(text, [(1, ours), (-1, theirs), (-factor, our_50), (factor, their_50)])
    evidence = f"gains of {gain:+.1f} points in mAP@[.5, .95] and {gain_50:+.1f} in mAP@.5"
    return Finding([comparison], evidence, (ours, theirs, our_50, their_50))


def same_settings(facts: Facts, of: str, than: str) -> Finding:
    """The settings of two detectors of each experiment are the same, but for the network."""
    experiments: dict[str, dict[str, dict[str, Any]]] = {}
    for name, configs in facts.detectors.items():
        experiment, model = name.split("/")
        experiments.setdefault(experiment, {})[model] = updated(configs[0]["recipe"], DetectorRecipe)
    pairs = [models for models in experiments.values() if {of, than} <= set(models)]
    if not pairs:
        raise MissingError(f"no detectors with {than} and with {of}")
    different = set()
    for models in pairs:
        ours, theirs = models[of], models[than]
        different |= {key for key in ours if ours[key] != theirs[key]} - {"model", "seed"}
    engines = sorted({recipe["engine"] for models in pairs for recipe in models.values()})
    text = f"engine {', '.join(engines)}; settings that differ: {', '.join(sorted(different)) or 'none'}"
    return Finding([_none_of(len(different), "settings that differ")], text)


def ensemble_of(facts: Facts, members: int, model: str, times: int) -> Finding:
    """The ensemble has so many members, and so many of them are runs of one network."""
    [ensemble] = found(facts.evaluations.get("multiscale", {}), "ensemble", "no ensemble was tested")
    models = [Path(path).parent.name for path in ensemble.get("members", [])]
    wrong = abs(len(models) - members) + abs(models.count(model) - times)
    return Finding([_none_of(wrong, "members too many or too few")], f"members: {', '.join(models)}")


def printed_alike(facts: Facts, numbers: list[list[str]]) -> Finding:
    """The paper prints the same number in several places, each named ``<table>.<row>.<column>``."""
    values = [[_printed(facts, place) for place in places] for places in numbers]
    wrong = sum(len(set(same)) > 1 for same in values)
    text = "; ".join(" = ".join(f"{value:g}" for value in dict.fromkeys(same)) for same in values)
    return Finding([_none_of(wrong, "numbers printed differently")], f"printed: {text}")


def printed_means(facts: Facts, tables: list[str], within: float) -> Finding:
    """Each mAP that the paper prints is the mean of the average precision that it prints of the classes."""
    comparisons, texts = [], []
    for table in tables:
        for name, row in found(facts.printed, table, f"the numbers of {table} are not there").items():
            mean = Measured(f"{table}'s mean of {name}", (statistics.mean(row["classes"]),))
            comparisons += reaches(mean, value=row["map"], within=within)
            texts.append(f"{mean.mean:.2f} ({row['map']:g})")
    return Finding(comparisons, "means (printed): " + ", ".join(texts))


def _printed(facts: Facts, place: str) -> float:
    value: Any = facts.printed
    for key in place.split("."):
        value = found(value, key, f"{place} is not there")
    return value


FACT_KINDS: dict[str, Callable[..., Finding]] = {
    "same cost": same_cost,
    "as the architecture table": as_architecture_table,
    "flops as printed": flops_as_printed,
    "ensemble below its members": ensemble_below_members,
    "gains at high overlap": gains_at_high_overlap,
    "same settings": same_settings,
    "ensemble of": ensemble_of,
    "printed alike": printed_alike,
    "printed means": printed_means,
}


def _none_of(count: int, what: str) -> Comparison:
    return Comparison(f"0 − {what}", -count, 0, weak=True)


def _reason(differs: list[tuple[str, str]], models: set[str]) -> str:
    """Say what sets runs apart from the paper's, and which runs where it is not all of them."""
    if not differs:
        return ""
    of: dict[str, list[str]] = {}
    for model, text in dict.fromkeys(differs):
        of.setdefault(text, []).append(model)
    texts = [text if set(names) == models else f"{', '.join(names)}: {text}" for text, names in of.items()]
    more = f"; and {len(texts) - SHOWN_DIFFERENCES} more" if len(texts) > SHOWN_DIFFERENCES else ""
    return "not the paper's runs: " + "; ".join(texts[:SHOWN_DIFFERENCES]) + more


def _runs(measured: list[Measured]) -> int | None:
    runs = {(number.source, number.name): len(number.values) for number in measured}
    return sum(runs.values()) or None

"""The paper's claims, tested on what was measured; no torch.

The statements are in ``workflow/paper/claims.yaml``; each has its test here, under the same id. A test returns whether
the claim holds (None: this run of the workflow cannot tell) and the evidence as a person would want to read it.
"""

import dataclasses
import itertools
import statistics
from collections.abc import Callable
from typing import Any

from resnet.errors import UserError

COLUMNS = ("claim", "section", "statement", "verdict", "evidence", "scale")
VERDICTS = {True: "holds", False: "does not hold", None: "not tested"}

Outcome = tuple[bool | None, str]


@dataclasses.dataclass(frozen=True)
class Facts:
    """What was measured.

    Attributes:
        results: per model, ``result.json`` of each run.
        responses: per model, the standard deviation of each layer's response.
        architectures: per model, its row of ``cifar_architectures.csv``.
        imagenet: as ``results``, of the networks on ImageNet.
        evaluations: per protocol and model, ``evaluation/<protocol>.json`` of each run.
        curves: per model of Fig. 4, the rows of ``metrics.csv``.
        table1: per method, its row of ``table1.csv``.
        detections: per ``<experiment>/<model>``, ``evaluation/average_precision.json`` of each run.
        detectors: per ``<experiment>/<model>``, ``config.yaml`` of each run.
    """

    results: dict[str, list[dict[str, Any]]]
    responses: dict[str, list[float]]
    architectures: dict[str, dict[str, Any]]
    imagenet: dict[str, list[dict[str, Any]]] = dataclasses.field(default_factory=dict)
    evaluations: dict[str, dict[str, list[dict[str, Any]]]] = dataclasses.field(default_factory=dict)
    curves: dict[str, list[dict[str, Any]]] = dataclasses.field(default_factory=dict)
    table1: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    detections: dict[str, list[dict[str, Any]]] = dataclasses.field(default_factory=dict)
    detectors: dict[str, list[dict[str, Any]]] = dataclasses.field(default_factory=dict)

    def tested(self, model: str, protocol: str, key: str = "top1_error") -> float:
        """Return the mean over runs of a model's error on ImageNet validation in percent."""
        return statistics.mean(run[key] for run in self.evaluations[protocol][model])

    def gain(self, experiment: str, key: str) -> tuple[float, str]:
        """Return how much higher ResNet-101's mAP is than VGG-16's in percentage points (means over runs), and both."""
        ours, theirs = (
            statistics.mean(run[key] for run in self.detections[f"{experiment}/{model}"])
            for model in ("resnet-101", "vgg-16")
        )
        name = {"map50": "mAP@.5", "map": "mAP@[.5, .95]"}[key]
        return ours - theirs, f"{experiment} {name}: ResNet-101 {ours:.1f} %, VGG-16 {theirs:.1f} %"

    def trained(self, model: str) -> float:
        """Return the mean over runs of a model's last training error on ImageNet in percent."""
        return statistics.mean(run["train"]["top1_error"] for run in self.imagenet[model])

    def error(self, model: str, split: str) -> float:
        """Return the mean over runs of a model's last error in percent."""
        return statistics.mean(run[split]["top1_error"] for run in self.results[model])

    def response(self, model: str) -> float:
        """Return the median over layers of the responses' standard deviations."""
        return statistics.median(self.responses[model])

    def errors(self, kind: str, depths: tuple[int, ...], split: str) -> tuple[list[float], str]:
        """Return the errors of several depths, and the same as text."""
        values = [self.error(f"{kind}-{depth}", split) for depth in depths]
        text = ", ".join(f"{depth}: {value:.2f}" for depth, value in zip(depths, values, strict=True))
        return values, f"{split} error (%) of {kind} nets by depth: {text}"


def degradation(facts: Facts) -> Outcome:
    """Plain-56 against plain-20."""
    train, train_text = facts.errors("plain", (20, 56), "train")
    test, test_text = facts.errors("plain", (20, 56), "test")
    return train[1] > train[0] and test[1] > test[0], f"{train_text}; {test_text}"


def same_cost(facts: Facts) -> Outcome:
    """Parameters of plain and residual nets of one depth."""
    pairs = [(m, m.replace("resnet", "plain")) for m in facts.architectures if m.startswith("resnet")]
    pairs = [(ours, theirs) for ours, theirs in pairs if theirs in facts.architectures]
    count = {model: row["parameters"] for model, row in facts.architectures.items()}
    text = ", ".join(f"{ours} {count[ours]:,} and {theirs} {count[theirs]:,}" for ours, theirs in pairs)
    return all(count[ours] == count[theirs] for ours, theirs in pairs), f"parameters: {text}"


def depth_6n_plus_2(facts: Facts) -> Outcome:
    """Counted layers, filters and shortcuts against the architecture table."""
    wrong = []
    for model, row in facts.architectures.items():
        columns = [key for key in row if f"paper_{key}" in row]
        shortcuts = 3 * row["n"] if model.startswith("resnet") else 0
        if any(row[key] != row[f"paper_{key}"] for key in columns) or row["shortcuts"] != shortcuts:
            wrong.append(model)
    return not wrong, f"counted in {len(facts.architectures)} nets; different: {', '.join(wrong) or 'none'}"


def plain_suffer(facts: Facts) -> Outcome:
    """Training errors of plain nets rise with depth; 20 against 32 is left open, as in the paper."""
    values, text = facts.errors("plain", (20, 32, 44, 56), "train")
    return max(values[:2]) < values[2] < values[3], text


def plain_110(facts: Facts) -> Outcome:
    """Plain-110 fails."""
    train, test = facts.error("plain-110", "train"), facts.error("plain-110", "test")
    return min(train, test) > 60, f"plain-110: training {train:.2f} %, test {test:.2f} %"


def residual_gain(facts: Facts) -> Outcome:
    """Test errors of residual nets fall with depth."""
    values, text = facts.errors("resnet", (20, 32, 44, 56, 110), "test")
    return values == sorted(values, reverse=True) and len(set(values)) == len(values), text


def residual_not_degraded(facts: Facts) -> Outcome:
    """Residual against plain nets of 56 and 110 layers; "far lower" is half or less."""
    ours, our_text = facts.errors("resnet", (56, 110), "train")
    theirs, their_text = facts.errors("plain", (56, 110), "train")
    return all(a <= b / 2 for a, b in zip(ours, theirs, strict=True)), f"{our_text}; {their_text}"


def warmup(facts: Facts) -> Outcome:
    """When the warm-up of ResNet-110 ended, and that the net trained afterwards."""
    ends = [run["warmup_ended_at"] for run in facts.results["resnet-110"]]
    error = facts.error("resnet-110", "train")
    ended = all(end is not None and end <= 1000 for end in ends)
    return ended and error < 10, f"warm-up ended at iterations {ends}; training error {error:.2f} %"


def no_warmup(_facts: Facts) -> Outcome:
    """Not part of the runs."""
    return None, "needs a run of ResNet-110 with warmup_lr: null, which is not part of the default runs"


def resnet_110_error(facts: Facts) -> Outcome:
    """The mean test error of ResNet-110."""
    errors = [run["test"]["top1_error"] for run in facts.results["resnet-110"]]
    mean = statistics.mean(errors)
    return abs(mean - 6.61) <= 0.3, f"mean {mean:.2f} % over {len(errors)} runs"


def fewer_parameters(facts: Facts) -> Outcome:
    """ResNet-110's parameters against the other thin deep nets of Table 6."""
    ours = facts.architectures["resnet-110"]["parameters"] / 1e6
    others = {"FitNet": 2.5, "Highway (19 layers)": 2.3, "Highway (32 layers)": 1.25}
    text = ", ".join(f"{name}: {millions}M" for name, millions in others.items())
    holds = all(ours < millions for millions in others.values())
    return holds, f"ResNet-110: {ours:.2f}M; quoted: {text}; so the paper's own Table 6 contradicts it"


def smaller_responses(facts: Facts) -> Outcome:
    """Median responses of residual against plain nets."""
    models = ("resnet-20", "plain-20", "resnet-56", "plain-56")
    values = {model: facts.response(model) for model in models}
    holds = values["resnet-20"] < values["plain-20"] and values["resnet-56"] < values["plain-56"]
    return holds, _medians(values)


def deeper_smaller_responses(facts: Facts) -> Outcome:
    """Median responses of residual nets by depth."""
    values = {model: facts.response(model) for model in ("resnet-20", "resnet-56", "resnet-110")}
    first, second, third = values.values()
    return first > second > third, _medians(values)


def resnet_1202_optimises(facts: Facts) -> Outcome:
    """The training error of ResNet-1202."""
    error = facts.error("resnet-1202", "train")
    return error < 0.1, f"training error {error:.2f} %"


def resnet_1202_overfits(facts: Facts) -> Outcome:
    """ResNet-1202 against ResNet-110."""
    train, train_text = facts.errors("resnet", (110, 1202), "train")
    test, test_text = facts.errors("resnet", (110, 1202), "test")
    return test[1] > test[0] and abs(train[1] - train[0]) < 0.1, f"{train_text}; {test_text}"


def resnet_1202_size(facts: Facts) -> Outcome:
    """The parameters of ResNet-1202."""
    count = facts.architectures["resnet-1202"]["parameters"]
    return f"{count / 1e6:.1f}" == "19.4", f"{count:,} parameters"


def imagenet_degradation(facts: Facts) -> Outcome:
    """Plain-34 against plain-18 by 10-crop."""
    values = [facts.tested(model, "10crop") for model in ("plain-18", "plain-34")]
    return values[1] > values[0], f"10-crop top-1 error: plain-18 {values[0]:.2f} %, plain-34 {values[1]:.2f} %"


def imagenet_training_degradation(facts: Facts) -> Outcome:
    """Training errors of plain-34 against plain-18, each the mean of a tenth of the training; the first is left out."""
    tenths = {model: _tenths(facts.curves[model]) for model in ("plain-18", "plain-34")}
    higher = [deep > shallow for shallow, deep in zip(*tenths.values(), strict=True)][1:]
    ends = ", ".join(f"{model} {values[-1]:.2f} %" for model, values in tenths.items())
    return all(higher), f"higher in {sum(higher)} of the last {len(higher)} tenths of the training; at the end {ends}"


def resnet_34_beats_18(facts: Facts) -> Outcome:
    """ResNet-34 against ResNet-18."""
    return _lower(facts, "resnet-34-A", "resnet-18-A")


def resnet_34_beats_plain_34(facts: Facts) -> Outcome:
    """ResNet-34 against plain-34."""
    return _lower(facts, "resnet-34-A", "plain-34")


def eighteen_comparable(facts: Facts) -> Outcome:
    """Plain-18 against ResNet-18."""
    values = [facts.tested(model, "10crop") for model in ("plain-18", "resnet-18-A")]
    return abs(values[0] - values[1]) <= 0.5, f"10-crop top-1 error: plain {values[0]:.2f} %, ResNet {values[1]:.2f} %"


def resnet_18_converges_faster(facts: Facts) -> Outcome:
    """Validation errors of the 18-layer nets at the evaluations before the first drop."""
    means = {}
    for model in ("plain-18", "resnet-18-A"):
        rows = [row for row in facts.curves[model] if row["split"] == "val"]
        before = [row["top1_error"] for row in rows if row["lr"] == rows[0]["lr"]]
        means[model] = statistics.mean(before)
    text = ", ".join(f"{model} {value:.2f} %" for model, value in means.items())
    return means["resnet-18-A"] < means["plain-18"], f"mean validation error before the first drop: {text}"


def shortcuts_beat_plain(facts: Facts) -> Outcome:
    """Options A, B and C against plain-34."""
    models = ("plain-34", "resnet-34-A", "resnet-34-B", "resnet-34-C")
    values = {model: facts.tested(model, "10crop") for model in models}
    return max(list(values.values())[1:]) < values["plain-34"], _errors(values)


def shortcuts_order(facts: Facts) -> Outcome:
    """Options A, B and C among themselves."""
    values = {model: facts.tested(model, "10crop") for model in ("resnet-34-A", "resnet-34-B", "resnet-34-C")}
    a, b, c = values.values()
    return a >= b >= c, _errors(values)


def deeper_is_better(facts: Facts) -> Outcome:
    """34 to 152 layers on every metric."""
    models, holds, texts = ("resnet-34-B", "resnet-50", "resnet-101", "resnet-152"), True, []
    for protocol in ("10crop", "multiscale"):
        for key in ("top1_error", "top5_error"):
            values = [facts.tested(model, protocol, key) for model in models]
            holds = holds and all(a > b for a, b in itertools.pairwise(values))
            texts.append(f"{protocol} {key.split('_')[0]} " + " / ".join(f"{value:.2f}" for value in values))
    return holds, "34 / 50 / 101 / 152 layers (%): " + "; ".join(texts)


def imagenet_flops(facts: Facts) -> Outcome:
    """Counted FLOPs against the printed ones; VGG-16's leave the fc layers out, as the paper's number does."""
    texts, holds = [], True
    for method, row in facts.table1.items():
        counted = row["conv_flops_1e9"] if method == "VGG-16" else row["flops_1e9"]
        holds = holds and abs(counted - row["paper_flops_1e9"]) < 0.1
        texts.append(f"{method} {counted:.2f} ({row['paper_flops_1e9']:g})")
    flops = {method: row["flops_1e9"] for method, row in facts.table1.items()}
    holds = holds and flops["152-layer"] < min(flops["VGG-16"], flops["VGG-19"])
    return holds, "counted (printed) in 10⁹: " + ", ".join(texts)


def plain_34_near_vgg(facts: Facts) -> Outcome:
    """Plain-34 against VGG-16."""
    values = {model: facts.tested(model, "10crop") for model in ("plain-34", "vgg-16")}
    return abs(values["plain-34"] - values["vgg-16"]) <= 1, _errors(values)


def single_model(facts: Facts) -> Outcome:
    """ResNet-152's multi-scale top-5 error; 4.82 is the lowest of Table 5's quoted ensembles."""
    error = facts.tested("resnet-152", "multiscale", "top5_error")
    return abs(error - 4.49) <= 0.3 and error < 4.82, f"top-5 error {error:.2f} %"


def ensemble_is_better(facts: Facts) -> Outcome:
    """The ensemble against the members that are in Table 4."""
    tested = facts.evaluations["multiscale"]
    ours = facts.tested("ensemble", "multiscale", "top5_error")
    members = {model: facts.tested(model, "multiscale", "top5_error") for model in tested if model != "ensemble"}
    best = min(members, key=members.get)
    return ours < members[best], f"top-5 error: ensemble {ours:.2f} %, best single model {best} {members[best]:.2f} %"


def detection_voc(facts: Facts) -> Outcome:
    """ResNet-101 against VGG-16 on both columns of Table 7."""
    gains = [facts.gain(experiment, "map50") for experiment in ("voc07", "voc12")]
    return min(gain for gain, _ in gains) > 3, "; ".join(text for _, text in gains)


def detection_coco(facts: Facts) -> Outcome:
    """ResNet-101 against VGG-16 on COCO, strictly."""
    gain, text = facts.gain("coco", "map")
    return gain > 0, text


def detection_localisation(facts: Facts) -> Outcome:
    """The gains at an IoU of 0.5 and over all IoUs."""
    (loose, loose_text), (strict, strict_text) = facts.gain("coco", "map50"), facts.gain("coco", "map")
    holds = loose > 0 and strict > 0 and abs(loose - strict) <= 2
    return holds, f"gains {loose:+.1f} and {strict:+.1f} points; {loose_text}; {strict_text}"


def detection_same_implementation(facts: Facts) -> Outcome:
    """The settings of the detectors of each experiment, but for the network and what it brings."""
    different = set()
    for experiment in ("voc07", "voc12", "coco"):
        ours, theirs = (facts.detectors[f"{experiment}/{model}"][0]["recipe"] for model in ("resnet-101", "vgg-16"))
        different |= {key for key in ours if ours[key] != theirs[key]} - {"model"}
    engines = sorted({run["recipe"]["engine"] for runs in facts.detectors.values() for run in runs})
    return not different, f"engine {', '.join(engines)}; settings that differ: {', '.join(sorted(different)) or 'none'}"


def _lower(facts: Facts, ours: str, theirs: str) -> Outcome:
    tested = {model: facts.tested(model, "10crop") for model in (ours, theirs)}
    trained = {model: facts.trained(model) for model in (ours, theirs)}
    holds = tested[ours] < tested[theirs] and trained[ours] < trained[theirs]
    text = ", ".join(f"{model} {value:.2f} %" for model, value in trained.items())
    return holds, f"{_errors(tested)}; training error: {text}"


def _errors(values: dict[str, float]) -> str:
    return "10-crop top-1 error: " + ", ".join(f"{model} {value:.2f} %" for model, value in values.items())


def _tenths(rows: list[dict[str, Any]]) -> list[float]:
    """Return the mean training error of each tenth of the training."""
    train = [row for row in rows if row["split"] == "train"]
    last = train[-1]["iteration"]
    parts: dict[int, list[float]] = {}
    for row in train:
        parts.setdefault(min(9, 10 * (row["iteration"] - 1) // last), []).append(row["top1_error"])
    return [statistics.mean(parts[part]) for part in sorted(parts)]


TESTS: dict[str, Callable[[Facts], Outcome]] = {
    "degradation": degradation,
    "same-cost": same_cost,
    "depth-6n-plus-2": depth_6n_plus_2,
    "plain-suffer": plain_suffer,
    "plain-110": plain_110,
    "residual-gain": residual_gain,
    "residual-not-degraded": residual_not_degraded,
    "warmup": warmup,
    "no-warmup": no_warmup,
    "resnet-110-error": resnet_110_error,
    "fewer-parameters": fewer_parameters,
    "smaller-responses": smaller_responses,
    "deeper-smaller-responses": deeper_smaller_responses,
    "resnet-1202-optimises": resnet_1202_optimises,
    "resnet-1202-overfits": resnet_1202_overfits,
    "resnet-1202-size": resnet_1202_size,
    "imagenet-degradation": imagenet_degradation,
    "imagenet-training-degradation": imagenet_training_degradation,
    "resnet-34-beats-18": resnet_34_beats_18,
    "resnet-34-beats-plain-34": resnet_34_beats_plain_34,
    "eighteen-comparable": eighteen_comparable,
    "resnet-18-converges-faster": resnet_18_converges_faster,
    "shortcuts-beat-plain": shortcuts_beat_plain,
    "shortcuts-order": shortcuts_order,
    "deeper-is-better": deeper_is_better,
    "imagenet-flops": imagenet_flops,
    "plain-34-near-vgg": plain_34_near_vgg,
    "single-model": single_model,
    "ensemble": ensemble_is_better,
    "detection-voc": detection_voc,
    "detection-coco": detection_coco,
    "detection-localisation": detection_localisation,
    "detection-same-implementation": detection_same_implementation,
}


def check_claims(claims: list[dict[str, Any]], facts: Facts, scale: str) -> list[dict[str, Any]]:
    """Return one row per claim: statement, verdict, evidence.

    A claim about absolute numbers is not judged at another scale than the one it is comparable at.

    Raises:
        UserError: a claim has no test, or a test lacks a run.
    """
    rows = []
    for claim in claims:
        try:
            holds, evidence = TESTS[claim["id"]](facts)
        except KeyError as error:
            raise UserError(f"claim {claim['id']}: nothing is known of {error}") from None
        if scale != claim.get("comparable_at", scale):
            holds, evidence = None, f"comparable at {claim['comparable_at']} scale only; here: {evidence}"
        rows.append(
            {
                "claim": claim["id"],
                "section": claim["section"],
                "statement": claim["statement"],
                "verdict": VERDICTS[holds],
                "evidence": evidence,
                "scale": scale,
            }
        )
    return rows


def _medians(values: dict[str, float]) -> str:
    return "median std: " + ", ".join(f"{model} {value:.2f}" for model, value in values.items())

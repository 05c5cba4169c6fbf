"""The paper's numbers as facts that claims are judged on, with chance as it would have been; and their verdicts."""

import functools
import random

from check_claims import read_printed
from conftest import ROOT

from rendering.conftest import drawn
from resnet.artefacts import read_artefact
from resnet.files import read_yaml
from resnet.rendering.claims import judge
from resnet.rendering.facts import Facts, Paper, Run

ARTEFACTS = ROOT / "workflow/artefacts"
SCALES = ROOT / "workflow/scales"
CLAIMS = read_artefact(ARTEFACTS / "claims.yaml").values
BY_ID = {claim["id"]: claim for claim in CLAIMS["claims"]}


# The paper's numbers. Training errors and responses were read off Figs. 4, 6 and 7.
CIFAR = {
    "plain-20": (1.25, 9.6), "plain-32": (1.3, 10.1), "plain-44": (2.5, 11.4), "plain-56": (5.6, 13.2),
    "plain-110": (70, 70), "resnet-20": (0.55, 8.75), "resnet-32": (0.2, 7.51), "resnet-44": (0.1, 7.17),
    "resnet-56": (0.05, 6.97), "resnet-110": (0.02, 6.61), "resnet-1202": (0.02, 7.93),
    # Of these, and of footnotes 3 and 4, the paper says only what it has seen.
    "resnet-20+single-layer": (1.25, 9.6), "resnet-56+single-layer": (5.6, 13.2),
    "resnet-110+no-warmup": (0.02, 6.61),
}  # fmt: skip
IMAGENET_TRAIN = {"plain-18": 31.7, "plain-34": 33.1, "resnet-18-A": 31.0, "resnet-34-A": 25.1,
                  "plain-18+3x": 29, "plain-34+3x": 31, "plain-50": 33, "plain-101": 38}  # fmt: skip
# Over 10 to 15, 22 to 30 and 45 to 50 times 10^4 iterations, thin lines; and bold ones before the first drop.
CURVES = {"plain-18": (56.0, 40.2, 31.7, 50.4), "plain-34": (60.6, 42.2, 33.1, 55.0),
          "resnet-18-A": (52.1, 37.4, 31.0, 47.4), "resnet-34-A": (49.0, 33.7, 25.1, 44.5)}  # fmt: skip
RESPONSES = {"plain-20": 1.86, "plain-56": 1.54, "resnet-20": 1.55, "resnet-56": 1.08, "resnet-110": 0.92}
DETECTIONS = {
    "voc07/vgg-16": (73.2, None), "voc07/resnet-101": (76.4, None), "voc12/vgg-16": (70.4, None),
    "voc12/resnet-101": (73.8, None), "coco/vgg-16": (41.5, 21.2), "coco/resnet-101": (48.4, 27.2),
    "voc07/resnet-101+coco/refined-multiscale": (85.6, None),
    "voc12/resnet-101+coco/refined-multiscale": (83.8, None),
    "coco/resnet-101/refined": (49.9, 29.9), "coco/resnet-101+context/refined": (51.1, 30.0),
    # Of the ensemble the paper says only what it gains on test-dev.
    "coco/resnet-101+context/refined-multiscale": (53.8, 32.5), "coco/ensemble/refined-multiscale": (57.1, 35.0),
}  # fmt: skip


LOCALISATIONS = {
    "rpn/resnet-101/center": {"gt_class": 13.3}, "rpn/resnet-101/dense": {"gt_class": 11.7, "top5": 14.4},
    "rcnn/resnet-101/dense": {"gt_class": 8, "top5": 10.6}, "rcnn/ensemble/dense": {"gt_class": 7, "top5": 8.9},
}  # fmt: skip
# Tables whose printed numbers are compared.
PRINTED = ("table7", "table10", "table11", "table13", "table14")
OBJECTS = {"voc07": 12032, "voc12": 13841, "coco": 291875}


@functools.cache
def paper():
    return Paper.read(read_yaml(SCALES / "paper.yaml"), SCALES / "paper.yaml", CLAIMS["test_images"])


@functools.cache
def config(section, *run):
    """``config.yaml`` of a run with the paper's recipe."""
    recipe = paper().recipes[section](*run)
    images = {f"{split}_images": paper().images.get(section) for split in ("val", "test")}
    kinds = {"localisation": "imagenet"}
    kind = kinds.get(section, section) if section != "detector" else {"c": "coco", "v": "voc"}[run[0][0]]
    return {"recipe": {**recipe, "lr_drops": list(recipe["lr_drops"])}, "resolved": images,
            "dataset": {"name": paper().datasets[kind]}}  # fmt: skip


class Exact:
    """Every number as it is."""

    def __call__(self, true, images, deviation, at, runs=1):
        return (true,) * runs


class Noisy(Exact):
    """Numbers as other seeds would give them, and other test images where ``sampling``."""

    def __init__(self, seed, sampling=True):
        self.draw = random.Random(seed)
        self.sampling = sampling

    def __call__(self, true, images, deviation, at, runs=1):
        images = images if self.sampling else 10**12
        return drawn(self.draw, true, images, deviation * (true * (100 - true) / at / (100 - at)) ** 0.5, runs)


def make_facts(noise=None, values=lambda true: true):
    """The paper's numbers as facts; ``values`` may change a dictionary of true numbers before noise is added."""
    noise = noise or Exact()
    cifar, imagenet = (
        (CLAIMS["noise"][name]["deviation"], CLAIMS["noise"][name]["at"]) for name in ("cifar10", "imagenet")
    )
    train = values({model: pair[0] for model, pair in CIFAR.items()})
    test = values({model: pair[1] for model, pair in CIFAR.items()})
    runs = {"cifar10": {}, "imagenet": {}}
    for model in CIFAR:
        count = 5 if model == "resnet-110" else 1
        found = zip(noise(train[model], 12800, *cifar, count), noise(test[model], 10000, *cifar, count), strict=True)
        runs["cifar10"][model] = [Run(result(model, *pair), config("cifar10", model)) for pair in found]
    evaluations = {"10crop": {}, "multiscale": {}}
    for protocol, models in published().items():
        top1, top5 = ({m: pair[place] for m, pair in models.items()} for place in (0, 1))
        top1, top5 = values(top1), values(top5)
        for model in models:
            evaluations[protocol][model] = [{
                "model": model, "dataset": "imagenet", "images": 50000, "source": "reproduced",
                "top1_error": noise(top1[model], 50000, *imagenet)[0],
                "top5_error": noise(top5[model], 50000, *imagenet)[0],
            }]  # fmt: skip
    for model in {*IMAGENET_TRAIN, *(model for models in evaluations.values() for model in models)} - {"ensemble"}:
        true = values(IMAGENET_TRAIN).get(model, 25)
        error = noise(true, 25600, *imagenet)[0]
        runs["imagenet"][model] = [Run({"model": model, "train": {"top1_error": error}}, config("imagenet", model))]
    members = ("resnet-34-B/seed0", "resnet-50/seed0", "resnet-101/seed0", "resnet-101/seed1", "resnet-152/seed0",
               "resnet-152/seed1")  # fmt: skip
    evaluations["multiscale"]["ensemble"][0]["members"] = [f"runs/{member}" for member in members]
    return Facts(
        paper(), CLAIMS["noise"], runs, responses(noise, values), architectures(), evaluations,
        curves(noise, values, imagenet), table1(), *detections(noise, values),
        *localisations(noise, values, imagenet), counts(), signals(noise),
        {name: read_printed(ARTEFACTS / f"{name}.yaml") for name in PRINTED},
    )  # fmt: skip


def result(model, train, test):
    ended = 400 if model.endswith(("110", "1202")) else None
    return {"model": model, "iterations": 64000, "warmup_ended_at": ended, "train": {"top1_error": train},
            "test": {"top1_error": test}}  # fmt: skip


@functools.cache
def published():
    """Top-1 and top-5 errors of Tables 2 to 5 by protocol."""
    found = {"10crop": {}, "multiscale": {}}
    for table, protocol in ((3, "10crop"), (4, "multiscale")):
        for row in read_artefact(ARTEFACTS / f"table{table}.yaml").values["rows"]:
            if "model" in row:
                found[protocol][row["model"]] = (row["top1_error"], row["top5_error"])
    for row in read_artefact(ARTEFACTS / "table2.yaml").values["rows"]:
        for kind in ("plain", "resnet"):
            found["10crop"].setdefault(row[kind], (row[f"{kind}_top1_error"], 9))
    return {**found, "multiscale": {**found["multiscale"], "ensemble": (18, 3.57)}}


def responses(noise, values):
    share = CLAIMS["noise"]["cifar10"]["responses"] / 100
    draw = getattr(noise, "draw", None)
    medians = values(RESPONSES)
    return {model: [m * (1 + draw.gauss(0, share) if draw else 1)] for model, m in medians.items()}


def architectures():
    rows = {}
    for model in (model for model in CIFAR if "+" not in model):
        n = (int(model.split("-")[1]) - 2) // 6
        shortcuts = 3 * n if model.startswith("resnet") else 0
        rows[model] = {"n": n, "layers": 6 * n + 2, "paper_layers": 6 * n + 2, "parameters": 48000 * (2 * n + 1)}
        rows[model] |= {"shortcuts": shortcuts, "multiply_adds": 10**6 * n}
    rows["resnet-1202"]["parameters"] = 19_421_274
    return rows


@functools.cache
def counts():
    """The counts that the paper prints, and those of Fig. 5's blocks."""
    printed = {row["count"]: row.get("paper", 1) for row in read_artefact(ARTEFACTS / "counts.yaml").values["rows"]}
    fig5 = {"bottleneck_flops_ratio": 0.944, "projection_flops_ratio": 1.94, "projection_parameters_ratio": 1.94}
    return {name: float(number) for name, number in (printed | fig5).items()}


def signals(noise):
    """Signals that become a tenth of the last layer's, whose seeds differ."""
    draw = getattr(noise, "draw", None)
    return {
        section: {
            model: [
                {"model": model, "iteration": 0, "layer": layer, "name": "conv", "std": 1.0,
                 "gradient": 10 ** ((layer - 3) / 2 + (draw.gauss(0, 0.3) if draw else 0))}
                for layer in (1, 2, 3)
            ]
        }
        for section, model in (("cifar10", "plain-56"), ("imagenet", "plain-34"))
    }  # fmt: skip


def curves(noise, values, imagenet):
    made = {"resnet-110+no-warmup": [
        {"split": "train", "iteration": 100 * point, "epoch": point / 3.516, "lr": 0.1,
         "top1_error": 90.1 if point < 14 else 80} for point in range(1, 30)
    ]}  # fmt: skip
    levels = [values({model: CURVES[model][place] for model in CURVES}) for place in range(4)]
    for model in CURVES:
        shifts = [noise(level[model], 10**7, *imagenet)[0] for level in levels[:3]]
        val = noise(levels[3][model], 50000, *imagenet)[0]
        rows = [
            {
                "split": "train",
                "iteration": 10000 * point,
                "epoch": 2 * point,
                "lr": 0.1,
                "top1_error": shifts[(point > 15) + (point > 30)],
            }
            for point in range(1, 61)
        ]
        rows += [{"split": "val", "iteration": 10000 * point, "epoch": 2 * point, "lr": 0.1 if point <= 15 else 0.01,
                  "top1_error": val if point <= 15 else 30} for point in range(1, 61)]  # fmt: skip
        made[model] = rows
    return made


@functools.cache
def table1():
    return {
        row["method"]: {"flops_1e9": row["flops_1e9"], "conv_flops_1e9": 15.35, "paper_flops_1e9": row["flops_1e9"]}
        for row in read_artefact(ARTEFACTS / "table1.yaml").values["rows"]
    }


def detections(noise, values):
    made, configs = {}, {}
    true = {}
    for experiment in ("voc07", "voc12", "coco"):
        for place in (0, 1):
            pair = {name: DETECTIONS[name][place] for name in DETECTIONS if name.startswith(experiment)}
            true |= {(name, place): v for name, v in (values(pair) if None not in pair.values() else pair).items()}
    for name in DETECTIONS:
        experiment, model, *test = name.split("/")
        dataset = "coco" if experiment == "coco" else "voc"
        spread = CLAIMS["noise"][dataset]["deviation"], CLAIMS["noise"][dataset]["at"]
        images, objects = CLAIMS["test_images"][experiment], OBJECTS[experiment]
        loose, strict = (
            None if true[name, place] is None else noise(true[name, place], objects, *spread)[0] for place in (0, 1)
        )
        made[name] = [{"experiment": experiment, "model": model, "source": "reproduced", "dataset": dataset,
                       "images": images, "objects": objects, "map50": loose, "map": strict,
                       "tested": "".join(test)}]  # fmt: skip
        if model == "ensemble":
            made[name][0]["members"] = [f"{experiment}/resnet-101+context/seed{seed}" for seed in range(3)]
        else:
            configs[f"{experiment}/{model}"] = [config("detector", experiment, model)]
    return made, configs


def localisations(noise, values, imagenet):
    made = {}
    true = values({(name, key): v for name, errors in LOCALISATIONS.items() for key, v in errors.items()})
    for (name, key), value in true.items():
        stage, model, protocol = name.split("/")
        known = {"model": model, "stage": stage, "protocol": protocol, "images": 50000, "dataset": "imagenet"}
        made.setdefault(name, [{**known, "source": "reproduced"}])[0][f"{key}_error"] = noise(value, 50000, *imagenet)[
            0
        ]
    made["rcnn/ensemble/dense"][0]["members"] = [f"rcnn/resnet-{depth}/seed0" for depth in (50, 101, 152)]
    configs = {
        f"{stage}/{model}": [config("localisation", stage, model)]
        for stage in ("rpn", "rcnn") for model in ("resnet-50", "resnet-101", "resnet-152")
    }  # fmt: skip
    return made, configs


def rows_of(facts, claims=BY_ID, scale="paper"):
    chosen = [BY_ID[claim] for claim in claims]
    return {row["claim"]: row for row in judge(chosen, CLAIMS["thresholds"], facts, scale)}


def verdicts(facts, claims=BY_ID):
    return {claim: row["verdict"] for claim, row in rows_of(facts, claims).items()}


def expected(claim):
    return claim.get("in_the_paper", "holds")


def kinds(claim):
    return {test["kind"] for test in claim.get("tests", ())}

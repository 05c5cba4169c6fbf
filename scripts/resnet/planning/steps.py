"""How long training steps take on this machine, from counted multiply-adds and measured steps.

A step takes a * multiply-adds + b * layers seconds: what is computed, and what each layer costs to start. Both are
fitted, for each kind of network, to steps that are measured here; a step that was measured itself, now or in an earlier
run on this machine, takes what it took.
"""

import contextlib
import dataclasses
import functools
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import nnls
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.detection.rpn import RPNHead

from resnet.architectures import CifarNet, ImageNetNet, Vgg, build_net, count_parameters, initialise, weighted_layers
from resnet.classification.cifar10 import allows_bf16
from resnet.detection.detector import STRIDE, Detector
from resnet.errors import UserError
from resnet.files import read_json
from resnet.provenance import processor_name
from resnet.run_folder import RunFolder
from resnet.settings import CifarRecipe, DetectorRecipe, Hardware, ImageNetRecipe, Recipe
from resnet.training.cuda_graph import WARM_UP, CapturedStep
from resnet.training.optimizer import SGD

KINDS: tuple[type[Recipe], ...] = (CifarRecipe, ImageNetRecipe, DetectorRecipe)
# Width and training crop.
PAPERS = (ImageNetRecipe.width, ImageNetRecipe.image_size)
# Backward is twice forward.
TRAINING = 3
# Of most photographs; of VOC, whose number matters little.
ASPECT, CLASSES = 4 / 3, 20
CIFAR_CLASSES = 10
# A step that would take longer than this, by a guess of the rate, is measured with fewer images.
SLOWEST_STEP = 2.0
GUESSED_RATE = {"cpu": 1.5e10, "cuda": 1e13}
STEPS, LEAST_SECONDS, MOST_SECONDS, PROBES, MOST_PROCESSES = 3, 0.3, 2.0, 4, 4


@dataclasses.dataclass(frozen=True)
class Network:
    """What one image costs: multiply-adds of a forward pass and layers; of a detector, with so many regions."""

    flops: float
    layers: int
    parameters: int


@dataclasses.dataclass(frozen=True)
class Step:
    """A training step. Two with equal fields take equally long.

    Attributes:
        recipe: the settings, without those that have no part in how long it takes.
        batch: the images of a process.
        classifier: width and crop of the network on ImageNet, or of that which a detector starts with.
    """

    recipe: Recipe
    batch: int
    classifier: tuple[float, int] = PAPERS

    @property
    def kind(self) -> type[Recipe]:
        """The recipe's class, which says what kind of network it is."""
        return type(self.recipe)

    @property
    def size(self) -> int:
        """The side of a crop, or the shorter side of a detector's images."""
        recipe = self.recipe
        if isinstance(recipe, CifarRecipe | ImageNetRecipe):
            return recipe.image_size
        return recipe.shorter_side if isinstance(recipe, DetectorRecipe) else PAPERS[1]

    @property
    def costs(self) -> tuple[float, float]:
        """Multiply-adds and layers, forward and backward."""
        network = network_of(self)
        return TRAINING * self.batch * network.flops, TRAINING * network.layers


def step_of(recipe: Recipe, processes: int = 1, classifier: tuple[float, int] = PAPERS) -> Step:
    """Return the training step of a recipe, for one of several processes that share its batch."""
    same: dict[str, Any] = {
        "seed": 0,
        "iterations": 1,
        "lr": 0.1,
        "lr_drops": (),
        "log_interval": 1,
        "evaluation_interval": 1,
    }
    if isinstance(recipe, DetectorRecipe):
        same |= {"experiment": "voc07", "evaluation_images": 1, "starts_with": None}
    elif isinstance(recipe, ImageNetRecipe):
        classifier = (recipe.width, recipe.image_size)
    batch = max(1, recipe.batch_size // processes)
    return Step(dataclasses.replace(recipe, **same, batch_size=batch, ghost_batch_size=None), batch, classifier)


def build(step: Step, generator: torch.Generator | None = None) -> nn.Module:
    """Return the network of a step, with weights that a generator draws."""
    net: nn.Module
    if isinstance(step.recipe, CifarRecipe):
        net = build_net(step.recipe, CIFAR_CLASSES)
    else:
        width, size = step.classifier
        # Narrow nets are for few classes.
        recipe = ImageNetRecipe.of_network(model=step.recipe.model, width=width, image_size=size)
        net = build_net(recipe, 1000 if width == 1 else CLASSES)
    if generator:
        # Residual branches of nothing: otherwise activations overflow where batch normalisation is fixed.
        initialise(net, generator, branch_scale=0)
    if isinstance(step.recipe, DetectorRecipe):
        assert isinstance(net, ImageNetNet | Vgg)
        return Detector(net, torch.zeros(3, 1, 1), CLASSES, step.recipe, generator)
    return net


@functools.cache
def network_of(step: Step) -> Network:
    """Count a network without computing anything."""
    with torch.device("meta"):
        net = build(step).eval()
    parameters = count_parameters(net)
    if not isinstance(net, Detector):
        return Network(flops_of(net, step.size, step.size), len(weighted_layers(net)), parameters)
    height, width = step.size, round(step.size * ASPECT)
    channels, size = net.shared.channels, net.heads.box_roi_pool.size
    shared = flops_of(net.shared, height, width)
    proposals = flops_of(net.rpn.head, height // STRIDE, width // STRIDE, channels)
    head = flops_of(net.heads.box_head, size, size, channels)
    assert isinstance(step.recipe, DetectorRecipe)
    return Network(shared + proposals + step.recipe.rois * head, len(weighted_layers(net)), parameters)


def flops_of(module: nn.Module, height: int, width: int, channels: int = 3) -> float:
    """Return the multiply-adds of a module that is on the meta device."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        images = torch.empty(1, channels, height, width, device="meta")
        module([images] if isinstance(module, RPNHead) else images)
    return counter.get_total_flops() / 2


class Rates:
    """How long steps take on this machine.

    Args:
        measured: seconds of steps that were measured, here or in earlier runs.
        earlier: those of ``measured`` that are of earlier runs.
    """

    def __init__(self, measured: dict[Step, float], earlier: Iterable[Step] = ()) -> None:
        self.measured, self.earlier = measured, set(earlier)
        self._fits: dict[type[Recipe], tuple[float, float]] = {}
        for kind in KINDS:
            if found := {step: seconds for step, seconds in measured.items() if step.kind == kind}:
                self._fits[kind] = fit(found)

    def seconds(self, step: Step) -> tuple[float, str]:
        """Return the seconds of a step, and how they are known."""
        if step in self.measured:
            return self.measured[step], "measured in earlier runs" if step in self.earlier else "measured now"
        known = "fitted to measured steps" if step.kind in self._fits else "estimated: no step of its kind was measured"
        return self.compute(step.kind, *step.costs), known

    def compute(self, kind: type[Recipe], flops: float, layers: float) -> float:
        """Return the seconds of some multiply-adds in so many layers."""
        a, b = self._fits.get(kind) or self._fits.get(ImageNetRecipe) or max(self._fits.values(), default=(0.0, 0.0))
        return a * flops + b * layers


def fit(measured: dict[Step, float]) -> tuple[float, float]:
    """Return seconds per multiply-add and per layer, neither below zero, with the least relative errors."""
    seconds = np.array(list(measured.values()))
    costs = np.array([step.costs for step in measured])
    scale = costs.max(0)
    found, _ = nnls(costs / scale / seconds[:, None], np.ones(len(seconds)))
    a, b = found / scale
    return float(a), float(b)


def measure(steps: Iterable[Step], hardware: Hardware) -> dict[Step, float]:
    """Return the seconds of some steps of each kind, among the given ones, in as many processes as would train."""
    device = device_of(hardware)
    chosen = [step for kind in KINDS for step in choose({s for s in steps if s.kind == kind}, device)]
    if not chosen:
        return {}
    count = 1 if device == "cuda" else min(MOST_PROCESSES, max(1, (os.cpu_count() or 1) // hardware.threads))
    with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = list(pool.map(measure_all, [chosen] * count, [hardware] * count))
    return {step: max(one[place] for one in found) for place, step in enumerate(chosen)}


def choose(steps: set[Step], device: str) -> list[Step]:
    """Return a few steps from the cheapest to the dearest; of a smaller batch, or none, where they would take long."""
    affordable = {smaller(step, SLOWEST_STEP * GUESSED_RATE[device]) for step in steps} - {None}
    known = sorted((step for step in affordable if step), key=lambda step: step.costs)
    places = np.linspace(0, len(known) - 1, min(PROBES, len(known))).round().astype(int)
    return [known[place] for place in places]


def smaller(step: Step, flops: float) -> Step | None:
    """Return a step with as many images of its batch as so many multiply-adds allow; None where that is not one."""
    images = int(step.batch * flops / step.costs[0])
    return dataclasses.replace(step, batch=min(images, step.batch)) if images else None


def device_of(hardware: Hardware) -> str:
    """Return cuda or cpu."""
    return "cuda" if hardware.device != "cpu" and torch.cuda.is_available() else "cpu"


def measure_all(steps: list[Step], hardware: Hardware) -> list[float]:
    """Return the seconds of each step, measured one after another."""
    torch.set_num_threads(hardware.threads)
    return [measure_step(step, torch.device(device_of(hardware))) for step in steps]


def measure_step(step: Step, device: torch.device) -> float:
    """Return the median seconds of a few training steps on noise, computed as a training would."""
    torch.manual_seed(0)
    net = build(step, torch.Generator().manual_seed(0))
    of_detector = isinstance(net, Detector)
    images = torch.rand(step.batch, 3, step.size, round(step.size * (ASPECT if of_detector else 1)))
    images = images.to(device, memory_format=torch.channels_last)
    labels = torch.zeros(step.batch, dtype=torch.long, device=device)
    box = torch.tensor([[0.2, 0.2, 0.7, 0.7]], device=device) * step.size
    targets = [{"boxes": box, "labels": labels[:1]}] * step.batch
    net.to(device).to(memory_format=torch.channels_last).train()
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    optimizer = SGD(trained, lr=1e-6, momentum=0.9, fused=True)
    half = device.type == "cuda" and not of_detector and torch.cuda.is_bf16_supported()
    if isinstance(step.recipe, CifarRecipe):
        half &= allows_bf16(step.recipe)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=half)

    def update(batch: tuple[Tensor, ...]) -> None:
        images, labels = batch
        optimizer.zero_grad(set_to_none=True)
        with autocast:
            if of_detector:
                loss = torch.stack(list(net(list(images), targets).values())).sum()
            else:
                loss = F.cross_entropy(net(images), labels)
        loss.backward()
        optimizer.step()

    if device.type == "cuda" and isinstance(net, CifarNet):
        return median_seconds(CapturedStep(update), (images, labels), device, first=WARM_UP + 1)
    return median_seconds(update, (images, labels), device)


def median_seconds(
    update: Callable[[tuple[Tensor, ...]], None], batch: tuple[Tensor, ...], device: torch.device, first: int = 1
) -> float:
    """Return the median seconds of an update, without the ``first`` ones, which also allocate."""
    # On a CPU, what else the machine is doing does not count: seconds of the processor.
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    share = 1 if device.type == "cuda" else torch.get_num_threads()
    took: list[float] = []
    while sum(took[first:]) < MOST_SECONDS and (len(took) < first + STEPS or sum(took[first:]) < LEAST_SECONDS):
        start = clock()
        update(batch)
        if device.type == "cuda":
            torch.cuda.synchronize()
        took.append((clock() - start) / share)
    return float(np.median(took[first:]))


def earlier_runs(results: Path, hardware: Hardware) -> dict[Step, float]:
    """Return the seconds of steps in finished runs on this device with as many threads; evaluations included."""
    device = torch.cuda.get_device_name() if device_of(hardware) == "cuda" else processor_name()
    alike = (device, hardware.threads, 1)
    found: dict[Step, float] = {}
    for path in sorted(results.glob("runs/**/seed*/environment.json")):
        # What is damaged, or of an earlier form, tells nothing.
        with contextlib.suppress(UserError, KeyError, TypeError):
            run, recipe = read_json(path), recipe_in(path.parent)
            slices = [(part["device"], part["threads"], part["processes"]) for part in run["slices"]]
            if set(slices) == {alike} and run["images_per_second"] > 0:
                found[step_of(recipe, classifier=classifier_in(path.parent))] = (
                    recipe.batch_size / run["images_per_second"]
                )
    return found


def recipe_in(run: Path) -> Recipe:
    """Return the recipe of a run folder.

    Raises:
        UserError: its ``config.yaml`` is missing or damaged.
    """
    folder = RunFolder(run)
    keys = folder.said("recipe")
    return folder.recipe(
        DetectorRecipe if "experiment" in keys else CifarRecipe if "shortcut" in keys else ImageNetRecipe
    )


def classifier_in(run: Path) -> tuple[float, int]:
    """Return width and crop of the network that a detector in a run folder started with.

    Raises:
        UserError: its ``config.yaml`` is missing or damaged.
    """
    classifier = RunFolder(run).config.get("resolved", {}).get("classifier", {})
    return (classifier.get("width", PAPERS[0]), classifier.get("image_size", PAPERS[1]))

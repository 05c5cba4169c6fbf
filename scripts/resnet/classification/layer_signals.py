"""Forward and backward signals along a training: the outputs of the layers, and the gradients of their weights.

Section 4.1: "BN … ensures forward propagated signals to have non-zero variances. We also verify that the backward
propagated gradients exhibit healthy norms with BN. So neither forward nor backward signals vanish."
"""

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from resnet.architectures import BatchNorm2d, convolutions
from resnet.classification.cifar10 import cifar_task
from resnet.classification.imagenet import imagenet_task
from resnet.classification.task import ClassificationTask
from resnet.data.cifar10 import CifarDescription
from resnet.files import write_rows
from resnet.progress import Progress
from resnet.records import LAYER_SIGNALS
from resnet.run_folder import AnyRecipe, RunFolder
from resnet.settings import CifarRecipe, Hardware, ImageNetRecipe, Recipe
from resnet.training.checkpoint import fill, read_tensors
from resnet.training.distributed import Processes
from resnet.training.loop import Training

BuildTask = Callable[[Processes], ClassificationTask]
# How much of a training is repeated at most.
REPEATED = 1 / 8


def measure_layer_signals(
    runs: Sequence[Path],
    data: Path,
    image_statistics: Sequence[Path],
    iterations: Sequence[int],
    output: Path,
    hardware: Hardware,
) -> None:
    """Measure the signals of some runs, and write a row per run, update and layer.

    Args:
        runs: their folders.
        data: ``dataset.json`` of the data they were trained on.
        image_statistics: of each run on ImageNet, those of the training images; none for runs on CIFAR-10.
        iterations: the updates that are measured, by their numbers from 0; and one by the final weights.
        output: CSV to write.
        hardware: where to compute.

    Raises:
        UserError: a file is missing or damaged, or fits no other; a signal is not finite.
    """
    # Hooks are not compiled.
    hardware = dataclasses.replace(hardware, compile="false")
    rows = []
    for run, statistics in itertools.zip_longest(map(RunFolder, runs), image_statistics):
        recipe, build_task = training_of(run, data, statistics)
        found = along_training(recipe, hardware, build_task, run.weights, iterations)
        rows += [{"model": run.path.parent.name, **row} for row in found]
    write_rows(output, tuple(LAYER_SIGNALS), rows)


def training_of(run: RunFolder, data: Path, image_statistics: Path | None) -> tuple[Recipe, BuildTask]:
    """Return the recipe of a run, and what makes its task.

    Raises:
        UserError: the folder is not that of such a run, or the data are not.
    """
    if image_statistics:
        imagenet = recipe_of(run, ImageNetRecipe)
        return imagenet, partial(imagenet_task, imagenet, data, image_statistics)
    cifar10 = recipe_of(run, CifarRecipe)
    return cifar10, partial(cifar_task, cifar10, CifarDescription.read(data))


def recipe_of(run: RunFolder, kind: type[AnyRecipe]) -> AnyRecipe:
    """Return the recipe of a run, with the images that its batch normalisation saw, and the precision that it had."""
    recipe, resolved = run.recipe(kind), run.said("resolved")
    precision = resolved.get("precision", recipe.precision)
    return dataclasses.replace(recipe, ghost_batch_size=resolved.get("ghost_batch_size"), precision=precision)


def early_updates(iterations: Iterable[int], recipe: Recipe) -> set[int]:
    """Return the updates that are measured of a training, among those that are asked for."""
    return {number for number in iterations if number <= recipe.iterations * REPEATED}


def along_training(
    recipe: Recipe,
    hardware: Hardware,
    build_task: BuildTask,
    weights: Path,
    iterations: Sequence[int],
) -> list[dict[str, Any]]:
    """Repeat the beginning of a training; return the signals of some of its updates, and of one by its final weights.

    A training is a function of its recipe, so what is repeated is what happened.

    Args:
        recipe: of the training.
        hardware: where to compute.
        build_task: makes the task of the recipe for a process.
        weights: ``weights.pt``, with which it ended.
        iterations: the updates that are measured, by their numbers from 0; later ones than ``REPEATED`` are left out.
    """
    training = Training(recipe, hardware, build_task)
    chosen = early_updates(iterations, recipe)
    rows: list[dict[str, Any]] = []
    repeated = max(chosen, default=-1) + 1
    progress = Progress(repeated, title=f"beginning of {recipe.model}", unit="updates", speed_unit="updates")
    while training.iteration < repeated:
        if training.iteration in chosen:
            rows += measured_update(training)
        else:
            training.update()
        progress.step()
    progress.close()
    fill(training.net, read_tensors(weights), weights)
    # The last batch once more.
    training.iteration = recipe.iterations - 1
    return rows + [row | {"iteration": recipe.iterations} for row in measured_update(training)]


def measured_update(training: Training) -> list[dict[str, Any]]:
    """Make an update, and return for each layer the deviation of its output and the norm of its gradient.

    Layers are the convolutions that are not on a shortcut, from the input on. ``std`` is the standard deviation over
    the batch, pixels and channels of what batch normalisation makes of a layer's output, in training mode and before
    ReLU or addition; ``gradient`` is the Euclidean norm of the loss's gradient by the layer's weights.
    """
    iteration = training.iteration
    layers = layers_of(training.net)
    with watched([norm for _, norm, _ in layers]) as deviations:
        training.update()
    norms = [float(gradient.norm()) for _, _, conv in layers if (gradient := conv.weight.grad) is not None]
    rows = zip(layers, deviations, norms, strict=True)
    return [
        {"iteration": iteration, "layer": number, "name": name, "std": std, "gradient": norm}
        for number, ((name, _, _), std, norm) in enumerate(rows, start=1)
    ]


def layers_of(net: nn.Module) -> list[tuple[str, BatchNorm2d, nn.Conv2d]]:
    """Return name, batch normalisation and convolution of each layer that is not on a shortcut, from the input on."""
    names = {module: name for name, module in net.named_modules() if ".shortcut." not in name}
    convs = [module for module in convolutions(net) if module in names]
    norms = [module for module in names if isinstance(module, BatchNorm2d)]
    return [(names[conv], norm, conv) for norm, conv in zip(norms, convs, strict=True)]


@contextlib.contextmanager
def watched(norms: Sequence[BatchNorm2d]) -> Iterator[list[float]]:
    """Yield a list that has, after a forward pass in the block, the standard deviation of each module's output."""
    found: dict[nn.Module, float] = {}
    deviations: list[float] = []

    def watch(module: nn.Module, _inputs: tuple[Tensor], output: Tensor) -> None:
        # Read at once, as ReLU works in place; the first micro-batch is enough.
        found.setdefault(module, float(output.detach().float().std(correction=0)))

    with contextlib.ExitStack() as hooks:
        for norm in norms:
            hooks.enter_context(norm.register_forward_hook(watch))
        yield deviations
    deviations += [found[norm] for norm in norms]

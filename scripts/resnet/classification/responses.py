"""The strength of layer responses (section 4.2, Fig. 7)."""

from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from resnet.architectures import BatchNorm2d, CifarNet, build_net
from resnet.data.batches import EvaluationBatches, load_splits
from resnet.data.cifar10 import CifarDescription
from resnet.files import write_rows
from resnet.progress import Progress
from resnet.run_folder import RunFolder
from resnet.settings import CifarRecipe, Hardware
from resnet.training.checkpoint import fill, read_tensors
from resnet.training.distributed import Processes

BATCH = 250
COLUMNS = ("layer", "name", "std")


def measure_responses(runs: Iterable[Path], data: Path, hardware: Hardware) -> None:
    """Measure the responses of networks over the test images, and write ``responses.csv``, a row per layer, of each.

    Args:
        runs: their folders, into which it is written.
        data: ``dataset.json`` of the data they were trained on.
        hardware: where to compute.

    Raises:
        UserError: a file is missing or damaged, or fits no other; a deviation is not finite.
    """
    torch.set_num_threads(hardware.threads)
    device, description = Processes(hardware).device, CifarDescription.read(data)
    for folder in map(RunFolder, runs):
        recipe = folder.recipe(CifarRecipe)
        net = build_net(recipe, len(description.classes))
        fill(net, read_tensors(folder.weights), folder.weights)
        splits, mean = load_splits(description, recipe.image_size, recipe.validation_fraction, recipe.split_seed)
        batches = EvaluationBatches(splits["test"], mean, BATCH, device)
        title = f"responses of {recipe.model}"
        progress = Progress(len(batches), title=title, unit="images", speed_unit="images")
        net.to(device).to(memory_format=torch.channels_last)
        found = response_deviations(net, batches, progress.step)
        progress.close()
        rows = [dict(zip(COLUMNS, (layer, *row), strict=True)) for layer, row in enumerate(found, start=1)]
        write_rows(folder.path / "responses.csv", COLUMNS, rows)


def response_layers(net: CifarNet) -> list[tuple[str, BatchNorm2d]]:
    """Return the name of each 3x3 layer and its batch normalisation, from the input to the output; no projections."""
    norms = [(name, m) for name, m in net.named_modules() if isinstance(m, BatchNorm2d)]
    return [(name.replace("bn", "conv"), norm) for name, norm in norms if ".shortcut." not in name]


@torch.inference_mode()
def response_deviations(
    net: CifarNet, batches: Iterable[tuple[Tensor, Tensor]], step: Callable[[int], None] = lambda _: None
) -> list[tuple[str, float]]:
    """Return (name, standard deviation) of each 3x3 layer's output over all images, pixels and channels.

    The output is taken after batch normalisation (with its running statistics) and before ReLU or addition.

    Args:
        net: the trained network.
        batches: images (B, 3, S, S) and labels.
        step: is called with the number of images after each batch.
    """
    layers = response_layers(net)
    # Per layer, in float64: number, sum and sum of squares of the values.
    sums = {name: torch.zeros(3, dtype=torch.float64) for name, _ in layers}

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
        def add(_module: nn.Module, _inputs: tuple[Tensor], output: Tensor) -> None:
            # Read at once: the ReLU that follows works in place. In any order, such as that in memory.
            values = output.permute(0, 2, 3, 1).double().flatten()
            squares = torch.dot(values, values).item()
            sums[name] += torch.tensor([values.numel(), values.sum().item(), squares], dtype=torch.float64)

        return add

    hooks = [norm.register_forward_hook(watch(name)) for name, norm in layers]
    try:
        net.eval()
        for images, _labels in batches:
            net(images.contiguous(memory_format=torch.channels_last))
            step(len(images))
    finally:
        for hook in hooks:
            hook.remove()
    return [(name, _deviation(*total.tolist())) for name, total in sums.items()]


def _deviation(count: float, total: float, squares: float) -> float:
    return max(squares / count - (total / count) ** 2, 0) ** 0.5

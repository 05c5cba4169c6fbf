"""Batch-normalisation statistics of a trained network over many images (appendix A).

During training they follow the last batches; a detector, in which they are fixed, gets those of the training set.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from resnet.architectures import BatchNorm2d, frozen_statistics
from resnet.classification.errors import Batches
from resnet.data.draws import seeded_generator

STATISTICS = ("running_mean", "running_var")


class _Sums:
    """Of the inputs of a batch normalisation: count, sum and sum of squares of each channel, in float64."""

    def __init__(self, channels: int, device: torch.device) -> None:
        self.count = 0
        self.sums = torch.zeros(2, channels, dtype=torch.float64, device=device)

    def add(self, _module: nn.Module, inputs: tuple[Tensor]) -> None:
        x = inputs[0].float()
        self.count += x.numel() // x.shape[1]
        self.sums += torch.stack([x.sum((0, 2, 3)), x.square().sum((0, 2, 3))]).double()

    def statistics(self) -> tuple[Tensor, Tensor]:
        mean, square = self.sums / self.count
        return mean.float().cpu(), (square - mean.square()).clamp(min=0).float().cpu()


def drawn_images(count: int, wanted: int | None) -> list[int]:
    """Return the numbers of the images to measure on, of ``count``; always the same.

    They are in random order: an index goes class by class, and a batch of one class is normalised as no other is.
    """
    return torch.randperm(count, generator=seeded_generator(0))[:wanted].tolist()


@torch.inference_mode()
def measure_bn_statistics(net: nn.Module, batches: Batches, step: Callable[[int], None]) -> dict[str, Tensor]:
    """Return mean and variance of the inputs of every batch normalisation, under the names of the state dict.

    Each layer is measured on what the layers before it give when they normalise by the batch, as in training.

    Args:
        net: the network; it is left in evaluation mode with its statistics as they were.
        batches: images.
        step: is called with the size of each batch that is done.
    """
    norms = {name: module for name, module in net.named_modules() if isinstance(module, BatchNorm2d)}
    sums = {name: _Sums(module.num_features, batches.device) for name, module in norms.items()}
    hooks = [module.register_forward_pre_hook(sums[name].add) for name, module in norms.items()]
    net.train()
    with frozen_statistics(net):
        for images, _ in batches:
            net(images)
            step(len(images))
    for hook in hooks:
        hook.remove()
    net.eval()
    found = {name: total.statistics() for name, total in sums.items()}
    return {
        f"{name}.{key}": value for name, values in found.items() for key, value in zip(STATISTICS, values, strict=True)
    }

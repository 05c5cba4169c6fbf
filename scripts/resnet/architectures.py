"""The plain and residual networks of section 4.2 (CIFAR-10), and how to count them."""

import contextlib
import copy
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from resnet.settings import parse_model

STAGE_FILTERS = (16, 32, 64)


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation whose statistics may come from sub-batches of ``ghost_batch_size`` images.

    That is what batch normalisation saw on the paper's two GPUs (64 images each). As there (and in torch's
    DistributedDataParallel), the running statistics follow the first sub-batch.
    """

    ghost_batch_size: int | None = None
    # False while activations are computed a second time, for the backward pass: their statistics count once.
    updates_statistics: bool = True

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x`` of shape (N, C, H, W)."""
        if not self.training:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        if self.ghost_batch_size is None or self.ghost_batch_size >= len(x):
            return self._normalise(x, self.running_mean, self.running_var)
        first, *others = x.split(self.ghost_batch_size)
        first = self._normalise(first, self.running_mean, self.running_var)
        return torch.cat([first, *(self._normalise(chunk, None, None) for chunk in others)])

    def _normalise(self, x: Tensor, mean: Tensor | None, variance: Tensor | None) -> Tensor:
        momentum = self.momentum if self.updates_statistics else 0.0
        return F.batch_norm(x, mean, variance, self.weight, self.bias, True, momentum, self.eps)


def conv(in_channels: int, out_channels: int, size: int, stride: int = 1) -> nn.Conv2d:
    """Return a ``size``x``size`` convolution that keeps the map size at stride 1; no bias, as BN follows."""
    return nn.Conv2d(in_channels, out_channels, size, stride, padding=size // 2, bias=False)


class PaddedIdentity(nn.Module):
    """Option A of section 3.3: every second pixel where the map shrinks, zeros for the channels that are new."""

    def __init__(self, new_channels: int, stride: int) -> None:
        super().__init__()
        self.new_channels, self.stride = new_channels, stride

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C + new_channels, H / stride, W / stride)."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new_channels))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, with a shortcut around them (residual) or without (plain)."""

    def __init__(self, in_channels: int, channels: int, stride: int, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = conv(in_channels, channels, 3, stride)
        self.bn1 = BatchNorm2d(channels)
        self.conv2 = conv(channels, channels, 3)
        self.bn2 = BatchNorm2d(channels)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, channels, H / stride, W / stride)."""
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = self.bn2(self.conv2(out))
        if self.shortcut is not None:
            out += self.shortcut(x)
        return F.relu(out, inplace=True)


def make_shortcut(option: str, in_channels: int, channels: int, stride: int) -> nn.Module:
    """Return the shortcut of section 3.3: A pads, B projects where dimensions grow, C projects everywhere."""
    grows = stride != 1 or in_channels != channels
    if option == "C" or (option == "B" and grows):
        return nn.Sequential(conv(in_channels, channels, 1, stride), BatchNorm2d(channels))
    return PaddedIdentity(channels - in_channels, stride) if grows else nn.Identity()


class CifarNet(nn.Module):
    """A plain or residual net of section 4.2: 6n+2 weighted layers, three stages of 2n, ended by a 10-way softmax.

    Args:
        model: ``plain-<depth>`` or ``resnet-<depth>``.
        shortcut: option A (the paper's choice on CIFAR-10), B or C; plain nets have none.
        classes: outputs of the last layer.
        ghost_batch_size: images per batch-normalisation statistic, None for the whole batch.

    Raises:
        UserError: the name is unknown or the depth is not 6n+2.
    """

    def __init__(self, model: str, shortcut: str = "A", classes: int = 10, ghost_batch_size: int | None = None) -> None:
        super().__init__()
        kind, depth = parse_model(model)
        blocks, channels = [], STAGE_FILTERS[0]
        self.conv1, self.bn1 = conv(3, channels, 3), BatchNorm2d(channels)
        for stage, filters in enumerate(STAGE_FILTERS):
            for block in range((depth - 2) // 6):
                stride = 2 if stage > 0 and block == 0 else 1
                around = make_shortcut(shortcut, channels, filters, stride) if kind == "resnet" else None
                blocks.append(BasicBlock(channels, filters, stride, around))
                channels = filters
        self.blocks = nn.ModuleList(blocks)
        self.fc = nn.Linear(channels, classes)
        # Blocks per group whose activations are recomputed in the backward pass; 0 keeps all of them.
        self.recompute_group = 0
        for module in self.modules():
            if isinstance(module, BatchNorm2d):
                module.ghost_batch_size = ghost_batch_size

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights as in [13]: normal, variance 2 / fan-in; biases 0, BN at identity."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
        nn.init.zeros_(self.fc.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 3, H, W) to class scores (N, classes)."""
        x = F.relu(self.bn1(self.conv1(images)), inplace=True)
        group = self.recompute_group if self.training and torch.is_grad_enabled() else 0
        for start in range(0, len(self.blocks), group or len(self.blocks)):
            blocks = self.blocks[start : start + group] if group else self.blocks
            x = recomputed(blocks, x) if group else run_blocks(blocks, x)
        return self.fc(x.mean((2, 3)))


def run_blocks(blocks: nn.ModuleList, x: Tensor) -> Tensor:
    """Apply blocks one after another."""
    for block in blocks:
        x = block(x)
    return x


def recomputed(blocks: nn.ModuleList, x: Tensor) -> Tensor:
    """Apply blocks, keeping only their input; the backward pass computes the rest a second time."""

    def contexts() -> tuple[contextlib.AbstractContextManager, contextlib.AbstractContextManager]:
        return contextlib.nullcontext(), frozen_statistics(blocks)

    return checkpoint(run_blocks, blocks, x, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)


@contextlib.contextmanager
def frozen_statistics(modules: nn.ModuleList) -> Iterator[None]:
    """Leave the running statistics of batch normalisation as they are."""
    norms = [module for module in modules.modules() if isinstance(module, BatchNorm2d)]
    for norm in norms:
        norm.updates_statistics = False
    try:
        yield
    finally:
        for norm in norms:
            norm.updates_statistics = True


def count_parameters(net: nn.Module) -> int:
    """Return the number of learnt values, batch normalisation's included (Table 6's 19.4M counts them)."""
    return sum(parameter.numel() for parameter in net.parameters())


def weighted_layers(net: nn.Module) -> list[nn.Module]:
    """Return the layers that the paper counts: convolutions and the fc layer, without the shortcuts' projections."""
    return [
        module
        for name, module in net.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and ".shortcut." not in name
    ]


def without_storage(net: nn.Module) -> nn.Module:
    """Return a copy that computes shapes only, so that counting costs nothing and leaves ``net`` as it is."""
    return copy.deepcopy(net).to("meta").eval()


def count_multiply_adds(net: nn.Module, image_size: int) -> int:
    """Return the multiply-adds of one image (3, image_size, image_size): the "FLOPs" of the paper."""
    shapes_only = without_storage(net)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        shapes_only(torch.empty(1, 3, image_size, image_size, device="meta"))
    return counter.get_total_flops() // 2


def layers_by_map(net: nn.Module, image_size: int = 32) -> dict[int, tuple[int, int]]:
    """Return, per side of the output map, the number of convolutions and of filters (section 4.2's table).

    Projections on shortcuts are not counted.
    """
    found: dict[int, tuple[int, int]] = {}

    def count(module: nn.Module, _inputs: tuple[Tensor], output: Tensor) -> None:
        side = output.shape[-1]
        found[side] = (found.get(side, (0, 0))[0] + 1, module.out_channels)

    shapes_only = without_storage(net)
    for layer in weighted_layers(shapes_only):
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(count)
    with torch.no_grad():
        shapes_only(torch.empty(1, 3, image_size, image_size, device="meta"))
    return found

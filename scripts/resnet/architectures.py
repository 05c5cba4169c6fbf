"""The plain and residual networks of sections 3.3, 4.1 and 4.2, the VGG nets they are compared with, and counting."""

import contextlib
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, overload

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils.checkpoint import checkpoint

from resnet.errors import UserError
from resnet.settings import CifarRecipe, ImageNetRecipe, network_of, parse_imagenet_model, parse_model

STAGE_FILTERS = (16, 32, 64)
# Table 1: filters of the 3x3 layers and number of blocks in conv2_x to conv5_x.
IMAGENET_FILTERS = (64, 128, 256, 512)
IMAGENET_BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
# Pixels of the image per pixel of the last map, of every net here.
TOTAL_STRIDE = 32
# VGG [41]: 3x3 layers per block, with the filters of IMAGENET_FILTERS and 512 again in the fifth.
VGG_LAYERS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation whose statistics may come from sub-batches of ``ghost_batch_size`` images.

    That is what batch normalisation saw on the paper's two GPUs (64 images each). As there (and in torch's
    DistributedDataParallel), the running statistics follow the first sub-batch.
    """

    ghost_batch_size: int | None = None
    # False while activations are computed a second time, for the backward pass: their statistics count once.
    updates_statistics: bool = True

    @property
    def is_fixed(self) -> bool:
        """Whether it is a constant scale and shift of each channel while others are trained: in a detector."""
        return not self.training and not self.weight.requires_grad and torch.is_grad_enabled()

    def forward(self, input: Tensor) -> Tensor:
        """Normalise ``input`` of shape (N, C, H, W)."""
        if not self.training:
            return super().forward(input)
        if self.ghost_batch_size is None or self.ghost_batch_size >= len(input):
            return self._normalise(input, self.running_mean, self.running_var)
        first, *others = input.split(self.ghost_batch_size)
        first = self._normalise(first, self.running_mean, self.running_var)
        return torch.cat([first, *(self._normalise(chunk, None, None) for chunk in others)])

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """Return by what each channel is multiplied where statistics are fixed, and what is added to it: (C,) each."""
        mean, variance = self.running_mean, self.running_var
        # No net here is built without running statistics.
        assert mean is not None
        assert variance is not None
        scale = self.weight * (variance + self.eps).rsqrt()
        return scale, self.bias - mean * scale

    def _normalise(self, x: Tensor, mean: Tensor | None, variance: Tensor | None) -> Tensor:
        # No net here gives all updates the same weight.
        assert self.momentum is not None
        momentum = self.momentum if self.updates_statistics else 0.0
        return F.batch_norm(x, mean, variance, self.weight, self.bias, True, momentum, self.eps)


def conv(in_channels: int, out_channels: int, size: int, stride: int = 1) -> nn.Conv2d:
    """Return a ``size``x``size`` convolution that keeps the map size at stride 1; no bias, as BN follows."""
    return nn.Conv2d(in_channels, out_channels, size, stride, padding=size // 2, bias=False)


def normalised(layer: nn.Conv2d, norm: nn.Module, x: Tensor) -> Tensor:
    """Return a convolution's output, normalised; where that is fixed, by a convolution with scaled weights and a bias.

    It takes no pass over the maps of its own then, and keeps none of them for the gradient.
    """
    if not (isinstance(norm, BatchNorm2d) and norm.is_fixed):
        return norm(layer(x))
    scale, shift = norm.scale_and_shift()
    return F.conv2d(x, layer.weight * scale[:, None, None, None], shift, layer.stride, layer.padding)


class Projection(nn.Sequential):
    """The 1x1 convolution of a shortcut, and its batch normalisation."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__(conv(in_channels, out_channels, 1, stride), BatchNorm2d(out_channels))

    def forward(self, input: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, H / stride, W / stride)."""
        layer, norm = self
        assert isinstance(layer, nn.Conv2d)
        return normalised(layer, norm, input)


def fold_norms(net: nn.Module) -> None:
    """Make batch normalisation part of the convolutions before it, in a net that is only tested from now on."""
    for module in [*net.modules()]:
        pairs = [("0", "1")] if isinstance(module, Projection) else [(f"conv{n}", f"bn{n}") for n in (1, 2, 3)]
        for layer, norm in pairs:
            if isinstance(getattr(module, norm, None), BatchNorm2d):
                setattr(module, layer, fuse_conv_bn_eval(getattr(module, layer), getattr(module, norm)))
                setattr(module, norm, nn.Identity())


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
        out = F.relu(normalised(self.conv1, self.bn1, x), inplace=True)
        out = normalised(self.conv2, self.bn2, out)
        if self.shortcut is not None:
            out += self.shortcut(x)
        return F.relu(out, inplace=True)


class SingleLayerBlock(nn.Module):
    """One 3x3 convolution, with a shortcut around it or without: F(x) of a single layer (section 3.2)."""

    def __init__(self, in_channels: int, channels: int, stride: int, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = conv(in_channels, channels, 3, stride)
        self.bn1 = BatchNorm2d(channels)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, channels, H / stride, W / stride)."""
        out = normalised(self.conv1, self.bn1, x)
        if self.shortcut is not None:
            out += self.shortcut(x)
        return F.relu(out, inplace=True)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions of which the last has four times the filters (Fig. 5, right), and a shortcut.

    Plain nets of section 4.1's footnote 4 have none.

    The first 1x1 has the stride, as in the authors' released nets; ``stride_in_3x3`` gives it to the 3x3, as
    torchvision does.
    """

    expansion = 4

    def __init__(
        self, in_channels: int, channels: int, stride: int, shortcut: nn.Module | None, stride_in_3x3: bool = False
    ) -> None:
        super().__init__()
        self.conv1 = conv(in_channels, channels, 1, 1 if stride_in_3x3 else stride)
        self.bn1 = BatchNorm2d(channels)
        self.conv2 = conv(channels, channels, 3, stride if stride_in_3x3 else 1)
        self.bn2 = BatchNorm2d(channels)
        self.conv3 = conv(channels, self.expansion * channels, 1)
        self.bn3 = BatchNorm2d(self.expansion * channels)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, 4 * channels, H / stride, W / stride)."""
        out = F.relu(normalised(self.conv1, self.bn1, x), inplace=True)
        out = F.relu(normalised(self.conv2, self.bn2, out), inplace=True)
        out = normalised(self.conv3, self.bn3, out)
        if self.shortcut is not None:
            out += self.shortcut(x)
        return F.relu(out, inplace=True)


def make_shortcut(option: str, in_channels: int, channels: int, stride: int) -> nn.Module:
    """Return the shortcut of section 3.3: A pads, B projects where dimensions grow, C projects everywhere."""
    grows = stride != 1 or in_channels != channels
    if option == "C" or (option == "B" and grows):
        return Projection(in_channels, channels, stride)
    return PaddedIdentity(channels - in_channels, stride) if grows else nn.Identity()


class CifarNet(nn.Module):
    """A plain or residual net of section 4.2: 6n+2 weighted layers, three stages of 2n, ended by a 10-way softmax.

    Args:
        model: ``plain-<depth>`` or ``resnet-<depth>``.
        shortcut: option A (the paper's choice on CIFAR-10), B or C; plain nets have none.
        classes: outputs of the last layer.
        ghost_batch_size: images per batch-normalisation statistic, None for the whole batch.
        layers_per_block: layers that a shortcut goes around: 2, or section 3.2's 1.

    Raises:
        UserError: the name is unknown or the depth is not 6n+2.
    """

    def __init__(
        self,
        model: str,
        shortcut: str = "A",
        classes: int = 10,
        ghost_batch_size: int | None = None,
        layers_per_block: int = 2,
    ) -> None:
        super().__init__()
        kind, depth = parse_model(model)
        option = shortcut if kind == "resnet" else None
        self.architecture: dict[str, object] = {"model": network_of(model), "shortcut": option}
        if layers_per_block != 2:
            self.architecture["layers_per_block"] = layers_per_block
        block_kind = {1: SingleLayerBlock, 2: BasicBlock}[layers_per_block]
        blocks, channels = [], STAGE_FILTERS[0]
        self.conv1, self.bn1 = conv(3, channels, 3), BatchNorm2d(channels)
        for stage, filters in enumerate(STAGE_FILTERS):
            for block in range((depth - 2) // 3 // layers_per_block):
                stride = 2 if stage > 0 and block == 0 else 1
                around = make_shortcut(shortcut, channels, filters, stride) if kind == "resnet" else None
                blocks.append(block_kind(channels, filters, stride, around))
                channels = filters
        self.blocks = nn.ModuleList(blocks)
        self.fc = nn.Linear(channels, classes)
        # Blocks per group whose activations are recomputed in the backward pass; 0 keeps all of them.
        self.recompute_group = 0
        set_ghost_batch_size(self, ghost_batch_size)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 3, H, W) to class scores (N, classes)."""
        x = F.relu(normalised(self.conv1, self.bn1, images), inplace=True)
        group = self.recompute_group if self.training and torch.is_grad_enabled() else 0
        for start in range(0, len(self.blocks), group or len(self.blocks)):
            blocks = self.blocks[start : start + group] if group else self.blocks
            x = recomputed(blocks, x) if group else run_blocks(blocks, x)
        return self.fc(x.mean((2, 3)))

    def get_extra_state(self) -> dict[str, object]:
        """Return what a file of weights must say, as weights alone do not show it: option A has none."""
        return self.architecture

    def set_extra_state(self, state: dict[str, object]) -> None:
        """Refuse weights of another architecture."""
        require_architecture(state, self.architecture)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        # Earlier run folders do not say it.
        state_dict.setdefault(f"{prefix}_extra_state", self.architecture)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


class ImageNetNet(nn.Module):
    """A plain or residual net of Table 1.

    Args:
        model: ``plain-<18|34|50|101|152>``, ``resnet-<18|34>-<A|B|C>``, ``resnet-<50|101|152>``.
        classes: outputs of the last layer.
        width: multiplies the number of filters of every layer.
        image_size: side of the training crop, which sets the average pool of the fully convolutional form.
        stride_in_3x3: bottlenecks stride in the 3x3 layer, as torchvision's do, instead of the first 1x1.
        ghost_batch_size: images per batch-normalisation statistic, None for the whole batch.

    Raises:
        UserError: the name is unknown.
    """

    def __init__(
        self,
        model: str,
        classes: int = 1000,
        *,
        width: float = 1.0,
        image_size: int = 224,
        stride_in_3x3: bool = False,
        ghost_batch_size: int | None = None,
    ) -> None:
        super().__init__()
        kind, depth, option = parse_imagenet_model(model)
        self.architecture: dict[str, object] = {
            "model": f"{kind}-{depth}",
            "shortcut": option,
            "image_size": image_size,
        }
        if depth >= 50:
            self.architecture["stride_in_3x3"] = stride_in_3x3
        channels = scaled(IMAGENET_FILTERS[0], width)
        self.conv1, self.bn1 = conv(3, channels, 7, 2), BatchNorm2d(channels)
        stages = []
        for stage, (filters, count) in enumerate(zip(IMAGENET_FILTERS, IMAGENET_BLOCKS[depth], strict=True)):
            blocks, filters = [], scaled(filters, width)
            out_channels = filters * (Bottleneck.expansion if depth >= 50 else 1)
            for block in range(count):
                stride = 2 if stage > 0 and block == 0 else 1
                around = make_shortcut(option, channels, out_channels, stride) if option else None
                if depth >= 50:
                    blocks.append(Bottleneck(channels, filters, stride, around, stride_in_3x3))
                else:
                    blocks.append(BasicBlock(channels, filters, stride, around))
                channels = out_channels
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.fc = nn.Linear(channels, classes)
        self.pool_size = image_size // TOTAL_STRIDE
        set_ghost_batch_size(self, ghost_batch_size)

    def features(self, images: Tensor) -> Tensor:
        """Map images (N, 3, H, W) to the maps of conv5_x (N, C, H / 32, W / 32), rounded up."""
        x = F.relu(normalised(self.conv1, self.bn1, images), inplace=True)
        x = F.max_pool2d(x, 3, 2, 1)
        for stage in self.stages:
            x = stage(x)
        return x

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 3, H, W) to class scores (N, classes)."""
        return self.fc(self.features(images).mean((2, 3)))

    def dense(self, images: Tensor) -> Tensor:
        """Map images (N, 3, H, W) of any size to class scores (N, classes): the fully convolutional form.

        Average pooling slides over the map at stride 1 with the window of the training crop, the fc layer is a 1x1
        convolution, and its scores are averaged over the positions (section 3.4; as the layer is linear, the pooled
        features are averaged before it).
        """
        x = self.features(images)
        window = (min(self.pool_size, x.shape[2]), min(self.pool_size, x.shape[3]))
        return self.fc(F.avg_pool2d(x, window, 1).mean((2, 3)))

    def get_extra_state(self) -> dict[str, object]:
        """Return what a file of weights must say, as weights alone do not show it."""
        return self.architecture

    def set_extra_state(self, state: dict[str, object]) -> None:
        """Refuse weights of another architecture."""
        require_architecture(state, self.architecture)


class Vgg(nn.Module):
    """VGG-16 or VGG-19 of [41], without batch normalisation.

    Args:
        model: ``vgg-16`` or ``vgg-19``.
        classes: outputs of the last layer.
        width: multiplies the number of filters of every layer.
        image_size: side of the training crop, which sets the inputs of fc6.
        dropout: part of fc6's and fc7's outputs that is dropped in training.
    """

    def __init__(
        self, model: str, classes: int = 1000, *, width: float = 1.0, image_size: int = 224, dropout: float = 0.0
    ) -> None:
        super().__init__()
        _, depth, _ = parse_imagenet_model(model)
        self.architecture: dict[str, object] = {"model": network_of(model), "image_size": image_size}
        layers, channels = [], 3
        for filters, count in zip((*IMAGENET_FILTERS, IMAGENET_FILTERS[-1]), VGG_LAYERS[depth], strict=True):
            for _ in range(count):
                layers += [nn.Conv2d(channels, scaled(filters, width), 3, padding=1), nn.ReLU(inplace=True)]
                channels = scaled(filters, width)
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.pool_size, hidden = image_size // TOTAL_STRIDE, scaled(4096, width)
        self.fc6 = nn.Linear(channels * self.pool_size**2, hidden)
        self.fc7 = nn.Linear(hidden, hidden)
        self.fc = nn.Linear(hidden, classes)
        self.dropout = dropout
        self.masks: tuple[Tensor, Tensor] | None = None

    def draw_dropout(self, generator: torch.Generator, batch: int, part: slice) -> None:
        """Draw what the next training step drops for a batch of all processes, and keep the images ``part`` of it.

        So what is dropped does not depend on the number of processes. It is drawn where the generator is.
        """
        shape = (2, batch, self.fc7.out_features)
        kept = torch.rand(shape, generator=generator, device=generator.device)[:, part] >= self.dropout
        first, second = (kept.float() / (1 - self.dropout)).unbind()
        self.masks = (first, second)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 3, image_size, image_size) to class scores (N, classes)."""
        x = F.relu(self.fc6(self.features(images).flatten(1)))
        if not (self.training and self.dropout):
            return self.fc(F.relu(self.fc7(x)))
        # draw_dropout comes before a training step.
        assert self.masks is not None
        x = x * self.masks[0]
        return self.fc(F.relu(self.fc7(x)) * self.masks[1])

    def dense(self, images: Tensor) -> Tensor:
        """Map images (N, 3, H, W) of at least 32 pixels to class scores (N, classes).

        The fc layers are convolutions ([41]); the scores are averaged over the positions. A map smaller than that of
        the training crop lies in the middle of zeros, as the maps of an image amid its padding do.
        """
        x = self.features(images)
        lacking = [max(0, self.pool_size - length) for length in (x.shape[3], x.shape[2])]
        x = F.pad(x, [side for each in lacking for side in (each // 2, each - each // 2)])
        kernel = self.fc6.weight.view(self.fc6.out_features, x.shape[1], self.pool_size, self.pool_size)
        x = F.relu(F.conv2d(x, kernel, self.fc6.bias))
        x = F.relu(F.conv2d(x, self.fc7.weight[:, :, None, None], self.fc7.bias))
        return F.conv2d(x, self.fc.weight[:, :, None, None], self.fc.bias).mean((2, 3))

    def get_extra_state(self) -> dict[str, object]:
        """Return what a file of weights must say, as weights alone do not show it."""
        return self.architecture

    def set_extra_state(self, state: dict[str, object]) -> None:
        """Refuse weights of another architecture."""
        require_architecture(state, self.architecture)


@overload
def build_net(recipe: CifarRecipe, classes: int) -> CifarNet: ...
@overload
def build_net(recipe: ImageNetRecipe, classes: int) -> ImageNetNet | Vgg: ...
def build_net(recipe: CifarRecipe | ImageNetRecipe, classes: int) -> CifarNet | ImageNetNet | Vgg:
    """Return the network of a classifier's recipe, not yet initialised."""
    ghost = recipe.ghost_batch_size
    if isinstance(recipe, CifarRecipe):
        return CifarNet(recipe.model, recipe.shortcut, classes, ghost, recipe.layers_per_block)
    sizes = {"width": recipe.width, "image_size": recipe.image_size}
    if parse_imagenet_model(recipe.model)[0] == "vgg":
        return Vgg(recipe.model, classes, **sizes, dropout=recipe.dropout)
    return ImageNetNet(recipe.model, classes, **sizes, stride_in_3x3=recipe.stride_in_3x3, ghost_batch_size=ghost)


def require_architecture(found: object, expected: dict[str, object]) -> None:
    """Compare what a file of weights says of its net with the net they are loaded into.

    Raises:
        UserError: they differ; the message names the first difference.
    """
    if not isinstance(found, dict):
        raise UserError("the weights do not say of which architecture they are")
    for key in expected:
        if found.get(key) != expected[key]:
            raise UserError(f"the weights have {key} {found.get(key)!r}, but the net has {expected[key]!r}")


def from_torchvision(state: dict[str, Tensor], net: ImageNetNet | Vgg) -> dict[str, object]:
    """Return a state dict of torchvision's ResNet or VGG under the names of ``net``.

    Raises:
        UserError: torchvision has no such net (plain nets, options A and C, bottlenecks that stride in the first 1x1).
    """
    _require_torchvision(net)
    if isinstance(net, Vgg):
        names = {"classifier.0.": "fc6.", "classifier.3.": "fc7.", "classifier.6.": "fc."}
        return {**{_replace_start(key, names): value for key, value in state.items()}, "_extra_state": net.architecture}
    renamed = {}
    for key, value in state.items():
        key = re.sub(r"^layer(\d)", lambda match: f"stages.{int(match[1]) - 1}", key)
        renamed[key.replace(".downsample.", ".shortcut.")] = value
    return {**renamed, "_extra_state": net.architecture}


def to_torchvision(net: ImageNetNet | Vgg) -> dict[str, Tensor]:
    """Return the state dict of ``net`` under torchvision's names.

    Raises:
        UserError: torchvision has no such net (plain nets, options A and C, bottlenecks that stride in the first 1x1).
    """
    _require_torchvision(net)
    state = {key: value for key, value in net.state_dict().items() if key != "_extra_state"}
    if isinstance(net, Vgg):
        names = {"fc6.": "classifier.0.", "fc7.": "classifier.3.", "fc.": "classifier.6."}
        return {_replace_start(key, names): value for key, value in state.items()}
    renamed = {}
    for key, value in state.items():
        key = re.sub(r"^stages\.(\d)", lambda match: f"layer{int(match[1]) + 1}", key)
        renamed[key.replace(".shortcut.", ".downsample.")] = value
    return renamed


def _require_torchvision(net: ImageNetNet | Vgg) -> None:
    facts = net.architecture
    if isinstance(net, ImageNetNet) and facts["shortcut"] != "B":
        raise UserError(f"torchvision has no {facts['model']} with shortcuts {facts['shortcut'] or 'left out'}: only B")
    if facts.get("stride_in_3x3") is False:
        raise UserError(
            f"torchvision's {facts['model']} strides in the 3x3 layers, this one in the first 1x1: the same weights "
            "would compute something else (stride_in_3x3: true builds torchvision's)"
        )


def _replace_start(text: str, names: dict[str, str]) -> str:
    return next((new + text.removeprefix(old) for old, new in names.items() if text.startswith(old)), text)


def scaled(filters: int, width: float) -> int:
    """Return a number of filters times ``width``, at least 1."""
    return max(1, round(filters * width))


def set_ghost_batch_size(net: nn.Module, ghost_batch_size: int | None) -> None:
    """Set the images per statistic of every batch normalisation."""
    for module in net.modules():
        if isinstance(module, BatchNorm2d):
            module.ghost_batch_size = ghost_batch_size


def initialise(net: nn.Module, generator: torch.Generator, branch_scale: float = 1) -> None:
    """Draw the weights as in He et al. [13]: normal, variance 2 / fan-in; biases 0, BN at identity.

    Args:
        net: the network.
        generator: of the draws.
        branch_scale: the scale at which the last BN of each residual branch begins. Below the paper's 1, blocks begin
            closer to an identity (Goyal et al., arXiv:1706.02677, section 5.1, begin at 0), and deep nets train in
            fewer iterations.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, SingleLayerBlock | BasicBlock | Bottleneck) and module.shortcut is not None:
            last = [child for child in module.children() if isinstance(child, BatchNorm2d)][-1]
            nn.init.constant_(last.weight, branch_scale)


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
def frozen_statistics(modules: nn.Module) -> Iterator[None]:
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


def convolutions(net: nn.Module) -> list[nn.Conv2d]:
    """Return the convolutions of a net or a part of it, in the order in which it was built."""
    return [module for module in net.modules() if isinstance(module, nn.Conv2d)]


def weighted_layers(net: nn.Module) -> list[nn.Module]:
    """Return the layers that the paper counts: convolutions and the fc layer, without the shortcuts' projections."""
    return [
        module
        for name, module in net.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and ".shortcut." not in name
    ]


@contextlib.contextmanager
def in_evaluation_mode(net: nn.Module) -> Iterator[None]:
    """Have a net in evaluation mode, and then as it was."""
    training = net.training
    net.eval()
    try:
        yield
    finally:
        net.train(training)


@overload
def build_uninitialised(recipe: CifarRecipe, classes: int) -> CifarNet: ...
@overload
def build_uninitialised(recipe: ImageNetRecipe, classes: int) -> ImageNetNet | Vgg: ...
def build_uninitialised(recipe: CifarRecipe | ImageNetRecipe, classes: int) -> CifarNet | ImageNetNet | Vgg:
    """Return the network of a classifier's recipe to count: its weights are whatever the memory held.

    Drawing those of VGG-19 takes a second, counting them none.
    """
    with torch.device("meta"):
        net = build_net(recipe, classes)
    state = net.state_dict().items()
    # As to_empty does, which has torch import a library for symbols.
    memory = {key: torch.empty(value.shape, dtype=value.dtype) for key, value in state if isinstance(value, Tensor)}
    net.load_state_dict({**net.state_dict(), **memory}, assign=True)
    return net


def no_images(net: nn.Module, channels: int, side: int) -> Tensor:
    """Return a batch of no images (0, channels, side, side), of which a net computes nothing but shapes.

    On a CPU or GPU that takes no time. On the device "meta" torch imports a library for it and checks every layer.
    """
    return torch.empty(0, channels, side, side, device=next(net.parameters(), torch.empty(0)).device)


def output_shapes(net: nn.Module, image_size: int) -> dict[nn.Module, torch.Size]:
    """Return what each module makes of an image (3, image_size, image_size): (C, H, W), of an fc layer (features,)."""
    shapes: dict[nn.Module, torch.Size] = {}

    def record(module: nn.Module, _inputs: tuple[Tensor], output: Tensor) -> None:
        shapes[module] = output.shape[1:]

    with contextlib.ExitStack() as contexts:
        contexts.enter_context(torch.no_grad())
        contexts.enter_context(in_evaluation_mode(net))
        for module in net.modules():
            contexts.enter_context(module.register_forward_hook(record))
        net(no_images(net, 3, image_size))
    return shapes


def multiply_adds(layer: nn.Conv2d | nn.Linear, output: Sequence[int]) -> int:
    """Return the multiply-adds of a layer for one image, whose output is (C, H, W), or (features,) of an fc layer."""
    return layer.weight.numel() * math.prod(output[1:])


def count_multiply_adds(net: nn.Module, image_size: int) -> int:
    """Return the multiply-adds of one image (3, image_size, image_size): the "FLOPs" of the paper."""
    shapes = output_shapes(net, image_size).items()
    return sum(multiply_adds(layer, shape) for layer, shape in shapes if isinstance(layer, nn.Conv2d | nn.Linear))


def layers_by_map(net: nn.Module, image_size: int = 32) -> dict[int, tuple[int, int]]:
    """Return, per side of the output map, the number of convolutions and of filters (section 4.2's table).

    Projections on shortcuts are not counted.
    """
    found: dict[int, tuple[int, int]] = {}
    shapes = output_shapes(net, image_size)
    for layer in weighted_layers(net):
        if isinstance(layer, nn.Conv2d):
            side = shapes[layer][-1]
            found[side] = (found.get(side, (0, 0))[0] + 1, layer.out_channels)
    return found

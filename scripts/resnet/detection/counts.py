"""What the paper says of its networks in numbers, counted from the built modules; and the times of its blocks."""

import statistics
import time
from collections.abc import Callable
from functools import cache, partial

import torch
from torch import nn

from resnet.architectures import (
    BatchNorm2d,
    CifarNet,
    ImageNetNet,
    Vgg,
    build_uninitialised,
    initialise,
    weighted_layers,
)
from resnet.detection.detector import SharedResNet, SharedVgg
from resnet.errors import UserError
from resnet.operations import CLASSES, SIDE, Operation, operations, operations_of
from resnet.settings import ImageNetRecipe

# The blocks of Fig. 5 as parts of networks, and the same bottleneck with a projection.
BLOCKS = {
    "basic": "resnet-34-A/stages.0.0",
    "bottleneck": "resnet-50/stages.0.1",
    "projected": "resnet-50-C/stages.0.1",
}
TURNS, WARM_TURNS, BATCH = 5, 1, 2


def count(name: str) -> float:
    """Return one of ``COUNTS``.

    Raises:
        UserError: there is none of this name.
    """
    if name not in COUNTS:
        raise UserError(f"unknown count {name!r}; there are {', '.join(COUNTS)}")
    return COUNTS[name]()


@cache
def network(model: str) -> ImageNetNet | Vgg:
    """Return a network of section 4.1 to count."""
    return build_uninitialised(ImageNetRecipe(model=model), CLASSES)


def depth(model: str) -> int:
    """Return the number of weighted layers of a network."""
    return len(weighted_layers(network(model)))


@cache
def counted(name: str) -> tuple[int, int]:
    """Return multiply-adds and parameters of a network, or of a part of it."""
    found = operations_of(name)
    return sum(one.multiply_adds for one in found), sum(one.parameters for one in found)


def ratio(what: int, ours: str, theirs: str) -> float:
    """Return the ratio of what ``counted`` returns of two networks or parts."""
    return counted(ours)[what] / counted(theirs)[what]


def difference(what: int, ours: str, theirs: str) -> int:
    """Return the difference of what ``counted`` returns of two networks or parts."""
    return counted(ours)[what] - counted(theirs)[what]


def projections(model: str) -> int:
    """Return the number of convolutions on shortcuts."""
    return sum(isinstance(module, nn.Conv2d) for module in network(model).modules()) - depth(model) + 1


@cache
def shared(model: str) -> list[Operation]:
    """Return the operations of the layers that a detector shares among its regions."""
    net = network(model)
    return operations(SharedVgg(net) if isinstance(net, Vgg) else SharedResNet(net), 3, SIDE)


def shared_convolutions(model: str) -> int:
    """Return how many of them are convolutions, without those on shortcuts."""
    net = network(model)
    layers = SharedVgg(net) if isinstance(net, Vgg) else SharedResNet(net)
    return len(weighted_layers(layers))


def shared_stride(model: str) -> float:
    """Return pixels of the image per pixel of the shared map."""
    return SIDE / (shared(model)[-1].side or 1)


@cache
def milliseconds() -> dict[str, float]:
    """Return how long each block takes per image of conv2_x, forward and backward; the blocks take turns."""
    modules, maps, taken = {}, {}, {kind: [] for kind in BLOCKS}
    for kind, name in BLOCKS.items():
        model, _, part = name.partition("/")
        block = modules[kind] = network(model).get_submodule(part).to(memory_format=torch.channels_last)
        initialise(block, torch.Generator().manual_seed(0))
        for norm in block.modules():
            if isinstance(norm, BatchNorm2d):
                norm.reset_parameters()
        given = operations_of(name)[0]
        shape = (BATCH, given.channels, given.side or 1, given.side or 1)
        maps[kind] = torch.rand(shape).to(memory_format=torch.channels_last)
    for _ in range(WARM_TURNS + TURNS):
        for kind, module in modules.items():
            started = time.perf_counter()
            module(maps[kind].requires_grad_()).sum().backward()
            taken[kind].append(time.perf_counter() - started)
    return {kind: 1000 * statistics.median(seconds[WARM_TURNS:]) / BATCH for kind, seconds in taken.items()}


def construction_error() -> float:
    """Return how far a plain-56 made of a plain-20 and of identity layers is from it: section 1's construction.

    Scores of images are compared in float64, as a part of the largest.
    """
    shallow, generator = CifarNet("plain-20").double(), torch.Generator().manual_seed(0)
    initialise(shallow, generator)
    deep = deepened(shallow, "plain-56")
    images = torch.randn(4, 3, 32, 32, dtype=torch.float64, generator=generator)
    with torch.no_grad():
        expected, found = shallow.eval()(images), deep.eval()(images)
    return float((found - expected).abs().max() / expected.abs().max())


def deepened(shallow: CifarNet, model: str) -> CifarNet:
    """Return a deeper plain net that computes what a shallower one does: the blocks that it has more are identities.

    Such a block passes on what it is given, which is not below zero, as it comes from ReLU.
    """
    deep = CifarNet(model).to(shallow.fc.weight.dtype)
    for part in ("conv1", "bn1", "fc"):
        deep.get_submodule(part).load_state_dict(shallow.get_submodule(part).state_dict())
    ours, theirs = len(deep.blocks) // 3, len(shallow.blocks) // 3
    for number, block in enumerate(deep.blocks):
        stage, place = divmod(number, ours)
        if place < theirs:
            block.load_state_dict(shallow.blocks[stage * theirs + place].state_dict())
            continue
        for module in block.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.dirac_(module.weight)
            elif isinstance(module, BatchNorm2d):
                nn.init.constant_(module.weight, (1 + module.eps) ** 0.5)
    return deep


MULTIPLY_ADDS, PARAMETERS = range(2)
COUNTS: dict[str, Callable[[], float]] = {
    "depth_ratio": lambda: depth("resnet-152") / depth("vgg-19"),
    "layers_plain_34": partial(depth, "plain-34"),
    "layers_resnet_34": partial(depth, "resnet-34-A"),
    "flops_34_of_vgg_19": lambda: 100 * ratio(MULTIPLY_ADDS, "plain-34", "vgg-19"),
    "shortcut_parameters_18": partial(difference, PARAMETERS, "resnet-18-A", "plain-18"),
    "shortcut_parameters_34": partial(difference, PARAMETERS, "resnet-34-A", "plain-34"),
    "shortcut_flops_18": partial(difference, MULTIPLY_ADDS, "resnet-18-A", "plain-18"),
    "shortcut_flops_34": partial(difference, MULTIPLY_ADDS, "resnet-34-A", "plain-34"),
    "projections_added_by_c": lambda: projections("resnet-34-C") - projections("resnet-34-B"),
    "bottleneck_flops_ratio": partial(ratio, MULTIPLY_ADDS, BLOCKS["bottleneck"], BLOCKS["basic"]),
    "projection_flops_ratio": partial(ratio, MULTIPLY_ADDS, BLOCKS["projected"], BLOCKS["bottleneck"]),
    "projection_parameters_ratio": partial(ratio, PARAMETERS, BLOCKS["projected"], BLOCKS["bottleneck"]),
    **{f"milliseconds_{kind}": lambda kind=kind: milliseconds()[kind] for kind in BLOCKS},
    "construction_error": construction_error,
    **{f"shared_convolutions_{model}": partial(shared_convolutions, model) for model in ("resnet-101", "vgg-16")},
    **{f"shared_stride_{model}": partial(shared_stride, model) for model in ("resnet-101", "vgg-16")},
}

"""The rows of Table 1: stages, layers and FLOPs of networks for ImageNet, counted from their modules."""

from typing import Any

from torch import nn

from resnet.architectures import (
    ImageNetNet,
    Vgg,
    build_uninitialised,
    count_multiply_adds,
    count_parameters,
    output_shapes,
    weighted_layers,
)
from resnet.artefacts import Artefact
from resnet.settings import ImageNetRecipe

SIDE = 224


def row_of(published: dict[str, Any], table: Artefact) -> dict[str, Any]:
    """Return a network's row: stages, output sizes, layers, parameters and FLOPs, beside the paper's."""
    net = build_uninitialised(ImageNetRecipe(model=published["model"]), 1000)
    stages = {} if isinstance(net, Vgg) else stages_of(net)
    row = {"method": published["method"], "layers": len(weighted_layers(net))}
    for name in table.values["stages"]:
        text, size = stages.get(name, ("", None))
        row |= {name: text, f"paper_{name}": published.get(name, ""), f"output_{name}": size}
    flops = count_multiply_adds(net, SIDE)
    fc = sum(module.in_features * module.out_features for module in net.modules() if isinstance(module, nn.Linear))
    return row | {
        "parameters": count_parameters(net),
        "flops_1e9": flops / 1e9,
        "conv_flops_1e9": (flops - fc) / 1e9,
        "paper_flops_1e9": published["flops_1e9"],
        "source": "reproduced",
    }


def stages_of(net: ImageNetNet) -> dict[str, tuple[str, int]]:
    """Return per stage what the paper writes in its cell, and the side of its output."""
    shapes, first = output_shapes(net, SIDE), net.conv1
    found = {"conv1": (f"{shape(first)}, stride {first.stride[0]}", shapes[first][-1])}
    for number, stage in enumerate(net.stages):
        blocks = {"; ".join(shape(conv) for conv in own_convolutions(block)) for block in stage.children()}
        text = f"[{' | '.join(sorted(blocks))}] × {len(list(stage.children()))}"
        found[f"conv{number + 2}_x"] = (text, shapes[stage][-1])
    return found


def own_convolutions(block: nn.Module) -> list[nn.Conv2d]:
    """Return a block's convolutions without the shortcut's."""
    return [module for module in block.children() if isinstance(module, nn.Conv2d)]


def shape(conv: nn.Conv2d) -> str:
    """Return size and filters as the paper writes them."""
    return f"{conv.kernel_size[0]}×{conv.kernel_size[1]}, {conv.out_channels}"

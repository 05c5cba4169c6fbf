"""Write Table 1, the architectures for ImageNet, counted from the networks themselves.

FLOPs are multiply-adds of the convolutions and fc layers for a 224x224 image, projection shortcuts included.
"""

import argparse
from typing import Any

import torch
from torch import Tensor, nn

from resnet.architectures import (
    ImageNetNet,
    Vgg,
    build_net,
    count_multiply_adds,
    count_parameters,
    weighted_layers,
    without_storage,
)
from resnet.artefacts import Artefact, read_artefact
from resnet.errors import run_program
from resnet.rendering.exhibits import add_table_arguments, exhibit, write_table
from resnet.rendering.tables import architecture_grid
from resnet.settings import ImageNetRecipe

SIDE = 224


def main() -> None:
    """Build every network, count, and write CSV, Markdown and JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_table_arguments(parser)
    arguments = parser.parse_args()
    table = read_artefact(arguments.artefact)
    rows = [row_of(published, table) for published in table.values["rows"]]
    headings, cells = architecture_grid(table, rows)
    note = " ".join(
        f"{row['method']}: {row['flops_1e9']:.2f} ({row['conv_flops_1e9']:.2f} without the fc layers); "
        f"the paper: {row['paper_flops_1e9']}."
        for row in rows
        if not row["conv1"]
    )
    write_table(arguments, tuple(rows[0]), rows, exhibit(table, headings, cells, note=note))


def row_of(published: dict[str, Any], table: Artefact) -> dict[str, Any]:
    """Return a network's row: stages, output sizes, layers, parameters and FLOPs, beside the paper's."""
    with torch.device("meta"):
        net = build_net(ImageNetRecipe(model=published["model"]), 1000)
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
    sizes = output_sides(net)
    first = net.conv1
    found = {"conv1": (f"{shape(first)}, stride {first.stride[0]}", sizes["conv1"])}
    for number, stage in enumerate(net.stages):
        blocks = {"; ".join(shape(conv) for conv in own_convolutions(block)) for block in stage.children()}
        text = f"[{' | '.join(sorted(blocks))}] × {len(list(stage.children()))}"
        found[f"conv{number + 2}_x"] = (text, sizes[f"stages.{number}"])
    return found


def own_convolutions(block: nn.Module) -> list[nn.Conv2d]:
    """Return a block's convolutions without the shortcut's."""
    return [module for module in block.children() if isinstance(module, nn.Conv2d)]


def shape(conv: nn.Conv2d) -> str:
    """Return size and filters as the paper writes them."""
    return f"{conv.kernel_size[0]}×{conv.kernel_size[1]}, {conv.out_channels}"


def output_sides(net: nn.Module) -> dict[str, int]:
    """Return the side of the output of every module for a 224x224 image."""
    sides: dict[str, int] = {}
    shapes_only = without_storage(net)
    for name, module in shapes_only.named_modules():

        def record(_module: nn.Module, _inputs: tuple[Tensor], output: Tensor, name: str = name) -> None:
            sides[name] = output.shape[-1]

        module.register_forward_hook(record)
    with torch.no_grad():
        shapes_only(torch.empty(1, 3, SIDE, SIDE, device="meta"))
    return sides


if __name__ == "__main__":
    run_program(main)

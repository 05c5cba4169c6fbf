"""Write the architecture table of section 4.2, counted from the networks themselves."""

import argparse
from pathlib import Path

import torch

from resnet.architectures import (
    CifarNet,
    PaddedIdentity,
    count_multiply_adds,
    count_parameters,
    layers_by_map,
    weighted_layers,
)
from resnet.errors import run_program
from resnet.rendering.tables import read_paper, write_markdown, write_table

SIDE = 32


def main() -> None:
    """Build every network, count, and write CSV and Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--paper", type=Path, required=True, help="workflow/paper/cifar_architectures.yaml")
    parser.add_argument("--models", nargs="+", required=True, help="plain-<depth> and resnet-<depth>")
    parser.add_argument("--shortcut", default="A", help="shortcuts of the residual nets: A, B or C (default: A)")
    parser.add_argument("--csv", type=Path, required=True, help="CSV to write")
    parser.add_argument("--md", type=Path, required=True, help="Markdown to write")
    arguments = parser.parse_args()
    paper = read_paper(arguments.paper)
    sizes = [row["map_size"] for row in paper["rows"]]
    rows = [count(model, arguments.shortcut, paper) for model in arguments.models]
    write_table(tuple(rows[0]), rows, arguments.csv)
    headings = ("model", "n", *(f"{s}×{s}: layers × filters" for s in sizes), "layers", "parameters", "multiply-adds")
    published = ["the paper", "n", *(f"({row['layers']}) × {row['filters']}" for row in paper["rows"]), "6n+2", "", ""]
    cells = [
        [
            row["method"],
            str(row["n"]),
            *(f"{row[f'layers_{size}x{size}']} × {row[f'filters_{size}x{size}']}" for size in sizes),
            str(row["layers"]),
            f"{row['parameters']:,}",
            f"{row['multiply_adds'] / 1e6:.1f}M",
        ]
        for row in rows
    ]
    note = f"Counted from the modules, for {SIDE}×{SIDE} images; n and the layers per map size as in the first row."
    write_markdown(arguments.md, paper["title"], note, headings, [published, *cells])


def count(model: str, shortcut: str, paper: dict) -> dict:
    """Return one model's row: layers and filters per map size beside the paper's, parameters, multiply-adds."""
    with torch.device("meta"):
        net = CifarNet(model, shortcut)
    layers = len(weighted_layers(net))
    n = (layers - 2) // 6
    row = {"method": model, "n": n, "layers": layers, "paper_layers": 6 * n + 2}
    counted = layers_by_map(net, SIDE)
    for published in paper["rows"]:
        size = published["map_size"]
        expected = {"1+2n": 1 + 2 * n, "2n": 2 * n}[published["layers"]]
        found, filters = counted[size]
        row |= {f"layers_{size}x{size}": found, f"paper_layers_{size}x{size}": expected}
        row |= {f"filters_{size}x{size}": filters, f"paper_filters_{size}x{size}": published["filters"]}
    return row | {
        "shortcuts": sum(block.shortcut is not None for block in net.blocks),
        "padded_shortcuts": sum(isinstance(module, PaddedIdentity) for module in net.modules()),
        "parameters": count_parameters(net),
        "multiply_adds": count_multiply_adds(net, SIDE),
        "source": "reproduced",
    }


if __name__ == "__main__":
    run_program(main)

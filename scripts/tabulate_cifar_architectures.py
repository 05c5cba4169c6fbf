"""Write the architecture table of section 4.2, counted from the networks themselves."""

import argparse
from typing import Any

from resnet.artefacts import Artefact, read_artefact
from resnet.errors import run_program
from resnet.rendering.exhibits import NOT_IN_PAPER, add_table_arguments, exhibit, write_table
from resnet.rendering.tables import in_paper
from resnet.settings import CifarRecipe

SIDE = 32
COUNTED = ("layers", "shortcuts", "parameters", "multiply-adds")


def main() -> None:
    """Build every network, count, and write CSV, Markdown and JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_table_arguments(parser)
    parser.add_argument("--shortcut", default="A", help="shortcuts of the residual nets: A, B or C (default: A)")
    arguments = parser.parse_args()
    table = read_artefact(arguments.artefact)
    rows = [count(model, arguments.shortcut, table) for model in [*table.models, *arguments.others]]
    published = table.values["rows"]
    sizes = [row["map_size"] for row in published]
    headings = ("model", "n", *(f"{s}×{s}: layers × filters" for s in sizes), *COUNTED)
    paper = ["the paper", "n", *(f"({row['layers']}) × {row['filters']}" for row in published), "6n+2", "3n", "", ""]
    cells = [paper, *(printed(row, sizes) for row in rows)]
    write_table(arguments, tuple(rows[0]), rows, exhibit(table, headings, cells))


def printed(row: dict[str, Any], sizes: list[int]) -> list[str]:
    """Return the printed cells of a row."""
    return [
        row["method"] if row["in_paper"] == in_paper(True) else f"{row['method']} ({NOT_IN_PAPER})",
        str(row["n"]),
        *(f"{row[f'layers_{size}x{size}']} × {row[f'filters_{size}x{size}']}" for size in sizes),
        str(row["layers"]),
        str(row["shortcuts"]),
        f"{row['parameters']:,}",
        f"{row['multiply_adds'] / 1e6:.1f}M",
    ]


def count(model: str, shortcut: str, table: Artefact) -> dict[str, Any]:
    """Return one model's row: layers and filters per map size beside the paper's, parameters, multiply-adds."""
    # Imported when the arguments have been read, as it takes seconds.
    from resnet.architectures import (
        PaddedIdentity,
        build_uninitialised,
        count_multiply_adds,
        count_parameters,
        layers_by_map,
        weighted_layers,
    )

    net = build_uninitialised(CifarRecipe(model=model, shortcut=shortcut), 10)
    layers = len(weighted_layers(net))
    n = (layers - 2) // 6
    row = {"method": model, "n": n, "layers": layers, "paper_layers": 6 * n + 2}
    counted = layers_by_map(net, SIDE)
    for published in table.values["rows"]:
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
        "in_paper": in_paper(model in table.models),
    }


if __name__ == "__main__":
    run_program(main)

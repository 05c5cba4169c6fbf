"""Write Table 1, the architectures for ImageNet, counted from the networks themselves.

FLOPs are multiply-adds of the convolutions and fc layers for a 224x224 image, projection shortcuts included.
"""

import argparse

from resnet.artefacts import read_artefact
from resnet.errors import run_program
from resnet.rendering.exhibits import add_table_arguments, exhibit, write_table
from resnet.rendering.tables import architecture_grid


def main() -> None:
    """Build every network, count, and write CSV, Markdown and JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_table_arguments(parser)
    arguments = parser.parse_args()

    # What takes long to import comes after the arguments, so that --help and a wrong one are answered at once.
    from resnet.classification.stages import row_of

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


if __name__ == "__main__":
    run_program(main)

"""Write the report: one self-contained HTML page with every artefact beside the paper's values.

What is not given is left out: without ImageNet, say, its tables and runs.
"""

import argparse
from pathlib import Path

from resnet.errors import run_program
from resnet.files import write_text
from resnet.sections import SECTIONS


def main() -> None:
    """Read the artefacts and render."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    paths = {"type": Path, "default": []}
    parser.add_argument("--scale", required=True, help="name of the scale")
    parser.add_argument("--sections", nargs="*", choices=SECTIONS, default=list(SECTIONS), help="what it shows")
    parser.add_argument("--left-out", nargs="*", default=[], help="<section>=<why it could not be made>")
    parser.add_argument("--errors", nargs="*", **paths, help="results/table2.csv to table5.csv")
    parser.add_argument("--published", nargs="*", **paths, help="workflow/paper/table2.yaml …")
    parser.add_argument("--table1", nargs="*", **paths, help="table1.csv, workflow/paper/table1.yaml")
    parser.add_argument("--table6", nargs="?", type=Path, help="results/table6.csv")
    parser.add_argument("--architectures", nargs="?", type=Path, help="results/cifar_architectures.csv")
    parser.add_argument("--claims", type=Path, required=True, help="results/claims.csv")
    parser.add_argument("--figures", nargs="*", **paths, help="results/fig*.png")
    parser.add_argument("--drawings", nargs="*", **paths, help="workflow/paper/fig*.yaml, same order")
    parser.add_argument("--results", nargs="*", **paths, help="result.json in every run folder")
    parser.add_argument("--detection-tables", nargs="*", **paths, help="table7.csv, table8.csv")
    parser.add_argument("--detection-published", nargs="*", **paths, help="workflow/paper/table7.yaml …")
    parser.add_argument("--detection-figures", nargs="*", **paths, help="detection_curves.png …")
    parser.add_argument("--detectors", nargs="*", **paths, help="result.json of every detector")
    parser.add_argument("--output", type=Path, required=True, help="HTML to write")
    arguments = parser.parse_args()
    from resnet.rendering.report import render

    page = render(
        scale=arguments.scale,
        sections=arguments.sections,
        left_out=dict(text.split("=", 1) for text in arguments.left_out),
        errors=dict(zip(arguments.errors, arguments.published, strict=True)),
        table1=arguments.table1,
        table6=arguments.table6,
        architectures=arguments.architectures,
        claims=arguments.claims,
        figures={path.stem: path for path in arguments.figures},
        drawings={path.stem: path for path in arguments.drawings},
        runs=[path.parent for path in arguments.results],
        detection_tables=dict(zip(arguments.detection_tables, arguments.detection_published, strict=True)),
        detection_figures=arguments.detection_figures,
        detectors=[path.parent for path in arguments.detectors],
    )
    write_text(arguments.output, page)


if __name__ == "__main__":
    run_program(main)

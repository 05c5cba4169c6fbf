"""Write the report: one self-contained HTML page with every artefact beside the paper's values.

It shows what it is given: without ImageNet, say, neither its tables nor its runs. Where another scale has been run, its
verdicts, numbers and figures are shown beside this one's.
"""

import argparse
from pathlib import Path

from resnet.errors import run_program
from resnet.files import write_text
from resnet.sections import SECTIONS


def main() -> None:
    """Read what the artefacts show and render."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    files = {"type": Path, "nargs": "*", "default": []}
    parser.add_argument("--scale", required=True, help="name of the scale")
    parser.add_argument("--sections", nargs="*", choices=SECTIONS, default=list(SECTIONS), help="what it is about")
    parser.add_argument("--left-out", nargs="*", default=[], help="<section or figure>=<why it could not be made>")
    parser.add_argument("--claims", type=Path, required=True, help="results/claims.csv")
    parser.add_argument("--exhibits", **files, help="results/<name>.json of tables and figures, in their order")
    parser.add_argument("--results", **files, help="result.json in the run folders of classifiers")
    parser.add_argument("--detectors", **files, help="result.json in the run folders of detectors")
    parser.add_argument("--others", **files, help="what reports of other scales have shown, to show beside this one's")
    parser.add_argument("--shown", type=Path, required=True, help="JSON to write: what this one shows, for the others")
    parser.add_argument("--output", type=Path, required=True, help="HTML to write")
    arguments = parser.parse_args()
    from resnet.rendering.report import render, shown_page
    from resnet.rendering.scales import read_pages, write_page

    page = shown_page(arguments.scale, arguments.claims, arguments.exhibits)
    text = render(
        page,
        sections=arguments.sections,
        left_out=dict(text.split("=", 1) for text in arguments.left_out),
        claims=arguments.claims,
        runs=[path.parent for path in arguments.results],
        detectors=[path.parent for path in arguments.detectors],
        others=read_pages(arguments.others),
    )
    write_page(arguments.shown, page)
    write_text(arguments.output, text)


if __name__ == "__main__":
    run_program(main)

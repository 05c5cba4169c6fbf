"""Draw test images with their objects, and beside them with as many of each detector's surest detections."""

import argparse
from pathlib import Path

from resnet.artefacts import read_artefact
from resnet.errors import run_program
from resnet.files import read_json
from resnet.records import Detection
from resnet.rendering.exhibits import add_figure_arguments, exhibit, write_exhibit
from resnet.rendering.figures import save
from resnet.settings import EXPERIMENTS


def main() -> None:
    """Read images and detections and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_figure_arguments(parser)
    parser.add_argument("--data", type=Path, required=True, help="dataset.json of a prepared data set")
    parser.add_argument(
        "--detections", type=Path, nargs="+", required=True, help="…/<model>/seed<k>/evaluation/detections.json"
    )
    arguments = parser.parse_args()

    # What takes long to import comes after the arguments, so that --help and a wrong one are answered at once.
    from resnet.data.objects import ObjectsDescription, read_scenes
    from resnet.rendering.detections import box_colour, choose_scenes, draw_sheet, found_in

    figure = read_artefact(arguments.artefact)
    description = ObjectsDescription.read(arguments.data)
    scenes = read_scenes(arguments.data, description, EXPERIMENTS[figure.values["experiment"]].test)
    names = dict(zip(description.ids, description.classes, strict=True))
    chosen = choose_scenes(scenes, figure.values["images"])
    found = {
        model: found_in(read_json(path, list[Detection]), chosen, names, box_colour(figure, model))
        for model, path in ((path.parents[2].name, path) for path in arguments.detections)
    }
    drawn = draw_sheet(description.path, chosen, description.classes, found, arguments.note)
    save(drawn, arguments.output)
    write_exhibit(arguments.json, exhibit(figure, inches=drawn.get_figwidth()))


if __name__ == "__main__":
    run_program(main)

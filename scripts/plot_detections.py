"""Draw test images with their objects, and beside them with as many of each detector's surest detections."""

from pathlib import Path

from resnet.data.objects import ObjectsDescription, read_scenes
from resnet.errors import run_program
from resnet.files import read_json
from resnet.records import Detection
from resnet.rendering.detections import choose_scenes, colour_of, draw_sheet, found_in
from resnet.rendering.figures import save
from resnet.rules import reader
from resnet.settings import EXPERIMENTS, ArgumentParser


def main() -> None:
    """Read images and detections and draw."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="dataset.json of a prepared data set")
    parser.add_argument("--experiment", choices=EXPERIMENTS, required=True, help="what was tested on")
    parser.add_argument(
        "--detections", type=Path, nargs="+", required=True, help="…/<model>/seed<k>/evaluation/detections.json"
    )
    images = reader({"type": "integer", "minimum": 1, "maximum": 100})
    parser.add_argument("--images", type=images, default=6, help="number of images (default: 6)")
    parser.add_argument("--output", type=Path, nargs="+", required=True, help="files to write: .pdf, .png")
    parser.add_argument("--note", default="", help="a line under the figure")
    arguments = parser.parse_args()
    description = ObjectsDescription.read(arguments.data)
    scenes = read_scenes(arguments.data, description, EXPERIMENTS[arguments.experiment].test)
    names = dict(zip(description.ids, description.classes, strict=True))
    chosen = choose_scenes(scenes, arguments.images)
    found = {
        model: found_in(read_json(path, list[Detection]), chosen, names, colour_of(model))
        for model, path in ((path.parents[2].name, path) for path in arguments.detections)
    }
    save(draw_sheet(description.path, chosen, description.classes, found, arguments.note), arguments.output)


if __name__ == "__main__":
    run_program(main)

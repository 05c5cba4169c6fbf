"""Measure the standard deviation of each 3x3 layer's response over the test images (section 4.2, Fig. 7)."""

from pathlib import Path
from typing import Any

import torch

from resnet.architectures import CifarNet
from resnet.data.batches import EvaluationBatches, load_parts
from resnet.data.cifar10 import read_description
from resnet.errors import UserError, run_program
from resnet.files import read_yaml, write_rows
from resnet.responses import response_deviations
from resnet.settings import ArgumentParser, Hardware, add_arguments, at_most_cores

BATCH = 250


def main() -> None:
    """Load the trained network and write one row per layer."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="dataset.json the network was trained on")
    parser.add_argument("--run-folder", type=Path, required=True, help="folder of the run")
    parser.add_argument("--output", type=Path, required=True, help="CSV to write")
    add_arguments(parser, Hardware, ("threads",))
    arguments = parser.parse_args()
    torch.set_num_threads(at_most_cores("threads", arguments.threads))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    recipe = read_yaml(arguments.run_folder / "config.yaml", {"recipe": dict[str, Any]})["recipe"]
    description = read_description(arguments.data)
    net = CifarNet(recipe["model"], recipe["shortcut"], len(description.classes)).to(device)
    try:
        net.load_state_dict(torch.load(arguments.run_folder / "weights.pt", map_location=device, weights_only=True))
    except RuntimeError as error:
        raise UserError(f"{arguments.run_folder / 'weights.pt'} does not fit its config.yaml: {error}") from None
    parts, mean = load_parts(description, recipe["image_size"], recipe["validation_fraction"], recipe["split_seed"])
    batches = EvaluationBatches(parts["test"], mean, BATCH, device)
    rows = [
        {"layer": index, "name": name, "std": deviation}
        for index, (name, deviation) in enumerate(response_deviations(net, batches), start=1)
    ]
    write_rows(arguments.output, ("layer", "name", "std"), rows)


if __name__ == "__main__":
    run_program(main)

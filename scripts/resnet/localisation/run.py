"""Testing the run of a localiser: from its folder to the boxes that it finds."""

from collections.abc import Sequence
from pathlib import Path

import torch

from resnet.architectures import ImageNetNet, build_net, fold_norms
from resnet.data.imagenet import ImageNetDescription, read_index
from resnet.data.located import Boxes
from resnet.data.scratch import on_scratch
from resnet.errors import UserError
from resnet.files import read_arrays, write_arrays, write_json
from resnet.localisation.net import Localiser
from resnet.localisation.proposals import Proposals, classes_of, united
from resnet.localisation.testing import Images, View, joined, parts_of, proposals_of, refined
from resnet.progress import Progress
from resnet.provenance import code, now, surroundings
from resnet.run_folder import RunFolder
from resnet.settings import Hardware, ImageNetRecipe, LocaliserRecipe
from resnet.training.checkpoint import fill, read_tensors
from resnet.training.distributed import Processes
from resnet.training.precision import choose_precision
from resnet.versions import versions


class LoadedRun:
    """A run's network on its device, and the images of a split that have boxes.

    Args:
        run: the run folder.
        stage: what it must be of: rpn or rcnn.
        data: the data set's ``dataset.json``.
        boxes: ``boxes-<split>.npz``.
        split: train or val.
        hardware: where to compute.

    Raises:
        UserError: a file is missing or damaged, or fits no other.
    """

    def __init__(self, run: Path, stage: str, data: Path, boxes: Path, split: str, hardware: Hardware) -> None:
        torch.set_num_threads(hardware.threads)
        self.hardware, processes = hardware, Processes(hardware)
        self.device, folder = processes.device, RunFolder(run)
        self.recipe, facts = folder.recipe(LocaliserRecipe), folder.said("resolved")
        if self.recipe.stage != stage:
            raise UserError(f"{run} is a run of {self.recipe.stage}, not of {stage}")
        try:
            classifier = ImageNetRecipe.of_network(**facts["classifier"])
            classes, self.crop = int(facts["classes"]), View(facts["test_shorter_side"], classifier.image_size)
        except (TypeError, KeyError):
            raise UserError(f"{run / 'config.yaml'} does not say on which network the localiser is built") from None
        net = build_net(classifier, 1)
        assert isinstance(net, ImageNetNet)
        self.size = classifier.image_size
        self.net = Localiser(net, torch.zeros(3, 1, 1), classes, self.recipe)
        fill(self.net, read_tensors(folder.weights), folder.weights)
        fold_norms(self.net.eval())
        self.net.to(self.device).to(memory_format=torch.channels_last)
        description = ImageNetDescription.read(data)
        if classes != len(description.wnids):
            raise UserError(f"{run} knows {classes} classes, but {data} has {len(description.wnids)}")
        self.index, self.boxes = read_index(data, description, split), read_arrays(boxes, Boxes)
        description = on_scratch(description, processes, self.index)
        self.images = Images.of(description.path, self.index, self.boxes, self.device, processes.workers)
        self.precision = choose_precision(self.recipe.precision, self.device)
        self.autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def write(self, output: Path, found: Proposals) -> None:
        """Write boxes, and beside them with what they were found."""
        write_arrays(output, found)
        facts = {
            "versions": versions("decode", "localise"),
            **code(),
            **surroundings(self.device, self.hardware.threads, 1, self.precision),
            "finished": now(),
        }
        write_json(output.with_suffix(".json"), facts)

    def progress(self, title: str) -> Progress:
        """Return the display of the images that are done."""
        return Progress(len(self.boxes), title=f"{self.recipe.model} {title}", unit="images", speed_unit="images")


def propose_boxes(
    run: Path,
    data: Path,
    boxes: Path,
    *,
    split: str,
    predictions: list[Path],
    protocol: str,
    shorter_sides: Sequence[int],
    output: Path,
    hardware: Hardware,
) -> None:
    """Write the boxes that a proposal network proposes for the class of each image, and for predicted ones.

    Args:
        run: its folder.
        data: the data set's ``dataset.json``.
        boxes: ``boxes-<split>.npz``.
        split: train or val.
        predictions: probabilities of the split's images, as npz of one or several networks; none: the true class only.
        protocol: center (one crop) or dense (whole images at several scales).
        shorter_sides: those scales.
        output: npz to write.
        hardware: where to compute.

    Raises:
        UserError: a file is missing or damaged, or fits no other.
    """
    loaded = LoadedRun(run, "rpn", data, boxes, split, hardware)
    classes = classes_of(loaded.index, loaded.boxes.images, predictions)
    views = [loaded.crop] if protocol == "center" else [View(side) for side in shorter_sides]
    progress, parts = loaded.progress(protocol), []
    every = parts_of(len(loaded.boxes))
    for part, found in proposals_of(
        loaded.net, loaded.images, classes, views, loaded.recipe.proposals, loaded.autocast, every
    ):
        parts.append(found)
        progress.step(len(part))
    progress.close()
    loaded.write(output, joined(parts))


def refine_boxes(run: Path, data: Path, boxes: Path, proposals: list[Path], output: Path, hardware: Hardware) -> None:
    """Write proposals for the validation images with the boxes and scores that R-CNN gives them.

    Args:
        run: the folder of R-CNN.
        data: the data set's ``dataset.json``.
        boxes: ``boxes-val.npz``.
        proposals: those of one or several proposal networks, as npz; all of them are refined.
        output: npz to write.
        hardware: where to compute.

    Raises:
        UserError: a file is missing or damaged, or fits no other.
    """
    loaded = LoadedRun(run, "rcnn", data, boxes, "val", hardware)
    given = united([read_arrays(path, Proposals) for path in proposals], proposals)
    if len(given.classes) != len(loaded.boxes):
        raise UserError(f"{proposals[0]} is of {len(given.classes)} images, but {len(loaded.boxes)} have boxes")
    progress, parts = loaded.progress("regions"), []
    for part, found in refined(
        loaded.net, loaded.images, given, loaded.size, loaded.autocast, parts_of(len(loaded.boxes))
    ):
        parts.append(found)
        progress.step(len(part))
    progress.close()
    loaded.write(output, joined(parts))

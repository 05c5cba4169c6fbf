"""Testing a run: from its folder to its errors and predictions."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from resnet.architectures import TOTAL_STRIDE, ImageNetNet, Vgg, build_net, fold_norms
from resnet.classification.predictions import Predictions
from resnet.classification.protocols import Evaluator
from resnet.data.image_statistics import ImageStatistics
from resnet.data.imagenet import ImageNetDescription, Index, read_index
from resnet.data.scratch import on_scratch
from resnet.data.views import Normalise
from resnet.errors import UserError
from resnet.files import read_arrays, write_arrays, write_json
from resnet.progress import Progress
from resnet.provenance import code, now, surroundings
from resnet.run_folder import RunFolder
from resnet.settings import Hardware, ImageNetRecipe
from resnet.training.checkpoint import fill, read_tensors
from resnet.training.distributed import Processes
from resnet.training.precision import choose_precision
from resnet.versions import versions


def load_network(run: RunFolder, classes: int, device: torch.device) -> tuple[ImageNetNet | Vgg, ImageNetRecipe]:
    """Return the network of a run folder with its weights, in evaluation mode, and its recipe.

    Raises:
        UserError: the weights are damaged or of another architecture.
    """
    recipe = run.recipe(ImageNetRecipe)
    net = build_net(recipe, classes)
    fill(net, read_tensors(run.weights), run.weights)
    return net.to(device).to(memory_format=torch.channels_last).eval(), recipe


def evaluate_run(
    run: Path,
    data: Path,
    image_statistics: Path,
    *,
    protocols: list[str],
    shorter_sides: list[int],
    output: Path,
    hardware: Hardware,
) -> None:
    """Test a run on the validation images (and predict the test images, by ``multiscale``), each exactly once.

    Args:
        run: its folder.
        data: the data set's ``dataset.json``.
        image_statistics: those that the network was trained with.
        protocols: some of center, 10crop and multiscale.
        shorter_sides: of the images by multiscale.
        output: folder to write each protocol's errors (``<protocol>.json``) and probabilities (``.npz``) to.
        hardware: where to compute.

    Raises:
        UserError: a file is missing or damaged, or fits no other.
    """
    torch.set_num_threads(hardware.threads)
    if min(shorter_sides) < TOTAL_STRIDE:
        raise UserError(
            f"shorter_sides: {min(shorter_sides)} pixels are less than one of the network's last map ({TOTAL_STRIDE})"
        )
    processes = Processes(hardware)
    description = ImageNetDescription.read(data)
    folder = RunFolder(run)
    net, recipe = load_network(folder, len(description.wnids), processes.device)
    fold_norms(net)
    indexes = {protocol: index_of(protocol, data, description) for protocol in protocols}
    description = on_scratch(description, processes, *indexes.values())
    normalise = Normalise(torch.from_numpy(read_arrays(image_statistics, ImageStatistics).mean).to(processes.device))
    precision = choose_precision(recipe.precision, processes.device)
    autocast = torch.autocast(processes.device.type, torch.bfloat16, enabled=precision == "bf16")
    evaluator = Evaluator(
        net, normalise, description.path, processes.device, autocast, processes.workers, description.horizontal_flip
    )
    for protocol, index in indexes.items():
        started = time.monotonic()
        own = range(processes.rank, len(index), processes.world_size)
        found = predict(evaluator, index, own, protocol, shorter_sides, recipe, processes)
        probabilities = in_order(processes, found, len(index))
        if processes.is_main:
            predictions = Predictions(np.array(index.paths), np.array(index.labels), probabilities)
            write_arrays(output / f"{protocol}.npz", predictions)
            facts = {
                "versions": versions("decode", "evaluate_imagenet"),
                **code(),
                **surroundings(processes.device, hardware.threads, processes.world_size, precision),
                "finished": now(),
                "seconds": round(time.monotonic() - started, 1),
            }
            result = summary(description, recipe, folder.source, protocol, shorter_sides, predictions)
            write_json(output / f"{protocol}.json", {**result, "provenance": facts})
    processes.barrier()
    processes.close()


def index_of(protocol: str, data: Path, description: ImageNetDescription) -> Index:
    """Return the images of a protocol: those of validation, and by ``multiscale`` of the test, where there are any."""
    index = read_index(data, description, "val")
    if protocol == "multiscale" and "test" in description.images:
        index = joined(index, read_index(data, description, "test"))
    return index


def predict(
    evaluator: Evaluator,
    index: Index,
    own: range,
    protocol: str,
    shorter_sides: list[int],
    recipe: ImageNetRecipe,
    processes: Processes,
) -> Tensor:
    """Return the probabilities of this process's images by a protocol."""
    views = len(own) * (len(shorter_sides) if protocol == "multiscale" else 1)
    progress = Progress(
        views,
        title=f"{recipe.model} {protocol}",
        unit="images",
        speed_unit="images",
        silent=not processes.is_main,
    )
    crop = {"side": recipe.test_shorter_side, "size": recipe.image_size, "progress": progress}
    if protocol == "multiscale":
        probabilities = evaluator.multiscale(index, own, shorter_sides, progress)
    else:
        probabilities = (evaluator.ten_crop if protocol == "10crop" else evaluator.centre)(index, own, **crop)
    progress.close()
    return probabilities


def in_order(processes: Processes, own: Tensor, count: int) -> np.ndarray:
    """Return every image's row, of which process r has computed number r, r + processes, and so on."""
    parts = processes.gather_object(own)  # none but in process 0
    rows = np.empty((count, own.shape[1]), np.float32)
    for rank, part in enumerate(parts):
        rows[rank :: processes.world_size] = part.numpy()
    return rows


def joined(first: Index, second: Index) -> Index:
    """Return two indexes as one."""
    return Index(first.paths + second.paths, first.labels + second.labels, first.sizes + second.sizes)


def summary(
    description: ImageNetDescription,
    recipe: ImageNetRecipe,
    source: str | None,
    protocol: str,
    shorter_sides: list[int],
    found: Predictions,
) -> dict[str, Any]:
    """Return what ``evaluation/<protocol>.json`` says."""
    return {
        "model": recipe.model,
        "seed": recipe.seed,
        "dataset": description.name,
        "protocol": protocol,
        "sides": shorter_sides if protocol == "multiscale" else [recipe.test_shorter_side],
        "images": int((found.labels >= 0).sum()),
        "source": source or "reproduced",
        **found.errors(),
    }

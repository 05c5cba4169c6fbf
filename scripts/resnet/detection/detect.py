"""Detecting: from a detector and scenes to detections in the form of COCO's results."""

import itertools
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from resnet.architectures import build_net, fold_norms
from resnet.data.objects import ObjectsDescription, Scene, read_scenes
from resnet.detection.detector import Detector
from resnet.detection.engines import build_detector
from resnet.detection.improvements import ImprovedDetector
from resnet.detection.inputs import EvaluationScenes
from resnet.errors import UserError
from resnet.files import atomic_path, write_json
from resnet.progress import Progress
from resnet.provenance import code, now, surroundings
from resnet.run_folder import RunFolder
from resnet.settings import EXPERIMENTS, DetectorRecipe, Hardware, ImageNetRecipe
from resnet.training.checkpoint import fill, read_tensors
from resnet.training.distributed import Processes
from resnet.training.precision import choose_precision
from resnet.versions import versions


@torch.inference_mode()
def detect(
    net: nn.Module,
    scenes: Iterable[tuple[Scene, list[Tensor]]],
    ids: tuple[int, ...],
    autocast: torch.autocast,
    step: Callable[[], None] = lambda: None,
) -> list[dict[str, Any]]:
    """Return the detections in some scenes, each as image_id, category_id, bbox (left, top, width, height) and score.

    Args:
        net: the detector; it is left in the mode it was in.
        scenes: each with its image (3, H, W), at the size of the detections, and perhaps at others for the detector.
        ids: the category of each label.
        autocast: the precision.
        step: is called after each image.
    """
    was_training, found = net.training, []
    net.eval()
    for scene, views in scenes:
        with autocast:
            (detections,) = net(views)
        height, width = views[0].shape[1:]
        found += results(scene, (height, width), detections, ids)
        step()
    net.train(was_training)
    return found


def results(
    scene: Scene, shape: tuple[int, int], detections: dict[str, Tensor], ids: tuple[int, ...]
) -> list[dict[str, Any]]:
    """Return the detections of an image (height, width), their boxes in pixels of the scene."""
    (height, width), (real_width, real_height) = shape, scene.size
    scale = torch.tensor([real_width / width, real_height / height] * 2, device=detections["boxes"].device)
    boxes = (detections["boxes"] * scale).double()
    boxes[:, 2:] -= boxes[:, :2]
    return [
        {
            "image_id": scene.id,
            "category_id": ids[label],
            "bbox": [round(value, 3) for value in box],
            "score": score,
        }
        for label, box, score in zip(
            detections["labels"].tolist(), boxes.tolist(), detections["scores"].tolist(), strict=True
        )
    ]


def in_order(parts: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return the detections of several processes by image, whatever the number of processes."""
    return sorted(itertools.chain(*parts), key=lambda one: one["image_id"])


def load_detector(run: RunFolder) -> tuple[nn.Module, DetectorRecipe]:
    """Return the detector of a run folder, of the engine that has trained it, in evaluation mode, and its recipe.

    Raises:
        UserError: a file is missing or damaged, or the weights are of another architecture.
    """
    detector, recipe = read_detector(run)
    return build_detector(detector, len(run.said("resolved")["classes"]), recipe).eval(), recipe


def read_detector(run: RunFolder) -> tuple[Detector, DetectorRecipe]:
    """Return the detector of a run folder in our own form, in evaluation mode, and its recipe.

    Raises:
        UserError: as ``load_detector`` does.
    """
    recipe, facts = run.recipe(DetectorRecipe), run.said("resolved")
    try:
        classes, classifier = len(facts["classes"]), build_net(ImageNetRecipe.of_network(**facts["classifier"]), 1)
    except (TypeError, KeyError):
        raise UserError(f"{run.path / 'config.yaml'} does not say on which network the detector is built") from None
    detector = Detector(classifier, torch.zeros(3, 1, 1), classes, recipe)
    fill(detector, read_tensors(run.weights), run.weights)
    return detector.eval(), recipe


def load_improved(runs: list[RunFolder], *, box_refinement: bool) -> tuple[ImprovedDetector, DetectorRecipe]:
    """Return the detectors of some run folders with what improves their test, and the recipe of the first.

    Raises:
        UserError: as ``load_detector`` does; or they are of other classes or sizes of images.
    """
    detectors, recipes = zip(*map(read_detector, runs), strict=True)
    for run, recipe in zip(runs, recipes, strict=True):
        for key in ("experiment", "shorter_side", "max_size"):
            if getattr(recipe, key) != getattr(recipes[0], key):
                raise UserError(f"{run.path} has another {key} than {runs[0].path}, so they are no ensemble")
    return ImprovedDetector([*detectors], box_refinement=box_refinement).eval(), recipes[0]


def detect_objects(
    runs: list[Path],
    data: Path,
    output: Path,
    hardware: Hardware,
    *,
    box_refinement: bool = False,
    shorter_sides: tuple[int, ...] = (),
) -> None:
    """Detect objects in the whole test set of a run's experiment and write them as COCO's results.

    Beside them, ``environment.json`` says with what they were found, and how.

    Args:
        runs: the run folder of the detector; those of several are an ensemble.
        data: the data set's ``dataset.json``.
        output: the file to write.
        hardware: where it is computed.
        box_refinement: look again at the regressed boxes, and vote (appendix B).
        shorter_sides: the sizes of the multi-scale test, increasing; none for the one size of the recipe.

    Raises:
        UserError: a file is missing or damaged, or fits no other.
    """
    torch.set_num_threads(hardware.threads)
    processes = Processes(hardware)
    folders = [RunFolder(run) for run in runs]
    improved = box_refinement or shorter_sides or len(runs) > 1
    if improved:
        net, recipe = load_improved(folders, box_refinement=box_refinement)
    else:
        net, recipe = load_detector(folders[0])
    fold_norms(net)
    net.to(processes.device).to(memory_format=torch.channels_last)
    description = ObjectsDescription.read(data)
    scenes = read_scenes(data, description, EXPERIMENTS[recipe.experiment].test)
    own = EvaluationScenes(
        description.path,
        scenes[processes.rank :: processes.world_size],
        shorter_side=recipe.shorter_side,
        max_size=recipe.max_size,
        more_sides=shorter_sides,
        device=processes.device,
        workers=processes.workers,
    )
    precision = choose_precision(recipe.precision, processes.device)
    progress = Progress(
        len(own),
        title=f"{recipe.model} {recipe.experiment}",
        unit="images",
        speed_unit="images",
        silent=not processes.is_main,
    )
    autocast = torch.autocast(processes.device.type, torch.bfloat16, enabled=precision == "bf16")
    parts = processes.gather_object(detect(net, own, description.ids, autocast, progress.step))
    progress.close()
    if processes.is_main:
        write_detections(output, in_order(parts))
        facts = {
            "runs": [str(run) for run in runs],
            "box_refinement": box_refinement,
            "shorter_sides": list(shorter_sides),
            "versions": versions("decode", "detect_objects", *(["improve_detections"] if improved else [])),
            **code(),
            **surroundings(processes.device, hardware.threads, processes.world_size, precision),
            "finished": now(),
        }
        write_json(output.with_name("environment.json"), facts)
    processes.barrier()
    processes.close()


def write_detections(path: Path, detections: list[dict[str, Any]]) -> None:
    """Write detections as COCO's results, one per line; their text, which is large, is never there as a whole."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write("[\n")
        for number, detection in enumerate(detections):
            file.write((",\n" if number else "") + json.dumps(detection))
        file.write("\n]\n")

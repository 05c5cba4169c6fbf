"""What a detector brings to a training: scenes, four losses, and the average precision of a part of the test set."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from resnet.data.draws import derived_seed
from resnet.data.objects import ObjectsDescription, Scene, read_scenes, set_file
from resnet.detection.detect import detect, in_order
from resnet.detection.detector import LOSSES, Detector, Engine
from resnet.detection.engines import build_detector
from resnet.detection.evaluation import average_precision, subset
from resnet.detection.initial import ARCHITECTURE, Classifier, take_over
from resnet.detection.inputs import EvaluationScenes, TrainingScenes
from resnet.errors import UserError
from resnet.files import read_json
from resnet.settings import EXPERIMENTS, DetectorRecipe, Metric, network_of
from resnet.training.distributed import Processes
from resnet.training.task import MicroBatch, Task
from resnet.versions import versions


class LossSums:
    """Number of parts and sum of each loss, in float64 on the device."""

    def __init__(self, device: torch.device, names: tuple[str, ...] = LOSSES) -> None:
        self.names = names
        self.sums = torch.zeros(1 + len(names), dtype=torch.float64, device=device)

    def add(self, losses: list[Tensor]) -> None:
        """Add the losses of a part of a batch."""
        self.sums += torch.stack([torch.ones_like(losses[0]), *losses]).double()

    def averages(self) -> dict[str, float]:
        """Return the mean of each loss, and of their sum."""
        count, *sums = self.sums.tolist()
        means = {name: value / count for name, value in zip(self.names, sums, strict=True)}
        return {"loss": sum(means.values()), **means}


@dataclasses.dataclass(kw_only=True)
class DetectionTask(Task):
    """Scenes with objects; the network returns losses.

    Attributes:
        test: this process's part of the images that are looked at during the training.
        ground_truth: their objects; None where they are not public.
        metric: how average precision is measured.
        ids: the number of each class in the detections.
        experiment: what it is trained and tested on.
        engine: whose detector.
        source: reproduced, or whose classifier it started with.
    """

    metrics = ("loss", *LOSSES, "map50", "map")
    fixed_shapes = False

    test: EvaluationScenes
    ground_truth: dict[str, Any] | None
    metric: Metric
    ids: tuple[int, ...]
    experiment: str
    engine: str
    source: str

    def meter(self, device: torch.device) -> LossSums:
        """Return sums at zero."""
        return LossSums(device)

    def loss(
        self, forward: Callable[..., Any], batch: tuple[list[Tensor], list[dict[str, Tensor]]], place: MicroBatch
    ) -> tuple[Tensor, tuple[list[Tensor]]]:
        """Return the sum of the four losses on some images, and what ``LossSums`` adds: each of them."""
        # Samples of anchors and regions, and dropout, are drawn anew for each micro-batch of each process.
        torch.manual_seed(derived_seed(place.seed, place.iteration, place.rank, place.number))
        losses = forward(*batch)
        ordered = [losses[name] for name in LOSSES]
        return torch.stack(ordered).sum(), ([loss.detach() for loss in ordered],)

    def evaluate(
        self, autocast: torch.autocast, until_stopped: Callable[[Iterable[Any]], Iterator[Any]], processes: Processes
    ) -> dict[str, dict[str, float]]:
        """Return mAP (percent) on a part of the test set."""
        if self.ground_truth is None or self.metric == "server":
            return {}
        found = detect(self.net, until_stopped(self.test), self.ids, autocast)
        gathered = processes.gather_object(found)
        if not processes.is_main:
            return {}
        measured = average_precision(self.ground_truth, in_order(gathered), self.metric)
        return {self.reported: {key: measured[key] for key in ("map50", "map") if key in measured}}

    def progress(self, row: dict[str, Any]) -> dict[str, str]:
        """Return what the progress line shows of a row of training."""
        return {"loss": f"{row['loss']:.3f}"}

    def result(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Return what the detector is."""
        return {"experiment": self.experiment, "engine": self.engine, "source": self.source}

    def weights(self) -> dict[str, Any]:
        """Return the state dict in ``Detector``'s form, whichever engine it was trained by."""
        assert isinstance(self.net, Engine)
        return self.net.detector_state()


def source_of(classifier: Classifier) -> str:
    """Return what the tables say of a detector's origin."""
    if classifier.detector:
        return classifier.detector.source
    return f"reproduced from the classifier of {classifier.source}" if classifier.source else "reproduced"


def read_training_scenes(data: Path, description: ObjectsDescription, names: tuple[str, ...]) -> list[Scene]:
    """Return the scenes of some sets.

    Raises:
        UserError: a set is missing or has no objects.
    """
    for name in names:
        if name in description.unlabelled:
            raise UserError(f"{data}: the set {name} comes without objects, so nothing can be trained on it")
    return [scene for name in names for scene in read_scenes(data, description, name)]


def detection_task(recipe: DetectorRecipe, data: Path, classifier: Classifier, processes: Processes) -> DetectionTask:
    """Open the data set for a process and build the detector.

    Args:
        recipe: what to train and how.
        data: the data set's ``dataset.json``.
        classifier: what the detector starts with, perhaps by way of another detector.
        processes: those that train together.

    Raises:
        UserError: a file is missing, damaged, or not the one that was described; the engine is not installed.
    """
    if classifier.recipe.model != network_of(recipe.model):
        raise UserError(f"the classifier is {classifier.recipe.model}, but the recipe's model {recipe.model}")
    description, experiment = ObjectsDescription.read(data), EXPERIMENTS[recipe.experiment]
    generator = torch.Generator().manual_seed(recipe.seed)
    detector = Detector(classifier.net, classifier.mean, len(description.classes), recipe, generator)
    if classifier.detector:
        take_over(detector, recipe, description.classes, classifier.detector)
    settings = {"shorter_side": recipe.shorter_side, "max_size": recipe.max_size, "device": processes.device}
    training = TrainingScenes(
        description.path,
        read_training_scenes(data, description, experiment.train),
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        horizontal_flip=description.horizontal_flip,
        share=processes.own_share(recipe.batch_size),
        workers=processes.workers,
        **settings,
    )
    labelled = experiment.metric != "server"
    test = read_scenes(data, description, experiment.test)[: recipe.evaluation_images] if labelled else []
    truth = subset(read_json(set_file(data, description, experiment.test)), test) if labelled else None
    own = test[processes.rank :: processes.world_size]
    return DetectionTask(
        dataset=description.name,
        checksums={**description.sha256, **classifier.checksums},
        versions={"prepare_detection": description.version, **versions("decode", "train_detector")},
        net=build_detector(detector, len(description.classes), recipe),
        training=training,
        training_images=len(training),
        reported="test",
        facts={
            "horizontal_flip": description.horizontal_flip,
            "evaluated_images": len(test),
            "classes": list(description.classes),
            "classifier": {key: getattr(classifier.recipe, key) for key in ARCHITECTURE},
        },
        test=EvaluationScenes(description.path, own, workers=processes.workers, **settings),
        ground_truth=truth,
        metric=experiment.metric,
        ids=description.ids,
        experiment=recipe.experiment,
        engine=recipe.engine,
        source=source_of(classifier),
    )

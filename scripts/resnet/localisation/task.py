"""What localisation brings to a training: crops or regions, two losses, and the error of a part of the val images."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from resnet.architectures import ImageNetNet
from resnet.data.draws import derived_seed
from resnet.data.image_statistics import ImageStatistics
from resnet.data.imagenet import ImageNetDescription, Index, read_index
from resnet.data.located import Boxes
from resnet.data.scratch import on_scratch
from resnet.data.views import TrainingViews
from resnet.detection.initial import ARCHITECTURE, Classifier
from resnet.detection.task import LossSums, source_of
from resnet.errors import UserError
from resnet.files import checksum, read_arrays
from resnet.localisation.boxes import ANCHORS_PER_IMAGE, CODERS, anchor_boxes, losses, sample_anchors
from resnet.localisation.inputs import TrainingCrops, TrainingRegions, chosen
from resnet.localisation.net import Localiser
from resnet.localisation.proposals import Proposals, localisation_errors
from resnet.localisation.testing import Images, View, parts_of, proposals_of
from resnet.settings import LocaliserRecipe
from resnet.training.distributed import Processes
from resnet.training.task import MicroBatch, Task
from resnet.versions import versions

LOSSES = ("loss_class", "loss_box")


@dataclasses.dataclass(kw_only=True)
class LocalisationTask(Task):
    """Images with boxes of their class; the network returns scores and offsets of it.

    Attributes:
        stage: rpn or rcnn.
        anchors: (P, 4) of a training crop; none of R-CNN.
        test: the images that are looked at during the training; none of R-CNN.
        truth: their boxes.
        crop: the centre crop by which they are tested.
        source: reproduced, or whose classifier it started with.
    """

    metrics = ("loss", *LOSSES, "gt_class_error")

    stage: str
    anchors: Tensor | None
    test: Images | None
    truth: Boxes
    crop: View
    source: str

    def meter(self, device: torch.device) -> LossSums:
        """Return sums at zero."""
        return LossSums(device, LOSSES)

    def loss(
        self, forward: Callable[..., Any], batch: tuple[Tensor, ...], place: MicroBatch
    ) -> tuple[Tensor, tuple[list[Tensor]]]:
        """Return the sum of both losses on some images or regions, and what ``LossSums`` adds: each of them."""
        images, labels, *others = batch
        scores, offsets = forward(images.contiguous(memory_format=torch.channels_last), labels[:, None])
        if self.anchors is None:
            positive, targets = others
            found = losses(self.stage, scores[:, 0, 0], offsets[:, 0, 0], positive, torch.ones_like(positive), targets)
        else:
            # Anchors are drawn anew for each micro-batch of each process.
            torch.manual_seed(derived_seed(place.seed, place.iteration, place.rank, place.number))
            found = self._of_anchors(scores[:, 0], offsets[:, 0], *others)
        return torch.stack(found).sum(), ([one.detach() for one in found],)

    def _of_anchors(self, scores: Tensor, offsets: Tensor, boxes: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """Return the losses on samples of the anchors: scores (B, P) and offsets (B, P, 4) of the images' classes."""
        assert self.anchors is not None
        anchors = self.anchors.to(scores.device)
        drawn, weights, nearest = sample_anchors(anchors, boxes, counts)
        half = ANCHORS_PER_IMAGE // 2
        positive = torch.zeros_like(weights)
        positive[:, :half] = 1
        targets = torch.zeros(*drawn.shape, 4, device=scores.device)
        encoded = CODERS["rpn"].encode_single(nearest.flatten(0, 1), anchors[drawn[:, :half]].flatten(0, 1))
        # Of an image without a box there is none.
        targets[:, :half] = torch.where(weights[:, :half, None] > 0, encoded.view_as(nearest), 0.0)
        own = offsets.gather(1, drawn[:, :, None].expand(-1, -1, 4))
        parts = (scores.gather(1, drawn), own, positive, weights, targets)
        return losses(self.stage, *(part.flatten(0, 1) for part in parts))

    def evaluate(
        self, autocast: torch.autocast, until_stopped: Callable[[Iterable[Any]], Iterator[Any]], processes: Processes
    ) -> dict[str, dict[str, float]]:
        """Return the error of the proposal network's best box of the true class in centre crops; nothing of R-CNN."""
        if self.test is None:
            return {}
        assert isinstance(self.net, Localiser)
        labels = np.array(self.test.index.labels, np.int64)[:, None]
        proposed = proposals_of(self.net, self.test, labels, [self.crop], 1, autocast, parts_of(len(labels)))
        errors = torch.zeros(2, dtype=torch.float64, device=processes.device)
        for part, found in until_stopped(proposed):
            own = localisation_errors(self.truth.part(part), found)["gt_class_error"]
            errors += torch.tensor([own * len(part), len(part)], dtype=torch.float64, device=errors.device)
        error, count = processes.all_reduce_sum(errors).tolist()
        return {self.reported: {"gt_class_error": error / count}}

    def progress(self, row: dict[str, Any]) -> dict[str, str]:
        """Return what the progress line shows of a row of training."""
        return {"loss": f"{row['loss']:.3f}"}

    def result(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Return what the localiser is."""
        return {"stage": self.stage, "source": self.source}


def localisation_task(
    recipe: LocaliserRecipe,
    data: Path,
    boxes: dict[str, Path],
    classifier: Classifier,
    image_statistics: Path,
    proposals: Path | None,
    processes: Processes,
) -> LocalisationTask:
    """Open the data set for a process and build the localiser.

    Args:
        recipe: what to train and how.
        data: the data set's ``dataset.json``.
        boxes: ``boxes-train.npz`` and ``boxes-val.npz``, by split.
        classifier: what the localiser starts with.
        image_statistics: those that the classifier was trained with.
        proposals: of the training images, for R-CNN; None for the proposal network.
        processes: those that train together.

    Raises:
        UserError: a file is missing or damaged, or fits no other.
    """
    net = checked(classifier, recipe, proposals)
    description = ImageNetDescription.read(data)
    truth = {split: read_arrays(path, Boxes) for split, path in boxes.items()}
    indexes = {split: read_index(data, description, split) for split in boxes}
    description = on_scratch(description, processes, *indexes.values())
    files = {f"boxes-{split}": path for split, path in boxes.items()}
    files |= {} if proposals is None else {"proposals": proposals}
    settings, size = classifier.recipe, classifier.recipe.image_size
    located = chosen(indexes["train"], truth["train"].images)
    given = image_statistics if proposals is None else proposals
    training = training_images(recipe, description, located, truth["train"], classifier, given, processes)
    looked_at = min(recipe.evaluation_images, len(truth["val"]))
    own = truth["val"].part(range(processes.rank, looked_at, processes.world_size))
    test = Images.of(description.path, indexes["val"], own, processes.device, processes.workers)
    generator = torch.Generator().manual_seed(recipe.seed)
    return LocalisationTask(
        dataset=description.name,
        checksums={
            **description.sha256,
            **classifier.checksums,
            **{name: checksum(path, "sha256") for name, path in files.items()},
        },
        versions={"prepare_imagenet": description.version, **versions("decode", "train_localiser")},
        net=Localiser(net, classifier.mean, len(description.wnids), recipe, generator),
        training=training,
        training_images=len(truth["train"]),
        reported="val",
        facts={
            "horizontal_flip": description.horizontal_flip,
            "val_images": len(truth["val"]),
            "classes": len(description.wnids),
            "classifier": {key: getattr(settings, key) for key in ARCHITECTURE},
            "test_shorter_side": settings.test_shorter_side,
        },
        stage=recipe.stage,
        anchors=anchor_boxes(size, size, recipe.anchor_sizes, processes.device) if recipe.stage == "rpn" else None,
        test=test if recipe.stage == "rpn" else None,
        truth=own,
        crop=View(settings.test_shorter_side, size),
        source=source_of(classifier),
    )


def training_images(
    recipe: LocaliserRecipe,
    description: ImageNetDescription,
    index: Index,
    boxes: Boxes,
    classifier: Classifier,
    given: Path,
    processes: Processes,
) -> TrainingCrops | TrainingRegions:
    """Return what a stage is trained on: crops, or regions of the images in ``index``, whose boxes are given.

    Args:
        recipe: what to train.
        description: the data set.
        index: its training images that have boxes.
        boxes: theirs.
        classifier: what the localiser starts with.
        given: for crops, the image statistics of the classifier; for regions, the proposals.
        processes: those that train together.

    Raises:
        UserError: the file ``given`` is missing or damaged, or its proposals are of other images.
    """
    common: dict[str, Any] = {
        "batch_size": recipe.batch_size,
        "seed": recipe.seed,
        "share": processes.own_share(recipe.batch_size),
        "device": processes.device,
        "workers": processes.workers,
    }
    crops = classifier.recipe
    if recipe.stage == "rcnn":
        proposals = read_arrays(given, Proposals)
        if not np.array_equal(proposals.classes[:, 0], index.labels):
            raise UserError(f"{given} has proposals of other images than the training's with boxes; propose them again")
        return TrainingRegions(
            description, index, boxes, proposals, mean=classifier.mean, size=crops.image_size, **common
        )
    colours = read_arrays(given, ImageStatistics)
    views = TrainingViews(
        description,
        index,
        # Of each colour, as the localiser subtracts it.
        ImageStatistics(classifier.mean.numpy(), colours.values, colours.vectors),
        image_size=crops.image_size,
        scale_min=crops.scale_min,
        scale_max=crops.scale_max,
        pca_colour_std=crops.pca_colour_std,
        **common,
    )
    return TrainingCrops(views, boxes, crops.image_size)


def checked(classifier: Classifier, recipe: LocaliserRecipe, proposals: Path | None) -> ImageNetNet:
    """Return the classifier's network, if it and the files suit the recipe.

    Raises:
        UserError: they do not.
    """
    if classifier.recipe.model != recipe.model:
        raise UserError(f"the classifier is {classifier.recipe.model}, but the recipe's model {recipe.model}")
    if (proposals is None) != (recipe.stage == "rpn"):
        raise UserError("proposals are what R-CNN (stage rcnn) is trained on, and the proposal network (rpn) is not")
    assert isinstance(classifier.net, ImageNetNet)
    return classifier.net

"""Training to classify: cross entropy, top-1 and top-5 errors (sections 4.1 and 4.2)."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from resnet.architectures import Vgg
from resnet.classification.errors import Batches, Totals, evaluate
from resnet.data.draws import seeded_generator
from resnet.training.distributed import Processes
from resnet.training.task import MicroBatch, Task


@dataclasses.dataclass(kw_only=True)
class ClassificationTask(Task):
    """Images with labels; the network returns scores.

    Attributes:
        evaluation: this process's part of each split that is evaluated.
        image_size: side of the training images in pixels.
    """

    metrics = ("loss", "top1_error", "top5_error")

    evaluation: dict[str, Batches]
    image_size: int

    def meter(self, device: torch.device) -> Totals:
        """Return sums at zero."""
        return Totals(device)

    def loss(
        self, forward: Callable[..., Tensor], batch: tuple[Tensor, Tensor], place: MicroBatch
    ) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
        """Return the mean cross entropy of images (B, 3, S, S) with labels (B,), and what ``Totals`` adds."""
        images, labels = batch
        if isinstance(self.net, Vgg) and self.net.dropout:
            generator = seeded_generator(place.seed, place.iteration, device=place.device)
            chosen = slice(place.first, place.first + len(labels))
            self.net.draw_dropout(generator, place.batch_size, chosen)
        scores = forward(images.contiguous(memory_format=torch.channels_last)).float()
        loss = F.cross_entropy(scores, labels)
        return loss, (scores.detach(), labels, loss.detach())

    def evaluate(
        self, autocast: torch.autocast, until_stopped: Callable[[Iterable[Any]], Iterator[Any]], processes: Processes
    ) -> dict[str, dict[str, float]]:
        """Return loss, top1_error and top5_error (percent) of each split."""
        return {
            split: evaluate(self.net, until_stopped(batches), autocast, processes.all_reduce_sum)
            for split, batches in self.evaluation.items()
        }

    def progress(self, row: dict[str, Any]) -> dict[str, str]:
        """Return what the progress line shows of a row of training."""
        return {"training_error": f"{row['top1_error']:.2f} %", "loss": f"{row['loss']:.3f}"}

    def result(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the image size, and the lowest error at any evaluation."""
        errors = [row["top1_error"] for row in rows if row["split"] == self.reported]
        # Chosen by looking at these images, so never the number that is reported.
        return {"image_size": self.image_size, f"lowest_{self.reported}_top1_error": min(errors)}

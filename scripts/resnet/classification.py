"""Training to classify: cross entropy, top-1 and top-5 errors (sections 4.1 and 4.2)."""

import dataclasses
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from resnet.architectures import Vgg
from resnet.data.draws import seeded_generator
from resnet.evaluation import Batches, Totals, evaluate
from resnet.task import Task

if TYPE_CHECKING:
    from resnet.training import Training


@dataclasses.dataclass(kw_only=True)
class ClassificationTask(Task):
    """Images with labels; the network returns scores.

    Attributes:
        evaluation: this process's part of each split that is evaluated.
        image_size: side of the training images in pixels.
    """

    measures = ("loss", "top1_error", "top5_error")

    evaluation: dict[str, Batches]
    image_size: int

    def window(self, device: torch.device) -> Totals:
        """Return sums at zero."""
        return Totals(device)

    def loss(self, run: "Training", batch: tuple[Tensor, Tensor], part: int) -> Tensor:
        """Return the mean cross entropy of images (B, 3, S, S) with labels (B,), and count their errors."""
        images, labels = batch
        if isinstance(self.net, Vgg) and self.net.dropout:
            self._draw_dropout(run, part * len(labels), len(labels))
        with run.autocast:
            scores = run.forward(images.contiguous(memory_format=torch.channels_last))
        scores = scores.float()
        loss = F.cross_entropy(scores, labels)
        run.window.add(scores.detach(), labels, loss.detach())
        return loss

    def _draw_dropout(self, run: "Training", first: int, count: int) -> None:
        generator = seeded_generator(run.recipe.seed, run.iteration)
        start = run.share.start + first
        self.net.draw_dropout(generator, run.recipe.batch_size, slice(start, start + count), run.device)

    def evaluate(self, run: "Training") -> dict[str, dict[str, float]]:
        """Return loss, top1_error and top5_error (percent) of each split."""
        return {
            split: evaluate(self.net, run.until_stopped(batches), run.autocast, run.processes.add)
            for split, batches in self.evaluation.items()
        }

    def shown(self, row: dict[str, Any]) -> dict[str, str]:
        """Return what the progress line shows of a row of training."""
        return {"loss": f"{row['loss']:.3f}", "training_error": f"{row['top1_error']:.2f} %"}

    def result(self, run: "Training") -> dict[str, Any]:
        """Return the image size, and the lowest error at any evaluation."""
        errors = [row["top1_error"] for row in run.rows if row["split"] == self.reported]
        # Chosen by looking at these images, so never the number that is reported.
        return {"image_size": self.image_size, f"lowest_{self.reported}_top1_error": min(errors)}

"""Errors of a network on a set of images, and what a batch adds to them."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Batches(Protocol):
    """Images and labels in batches, each image once."""

    @property
    def device(self) -> torch.device:
        """Where they are."""

    def __len__(self) -> int:
        """Return the number of images."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images (B, 3, S, S) float32 and labels (B,)."""


class Totals:
    """Sums over batches, kept on the device so that no batch waits for the host.

    ``sums`` holds, in float64: the number of images, the loss, and the images that are wrong by top-1 and by top-5.
    """

    def __init__(self, device: torch.device) -> None:
        self.sums = torch.zeros(4, dtype=torch.float64, device=device)

    def add(self, scores: Tensor, labels: Tensor, mean_loss: Tensor) -> None:
        """Add a batch: scores (B, classes), labels (B,), the batch's mean loss."""
        best = scores.topk(min(5, scores.shape[1]), dim=1).indices == labels[:, None]
        count = len(labels)
        wrong_by_1, wrong_by_5 = count - best[:, 0].sum(), count - best.sum()
        batch = torch.stack([torch.full_like(mean_loss, count), mean_loss * count, wrong_by_1, wrong_by_5])
        self.sums += batch.double()

    def averages(self) -> dict[str, float]:
        """Return loss, top1_error and top5_error, the errors in percent."""
        count, loss, top1, top5 = self.sums.tolist()
        return {"loss": loss / count, "top1_error": 100 * top1 / count, "top5_error": 100 * top5 / count}


@torch.inference_mode()
def evaluate(
    net: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    autocast: torch.autocast,
    add: Callable[[Tensor], Tensor] = lambda value: value,
) -> dict[str, float]:
    """Return loss, top1_error and top5_error (percent) over all images, with the running BN statistics.

    ``batches`` are images (B, 3, S, S) float32 with labels (B,); ``add`` sums over the processes that share the images.
    """
    was_training = net.training
    net.eval()
    totals = Totals(next(net.parameters()).device)
    for images, labels in batches:
        with autocast:
            scores = net(images)
        scores = scores.float()
        totals.add(scores, labels, F.cross_entropy(scores, labels))
    net.train(was_training)
    totals.sums = add(totals.sums)
    return totals.averages()

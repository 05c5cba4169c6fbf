"""What a data set and its metrics bring to a training, which is the same for all of them."""

import abc
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from resnet.training.distributed import Processes


class Source(Protocol):
    """Where this process's part of each training batch comes from."""

    def batch(self, iteration: int) -> tuple[Any, ...]:
        """Return the batch of the update number ``iteration`` as sequences of equal length, such as images, labels."""


class Meter(Protocol):
    """Sums of a loss and of what is counted with it since the last log point, kept on the device."""

    sums: Tensor

    @property
    def add(self) -> Callable[..., None]:
        """What adds what ``Task.loss`` returns of a micro-batch."""

    def averages(self) -> dict[str, float]:
        """Return the metrics of a row of metrics.csv."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MicroBatch:
    """Which images of an update a process computes at once: what random draws depend on.

    Attributes:
        seed: the run's.
        iteration: the update's number.
        rank: the process's number.
        number: the micro-batch's number in the process.
        first: the place of its first image in the whole batch.
        batch_size: images of the whole batch.
        device: where it is computed.
    """

    seed: int
    iteration: int
    rank: int
    number: int
    first: int
    batch_size: int
    device: torch.device


@dataclasses.dataclass(kw_only=True)
class Task(abc.ABC):
    """What a data set brings to a training.

    Attributes:
        dataset: its name.
        checksums: what identifies the data.
        versions: of the code that has prepared the data, reads them and trains.
        net: the network with its initial weights.
        training: this process's part of each training batch.
        training_images: how many there are.
        reported: the split whose numbers are reported.
        facts: what the run folder says besides the settings.
        activation_bytes: an estimate of what a training step keeps for the backward pass.
        allows_bf16: whether its gradients in bf16 are near enough to float32's for ``precision: auto``.
    """

    # The columns of metrics.csv that are measured.
    metrics: ClassVar[tuple[str, ...]]
    # Whether all batches have the same shapes, so that an update can be compiled, captured and tuned for them.
    fixed_shapes: ClassVar[bool] = True

    dataset: str
    checksums: dict[str, str]
    versions: dict[str, int]
    net: nn.Module
    training: Source
    training_images: int
    reported: str
    facts: dict[str, Any]
    activation_bytes: float = 0
    allows_bf16: bool = True

    @abc.abstractmethod
    def meter(self, device: torch.device) -> Meter:
        """Return sums at zero."""

    @abc.abstractmethod
    def loss(
        self, forward: Callable[..., Any], batch: tuple[Any, ...], place: MicroBatch
    ) -> tuple[Tensor, tuple[Any, ...]]:
        """Return the loss of a micro-batch, and what its ``Meter`` adds.

        Args:
            forward: the network in training, in the run's precision.
            batch: the micro-batch, as ``Source`` yields it.
            place: which of the update it is.
        """

    @abc.abstractmethod
    def evaluate(
        self, autocast: torch.autocast, until_stopped: Callable[[Iterable[Any]], Iterator[Any]], processes: Processes
    ) -> dict[str, dict[str, float]]:
        """Return the metrics of each split that is not trained on; every process calls it.

        Args:
            autocast: the precision.
            until_stopped: what batches go through, so that a request to stop ends the evaluation.
            processes: those that share the images.
        """

    @abc.abstractmethod
    def progress(self, row: dict[str, Any]) -> dict[str, str]:
        """Return what the progress line shows of a row of training."""

    @abc.abstractmethod
    def result(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Return what ``result.json`` says besides the last metrics of each split, from the rows of metrics.csv."""

    def weights(self) -> dict[str, Any]:
        """Return what is written as ``weights.pt``."""
        return self.net.state_dict()

"""What a data set and its measure bring to a training, which is the same for all of them."""

import abc
import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from resnet.training import Training


class Source(Protocol):
    """Where this process's part of each training batch comes from."""

    def batch(self, iteration: int) -> tuple[Any, ...]:
        """Return the batch of the update number ``iteration`` as sequences of equal length, such as images, labels."""


class Window(Protocol):
    """Sums of a loss and of what is counted with it since the last log point, kept on the device."""

    sums: Tensor

    def averages(self) -> dict[str, float]:
        """Return the measures of a row of metrics.csv."""


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
    """

    # The columns of metrics.csv that are measured.
    measures: ClassVar[tuple[str, ...]]
    # Whether torch.compile can gain anything: not where shapes differ from batch to batch.
    can_compile: ClassVar[bool] = True

    dataset: str
    checksums: dict[str, str]
    versions: dict[str, int]
    net: nn.Module
    training: Source
    training_images: int
    reported: str
    facts: dict[str, Any]
    activation_bytes: float = 0

    @abc.abstractmethod
    def window(self, device: torch.device) -> Window:
        """Return sums at zero."""

    @abc.abstractmethod
    def loss(self, run: "Training", batch: tuple[Any, ...], part: int) -> Tensor:
        """Return the loss of the part number ``part`` of this process's batch, and count it in ``run.window``."""

    @abc.abstractmethod
    def evaluate(self, run: "Training") -> dict[str, dict[str, float]]:
        """Return the measures of each split that is not trained on; every process calls it."""

    @abc.abstractmethod
    def shown(self, row: dict[str, Any]) -> dict[str, str]:
        """Return what the progress line shows of a row of training."""

    @abc.abstractmethod
    def result(self, run: "Training") -> dict[str, Any]:
        """Return what ``result.json`` says besides the last measures of each split."""

    def weights(self) -> dict[str, Any]:
        """Return what is written as ``weights.pt``."""
        return self.net.state_dict()

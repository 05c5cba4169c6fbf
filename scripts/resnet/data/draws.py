"""Random draws that are pure functions of a seed and of what they are for, so that no state has to be kept."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from resnet.data.device import HOST, to_device

Draws = dict[str, Tensor]


def seeded_generator(*numbers: int, device: torch.device = HOST) -> torch.Generator:
    """Return a generator whose draws depend on the given non-negative numbers, such as seed and epoch.

    They are made on the device, and are others on a GPU than on a CPU.
    """
    return torch.Generator(device).manual_seed(derived_seed(*numbers))


def derived_seed(*numbers: int) -> int:
    """Return a seed that depends on the given non-negative numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]) % 2**63


class EpochPlan:
    """Which images are in a batch, and what is drawn for each of them.

    Images are shuffled anew in every epoch, and a batch may span two epochs. The draws of an update are a pure function
    of the seed and the iteration, and a process's are a slice of them: a run that is resumed anywhere, by any number of
    processes, sees the batches that it would have seen.

    Args:
        images: how many there are.
        draw: returns what else is drawn for so many images, by a generator: tensors (count, …).
        batch_size: images of a batch, over all processes.
        seed: of the run.
        share: the part of each batch that this process takes.
        device: where the draws are kept.
    """

    def __init__(
        self,
        images: int,
        draw: Callable[[int, torch.Generator], Draws],
        *,
        batch_size: int,
        seed: int,
        share: slice = slice(None),
        device: torch.device = HOST,
    ) -> None:
        self.images, self.draw, self.batch_size, self.seed, self.device = images, draw, batch_size, seed, device
        self.first, self.stop, _ = share.indices(batch_size)
        self._epochs: dict[int, Draws] = {}

    def draws(self, iteration: int) -> Draws:
        """Return the draws of this process's images at an update, each (B, …), the first of which is ``image``."""
        start = iteration * self.batch_size
        place, stop, pieces = start + self.first, start + self.stop, []
        while place < stop:
            epoch, first = divmod(place, self.images)
            drawn = self._epoch(epoch)
            pieces.append({name: values[first : first + stop - place] for name, values in drawn.items()})
            place += len(pieces[-1]["image"])
        return pieces[0] if len(pieces) == 1 else {name: torch.cat([one[name] for one in pieces]) for name in pieces[0]}

    def _epoch(self, epoch: int) -> Draws:
        """Return the draws of a whole epoch."""
        if epoch not in self._epochs:
            generator = seeded_generator(self.seed, epoch)
            order = torch.randperm(self.images, generator=generator)
            drawn = {"image": order, **self.draw(self.images, generator)}
            # Workers are ahead of the training, perhaps in the next epoch.
            self._epochs = {key: value for key, value in self._epochs.items() if abs(key - epoch) <= 1}
            self._epochs[epoch] = {name: to_device(values, self.device) for name, values in drawn.items()}
        return self._epochs[epoch]

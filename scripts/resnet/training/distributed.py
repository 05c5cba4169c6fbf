"""The processes that train one network together, started by torchrun or srun; a single one needs neither."""

import contextlib
import os
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from resnet.data.loader import workers_for
from resnet.errors import UserError
from resnet.settings import Hardware
from resnet.training.gpus import own_gpu, require_different, visible_gpus
from resnet.training.slurm import adopt_step

# torch's own limit on waiting for each other is 10 to 30 minutes, which finds processes that hang.
LONG = timedelta(days=365)


class Processes:
    """The processes that train together, as seen by one of them.

    Attributes:
        rank: its number from 0; the one numbered 0 writes files and messages.
        world_size: how many there are.
        device: where it computes.
        workers: how many processes decode images for it.
        scratch: a folder on the disk of its machine, for copies of images; None if they are read where they are.
        local_rank: its number from 0 among those of its machine.

    Raises:
        UserError: cuda is asked for and there is none, or there are fewer than processes.
    """

    def __init__(self, hardware: Hardware) -> None:
        if hardware.device == "cuda" and not torch.cuda.is_available():
            raise UserError("device is cuda, but torch sees no GPU; use auto or cpu")
        on_gpu = hardware.device != "cpu" and torch.cuda.is_available()
        adopt_step(os.environ)
        self.world_size, self.rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
        self.scratch, self.local_rank = hardware.scratch, int(os.environ.get("LOCAL_RANK", "0"))
        self.device = torch.device("cpu")
        if on_gpu:
            # Processes of one training must have different ones, so they count.
            index, _ = own_gpu(self.local_rank if self.world_size > 1 else None)
            self.device = torch.device("cuda", index)
            torch.cuda.set_device(self.device)
        beside = int(os.environ.get("LOCAL_WORLD_SIZE", self.world_size))
        share = workers_for(len(os.sched_getaffinity(0)), beside) if on_gpu else 0
        self.workers = share if hardware.workers is None else hardware.workers
        # What is agreed on between updates goes through the host, so that no GPU waits for it. None is all processes.
        self.control: dist.ProcessGroup | None = None
        if self.world_size > 1:
            if not dist.is_initialized():
                dist.init_process_group("nccl" if on_gpu else "gloo")
            self.control = host_group() if on_gpu else None
            self.patient = host_group(LONG)
            if on_gpu:
                require_different(self._all_gather_objects(visible_gpus()[self.device.index]))

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def own_share(self, count: int) -> slice:
        """Return which of the ``count`` images of a batch this process takes.

        Raises:
            UserError: the batch cannot be split evenly, as a mean over processes needs.
        """
        if count % self.world_size:
            raise UserError(f"batch_size {count} cannot be split evenly over {self.world_size} processes")
        size = count // self.world_size
        return slice(self.rank * size, (self.rank + 1) * size)

    def wrap(self, net: nn.Module, on_gpu: bool) -> nn.Module:
        """Return what averages the gradients of ``net`` over the processes.

        Each keeps its own batch-normalisation statistics, as in the paper; those of process 0 are the network's.
        """
        if self.world_size == 1:
            return net
        ids = [self.device.index] if on_gpu else None
        return DistributedDataParallel(net, device_ids=ids, broadcast_buffers=False, gradient_as_bucket_view=True)

    @staticmethod
    def no_sync(wrapped: nn.Module) -> contextlib.AbstractContextManager:
        """Return the context in which what ``wrap`` returned leaves each process its own gradients."""
        return wrapped.no_sync() if isinstance(wrapped, DistributedDataParallel) else contextlib.nullcontext()

    def all_reduce_sum(self, value: Tensor) -> Tensor:
        """Return the sum of a tensor over the processes."""
        if self.world_size > 1:
            value = value.clone()
            dist.all_reduce(value)
        return value

    def all_gather(self, value: Tensor) -> Tensor:
        """Return the tensor of every process, stacked in order of their ranks."""
        if self.world_size == 1:
            return value[None]
        values = [torch.empty_like(value) for _ in range(self.world_size)]
        dist.all_gather(values, value)
        return torch.stack(values)

    def _all_gather_objects(self, own: Any) -> list[Any]:
        """Return what every process gives, in each of them."""
        parts: list[Any] = [None] * self.world_size
        dist.all_gather_object(parts, own, group=self.control)
        return parts

    def gather_object(self, own: Any) -> list[Any]:
        """Return what every process gives, in process 0; nothing in the others."""
        if self.world_size == 1:
            return [own]
        parts: list[Any] | None = [None] * self.world_size if self.is_main else None
        dist.gather_object(own, parts, group=self.control)
        return parts or []

    def all_reduce_max(self, *numbers: float) -> list[float]:
        """Return the largest of each number over the processes."""
        if self.world_size == 1:
            return list(numbers)
        values = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(values, dist.ReduceOp.MAX, group=self.control)
        return values.tolist()

    def broadcast_buffers(self, net: nn.Module) -> None:
        """Give every process the running statistics of process 0."""
        if self.world_size > 1:
            for buffer in net.buffers():
                dist.broadcast(buffer, 0)

    def barrier(self) -> None:
        """Wait until every process has come here."""
        if self.world_size > 1:
            dist.barrier(group=self.control)

    def long_barrier(self) -> None:
        """Wait until every process has come here, however long one waits for a lock: ``barrier`` gives up earlier."""
        if self.world_size > 1:
            dist.barrier(group=self.patient)

    def close(self) -> None:
        """Leave the others."""
        if self.world_size > 1:
            dist.destroy_process_group()


def host_group(timeout: timedelta | None = None) -> dist.ProcessGroup:
    """Return a group of all processes that talks through the host."""
    group = dist.new_group(backend="gloo", timeout=timeout)
    # It is a number for those left out, of whom there are none.
    assert isinstance(group, dist.ProcessGroup)
    return group

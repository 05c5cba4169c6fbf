"""Training as in sections 3.4 and 4.2: one readable loop that can be stopped and resumed anywhere.

The order of the images, their augmentation and the learning rate are functions of the seed and the iteration, so the
state of a run is its weights, optimizer, log and warm-up event: a resumed run ends with the same bits as one that was
never interrupted (same device, same number of threads; on a GPU, in bf16: cuDNN's float32 differs from run to run).
"""

import contextlib
import dataclasses
import math
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import torch

from resnet.architectures import BatchNorm2d, CifarNet, count_parameters, frozen_statistics, weighted_layers
from resnet.errors import InputError, StoppedError, UserError
from resnet.files import write_json, write_rows, write_yaml
from resnet.locks import folder_lock
from resnet.progress import Progress
from resnet.provenance import code, now, surroundings
from resnet.settings import Hardware, Recipe, check_shares, fingerprint
from resnet.signals import StopSignals
from resnet.training import checkpoint
from resnet.training.cuda_graph import CapturedStep
from resnet.training.distributed import Processes
from resnet.training.gpus import room_for_activations
from resnet.training.optimizer import SGD
from resnet.training.precision import TRIAL_FROM_ITERATIONS, WORTH_IT, choose_precision, processor_has_bf16, speedup
from resnet.training.schedule import find_plateaus, learning_rate
from resnet.training.slurm import requeue_job, warned_of_the_end
from resnet.training.task import MicroBatch, Task

# torch.compile takes minutes. On a GPU, where updates are not captured, it is worth them where a tenth of what the
# remaining updates take is more. On the CPU it never is: the eager channels_last net is as fast
# (benchmarks/cifar_training.py --compile true: 1.57 and 1.39 times the usual loop for ResNet-20 and -56, else 1.53).
COMPILE_SECONDS = 180
COMPILE_SAVES = 0.1
# Several processes agree on saving and stopping about once in so many seconds, and at least once in so many updates:
# each agreement waits for the slowest of them.
AGREEMENT_SECONDS = 1
AGREEMENT_INTERVAL = 10
# Blocks whose activations are recomputed together.
RECOMPUTE_GROUP = 20


class EvaluationStoppedError(Exception):
    """A process was asked to stop during an evaluation: what it has measured so far is of no use."""


class Training:
    """A run: its network, data and state.

    Args:
        recipe: what to train and how.
        hardware: where to do it.
        build_task: makes the task of a recipe for a process.
        processes: those that train together; this one alone unless given.
        stop: the requests to stop, for which an evaluation looks too.
    """

    def __init__(
        self,
        recipe: Recipe,
        hardware: Hardware,
        build_task: Callable[[Processes], Task],
        processes: Processes | None = None,
        stop: StopSignals | None = None,
    ) -> None:
        torch.set_num_threads(hardware.threads)
        self.recipe, self.processes = recipe, processes or Processes(hardware)
        self.stop = stop or StopSignals()
        self.device = self.processes.device
        check_shares(recipe, self.processes.world_size, hardware.accumulate)
        self.share = self.processes.own_share(recipe.batch_size)
        self.accumulate = hardware.accumulate
        self.task = build_task(self.processes)
        self.ghost_batch_size = self._images_per_statistic()
        self.fingerprint = self.fingerprint_with(self.ghost_batch_size)
        self._build(hardware)
        # The last update, and the last one that an evaluation followed.
        self.iteration = self.evaluated_at = 0
        self.warmup_ended_at: int | None = None
        self.rows: list[dict[str, Any]] = []
        self.plateaus = self.find_plateaus()
        self.meter = self.task.meter(self.device)
        # What the next update computes with lies on the device, where one that is replayed finds it: its learning rate
        # and its number. So does the first iteration whose loss was not finite, which is read at log points.
        self.lr = torch.zeros((), device=self.device)
        self.device_iteration = torch.tensor(0, device=self.device)
        self.diverged_at = torch.tensor(-1, device=self.device)
        # Who made which updates, when and on what: an entry each time that the run was started and went on.
        self.slices: list[dict[str, Any]] = []

    def _images_per_statistic(self) -> int | None:
        """Return the recipe's ``ghost_batch_size``, or what this hardware makes of it; None for the whole batch.

        Batch normalisation sees the images that a process computes at once, where the recipe does not say otherwise.
        """
        norms = [module for module in self.task.net.modules() if isinstance(module, BatchNorm2d)]
        at_once = (self.share.stop - self.share.start) // self.accumulate
        fixed = not any(norm.weight.requires_grad for norm in norms)
        if self.recipe.ghost_batch_size or fixed or at_once == self.recipe.batch_size:
            return self.recipe.ghost_batch_size
        return at_once

    def fingerprint_with(self, ghost_batch_size: int | None) -> str:
        """Return the fingerprint of this run if batch normalisation saw so many images."""
        recipe = dataclasses.replace(self.recipe, ghost_batch_size=ghost_batch_size)
        return fingerprint(recipe, self.task.checksums, self.task.versions)

    def check_statistics(self, state: dict[str, Any]) -> None:
        """Refuse a checkpoint of the same recipe if batch normalisation would see other batches on this hardware.

        Raises:
            UserError: it would; the message says which setting goes on as before.
        """
        before = state.get("ghost_batch_size")
        if self.recipe.ghost_batch_size is None and state["fingerprint"] == self.fingerprint_with(before):
            size = self.recipe.batch_size
            raise UserError(
                f"the checkpoint has been trained with batch normalisation over {before or size} images; "
                f"{self.processes.world_size} processes with accumulate {self.accumulate} would go on with "
                f"{self.ghost_batch_size or size}: set ghost_batch_size to {before or size}, or move it away to train "
                "from the start"
            )

    def _build(self, hardware: Hardware) -> None:
        recipe, self.net = self.recipe, self.task.net
        self.counts = {
            "layers": len(weighted_layers(self.net)),
            "parameters": count_parameters(self.net),
        }
        self.net.to(self.device).to(memory_format=torch.channels_last)
        self.recompute_group = 0
        # Nets on ImageNet keep their activations: only those of section 4.2 know how to compute them again.
        if isinstance(self.net, CifarNet) and self._recomputes(hardware):
            self.recompute_group = self.net.recompute_group = RECOMPUTE_GROUP
        trained = [parameter for parameter in self.net.parameters() if parameter.requires_grad]
        self.optimizer = SGD(
            trained, lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay, fused=True
        )
        self.bf16_speedup: float | None = None
        kept = recipe.precision == "auto" and not self.task.allows_bf16
        self.compute_in("float32" if kept else choose_precision(recipe.precision, self.device))
        self.wrapped = self.processes.wrap(self.net, self.device.type == "cuda")
        self.compiled = self._choose_compile(hardware.compile)
        self.forward: Callable[..., Any] = torch.compile(self.wrapped) if self.compiled == "true" else self.wrapped
        # Whether to compile is decided once it has been seen how long updates take.
        undecided = (hardware.compile, self.compiled, self.device.type) == ("auto", "false", "cuda")
        self.may_compile = undecided and self._why_not("true") is None
        self._timed_from: tuple[int, float] | None = None
        self.step = CapturedStep(self._step) if self.compiled == "cuda-graphs" else self._step
        # Time to look for cuDNN's fastest algorithms is repaid where shapes stay the same.
        torch.backends.cudnn.benchmark = self.task.fixed_shapes

    def compute_in(self, precision: str) -> None:
        """Compute in float32 or bf16 from now on."""
        self.precision = precision
        self.autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=precision == "bf16")

    @property
    def tries_bf16(self) -> bool:
        """Whether it is tried before the first update: in a long training on a processor that multiplies in bf16."""
        on_cpu = self.recipe.precision == "auto" and self.device.type == "cpu"
        possible = self.task.allows_bf16 and self.task.fixed_shapes and self.iteration == 0
        return on_cpu and possible and self.recipe.iterations >= TRIAL_FROM_ITERATIONS and processor_has_bf16()

    def try_bf16(self) -> None:
        """Choose the precision by the time that gradients take in it; nothing else is changed."""
        batch = self.task.training.batch(0)
        images = len(batch[0]) // self.accumulate
        first = tuple(values[:images] for values in batch)

        def add_gradient(precision: str) -> None:
            self.compute_in(precision)
            loss, _ = self.task.loss(self._compute, first, self._place(images, 0))
            loss.backward()

        with frozen_statistics(self.net):
            found = speedup(add_gradient)
        self.optimizer.zero_grad(set_to_none=True)
        # Processes compute in one precision: that of the one which gains least.
        self.bf16_speedup = -self.processes.all_reduce_max(-found)[0]
        self.compute_in("bf16" if self.bf16_speedup >= WORTH_IT else "float32")

    def _recomputes(self, hardware: Hardware) -> bool:
        if hardware.recompute != "auto":
            return hardware.recompute == "true"
        return self.task.activation_bytes > room_for_activations(self.device)

    def _choose_compile(self, wanted: str) -> str:
        """Return how updates are computed: true (compiled), cuda-graphs (captured) or false; say what is impossible."""
        if wanted == "auto":
            return "false" if self._why_not("cuda-graphs") else "cuda-graphs"
        if wanted != "false" and (reason := self._why_not(wanted)):
            say(self.processes, f"not {'compiled' if wanted == 'true' else 'captured'}, as {reason}")
            return "false"
        return wanted

    def _why_not(self, way: str) -> str | None:
        """Return why updates cannot be compiled (true) or captured (cuda-graphs)."""
        if not self.task.fixed_shapes:
            return "shapes differ from image to image"
        if self.recompute_group:
            # torch.compile cannot trace the context in which activations are recomputed.
            return "activations are recomputed; set recompute: false to compile"
        if way == "cuda-graphs" and self.device.type != "cuda":
            return "there is no GPU"
        if way == "cuda-graphs" and self.processes.world_size > 1:
            return "several processes average their gradients"
        if way == "cuda-graphs" and not isinstance(self.net, CifarNet):
            return "only nets of section 4.2 leave a GPU waiting for the next operation"
        return None

    def compile_if_it_pays(self) -> None:
        """Compile from now on where that saves more time than it takes; called at log points, where no update is due.

        Updates are timed from one log point to the next; not those before the first, in which libraries choose their
        algorithms. Processes go by the slowest of them.
        """
        before, self._timed_from = self._timed_from, (self.iteration, time.monotonic())
        evaluated = before is not None and self.evaluated_at >= before[0]
        if not self.may_compile or before is None or evaluated:
            return
        self.may_compile = False
        made = self.iteration - before[0]
        [seconds] = self.processes.all_reduce_max(self._timed_from[1] - before[1])
        if seconds / made * (self.recipe.iterations - self.iteration) * COMPILE_SAVES > COMPILE_SECONDS:
            self.compiled, self.forward = "true", torch.compile(self.wrapped)
            self.slices[-1] |= {"compile": self.compiled, "compiled_from": self.iteration}

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of ``metrics.csv``."""
        return ("iteration", "epoch", "split", *self.task.metrics, "lr")

    def find_plateaus(self) -> tuple[int, ...] | None:
        """Return the iterations at which the error was seen to stand still; None where the drops are fixed."""
        return find_plateaus(self.rows, self.recipe.patience) if self.recipe.patience else None

    def rate(self, iteration: int) -> float:
        """Return the learning rate of an update."""
        return learning_rate(self.recipe, iteration, self.warmup_ended_at, self.plateaus)

    def update(self) -> None:
        """Make one update of the weights and count its training error."""
        self.lr.fill_(self.rate(self.iteration))
        self.device_iteration.fill_(self.iteration)
        self.step(self.task.training.batch(self.iteration))
        self.iteration += 1

    def _step(self, batch: tuple[Any, ...]) -> None:
        """Compute an update from a batch and from what is on the device; no operation waits for another's result."""
        self.optimizer.zero_grad(set_to_none=True)
        size = len(batch[0]) // self.accumulate
        for number in range(self.accumulate):
            chosen = slice(number * size, (number + 1) * size)
            self._add_gradient(tuple(values[chosen] for values in batch), number)
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr
        self.optimizer.step()

    def _add_gradient(self, batch: tuple[Any, ...], number: int) -> None:
        """Add the gradient of one of this process's micro-batches; the last one averages over the processes."""
        with contextlib.ExitStack() as contexts:
            if number:
                contexts.enter_context(frozen_statistics(self.net))
            if number < self.accumulate - 1:
                contexts.enter_context(self.processes.no_sync(self.wrapped))
            loss, measured = self.task.loss(self._compute, batch, self._place(len(batch[0]), number))
            self.meter.add(*measured)
            (loss / self.accumulate).backward()
        bad = ~torch.isfinite(loss.detach()) & (self.diverged_at < 0)
        self.diverged_at.copy_(torch.where(bad, self.device_iteration, self.diverged_at))

    def _compute(self, *inputs: Any) -> Any:
        """Return what the network in training makes of inputs, in the run's precision."""
        with self.autocast:
            return self.forward(*inputs)

    def _place(self, images: int, number: int) -> MicroBatch:
        """Return which of the update's images are in a micro-batch of so many."""
        return MicroBatch(
            seed=self.recipe.seed,
            iteration=self.iteration,
            rank=self.processes.rank,
            number=number,
            first=self.share.start + number * images,
            batch_size=self.recipe.batch_size,
            device=self.device,
        )

    def check_loss(self) -> None:
        """Stop when the loss has become NaN or infinite.

        Raises:
            UserError: it has; the message names the iteration.
        """
        if (iteration := int(self.processes.all_reduce_max(float(self.diverged_at))[0])) >= 0:
            raise self._diverged("the loss", iteration + 1)

    def check_weights(self) -> None:
        """Stop when a weight, or what the optimizer keeps of it, has become NaN or infinite.

        Raises:
            UserError: it has.
        """
        found = checkpoint.not_finite([self.net.state_dict(), self.optimizer.state_dict()["state"]])
        if self.processes.all_reduce_max(found is not None)[0]:
            raise self._diverged("a weight", self.iteration)

    def _diverged(self, what: str, iteration: int) -> UserError:
        recipe = self.recipe
        return UserError(
            f"{recipe.model}, seed {recipe.seed}: {what} is not finite at iteration {iteration}; "
            "lower lr or start with warmup_lr"
        )

    def log_training(self) -> dict[str, Any]:
        """Append the training error since the last log point; end the warm-up when it is low enough."""
        self.check_loss()
        self.meter.sums.copy_(self.processes.all_reduce_sum(self.meter.sums))
        row = self._append("train", self.meter.averages())
        self.meter.sums.zero_()
        warmup = self.recipe.warmup
        if warmup and self.warmup_ended_at is None and row["top1_error"] < warmup[1]:
            self.warmup_ended_at = self.iteration
        return row

    def log_evaluation(self) -> None:
        """Append what is measured on the images that are not trained on.

        Raises:
            EvaluationStoppedError: a process was asked to stop; nothing is appended, and the evaluation still owed.
            UserError: the network has come to nothing.
        """
        self.check_weights()
        self.processes.broadcast_buffers(self.net)
        for split, measured in self.task.evaluate(self.autocast, self.until_stopped, self.processes).items():
            self._append(split, measured)
        self.evaluated_at = self.iteration
        self.plateaus = self.find_plateaus()

    def until_stopped(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Yield the batches of an evaluation, or of this process's part of it; every process comes to its end.

        Raises:
            EvaluationStoppedError: in every process, at the end, when one of them was asked to stop.
        """
        for batch in batches:
            if self.stop.received:
                break
            yield batch
        if any(self.processes.all_reduce_max(self.stop.received or 0)):
            raise EvaluationStoppedError

    def _append(self, split: str, measured: dict[str, float]) -> dict[str, Any]:
        if bad := [name for name, value in measured.items() if not math.isfinite(value)]:
            raise self._diverged(f"the {bad[0]} on {split}", self.iteration)
        epoch = round(self.iteration * self.recipe.batch_size / self.task.training_images, 4)
        rate = self.rate(self.iteration - 1)
        row = {"iteration": self.iteration, "epoch": epoch, "split": split, **measured, "lr": rate}
        self.rows.append(row)
        return row

    def is_due(self, interval: int) -> bool:
        """Whether the last update is a multiple of ``interval`` or the end."""
        return self.iteration % interval == 0 or self.iteration == self.recipe.iterations

    def begin_slice(self, threads: int) -> None:
        """Begin the provenance of the updates that follow."""
        around = surroundings(self.device, threads, self.processes.world_size, self.precision)
        ways: dict[str, Any] = {
            "accumulate": self.accumulate,
            "compile": self.compiled,
            "recompute_group": self.recompute_group,
        }
        if self.bf16_speedup is not None:
            ways["bf16_speedup"] = round(self.bf16_speedup, 2)
        place = {"from": self.iteration, "to": self.iteration}
        # The commit is that of the code which runs, whatever is checked out by the end.
        self.slices.append({**place, **code(), **around, **ways, "started": now()})

    def extend_slice(self, seconds: float) -> None:
        """Bring the provenance up to the last update, so many seconds after the slice began."""
        self.slices[-1] |= {"to": self.iteration, "finished": now(), "seconds": round(seconds, 3)}

    @property
    def seconds(self) -> float:
        """How long the updates took, over all slices."""
        return sum(one["seconds"] for one in self.slices)

    @property
    def owes_evaluation(self) -> bool:
        """Whether an evaluation follows the last update and has not been made, or not to its end."""
        return self.evaluated_at < self.iteration and self.is_due(self.recipe.evaluation_interval)

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.iteration == self.recipe.iterations and not self.owes_evaluation

    def state(self) -> dict[str, Any]:
        """Return everything that the rest of the run depends on; every process calls it, one of them saves it."""
        return {
            "fingerprint": self.fingerprint,
            "ghost_batch_size": self.ghost_batch_size,
            "iteration": self.iteration,
            "evaluated_at": self.evaluated_at,
            "warmup_ended_at": self.warmup_ended_at,
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rows": self.rows,
            "window": self.processes.all_gather(self.meter.sums),
            "slices": self.slices,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state that ``state`` returned."""
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.iteration, self.warmup_ended_at = state["iteration"], state["warmup_ended_at"]
        # Older checkpoints do not say it: they were only written after an evaluation.
        self.evaluated_at = state.get("evaluated_at", self.iteration)
        self.rows = state["rows"]
        # Earlier checkpoints know only how long it took.
        earlier = [{"from": 0, "to": self.iteration, "seconds": state.get("seconds", 0.0)}]
        self.slices = [dict(one) for one in state.get("slices", earlier)]
        # A training keeps the precision that it began with, wherever it goes on.
        self.compute_in(next((one["precision"] for one in self.slices if "precision" in one), self.precision))
        self.plateaus = self.find_plateaus()
        windows = state["window"]
        if len(windows) == self.processes.world_size:
            self.meter.sums.copy_(windows[self.processes.rank])
        elif self.processes.is_main:
            self.meter.sums.copy_(windows.sum(0))

    def result(self) -> dict[str, Any]:
        """Return the final numbers: metrics of the last iteration on every split, and what the network is."""
        metrics = self.task.metrics
        last = {row["split"]: {key: row[key] for key in metrics if key in row} for row in self.rows}
        return {
            "model": self.recipe.model,
            "dataset": self.task.dataset,
            "seed": self.recipe.seed,
            **self.counts,
            "iterations": self.iteration,
            "warmup_ended_at": self.warmup_ended_at,
            **last,
            **self.task.result(self.rows),
        }


def train(
    folder: Path, recipe: Recipe, hardware: Hardware, build_task: Callable[[Processes], Task], wait: bool = False
) -> None:
    """Train a network, from its last checkpoint if there is one, and write the run folder.

    The folder gets ``config.yaml``, ``metrics.csv``, ``result.json``, ``environment.json`` and ``weights.pt``, and
    keeps ``checkpoint.pt``.

    Args:
        folder: the run folder; one process at a time trains in it.
        recipe: what to train and how.
        hardware: where to do it.
        build_task: makes the task of the recipe for a process.
        wait: wait for a process that trains in the folder, rather than failing.

    Raises:
        UserError: bad settings or data, a locked folder, a damaged checkpoint, a loss that is not finite.
        StoppedError: asked to stop; a checkpoint has been written.
    """
    processes = Processes(hardware)
    with training_lock(folder, wait, processes), StopSignals() as stop, warned_of_the_end(os.environ):
        training = Training(recipe, hardware, build_task, processes, stop)
        if (state := load_checkpoint(training, folder)) is not None:
            training.restore(state)
            say(processes, f"resumed {folder} at iteration {training.iteration} of {recipe.iterations}")
        elif training.tries_bf16:
            training.try_bf16()
        # What a job that failed has written is deleted by Snakemake, so it is written again at every start.
        if processes.is_main:
            write_yaml(folder / "config.yaml", resolved_settings(training))
        write_metrics(training, folder)
        if not training.is_finished:
            training.begin_slice(hardware.threads)
        if training.bf16_speedup is not None:
            # Another trial could choose another precision: a training that is killed goes on in this one.
            training.extend_slice(0)
            save(training, folder)
        run_loop(training, folder, hardware.checkpoint_seconds)
        if processes.is_main:
            # All together, as Snakemake has deleted the earlier ones if it was started again in the meantime.
            write_yaml(folder / "config.yaml", resolved_settings(training))
            write_rows(folder / "metrics.csv", training.columns, training.rows)
            checkpoint.save_weights(folder / "weights.pt", training.task.weights())
            write_json(folder / "result.json", training.result())
            write_json(folder / "environment.json", environment(training))
        processes.barrier()
        processes.close()


@contextlib.contextmanager
def training_lock(folder: Path, wait: bool, processes: Processes) -> Iterator[None]:
    """Hold the lock of a run folder for all processes: process 0 takes it, the others wait until it has."""
    with folder_lock(folder, wait) if processes.is_main else contextlib.nullcontext():
        processes.long_barrier()
        yield


def load_checkpoint(training: Training, folder: Path) -> dict[str, Any] | None:
    """Return the state to go on from; process 0 looks first, as it moves checkpoints of other settings aside."""

    def load() -> dict[str, Any] | None:
        return checkpoint.load(folder, training.fingerprint, training.device, training.check_statistics)

    state = load() if training.processes.is_main else None
    training.processes.barrier()
    return state if training.processes.is_main else load()


def say(processes: Processes, message: str) -> None:
    """Print a message once, however many processes there are."""
    if processes.is_main:
        print(message, flush=True)


def run_loop(training: Training, folder: Path, checkpoint_seconds: float) -> None:
    """Make the updates and evaluations that are left, log, save; the last state is saved too.

    Raises:
        StoppedError: asked to stop; the state after the last update has been saved.
        InputError: images cannot be read; as above, where a single process trains.
    """
    started = time.monotonic()
    saved, agreement, finished = started, Agreement(training.processes, training.iteration), training.is_finished
    progress = show_progress(training)
    while not training.is_finished:
        try:
            # An evaluation that was cut short comes first.
            if not training.owes_evaluation:
                advance(training, progress)
            if training.owes_evaluation:
                training.log_evaluation()
                write_metrics(training, folder)
        except EvaluationStoppedError:
            agreement.next_iteration = training.iteration
        except InputError:
            # The state is that after the last update. Several processes cannot agree here on what to save.
            if training.processes.world_size == 1:
                training.extend_slice(time.monotonic() - started)
                save(training, folder)
            raise
        if training.iteration < agreement.next_iteration and not training.is_finished:
            continue
        moment = time.monotonic()
        number, late = agreement.reach(
            training.iteration, training.stop.received or 0, moment - saved >= checkpoint_seconds
        )
        if number or late or training.is_finished:
            training.extend_slice(moment - started)
            save(training, folder)
            saved = moment
        if number and not training.is_finished:
            leave(training, folder, signal.Signals(int(number)))
    progress.close()
    if not finished:
        say(training.processes, f"trained {training.recipe.iterations} iterations in {training.seconds:.0f} s")


class Agreement:
    """When several processes next agree on what each of them knows; one alone asks itself after every update.

    Args:
        processes: those that train together.
        iteration: the update that they start from.
    """

    def __init__(self, processes: Processes, iteration: int) -> None:
        self.processes = processes
        self.next_iteration = self._last_iteration = iteration
        self._last = time.monotonic()

    def reach(self, iteration: int, *numbers: float) -> list[float]:
        """Return the largest of each number over the processes, and plan the next agreement by the slowest's speed."""
        now = time.monotonic()
        pace = (now - self._last) / max(1, iteration - self._last_iteration)
        *largest, pace = self.processes.all_reduce_max(*numbers, pace)
        wait = AGREEMENT_SECONDS / max(pace, 1e-9) if self.processes.world_size > 1 else 1
        self.next_iteration = iteration + int(min(max(wait, 1), AGREEMENT_INTERVAL))
        self._last, self._last_iteration = now, iteration
        return largest


def advance(training: Training, progress: Progress) -> None:
    """Make one update, and log the training error where it is due."""
    training.update()
    progress.step()
    if training.is_due(training.recipe.log_interval):
        row = training.log_training()
        training.compile_if_it_pays()
        progress.line(**training.task.progress(row), lr=row["lr"])


def save(training: Training, folder: Path) -> None:
    """Write the checkpoint; every process takes part in it.

    Raises:
        UserError: the loss or a weight is not finite, or the disk is full.
    """
    training.check_loss()
    training.check_weights()
    state = training.state()
    if training.processes.is_main:
        checkpoint.save(folder, state)


def leave(training: Training, folder: Path, received: signal.Signals) -> NoReturn:
    """Leave after the state has been saved; a Slurm job that was warned of its end (SIGUSR1) is queued again.

    Raises:
        StoppedError: always.
    """
    saved = (
        f"{received.name}: saved {folder / checkpoint.NAME} at iteration {training.iteration} of "
        f"{training.recipe.iterations}; the same command goes on from there"
    )
    if received is signal.SIGUSR1 and training.processes.is_main and (requeued := requeue_job(os.environ)):
        saved += f"\n{requeued}"
    raise StoppedError(saved, 128 + received)


def write_metrics(training: Training, folder: Path) -> None:
    """Write ``metrics.csv``, in process 0."""
    if training.processes.is_main:
        write_rows(folder / "metrics.csv", training.columns, training.rows)


def show_progress(training: Training) -> Progress:
    """Return the display of a run; only process 0 shows it."""
    return Progress(
        training.recipe.iterations,
        title=f"{training.recipe.model} seed {training.recipe.seed}",
        unit="iterations",
        speed_unit="images",
        done=training.iteration,
        scale=training.recipe.batch_size,
        silent=not training.processes.is_main,
    )


def resolved_settings(training: Training) -> dict[str, Any]:
    """Return every setting that decides the run's numbers, and the data and code that it is used with."""
    settings = dataclasses.asdict(training.recipe)
    return {
        "recipe": {**settings, "lr_drops": list(training.recipe.lr_drops)},
        "versions": training.task.versions,
        "resolved": {
            "ghost_batch_size": training.ghost_batch_size,
            "precision": training.precision,
            "training_images": training.task.training_images,
            **training.task.facts,
        },
        "dataset": {"name": training.task.dataset, "sha256": training.task.checksums},
        "fingerprint": training.fingerprint,
    }


def environment(training: Training) -> dict[str, Any]:
    """Return where the numbers come from, slice by slice: code, versions, device, time."""
    return {
        "seconds": round(training.seconds, 1),
        "images_per_second": round(training.iteration * training.recipe.batch_size / max(training.seconds, 1e-9), 1),
        "slices": training.slices,
    }

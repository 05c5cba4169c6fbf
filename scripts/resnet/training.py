"""Training on CIFAR-10 as in section 4.2: one readable loop that can be stopped and resumed anywhere.

The order of the images, their augmentation and the learning rate are functions of the seed and the iteration, so the
state of a run is its weights, optimizer, log and warm-up event: a resumed run ends with the same bits as one that was
never interrupted (same device, same number of threads).
"""

import dataclasses
import os
import platform
import signal
import subprocess
import time
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from resnet import checkpoint
from resnet.architectures import CifarNet, count_parameters, weighted_layers
from resnet.data.batches import EvaluationBatches, TrainingBatches, load_parts
from resnet.data.cifar10 import Description
from resnet.errors import StoppedError, UserError
from resnet.evaluation import Totals, evaluate
from resnet.files import folder_lock, write_json, write_rows, write_yaml
from resnet.progress import Progress
from resnet.schedule import learning_rate, starts_with_warmup
from resnet.settings import RECIPE_VERSION, Hardware, Recipe, fingerprint

METRICS = ("iteration", "epoch", "split", "loss", "top1_error", "top5_error", "lr")
EVALUATION_BATCH = 500
# On a GPU, torch.compile repays its minutes of compiling in runs of this length and more. On the CPU it does not: the
# eager channels_last net is as fast (benchmarks/cifar_training.py --compile: 1.57 and 1.39 times the usual loop for
# ResNet-20 and -56, against 1.53 and 1.53).
COMPILE_FROM_ITERATIONS = 5000
# Activations above this many bytes are recomputed rather than kept.
RECOMPUTE_FROM_BYTES = 8 * 2**30
RECOMPUTE_GROUP = 20


class StopSignals:
    """Remembers a request to stop (SIGTERM, SIGUSR1, SIGINT) until the loop is ready to save and leave."""

    SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def __enter__(self) -> "StopSignals":
        """Install the handlers."""
        self._previous = {number: signal.signal(number, self._remember) for number in self.SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        """Restore the handlers that were there."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        self.received = signal.Signals(number)


def choose_device(hardware: Hardware) -> torch.device:
    """Return the device to train on.

    Raises:
        UserError: cuda is asked for and there is none.
    """
    if hardware.device == "cuda" and not torch.cuda.is_available():
        raise UserError("device is cuda, but torch sees no GPU; use auto or cpu")
    return torch.device("cuda" if hardware.device != "cpu" and torch.cuda.is_available() else "cpu")


class Training:
    """A run: its network, data and state.

    Args:
        recipe: what to train and how.
        hardware: where to do it.
        description: the verified data set.
    """

    def __init__(self, recipe: Recipe, hardware: Hardware, description: Description) -> None:
        self.recipe, self.description = recipe, description
        self.device = choose_device(hardware)
        torch.set_num_threads(hardware.threads)
        self.fingerprint = fingerprint(recipe, description.sha256)
        self._load_data()
        self._build(hardware)
        self.iteration = 0
        self.warmup_ended_at: int | None = None
        self.rows: list[dict[str, Any]] = []
        self.window = Totals(self.device)
        # The first iteration whose loss was not finite; kept on the device, read at log points.
        self.diverged_at = torch.tensor(-1, device=self.device)
        self.seconds = 0.0

    def _load_data(self) -> None:
        recipe = self.recipe
        parts, mean = load_parts(self.description, recipe.image_size, recipe.validation_fraction, recipe.split_seed)
        training = parts.pop("train")
        self.training_images = len(training)
        self.batches = TrainingBatches(
            training,
            mean,
            padding=recipe.padding,
            horizontal_flip=self.description.horizontal_flip,
            batch_size=recipe.batch_size,
            seed=recipe.seed,
            device=self.device,
        )
        self.evaluation = {
            split: EvaluationBatches(part, mean, EVALUATION_BATCH, self.device)
            for split, part in parts.items()
            if len(part)
        }

    def _build(self, hardware: Hardware) -> None:
        recipe = self.recipe
        classes = len(self.description.classes)
        self.net = CifarNet(recipe.model, recipe.shortcut, classes, recipe.ghost_batch_size)
        self.net.initialise(torch.Generator().manual_seed(recipe.seed))
        self.counts = {
            "layers": len(weighted_layers(self.net)),
            "parameters": count_parameters(self.net),
        }
        self.net.to(self.device, memory_format=torch.channels_last)
        self.net.recompute_group = RECOMPUTE_GROUP if self._recomputes(hardware) else 0
        self.optimizer = torch.optim.SGD(
            self.net.parameters(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay, fused=True
        )
        self.precision = choose_precision(recipe.precision, self.device)
        self.autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")
        self.compiled = self._compiles(hardware)
        mode = "reduce-overhead" if hardware.compile == "cuda-graphs" else "default"
        self.forward = torch.compile(self.net, mode=mode) if self.compiled else self.net

    def _recomputes(self, hardware: Hardware) -> bool:
        if hardware.recompute != "auto":
            return hardware.recompute == "true"
        # Four maps are kept per block; a block of the later stages keeps a half and a quarter of the first one's.
        maps = 4 * (self.recipe.depth - 2) / 6 * (1 + 1 / 2 + 1 / 4)
        return 4 * 16 * self.recipe.image_size**2 * self.recipe.batch_size * maps > RECOMPUTE_FROM_BYTES

    def _compiles(self, hardware: Hardware) -> bool:
        if self.net.recompute_group:
            # torch.compile cannot trace the context in which activations are recomputed.
            if hardware.compile in ("true", "cuda-graphs"):
                print("not compiled, as activations are recomputed; set recompute: false to compile", flush=True)
            return False
        if hardware.compile != "auto":
            return hardware.compile != "false"
        return self.device.type == "cuda" and self.recipe.iterations >= COMPILE_FROM_ITERATIONS

    def update(self) -> None:
        """Make one update of the weights and count its training error."""
        rate = learning_rate(self.recipe, self.iteration, self.warmup_ended_at)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        images, labels = self.batches.batch(self.iteration)
        images = images.contiguous(memory_format=torch.channels_last)
        with self.autocast:
            scores = self.forward(images)
        scores = scores.float()
        loss = F.cross_entropy(scores, labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.window.add(scores.detach(), labels, loss.detach())
        bad = ~torch.isfinite(loss.detach()) & (self.diverged_at < 0)
        self.diverged_at = torch.where(bad, self.iteration, self.diverged_at)
        self.iteration += 1

    def check_loss(self) -> None:
        """Stop when the loss has become NaN or infinite.

        Raises:
            UserError: it has; the message names the iteration.
        """
        if (iteration := int(self.diverged_at)) >= 0:
            raise UserError(
                f"{self.recipe.model}, seed {self.recipe.seed}: the loss is not finite at iteration {iteration + 1}; "
                "lower lr or start with warmup_lr"
            )

    def log_training(self) -> dict[str, Any]:
        """Append the training error since the last log point; end the warm-up when it is low enough."""
        self.check_loss()
        row = self._append("train", self.window.averages())
        self.window = Totals(self.device)
        warming_up = starts_with_warmup(self.recipe) and self.warmup_ended_at is None
        if warming_up and row["top1_error"] < self.recipe.warmup_error:
            self.warmup_ended_at = self.iteration
        return row

    def log_evaluation(self) -> None:
        """Append the errors on validation and test images."""
        for split, batches in self.evaluation.items():
            self._append(split, evaluate(self.net, batches, self.autocast))

    def _append(self, split: str, averages: dict[str, float]) -> dict[str, Any]:
        rate = learning_rate(self.recipe, self.iteration - 1, self.warmup_ended_at)
        epoch = round(self.iteration * self.recipe.batch_size / self.training_images, 4)
        row = {"iteration": self.iteration, "epoch": epoch, "split": split, **averages, "lr": rate}
        self.rows.append(row)
        return row

    def is_due(self, interval: int) -> bool:
        """Whether the last update is a multiple of ``interval`` or the end."""
        return self.iteration % interval == 0 or self.iteration == self.recipe.iterations

    def state(self) -> dict[str, Any]:
        """Return everything that the rest of the run depends on."""
        return {
            "fingerprint": self.fingerprint,
            "iteration": self.iteration,
            "warmup_ended_at": self.warmup_ended_at,
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rows": self.rows,
            "window": self.window.sums,
            "seconds": self.seconds,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state that ``state`` returned."""
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.iteration, self.warmup_ended_at = state["iteration"], state["warmup_ended_at"]
        self.rows, self.seconds = state["rows"], state["seconds"]
        self.window.sums = state["window"]

    def result(self) -> dict[str, Any]:
        """Return the final numbers: errors of the last iteration on every split, and what the network is."""
        last = {row["split"]: {key: row[key] for key in METRICS[3:6]} for row in self.rows}
        test_errors = [row["top1_error"] for row in self.rows if row["split"] == "test"]
        return {
            "model": self.recipe.model,
            "dataset": self.description.name,
            "seed": self.recipe.seed,
            **self.counts,
            "image_size": self.recipe.image_size,
            "iterations": self.iteration,
            "warmup_ended_at": self.warmup_ended_at,
            **last,
            # Chosen by looking at the test images, so never the number that is reported.
            "lowest_test_top1_error": min(test_errors),
        }


def train(folder: Path, recipe: Recipe, hardware: Hardware, description: Description, wait: bool = False) -> None:
    """Train a network, from its last checkpoint if there is one, and write the run folder.

    The folder gets ``config.yaml``, ``metrics.csv``, ``result.json``, ``environment.json`` and ``weights.pt``, and
    keeps ``checkpoint.pt``.

    Args:
        folder: the run folder; one process at a time trains in it.
        recipe: what to train and how.
        hardware: where to do it.
        description: the verified data set.
        wait: wait for a process that trains in the folder, rather than failing.

    Raises:
        UserError: bad settings or data, a locked folder, a damaged checkpoint, a loss that is not finite.
        StoppedError: asked to stop; a checkpoint has been written.
    """
    with folder_lock(folder, wait), StopSignals() as stop:
        run = Training(recipe, hardware, description)
        if (state := checkpoint.load(folder, run.fingerprint, run.device)) is not None:
            run.restore(state)
            print(f"resumed {folder} at iteration {run.iteration} of {recipe.iterations}", flush=True)
        # What a job that failed has written is deleted by Snakemake, so it is written again at every start.
        write_yaml(folder / "config.yaml", resolved_settings(run, hardware))
        write_rows(folder / "metrics.csv", METRICS, run.rows)
        run_loop(run, folder, hardware.checkpoint_seconds, stop)
        write_rows(folder / "metrics.csv", METRICS, run.rows)
        checkpoint.save_tensors(folder / "weights.pt", run.net.state_dict())
        write_json(folder / "result.json", run.result())
        write_json(folder / "environment.json", environment(run, hardware))


def run_loop(run: Training, folder: Path, checkpoint_seconds: float, stop: StopSignals) -> None:
    """Make the updates that are left, log, evaluate, save; the last state is saved too."""
    recipe, before, started = run.recipe, run.seconds, time.monotonic()
    saved = started
    finished = run.iteration == recipe.iterations
    progress = Progress(
        recipe.iterations,
        title=f"{recipe.model} seed {recipe.seed}",
        unit="iterations",
        speed_unit="images",
        done=run.iteration,
        scale=recipe.batch_size,
    )
    while run.iteration < recipe.iterations:
        run.update()
        progress.step()
        if run.is_due(recipe.log_interval):
            row = run.log_training()
            progress.line(loss=f"{row['loss']:.3f}", training_error=f"{row['top1_error']:.2f} %", lr=row["lr"])
        if run.is_due(recipe.evaluation_interval):
            run.log_evaluation()
            write_rows(folder / "metrics.csv", METRICS, run.rows)
        now = time.monotonic()
        run.seconds = before + now - started
        if stop.received or now - saved >= checkpoint_seconds or run.iteration == recipe.iterations:
            run.check_loss()
            checkpoint.save(folder, run.state())
            saved = now
        if stop.received and run.iteration < recipe.iterations:
            raise StoppedError(
                f"{stop.received.name}: saved {folder / checkpoint.NAME} at iteration {run.iteration} of "
                f"{recipe.iterations}; the same command goes on from there",
                128 + stop.received,
            )
    progress.close()
    if not finished:
        print(f"trained {recipe.iterations} iterations in {run.seconds:.0f} s", flush=True)


def choose_precision(precision: str, device: torch.device) -> str:
    """Return float32 or bf16; auto is bf16 on a GPU that computes in it."""
    if precision != "auto":
        return precision
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"


def resolved_settings(run: Training, hardware: Hardware) -> dict[str, Any]:
    """Return every setting of the run as it is used, and the data it is used on."""
    settings = dataclasses.asdict(run.recipe)
    return {
        "recipe": {**settings, "lr_drops": list(run.recipe.lr_drops)},
        "recipe_version": RECIPE_VERSION,
        "resolved": {
            "device": run.device.type,
            "precision": run.precision,
            "compile": run.compiled,
            "recompute_group": run.net.recompute_group,
            "horizontal_flip": run.description.horizontal_flip,
            "training_images": run.training_images,
            **{f"{split}_images": len(batches) for split, batches in run.evaluation.items()},
        },
        "hardware": dataclasses.asdict(hardware),
        "dataset": {"name": run.description.name, "sha256": run.description.sha256},
        "fingerprint": run.fingerprint,
    }


def environment(run: Training, hardware: Hardware) -> dict[str, Any]:
    """Return where the numbers come from: code, versions, device, time."""
    gpu = torch.cuda.get_device_name(run.device) if run.device.type == "cuda" else None
    return {
        "commit": commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "device": gpu or processor_name(),
        "threads": hardware.threads,
        "seed": run.recipe.seed,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "seconds": round(run.seconds, 1),
        "images_per_second": round(run.iteration * run.recipe.batch_size / max(run.seconds, 1e-9), 1),
    }


def commit() -> str | None:
    """Return the commit of the code, with ``+changes`` if files differ from it; None outside a repository."""
    here = Path(__file__).parent
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty=+changes"]
    try:
        done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def processor_name() -> str:
    """Return the processor's name and its number of cores."""
    cores = f"{os.cpu_count()} cores"
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {cores}"

"""Seconds of the tests of section 3.4 against those of the network's forward pass alone, in one run.

10crop            ten crops of each image, as evaluate_imagenet.py tests: JPEG files are read, resized, cropped
multiscale        whole images at five sizes and their mirror images, by the fully convolutional form

Beside each, the network computes as many pixels in batches of the same shapes, which are there already. The two take
turns on one core, each on the same images, so a machine whose speed drifts is fair to both; ratios are of one turn.
Reading counts for more the faster the network is: with a GPU it is done by workers, and what is left is the wait.

    PYTHONPATH=scripts python benchmarks/imagenet_evaluation.py
    PYTHONPATH=scripts python benchmarks/imagenet_evaluation.py --model resnet-50 --width 1
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from imagenet_input import write_images

from resnet.architectures import build_net, fold_norms, initialise
from resnet.classification.protocols import Evaluator, in_batches, same_shapes
from resnet.data.imagenet import Index
from resnet.data.images import read_size, resized
from resnet.data.views import Normalise
from resnet.progress import Progress
from resnet.provenance import processor_name
from resnet.settings import ImageNetRecipe

SIDE, CROP, SCALES = 256, 224, [224, 256, 384, 480, 640]


def forward_alone(net: torch.nn.Module, shapes: list[tuple[int, ...]], dense: bool) -> Callable[[], object]:
    """Return what computes batches of some shapes (B, 3, H, W)."""
    batches = [torch.randn(shape).to(memory_format=torch.channels_last) for shape in dict.fromkeys(shapes)]
    of_shape = {tuple(batch.shape): batch for batch in batches}

    @torch.inference_mode()
    def compute() -> None:
        for shape in shapes:
            (net.dense if dense else net)(of_shape[shape])

    return compute


def seconds(work: Callable[[], object]) -> float:
    """Return what some work takes of the core, which others may use, too."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet-50", help="the network (default: resnet-50)")
    parser.add_argument("--width", type=float, default=0.25, help="of the paper's filters (default: 0.25)")
    parser.add_argument("--images", type=int, default=16, help="JPEG files to make (default: 16)")
    parser.add_argument("--turns", type=int, default=5, help="turns of each (default: 5)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    net = build_net(ImageNetRecipe(model=arguments.model, width=arguments.width), 1000)
    initialise(net, torch.Generator().manual_seed(0))
    fold_norms(net.eval())
    net.to(memory_format=torch.channels_last)
    print(
        f"{processor_name()}, one core, torch {torch.__version__}, {arguments.model}, width {arguments.width:g}, "
        f"{arguments.images} images; medians of {arguments.turns} turns (range)"
    )
    with tempfile.TemporaryDirectory() as folder:
        paths = write_images(Path(folder), arguments.images)
        index = Index([path.name for path in paths], [0] * len(paths), [path.stat().st_size for path in paths])
        share, sizes = range(len(paths)), [read_size(path) for path in paths]
        evaluator = Evaluator(
            net,
            Normalise(torch.full((3, CROP, CROP), 0.45)),
            Path(folder),
            torch.device("cpu"),
            torch.autocast("cpu", enabled=False),
            workers=0,
        )

        def progress() -> Progress:
            return Progress(len(paths), title="", unit="images", speed_unit="images", silent=True)

        crops = [(10 * len(batch), 3, CROP, CROP) for batch in in_batches(share, 10 * CROP**2)]
        whole = [
            (len(batch), 3, *reversed(shapes[batch[0]]))
            for shapes in ([resized(size, side) for size in sizes] for side in SCALES)
            for batch in same_shapes(share, shapes)
            for _mirrored in range(2)
        ]
        works = {
            "10crop": (
                lambda: evaluator.ten_crop(index, share, SIDE, CROP, progress()), forward_alone(net, crops, dense=False)
            ),
            "multiscale": (
                lambda: evaluator.multiscale(index, share, SCALES, progress()), forward_alone(net, whole, dense=True)
            ),
        }  # fmt: skip
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
        # The first turn warms up.
        for _ in range(1 + arguments.turns):
            for name, both in works.items():
                taken[name].append((seconds(both[0]), seconds(both[1])))
    for name, turns in taken.items():
        test, forward = np.array(turns[1:]).T
        ratios = (test / forward).tolist()
        pixels = sum(np.prod(shape) for shape in (crops if name == "10crop" else whole)) / 3 / CROP**2
        print(
            f"{name:11} {1000 * statistics.median(test) / pixels:.2f} ms per crop of {CROP}x{CROP}, "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}) times the forward pass"
        )


if __name__ == "__main__":
    main()

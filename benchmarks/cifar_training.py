"""Images per second of this project's training loop against one written the usual way, in one run.

The usual way: torchvision transforms on PIL images in a DataLoader, NCHW tensors, torch.nn layers, torch.optim.SGD.
Same network, same batch, same threads, 32x32 images; ours in float32 and in bf16, on a GPU as operations launched one
by one and as CUDA graphs. The loops take turns, so a machine whose speed drifts is fair to all. Also printed: the share
of the machine's own matrix-product rate that our first loop reaches in float32 (2 floating-point operations per
multiply-add, forward and backward counted as three forwards; on a GPU it multiplies in TF32).

    PYTHONPATH=scripts python benchmarks/cifar_training.py --threads 2
    PYTHONPATH=scripts python benchmarks/cifar_training.py --workers 8 --updates 40 --rounds 5    # with a GPU
"""

import argparse
import functools
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from resnet.architectures import CifarNet, count_multiply_adds
from resnet.classification.cifar10 import cifar_task
from resnet.data import cifar10
from resnet.provenance import processor_name
from resnet.settings import CifarRecipe, Hardware
from resnet.training.cuda_graph import WARM_UP
from resnet.training.loop import Training

BATCH = 128
IMAGES = 5000


class ImageFolder(Dataset):
    """Images as a torchvision data set gives them: PIL images, transformed one by one."""

    def __init__(self, images: cifar10.Images) -> None:
        self.pixels, self.labels = images.pixels.transpose(0, 2, 3, 1), images.labels
        self.transform = transforms.Compose(
            [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[index])), int(self.labels[index])


class UsualBlock(nn.Module):
    """A residual block as it is usually written, with option A."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride, self.new_channels = stride, channels - in_channels

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, channels, H / stride, W / stride)."""
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.new_channels:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new_channels))
        return F.relu(out + x)


def usual_net(depth: int) -> nn.Module:
    """Return ResNet-<depth> as it is usually written."""
    layers, channels = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()], 16
    for stage, filters in enumerate((16, 32, 64)):
        for block in range((depth - 2) // 6):
            layers.append(UsualBlock(channels, filters, 2 if stage and not block else 1))
            channels = filters
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def usual_loop(depth: int, images: cifar10.Images, device: torch.device, workers: int) -> Callable[[], None]:
    """Return a function that makes one update the usual way; ``workers`` processes read for it."""
    net = usual_net(depth).to(device)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    loader = DataLoader(
        ImageFolder(images),
        BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
    )

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from loader

    stream = batches()

    def update() -> None:
        images, labels = next(stream)
        loss = F.cross_entropy(net(images.to(device)), labels.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()

    return update


def our_loop(
    depth: int, description: cifar10.CifarDescription, hardware: Hardware, precision: str
) -> Callable[[], None]:
    """Return a function that makes one update with the project's own training."""
    recipe = CifarRecipe(model=f"resnet-{depth}", lr=0.01, warmup_lr=None, precision=precision)
    run = Training(recipe, hardware, functools.partial(cifar_task, recipe, description))

    return run.update


def seconds(update: Callable[[], None], count: int) -> float:
    """Return the seconds per update over ``count`` of them."""
    start = time.perf_counter()
    for _ in range(count):
        update()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / count


def matrix_product_rate(device: torch.device) -> float:
    """Return the floating-point operations per second of a large float32 matrix product."""
    size = 2048 if device.type == "cpu" else 8192
    a = torch.randn(size, size, device=device)
    times = []
    for _ in range(7):
        start = time.perf_counter()
        float((a @ a)[0, 0])
        times.append(time.perf_counter() - start)
    return 2 * size**3 / statistics.median(times)


def random_dataset(folder: Path) -> tuple[cifar10.CifarDescription, cifar10.Images]:
    """Write noise in CIFAR-10's layout: the speed does not depend on what images show."""
    generator = np.random.RandomState(0)
    shape = (IMAGES, 3, 32, 32)
    images = cifar10.Images(generator.randint(0, 256, shape).astype(np.uint8), np.arange(IMAGES) % 10)
    cifar10.write_dataset(folder, images, images.take(np.arange(10)), tuple("abcdefghij"))
    return cifar10.describe("noise", folder, horizontal_flip=True), images


def main() -> None:
    """Measure and print one line per depth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depths", type=int, nargs="+", default=[20, 56, 110])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7, help="turns of each loop; medians are printed")
    parser.add_argument("--updates", type=int, default=2, help="updates per turn")
    parser.add_argument("--workers", type=int, default=0, help="processes that read images for the usual loop")
    parser.add_argument(
        "--compile", nargs="+", choices=["false", "true", "cuda-graphs"], help="how our loop computes its updates"
    )
    parser.add_argument("--folder", type=Path, default=Path("data/benchmark"), help="where the noise is written")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    ways = arguments.compile or (["false", "cuda-graphs"] if device.type == "cuda" else ["false"])
    torch.set_num_threads(arguments.threads)
    description, images = random_dataset(arguments.folder)
    rate = matrix_product_rate(device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else processor_name()
    print(f"{name}, {arguments.threads} threads, torch {torch.__version__}; matrix product {rate / 1e9:.0f} GFLOP/s")
    for depth in arguments.depths:
        ours = [(precision, way) for way in ways for precision in ("float32", "bf16")]
        loops = {"usual": usual_loop(depth, images, device, arguments.workers)}
        for precision, way in ours:
            hardware = Hardware(threads=arguments.threads, compile=way)
            loops[f"{precision} {way}"] = our_loop(depth, description, hardware, precision)
        for update in loops.values():
            seconds(update, WARM_UP + 2)
        turns = [
            {k: seconds(update, arguments.updates) for k, update in loops.items()} for _ in range(arguments.rounds)
        ]
        speed = {name: BATCH / statistics.median(turn[name] for turn in turns) for name in loops}
        first = f"float32 {ways[0]}"
        share = 100 * speed[first] * 6 * count_multiply_adds(CifarNet(f"resnet-{depth}"), 32) / rate
        print(
            f"ResNet-{depth}, images/s: usual {speed['usual']:.0f}; {share:.0f} % of the matrix-product rate in {first}"
        )
        for name in list(loops)[1:]:
            faster = f"{ratio(turns, name)} times the usual, {ratio(turns, name, first)} times {first}"
            print(f"  {name}: {speed[name]:.0f}, {faster}", flush=True)


def ratio(turns: list[dict[str, float]], name: str, slower: str = "usual") -> str:
    """Return how many times as fast a loop is as another: the median and the range over the turns."""
    found = sorted(turn[slower] / turn[name] for turn in turns)
    return f"{statistics.median(found):.2f} ({found[0]:.2f} to {found[-1]:.2f})"


if __name__ == "__main__":
    main()

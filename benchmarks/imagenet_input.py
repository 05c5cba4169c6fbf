"""Images per second and core of this project's ImageNet input against torchvision's usual recipes, in one run.

Three recipes of 224-pixel training crops, from JPEG files of about 500 pixels (quality 90, pieces of the two
photographs that scikit-learn ships), each ending with a float32 batch of 128, mirrored, colour-shifted and normalised:

ours              section 3.4 as this project does it: only the crop's region is resampled, the rest is done per batch
same recipe       section 3.4 with torchvision transforms: resize all of the image, crop, flip, tensor, PCA, mean
RandomResizedCrop what torchvision's references do, without PCA: another augmentation, and less work

They take turns on one core, so a machine whose speed drifts is fair to all. Also printed: how far the pixels of our
crop are from those of the same crop by torchvision; and what it costs, in CPU time, to have a worker decode, as for a
GPU, and to bring the views to the training process: so much less than the cores' number of times one core's speed is
what a GPU gets. Everything runs on the CPU here; with a GPU, what ours
does per batch runs there.

    PYTHONPATH=scripts python benchmarks/imagenet_input.py
"""

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as TF

from resnet.data.image_statistics import ImageStatistics
from resnet.data.imagenet import ImageNetDescription, Index
from resnet.data.images import crop_of_resized
from resnet.data.loader import load
from resnet.data.views import TrainingViews
from resnet.provenance import processor_name

SIZES = ((500, 375), (375, 500), (500, 333), (500, 500), (480, 360))
BATCH, CROP, SCALE_MIN, SCALE_MAX, PCA_COLOUR_STD = 128, 224, 256, 480, 0.1
MEAN, DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def write_images(folder: Path, count: int) -> list[Path]:
    """Write JPEG files of about 500 pixels."""
    photographs = [Image.fromarray(photograph) for photograph in load_sample_images().images]
    random, paths = np.random.RandomState(0), []
    for number in range(count):
        photograph, size = photographs[number % 2], SIZES[number % len(SIZES)]
        piece = random.uniform(0.6, 1) * min(photograph.size)
        left, top = random.uniform(0, photograph.width - piece), random.uniform(0, photograph.height - piece)
        image = photograph.resize(size, Image.Resampling.BICUBIC, (left, top, left + piece, top + piece))
        grain = random.normal(0, 4, (size[1], size[0], 3))
        image = Image.fromarray((np.asarray(image) + grain).clip(0, 255).astype(np.uint8))
        paths.append(folder / f"{number}.JPEG")
        image.save(paths[-1], quality=90)
    return paths


def our_input(paths: list[Path], image_statistics: ImageStatistics) -> TrainingViews:
    """Return the project's own input."""
    sizes = [path.stat().st_size for path in paths]
    index = Index([path.name for path in paths], [0] * len(paths), sizes)
    description = ImageNetDescription(
        name="jpegs",
        folder=str(paths[0].parent),
        horizontal_flip=True,
        classes=(),
        sha256={},
        wnids=(),
        ids=(),
        images={},
    )
    return TrainingViews(
        description,
        index,
        image_statistics,
        image_size=CROP,
        scale_min=SCALE_MIN,
        scale_max=SCALE_MAX,
        pca_colour_std=PCA_COLOUR_STD,
        batch_size=BATCH,
        seed=0,
        share=slice(0, BATCH),
        device=torch.device("cpu"),
        workers=0,
    )


def cpu_seconds() -> float:
    """Return the CPU time of this process and of those of its children that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def cost_of_a_worker(views: TrainingViews, images: int, turns: int) -> list[float]:
    """Return, turn by turn, how many times the CPU time is taken where a worker decodes batches."""
    random, ratios = np.random.RandomState(2), []
    for _ in range(turns):
        batches = [
            [(int(image), int(random.randint(SCALE_MIN, SCALE_MAX + 1)), tuple(random.rand(2))) for image in chosen]
            for chosen in random.randint(images, size=(8, BATCH))
        ]
        taken = []
        for workers in (0, 1):
            start = cpu_seconds()
            for _batch in load(views.images, batches, workers, pin=False, view_bytes=views.view_bytes):
                pass
            taken.append(cpu_seconds() - start)
        ratios.append(taken[1] / taken[0])
    return ratios


class Lighting:
    """PCA colour as it is usually written: one image at a time, on a float tensor."""

    def __init__(self, image_statistics: ImageStatistics) -> None:
        self.values, self.vectors = (
            torch.from_numpy(image_statistics.values),
            torch.from_numpy(image_statistics.vectors),
        )

    def __call__(self, image: Tensor) -> Tensor:
        """Shift the colours of an image (3, S, S)."""
        shift = self.vectors @ (self.values * torch.randn(3) * PCA_COLOUR_STD)
        return image + shift[:, None, None]


def usual_input(paths: list[Path], transform: Callable) -> Callable[[int], Tensor]:
    """Return a function that makes a batch with transforms of PIL images, one after another."""
    random = np.random.RandomState(0)

    def batch(_iteration: int) -> Tensor:
        images = []
        for number in random.randint(len(paths), size=BATCH):
            with Image.open(paths[number]) as image:
                images.append(transform(image.convert("RGB")))
        return torch.stack(images)

    return batch


def same_recipe(image_statistics: ImageStatistics) -> Callable:
    """Return section 3.4 written with torchvision's transforms."""
    mean = torch.from_numpy(image_statistics.mean)
    rest = v2.Compose(
        [
            v2.RandomCrop(CROP),
            v2.RandomHorizontalFlip(),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            Lighting(image_statistics),
            lambda image: image - mean,
        ]
    )
    return lambda image: rest(TF.resize(image, int(torch.randint(SCALE_MIN, SCALE_MAX + 1, ()))))


def references_recipe() -> Callable:
    """Return the training transforms of torchvision's references."""
    return v2.Compose(
        [
            v2.RandomResizedCrop(CROP),
            v2.RandomHorizontalFlip(),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, DEVIATION),
        ]
    )


def pixel_difference(paths: list[Path]) -> tuple[float, float]:
    """Return mean and 99th percentile of the difference (0 to 255) to crops of wholly resized images."""
    random, differences = np.random.RandomState(1), []
    for path in paths[:50]:
        side, across, down = random.randint(SCALE_MIN, SCALE_MAX + 1), *random.rand(2)
        ours = crop_of_resized(path, side, CROP, (across, down))
        with Image.open(path) as image:
            whole = TF.resize(image.convert("RGB"), side)
        left, top = int(across * (whole.width - CROP + 1)), int(down * (whole.height - CROP + 1))
        theirs = np.asarray(whole.crop((left, top, left + CROP, top + CROP)), float)
        differences.append(np.abs(ours - theirs))
    return float(np.mean(differences)), float(np.percentile(differences, 99))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=400, help="JPEG files to make (default: 400)")
    parser.add_argument("--turns", type=int, default=7, help="turns of each recipe, one batch each (default: 7)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{processor_name()}, one core, torch {torch.__version__}, batch {BATCH}, {CROP}x{CROP} crops")
    with tempfile.TemporaryDirectory() as folder:
        paths = write_images(Path(folder), arguments.images)
        image_statistics = ImageStatistics(
            np.full((3, CROP, CROP), 0.45, np.float32),
            np.array([0.02, 0.1, 0.2], np.float32),
            np.eye(3, dtype=np.float32),
        )
        views = our_input(paths, image_statistics)
        recipes = {
            "ours": lambda iteration: views.batch(iteration)[0],
            "same recipe": usual_input(paths, same_recipe(image_statistics)),
            "RandomResizedCrop": usual_input(paths, references_recipe()),
        }
        speeds: dict[str, list[float]] = {name: [] for name in recipes}
        for turn in range(arguments.turns + 1):
            for name, batch in recipes.items():
                start = time.perf_counter()
                batch(turn)
                # The first turn warms up.
                if turn:
                    speeds[name].append(BATCH / (time.perf_counter() - start))
        for name, values in speeds.items():
            ratios = [ours / theirs for ours, theirs in zip(speeds["ours"], values, strict=True)]
            print(
                f"{name:18} {statistics.median(values):6.0f} images/s per core; ours {statistics.median(ratios):.2f} "
                f"times as fast ({min(ratios):.2f}-{max(ratios):.2f})"
            )
        costs = cost_of_a_worker(views, len(paths), arguments.turns)
        print(f"by a worker {statistics.median(costs):.2f} ({min(costs):.2f}-{max(costs):.2f}) times the CPU time")
        mean, high = pixel_difference(paths)
        print(f"pixels of our crop against the same crop by torchvision: mean {mean:.2f}, 99 % below {high:.1f} of 255")


if __name__ == "__main__":
    main()

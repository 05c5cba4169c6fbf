"""Images with objects as a detector takes them: resized, half of them mirrored in training."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset

from resnet.data.device import to_device
from resnet.data.draws import Draws, EpochPlan
from resnet.data.images import read_image
from resnet.data.loader import Stream, load
from resnet.data.objects import Scene
from resnet.errors import UserError


def resized(size: tuple[int, int], shorter_side: int, max_size: float) -> tuple[int, int]:
    """Return width and height as Faster R-CNN [32] resizes: to ``shorter_side``, but to at most ``max_size``."""
    scale = min(shorter_side / min(size), max_size / max(size))
    return round(size[0] * scale), round(size[1] * scale)


class SceneImages(Dataset):
    """The images of scenes as bytes (H, W, 3); errors are returned, as a worker could only raise a traceback.

    Args:
        folder: the data set's folder.
        scenes: the scenes.
        shorter_side, max_size: the resize.
    """

    def __init__(self, folder: Path, scenes: list[Scene], shorter_side: int, max_size: float) -> None:
        # Arrays, as a list of strings would be copied into every worker bit by bit.
        self.files = np.array([scene.file for scene in scenes])
        self.sizes = np.array([scene.size for scene in scenes])
        self.folder, self.shorter_side, self.max_size = folder, shorter_side, max_size

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.files)

    def __getitem__(self, index: int) -> Tensor | UserError:
        """Return an image, resized with Pillow's antialiased bilinear filter."""
        path, size = self.folder / str(self.files[index]), tuple(self.sizes[index].tolist())
        try:
            image, *_ = read_image(path)
        except UserError as error:
            return error
        if image.size != size:
            return UserError(f"{path} has {image.size} pixels, but was described with {size}; describe it again")
        target = resized(size, self.shorter_side, self.max_size)
        return torch.from_numpy(np.array(image.resize(target, Image.Resampling.BILINEAR)))


def collate(images: list[Tensor | UserError]) -> list[Tensor] | UserError:
    """Return the images of a batch, or the first error."""
    read = [image for image in images if not isinstance(image, UserError)]
    return next((image for image in images if isinstance(image, UserError)), read)


def to_input(image: Tensor, device: torch.device, mirrored: bool = False) -> Tensor:
    """Return an image (H, W, 3) uint8 as a detector takes it: (3, H, W) float32 from 0 to 1."""
    image = to_device(image, device).permute(2, 0, 1).float().mul_(1 / 255)
    return image.flip(2) if mirrored else image


class TrainingScenes:
    """Batches of scenes with their objects; without difficult ones, crowds, and images that have no other objects.

    The batch of an iteration is that of an ``EpochPlan``.

    Args:
        folder: the data set's folder.
        scenes: those of the training sets.
        shorter_side, max_size, batch_size, seed: as in the recipe.
        horizontal_flip: mirror every second image, at random.
        share: the part of each batch that this process takes.
        device: where the batches go.
        workers: processes that decode.
    """

    def __init__(
        self,
        folder: Path,
        scenes: list[Scene],
        *,
        shorter_side: int,
        max_size: int,
        batch_size: int,
        seed: int,
        horizontal_flip: bool,
        share: slice,
        device: torch.device,
        workers: int,
    ) -> None:
        self.scenes = [scene for scene in scenes if not scene.ignored.all()]
        if not self.scenes:
            raise UserError(f"{folder}: no image of the training sets has an object")
        self.images = SceneImages(folder, self.scenes, shorter_side, max_size)
        self.device, self.horizontal_flip = device, horizontal_flip
        self.plan = EpochPlan(len(self.scenes), self._draw, batch_size=batch_size, seed=seed, share=share)
        self.stream = Stream(self.images, self._keys, device, workers, collate)

    def __len__(self) -> int:
        """Return the number of images that are trained on."""
        return len(self.scenes)

    def batch(self, iteration: int) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
        """Return images (3, H, W) and targets (boxes (N, 4), labels (N,)) of this process at an update."""
        images, targets = [], []
        numbers, flips = (values.tolist() for values in self.plan.draws(iteration).values())
        for image, number, flip in zip(self.stream.at(iteration), numbers, flips, strict=True):
            images.append(to_input(image, self.device, bool(flip)))
            targets.append(self._target(self.scenes[number], image.shape[:2], bool(flip)))
        return images, targets

    def _target(self, scene: Scene, shape: tuple[int, int], mirrored: bool) -> dict[str, Tensor]:
        kept = ~scene.ignored
        (height, width), boxes = shape, scene.boxes[kept]
        boxes = boxes * np.tile([width / scene.size[0], height / scene.size[1]], 2)
        if mirrored:
            boxes = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], 1)
        return {
            "boxes": to_device(torch.from_numpy(boxes).float(), self.device),
            "labels": to_device(torch.from_numpy(scene.labels[kept]), self.device),
        }

    def _draw(self, count: int, generator: torch.Generator) -> Draws:
        """Draw whether each image is mirrored."""
        return {"flip": torch.randint(2, (count,), generator=generator) * self.horizontal_flip}

    def _keys(self, iteration: int) -> list[int]:
        return self.plan.draws(iteration)["image"].tolist()


class EvaluationScenes:
    """The scenes of a test set, one by one.

    Args:
        folder: the data set's folder.
        scenes: this process's part of the set.
        shorter_side, max_size: the resize.
        more_sides: other shorter sides at which each image is given, too; ``max_size`` grows with them.
        device: where the images go.
        workers: processes that decode.
    """

    def __init__(
        self,
        folder: Path,
        scenes: list[Scene],
        *,
        shorter_side: int,
        max_size: int,
        more_sides: tuple[int, ...] = (),
        device: torch.device,
        workers: int,
    ) -> None:
        self.scenes, self.device, self.workers = scenes, device, workers
        sides = (shorter_side, *more_sides)
        self.images = ConcatDataset(
            [SceneImages(folder, scenes, side, side * max_size / shorter_side) for side in sides]
        )
        self.sizes = len(sides)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.scenes)

    def __iter__(self) -> Iterator[tuple[Scene, list[Tensor]]]:
        """Yield each scene with its image (3, H, W) float32, at every size."""
        keys = ([number + len(self) * place for place in range(self.sizes)] for number in range(len(self)))
        stream = load(self.images, keys, self.workers, self.device.type == "cuda", collate)
        for scene, views in zip(self.scenes, stream, strict=True):
            yield scene, [to_input(view, self.device) for view in views]

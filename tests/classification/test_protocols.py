"""The test protocols of section 3.4 against slow versions."""

import pytest
import torch
import torchvision
from conftest import CPU, compute_in_float64, image_statistics, imagenet_net
from PIL import Image
from torchvision.transforms import v2

from resnet.architectures import initialise
from resnet.classification.protocols import Evaluator
from resnet.data import imagenet
from resnet.data.image_statistics import ImageStatistics
from resnet.data.images import whole
from resnet.data.views import Normalise
from resnet.files import read_arrays


@pytest.fixture(scope="module")
def evaluator(ilsvrc):
    net = imagenet_net("resnet-18-A", 6, width=0.1, image_size=32)
    initialise(net, torch.Generator().manual_seed(0))
    compute_in_float64(net).eval()
    normalise = Normalise(torch.from_numpy(read_arrays(image_statistics(ilsvrc), ImageStatistics).mean))
    folder = imagenet.ImageNetDescription.read(ilsvrc).path
    return Evaluator(net, normalise, folder, CPU, torch.autocast("cpu", enabled=False), workers=0)


class Silent:
    def step(self, count=1):
        pass


def validation(ilsvrc):
    return imagenet.read_index(ilsvrc, imagenet.ImageNetDescription.read(ilsvrc), "val")


def softmax(net, image):
    with torch.no_grad():
        return net(image[None])[0].softmax(0).float()


@pytest.mark.processor
def test_ten_crop_against_a_slow_version(evaluator, ilsvrc):
    index = validation(ilsvrc)
    found = evaluator.ten_crop(index, range(len(index)), 40, 32, Silent())
    mean = evaluator.normalise.mean
    for place, path in enumerate(index.paths):
        resized = Image.fromarray(whole(evaluator.folder / path, 40))
        middle = ((resized.height - 32) // 2, (resized.width - 32) // 2)
        five = [
            *torchvision.transforms.functional.five_crop(resized, 32)[:4],
            torchvision.transforms.functional.crop(resized, *middle, 32, 32),
        ]
        crops = [*five, *(torchvision.transforms.functional.hflip(crop) for crop in five)]
        images = [
            v2.functional.to_dtype(v2.functional.to_image(crop), torch.float32, scale=True) - mean for crop in crops
        ]
        expected = torch.stack([softmax(evaluator.net, image) for image in images]).mean(0)
        torch.testing.assert_close(found[place], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.processor
def test_multiscale_against_a_slow_version(evaluator, ilsvrc):
    index, sides = validation(ilsvrc), [32, 40, 56]
    found = evaluator.multiscale(index, range(len(index)), sides, Silent())
    for place, path in enumerate(index.paths):
        rows = []
        for side in sides:
            image = evaluator.normalise(torch.from_numpy(whole(evaluator.folder / path, side).copy())[None])
            with torch.no_grad():
                rows += [evaluator.net.dense(view)[0].softmax(0).float() for view in (image, image.flip(3))]
        torch.testing.assert_close(found[place], torch.stack(rows).mean(0), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("protocol", ["centre", "ten_crop", "multiscale"])
@pytest.mark.processor
def test_every_image_is_tested_once_by_any_number_of_processes(evaluator, ilsvrc, protocol):
    index = validation(ilsvrc)
    method = getattr(evaluator, protocol)
    sizes = ([32, 40],) if protocol == "multiscale" else (40, 32)
    whole = method(index, range(18), *sizes, Silent())
    for count in (4, 5):
        rows = torch.empty_like(whole)
        for rank in range(count):
            rows[rank::count] = method(index, range(rank, 18, count), *sizes, Silent())
        torch.testing.assert_close(rows, whole)

"""Views of images: crops, batches and the statistics of pixels, against slow versions."""

import numpy as np
import torch
from conftest import CPU, image_statistics, photograph
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.transforms import v2

from resnet.data import imagenet
from resnet.data.image_statistics import ImageStatistics
from resnet.data.images import centre_crop, crop_of_resized
from resnet.data.views import TrainingViews, ten_crops
from resnet.files import read_arrays


def test_ten_crops_are_torchvision_s():
    image = np.asarray(photograph(2, (60, 48)))
    expected = v2.functional.ten_crop(Image.fromarray(image), [32, 32])
    ours = {crop.tobytes() for crop in ten_crops(image, 32)}
    assert ours == {np.asarray(crop).tobytes() for crop in expected}


def views(dataset, **changes):
    description = imagenet.ImageNetDescription.read(dataset)
    values = {"image_size": 32, "scale_min": 36, "scale_max": 48, "pca_colour_std": 0.1, "batch_size": 8, "seed": 0}
    return TrainingViews(
        description, imagenet.read_index(dataset, description, "train"),
        read_arrays(image_statistics(dataset), ImageStatistics),
        **{**values, "share": slice(0, 8), "device": CPU, "workers": 0, **changes},
    )  # fmt: skip


def test_batches_do_not_depend_on_workers_restarts_or_processes(ilsvrc):
    whole = views(ilsvrc)
    batches = [whole.batch(iteration) for iteration in range(8)]
    with_workers, resumed = views(ilsvrc, workers=2), views(ilsvrc)
    halves = [views(ilsvrc, share=slice(0, 4)), views(ilsvrc, share=slice(4, 8))]
    for iteration in range(3, 8):
        images, labels = batches[iteration]
        for other in (with_workers, resumed):
            assert torch.equal(other.batch(iteration)[0], images)
        parts = [half.batch(iteration) for half in halves]
        assert torch.equal(torch.cat([part[0] for part in parts]), images)
        assert torch.equal(torch.cat([part[1] for part in parts]), labels)
    seen = torch.cat([whole.plan.draws(iteration)["image"] for iteration in range(6)])
    assert sorted(seen.tolist()) == list(range(48)), "an epoch has every image once"


def test_nothing_waits_for_what_is_copied_to_a_gpu(ilsvrc, monkeypatch):
    """Seen on a device of shapes alone."""
    pinned, copied = [], []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda values: pinned.append(values) or values)

    class Copies(TorchDispatchMode):
        def __torch_dispatch__(self, operation, types, arguments=(), settings=None):
            result = operation(*arguments, **settings or {})
            if isinstance(result, torch.Tensor) and result.is_meta and not arguments[0].is_meta:
                copied.append((arguments[0], settings))
            return result

    source = views(ilsvrc, device=torch.device("meta"))
    with Copies():
        images, labels = source.batch(0)
    assert images.is_meta
    assert labels.is_meta
    assert [settings["non_blocking"] for _, settings in copied] == [True] * 4
    assert {id(values) for values, _ in copied} <= {id(values) for values in pinned}


def test_views_against_a_slow_version(ilsvrc):
    source, statistics = views(ilsvrc), read_arrays(image_statistics(ilsvrc), ImageStatistics)
    images, labels = source.batch(5)
    draws = source.plan.draws(5)
    for place in range(8):
        path = source.images.folder / str(source.images.paths[draws["image"][place]])
        crop = crop_of_resized(path, int(draws["side"][place]), 32, tuple(draws["place"][place].tolist()))
        image = crop.astype(np.float64).transpose(2, 0, 1) / 255
        if draws["flip"][place]:
            image = image[:, :, ::-1]
        image = image - statistics.mean
        # AlexNet [21]: add [p1, p2, p3][a1 l1, a2 l2, a3 l3]ᵀ to every pixel.
        alphas = 0.1 * draws["colour"][place].numpy()
        shift = sum(alphas[k] * statistics.values[k] * statistics.vectors[:, k] for k in range(3))
        np.testing.assert_allclose(images[place].numpy(), image + shift[:, None, None], atol=1e-5)
        assert path.parent.name == f"n0000000{labels[place]}"


def test_pixels_against_numpy(ilsvrc):
    folder, found = ilsvrc.parent / "ILSVRC2012", read_arrays(image_statistics(ilsvrc), ImageStatistics)
    crops = np.stack([centre_crop(path, 40, 32) for path in folder.glob("train/*/*")]) / 255
    np.testing.assert_allclose(found.mean, crops.mean(0).transpose(2, 0, 1), atol=1e-6)
    covariance = np.cov(crops.reshape(-1, 3).T, bias=True)
    np.testing.assert_allclose(found.vectors * found.values @ found.vectors.T, covariance, atol=1e-6)

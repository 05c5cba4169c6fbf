"""The classifier that a detector starts with: its statistics, what fits, and what is refused."""

import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from conftest import small_net
from PIL import Image

from detection.conftest import arguments, random_images, run_here, tiny
from resnet.classification.bn_statistics import drawn_images
from resnet.data import imagenet
from resnet.data.images import centre_crop
from resnet.detection.detector import Detector
from resnet.detection.initial import read_classifier
from resnet.errors import UserError


@pytest.mark.processor
def test_measured_statistics_keep_a_deep_detector_finite_and_small(classifiers):
    folder = classifiers / "resnet-50"
    outputs = {}
    for name, statistics in (("own", None), ("measured", folder / "bn_statistics.pt")):
        classifier = read_classifier(folder, folder / "image_statistics.npz", statistics)
        assert classifier.mean.shape == (3, 1, 1)
        detector = Detector(classifier.net, classifier.mean, 3, tiny()).eval()
        with torch.no_grad():
            outputs[name] = detector.shared(torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(4)))
            assert all(torch.isfinite(one["boxes"]).all() for one in detector(random_images((64, 80))))
    assert outputs["measured"].abs().max() < 30 < outputs["own"].abs().max()


def test_the_program_measures_drawn_images_on_one_mean_per_colour(classifiers, tmp_path):
    folder = tmp_path / "ILSVRC2012"
    random_ = np.random.RandomState(2)
    for split in ("train", "val"):
        for wnid in [f"n0000000{label}" for label in range(6)]:
            (folder / split / wnid).mkdir(parents=True)
            image = Image.fromarray(random_.randint(0, 255, (9, 12, 3)).astype(np.uint8)).resize((80, 60))
            image.save(folder / split / wnid / "1.JPEG", quality=95)
    imagenet.describe("tiny", folder, horizontal_flip=True, output=tmp_path / "dataset.json")
    run = classifiers / "resnet-50"
    assert (
        run_here(
            "measure_bn_statistics", "--data", tmp_path / "dataset.json",
            "--image-statistics", run / "image_statistics.npz", "--size", 64,
            "--images", 3, "--run-folder", run, "--output", tmp_path / "s.pt", "--device", "cpu",
        )
        is None
    )  # fmt: skip
    content = torch.load(tmp_path / "s.pt", weights_only=True)
    assert content["images"] == 3
    classifier = read_classifier(run, run / "image_statistics.npz", tmp_path / "s.pt")
    paths = [folder / f"train/n0000000{label}/1.JPEG" for label in drawn_images(6, 3)]
    crops = torch.from_numpy(np.stack([centre_crop(path, 64, 64) for path in paths]))
    images = crops.permute(0, 3, 1, 2).double() / 255 - classifier.mean.double()
    maps = F.conv2d(images, classifier.net.conv1.weight.double(), None, 2, 3)
    np.testing.assert_allclose(classifier.net.bn1.running_mean, maps.mean((0, 2, 3)).detach(), atol=1e-5)
    np.testing.assert_allclose(classifier.net.bn1.running_var, maps.var((0, 2, 3), unbiased=False).detach(), rtol=1e-4)


def test_the_wrong_classifier_is_one_clear_error(packs, classifiers, tmp_path):
    vgg = {
        "classifier": classifiers / "vgg-16",
        "image_statistics": classifiers / "vgg-16/image_statistics.npz",
        "bn_statistics": None,
    }
    command = arguments(packs, classifiers, tmp_path / "run", tiny(model="resnet-101"), **vgg)
    assert run_here(*command) == ("train_detector: error: the classifier is vgg-16, but the recipe's model resnet-101")


@pytest.mark.parametrize("what", ["another depth", "another width", "half of them", "weights", "of a VGG net"])
def test_statistics_of_another_network_are_one_clear_error(packs, classifiers, tmp_path, what):
    model, width = {"another depth": ("resnet-101", 1 / 16), "another width": ("resnet-50", 1 / 8)}.get(
        what, ("resnet-50", 1 / 16)
    )
    state = small_net(model, width).state_dict()
    ends = "running_mean" if what == "half of them" else ("running_mean", "running_var")
    statistics = {key: value for key, value in state.items() if key.endswith(ends)}
    torch.save(state if what == "weights" else {"images": 1, "statistics": statistics}, tmp_path / "bn_statistics.pt")
    recipe = tiny(model="vgg-16" if what == "of a VGG net" else "resnet-50")
    command = arguments(packs, classifiers, tmp_path / "run", recipe, bn_statistics=tmp_path / "bn_statistics.pt")
    assert "bn_statistics.pt holds the statistics of another network" in run_here(*command)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("weights.pt", None, r"weights\.pt does not exist"),
        ("weights.pt", b"PK broken", r"weights\.pt is damaged"),
        ("weights.pt", "a tensor", r"weights\.pt does not hold a dictionary of tensors"),
        ("config.yaml", b"recipe: [", r"config\.yaml is not valid YAML"),
        ("image_statistics.npz", b"PK broken", r"image_statistics\.npz is damaged"),
        ("bn_statistics.pt", b"PK broken", r"bn_statistics\.pt is damaged"),
        ("config.yaml", {"width": 0.5}, r"weights\.pt does not fit its config\.yaml"),
        ("config.yaml", {"stride_in_3x3": True},
         r"weights\.pt does not fit its config\.yaml: the weights have stride_in_3x3 False, but the net has True"),
        ("config.yaml", {"width": -1}, r"config\.yaml: width is -1; it must be a number, above 0"),
        ("config.yaml", {"padding": 4}, r"config\.yaml has a padding: is it the config of another kind of run\?"),
    ],
)  # fmt: skip
def test_a_damaged_classifier_is_one_clear_error(classifiers, tmp_path, name, content, message):
    folder = shutil.copytree(classifiers / "resnet-50", tmp_path / "run")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / name).unlink()
    if isinstance(content, dict):
        (folder / name).write_text(yaml.safe_dump({"recipe": config["recipe"] | content}))
    elif content == "a tensor":
        torch.save(torch.zeros(3), folder / name)
    elif content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_classifier(folder, folder / "image_statistics.npz", folder / name if name == "bn_statistics.pt" else None)

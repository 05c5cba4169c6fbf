"""The classifier that a detector starts with: its statistics, what fits, and what is refused."""

import functools
import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from conftest import small_net
from PIL import Image

from detection.conftest import CPU, arguments, random_images, run_here, small_detector, task, tiny
from resnet.classification.bn_statistics import drawn_images
from resnet.data import imagenet
from resnet.data.images import centre_crop
from resnet.detection.detector import Detector
from resnet.detection.initial import TrainedDetector, read_classifier, read_start, take_over
from resnet.detection.task import detection_task
from resnet.errors import UserError
from resnet.settings import to_flags
from resnet.training.loop import Training, train


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


def test_classes_keep_what_a_detector_has_learnt_of_those_of_their_name():
    """VOC and COCO call some by other names; a class that is new keeps its drawn weights."""
    (other, recipe), (ours, _) = (small_detector(classes=classes) for classes in (4, 3))
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1)
    drawn = {name: value.clone() for name, value in ours.state_dict().items() if "box_predictor" in name}
    trained = TrainedDetector(other.state_dict(), recipe, ["dog", "tv", "apple", "couch"], "reproduced")
    take_over(ours, recipe, ("sofa", "unicorn", "tvmonitor"), trained)
    for name, value in ours.state_dict().items():
        theirs = other.state_dict()[name]
        if name not in drawn:
            assert name == "_extra_state" or torch.equal(value, theirs), name
            continue
        rows, before = (tensor.reshape(4, -1) for tensor in (value, drawn[name]))
        theirs = theirs.reshape(5, -1)
        for row, expected in enumerate((theirs[0], theirs[4], before[2], theirs[2])):
            assert torch.equal(rows[row], expected), (name, row)


@pytest.mark.parametrize("changes", [{"anchor_sizes": (16, 48)}, {"context": True}])
def test_a_detector_with_other_layers_is_no_start(changes):
    (other, recipe), (ours, changed) = small_detector(), small_detector(**changes)
    trained = TrainedDetector(other.state_dict(), recipe, [], "reproduced")
    [name] = changes
    with pytest.raises(UserError, match=rf"{name} is .*, but the detector that it starts with has "):
        take_over(ours, changed, (), trained)


def test_a_training_starts_with_a_detector_of_another_data_set(packs, classifiers, tmp_path):
    first, second = tiny(experiment="coco", iterations=1, lr_drops=()), tiny(starts_with="coco/resnet-50")
    train(tmp_path / "coco", first, CPU, task(first, packs, classifiers))
    build = functools.partial(detection_task, second, packs / "voc/dataset.json", read_start(tmp_path / "coco"))
    started = Training(second, CPU, build)
    weights = torch.load(tmp_path / "coco/weights.pt", weights_only=True)
    order = [yaml.safe_load((tmp_path / "coco/config.yaml").read_text())["resolved"]["classes"].index(name)
             for name in started.task.facts["classes"]]  # fmt: skip
    for name, value in started.task.weights().items():
        rows = [0, *(1 + place for place in order)] if "box_predictor" in name else [0]
        expected = weights[name]
        if len(rows) > 1:
            expected = expected.reshape(len(rows), -1)[rows].reshape(expected.shape)
        assert name == "_extra_state" or torch.equal(value, expected), name
    assert "detector" in started.task.checksums
    assert started.task.source == "reproduced"
    assert started.task.facts["classifier"]["model"] == "resnet-50"
    command = ["--data", packs / "voc/dataset.json", "--run-folder", tmp_path / "voc", *to_flags(second).split()]
    error = run_here("train_detector", *command)
    assert error.endswith("--starts-with names the detector whose run folder is --detector: give both or neither")
    error = run_here("train_detector", *command, "--starts-with", "none")
    assert error.endswith("name what it starts with: --classifier and --image-statistics")

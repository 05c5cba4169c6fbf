"""What the tests of detectors share: few scenes, untrained classifiers, small detectors, and runs of theirs."""

import dataclasses
import functools
import importlib.util
import json

import numpy as np
import pytest
import torch
import yaml
from conftest import noise, program, run_program, same_weights, small_net

from resnet.architectures import ImageNetNet
from resnet.classification.bn_statistics import measure_bn_statistics
from resnet.data.coco import read_coco
from resnet.data.image_statistics import ImageStatistics
from resnet.data.objects import describe
from resnet.data.scenes import IMAGES, write_scenes
from resnet.data.voc import read_voc
from resnet.detection.detector import Detector
from resnet.detection.initial import read_classifier
from resnet.detection.task import detection_task
from resnet.files import write_arrays
from resnet.settings import DetectorRecipe, Hardware, ImageNetRecipe, to_flags
from resnet.training.loop import Training, train

CPU = Hardware(device="cpu")
HAS_DETECTRON2 = importlib.util.find_spec("detectron2") is not None
needs_detectron2 = pytest.mark.skipif(not HAS_DETECTRON2, reason="detectron2 is not installed: make detectron2")
# Few images of each set, but a COCO set with crowds (every twelfth) and an image without objects (the 18th).
FEW = {
    "voc2007_trainval": 6,
    "voc2007_test": 5,
    "voc2012_train": 3,
    "voc2012_val": 3,
    "voc2012_test": 2,
    "coco_train": 20,
    "coco_val": 20,
}


@pytest.fixture(scope="session")
def packs(tmp_path_factory):
    """The folder of ``voc/dataset.json`` and ``coco/dataset.json``: few scenes, made as by ``prepare_scenes``."""
    root = tmp_path_factory.mktemp("packs")
    with pytest.MonkeyPatch.context() as patch:
        for name, count in FEW.items():
            patch.setitem(IMAGES, name, count)
        write_scenes(root / "voc/VOCdevkit", root / "coco/coco")
    for name, folder, sets in (
        ("voc", root / "voc/VOCdevkit", read_voc(root / "voc/VOCdevkit")),
        ("coco", root / "coco/coco", read_coco(root / "coco/coco", "2014")),
    ):
        output = root / name / "dataset.json"
        describe(output, name=f"scenes-{name}", folder=folder, horizontal_flip=False, sets=sets)
    return root


def write_run(folder, net, width, model, stride_in_3x3=False, **facts):
    """Write a classifier's run folder, and beside its weights the pixels that it saw."""
    size = net.pool_size * 32
    recipe = ImageNetRecipe.of_network(model=model, width=width, image_size=size, stride_in_3x3=stride_in_3x3)
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({"recipe": {**dataclasses.asdict(recipe), **facts}}))
    torch.save(net.state_dict(), folder / "weights.pt")
    mean = np.random.RandomState(0).uniform(0.3, 0.5, (3, 4, 4)).astype(np.float32)
    write_arrays(
        folder / "image_statistics.npz", ImageStatistics(mean, np.zeros(3, np.float32), np.eye(3, dtype=np.float32))
    )
    return folder


@pytest.fixture(scope="session")
def classifiers(tmp_path_factory):
    """Run folders of an untrained ``resnet-50``, with ``bn_statistics.pt``, and of an untrained ``vgg-16``."""
    root = tmp_path_factory.mktemp("classifiers")
    for model, width in (("resnet-50", 1 / 16), ("vgg-16", 1 / 16)):
        net = small_net(model, width, measured=False)
        folder = write_run(root / model, net, width, model=model)
        if isinstance(net, ImageNetNet):
            statistics = measure_bn_statistics(net, noise(), lambda _: None)
            torch.save({"images": 12, "statistics": statistics}, folder / "bn_statistics.pt")
    return root


def tiny(**changes):
    values = {
        "model": "resnet-50",
        "experiment": "voc07",
        "shorter_side": 64,
        "max_size": 90,
        "anchor_sizes": (16, 32),
        "rois": 16,
        "rpn_pre_nms_top_n_train": 100,
        "rpn_pre_nms_top_n_test": 50,
        "rpn_post_nms_top_n_train": 50,
        "rpn_post_nms_top_n_test": 20,
        "batch_size": 2,
        "iterations": 8,
        "lr": 0.001,
        "lr_drops": (6,),
        "log_interval": 2,
        "evaluation_interval": 4,
        "evaluation_images": 3,
    }
    return DetectorRecipe(**{**values, **changes})


def sharp(detector, seed=7):
    """Give the last layers weights that make many detections, of all classes and far from their proposals."""
    generator, seen = torch.Generator().manual_seed(seed), []
    predictor = detector.heads.box_predictor
    handle = predictor.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        detector.eval()(random_images((96, 120), seed=seed))
        handle.remove()
        # Regions of noise are much alike: what they share must not decide the class.
        mean, spread = seen[0].mean(0), seen[0].std(0).square().sum().sqrt().item()
        for layer, deviation in ((predictor.cls_score, 1.5), (predictor.bbox_pred, 1.0)):
            layer.weight.normal_(0, deviation / spread, generator=generator)
            layer.bias.copy_(-layer.weight @ mean)
    return detector


def small_detector(model="resnet-50", classes=5, width=1 / 16, stride_in_3x3=False, **changes):
    recipe = tiny(model=model, **changes)
    mean = torch.tensor([0.4, 0.5, 0.45])[:, None, None]
    net = small_net(model, width, **({"stride_in_3x3": stride_in_3x3} if model != "vgg-16" else {}))
    return Detector(net, mean, classes, recipe, torch.Generator().manual_seed(2)), recipe


def random_images(*sizes, seed=3):
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(3, height, width, generator=generator) for height, width in sizes]


def task(recipe, packs, classifiers):
    folder = classifiers / recipe.model
    statistics = folder / "bn_statistics.pt" if recipe.model != "vgg-16" else None
    classifier = read_classifier(folder, folder / "image_statistics.npz", statistics)
    data = packs / ("coco" if recipe.experiment == "coco" else "voc") / "dataset.json"
    return functools.partial(detection_task, recipe, data, classifier)


def training(recipe, packs, classifiers, hardware=CPU):
    return Training(recipe, hardware, task(recipe, packs, classifiers))


def arguments(packs, classifiers, folder, recipe, hardware=None, **changes):
    """The command line of the training program; ``changes`` replace paths, None leaves one out."""
    run = classifiers / recipe.model
    paths = {
        "data": packs / ("coco" if recipe.experiment == "coco" else "voc") / "dataset.json",
        "classifier": run,
        "image_statistics": run / "image_statistics.npz",
        "bn_statistics": run / "bn_statistics.pt" if recipe.model != "vgg-16" else None,
        "run-folder": folder,
        **changes,
    }
    files = [part for key, path in paths.items() if path for part in (f"--{key.replace('_', '-')}", path)]
    hardware = hardware or Hardware(device="cpu", checkpoint_seconds=0.01)
    return ["train_detector", *files, *f"{to_flags(recipe)} {to_flags(hardware)}".split()]


def run_here(name, *options):
    """Run a program in this process; return its one clear error, None without one."""
    code, output = run_program(name, *options)
    print(output)
    assert "Traceback" not in output, output
    return output.splitlines()[-1] if code else None


def same_run(first, second):
    same_weights(*(torch.load(folder / "weights.pt", weights_only=True) for folder in (first, second)))
    for name in ("metrics.csv", "result.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


@pytest.fixture(scope="session")
def finished(packs, classifiers, tmp_path_factory):
    """A run that was never interrupted, long enough to be killed in the middle."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    recipe = long_recipe()
    train(folder, recipe, CPU, task(recipe, packs, classifiers))
    return folder


def long_recipe(**changes):
    return tiny(iterations=30, lr_drops=(20,), log_interval=5, evaluation_interval=10, **changes)


@pytest.fixture(scope="session")
def finished_by_two(packs, classifiers, tmp_path_factory):
    """A run folder of COCO that two processes have trained."""
    folder = tmp_path_factory.mktemp("runs") / "two"
    process = program(*arguments(packs, classifiers, folder, recipe_of_two()), processes=2)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert output.count("trained 10 iterations") == 1, "one process speaks"
    return folder


def recipe_of_two():
    return tiny(
        experiment="coco", iterations=10, lr=1e-4, lr_drops=(8,), log_interval=5, evaluation_interval=10, rois=10**6
    )


def detect(packs, run, output, data="coco", processes=1):
    command = ["detect_objects", "--data", packs / data / "dataset.json", "--run-folder", run, "--output", output]
    command += ["--device", "cpu"]
    if processes == 1:
        assert run_here(*command) is None
    else:
        process = program(*command, processes=2)
        text, _ = process.communicate(timeout=300)
        assert process.returncode == 0, text
    return json.loads(output.read_text())

"""The golden numbers of every kind of work, small and on made-up data, and the file that keeps them.

``PYTHONPATH=scripts python tests/golden.py`` writes the numbers of the kinds whose version in resnet/versions.py has
been raised; those of the others stay, so that nothing changes in silence.

Networks compute in float64 where they train, so that numbers hang on the recipe, not on a processor's way of rounding.
The images of all kinds but ``decode`` need no resampling: an edit of decoding leaves their numbers.
"""

import contextlib
import dataclasses
import json
import runpy
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import torch
import torchvision
from PIL import Image

from resnet.architectures import build_net
from resnet.classification.cifar10 import cifar_task
from resnet.classification.errors import Totals
from resnet.classification.imagenet import imagenet_task
from resnet.classification.layer_signals import measured_update
from resnet.classification.predictions import Predictions, average
from resnet.data import cifar10, digits, handwriting, imagenet, located, objects, scattered, scenes, views
from resnet.data.coco import read_coco
from resnet.data.image_statistics import ImageStatistics
from resnet.data.images import centre_crop, crop_of_resized, whole
from resnet.data.voc import read_voc
from resnet.detection.detector import Detector
from resnet.detection.evaluation import average_precision
from resnet.detection.initial import Classifier
from resnet.detection.inputs import SceneImages
from resnet.detection.task import detection_task
from resnet.files import read_arrays, read_json, write_arrays, write_json, write_yaml
from resnet.localisation.net import Localiser
from resnet.localisation.proposals import Proposals, localisation_errors
from resnet.localisation.task import localisation_task
from resnet.settings import (
    LOCALISER_STAGES,
    CifarRecipe,
    DetectorRecipe,
    Hardware,
    ImageNetRecipe,
    LocaliserRecipe,
    Recipe,
)
from resnet.training import checkpoint
from resnet.training.loop import Training
from resnet.versions import VERSIONS

FILE = Path(__file__).with_name("golden.json")
SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
CPU = Hardware(device="cpu")

Numbers = dict[str, np.ndarray | torch.Tensor | list]
KINDS: dict[str, Callable[[Path], Numbers]] = {}


def golden(compute: Callable[[Path], Numbers]) -> Callable[[Path], Numbers]:
    """Register what computes the numbers of the kind of work that it is named after."""
    KINDS[compute.__name__] = compute
    return compute


def digest(numbers: np.ndarray | torch.Tensor | list) -> list[float]:
    """Return the root mean square of some numbers, and three of their projections, which hang on their order."""
    values = np.asarray(numbers, np.float64).ravel()
    signs = np.random.RandomState(len(values)).choice([-1.0, 1.0], (3, len(values)))
    return [float(np.sqrt((values**2).mean())), *(signs @ values / np.sqrt(len(values))).tolist()]


def computed(kind: str) -> dict[str, list[float]]:
    """Return the numbers of a kind of work, as the code computes them now."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(None):
        return {name: digest(numbers) for name, numbers in KINDS[kind](Path(folder)).items()}


def write() -> None:
    """Write the numbers of the kinds whose version has changed, and of new ones."""
    kept = json.loads(FILE.read_text()) if FILE.exists() else {}
    for kind, version in VERSIONS.items():
        if kept.get(kind, {}).get("version") != version:
            print(f"{kind}: version {version}")
            kept[kind] = {"version": version, "numbers": computed(kind)}
    write_json(FILE, {kind: kept[kind] for kind in VERSIONS})


# What the kinds of work are given


def run(name: str, *options: object) -> None:
    """Run a program of ``scripts/`` in this process."""
    command = [str(SCRIPTS / f"{name}.py"), *map(str, options)]
    with mock.patch.object(sys, "argv", command):
        runpy.run_path(command[0], run_name="__main__")


def painted(seed: int, width: int, height: int) -> Image.Image:
    """Return a colourful image with details of several pixels."""
    coarse = np.random.RandomState(seed).randint(0, 256, (height // 5 + 1, width // 5 + 1, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def draw_weights(net: torch.nn.Module) -> dict[str, object]:
    """Give a network weights that hang on no code of ours; return its state."""
    state = net.state_dict()
    for number, (name, value) in enumerate(state.items()):
        if torch.is_tensor(value) and value.is_floating_point():
            drawn = torch.from_numpy(np.random.RandomState(number).standard_normal(tuple(value.shape)))
            if value.ndim > 1:
                drawn *= (2 / value[0].numel()) ** 0.5
            else:
                # Scales and variances are positive, and such that maps neither grow nor fade over many layers.
                drawn = 0.1 * drawn if name.endswith(("bias", "mean")) else 0.4 + 0.2 * drawn.abs()
            value.copy_(drawn)
    return state


def trained(training: Training, splits: tuple[str, ...] = ()) -> Numbers:
    """Return a run's initial weights; then, in float64 and from drawn ones, what a few updates make of it.

    That is the losses, the rates, the weights at the end, and the losses of some splits.
    """
    initial = all_weights(training)
    training.net.double()
    training.net.register_forward_pre_hook(lambda _net, arguments: (doubled(arguments[0]), *arguments[1:]))
    draw_weights(training.net)
    rows = []
    while training.iteration < training.recipe.iterations:
        training.update()
        rows.append(training.log_training())
    measured = training.task.evaluate(training.autocast, training.until_stopped, training.processes) if splits else {}
    return {
        "initial": initial,
        "losses": [row["loss"] for row in rows],
        "rates": [row["lr"] for row in rows],
        "weights": all_weights(training),
        **{split: [measured[split]["loss"]] for split in splits},
    }


def all_weights(training: Training) -> torch.Tensor:
    """Return what is written as ``weights.pt``, as one vector."""
    values = training.task.weights().values()
    return torch.cat([value.double().flatten() for value in values if torch.is_tensor(value)])


def doubled(images: torch.Tensor | list[torch.Tensor]) -> torch.Tensor | list[torch.Tensor]:
    """Return images in float64."""
    return images.double() if torch.is_tensor(images) else [image.double() for image in images]


def write_cifar(folder: Path) -> cifar10.CifarDescription:
    """Write 60 training and 20 test images in CIFAR-10's layout."""
    names = [f"class{number}" for number in range(10)]
    parts = []
    for seed, count in ((0, 60), (1, 20)):
        pixels = np.stack([np.asarray(painted(100 * seed + number, 32, 32)) for number in range(count)])
        parts.append(cifar10.Images(pixels.transpose(0, 3, 1, 2), np.arange(count) % 10))
    cifar10.write_dataset(folder / "cifar", *parts, names)
    description = cifar10.describe("golden", folder / "cifar", horizontal_flip=True)
    description.write(folder / "dataset.json")
    return description


def write_ilsvrc(folder: Path) -> Path:
    """Write 24 training images of 4 classes, 32 pixels wide and high, and 8 larger ones; return ``dataset.json``."""
    for split, count, sizes in (("train", 6, [(32, 32)]), ("val", 2, [(40, 40), (48, 40)])):
        for label in range(4):
            for place in range(count):
                path = folder / f"ILSVRC2012/{split}/n0000000{label}/{place}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                painted(1000 * count + 10 * label + place, *sizes[place % len(sizes)]).save(path)
    imagenet.describe("golden", folder / "ILSVRC2012", horizontal_flip=True, output=folder / "dataset.json")
    return folder / "dataset.json"


def write_image_statistics(path: Path, side: int) -> Path:
    """Write statistics of pixels, for crops of ``side``."""
    mean = np.random.RandomState(5).uniform(0.4, 0.6, (3, side, side)).astype(np.float32)
    write_arrays(
        path, ImageStatistics(mean, np.array([0.01, 0.03, 0.2], np.float32), np.eye(3, dtype=np.float32)[:, ::-1])
    )
    return path


def write_run(folder: Path, recipe: Recipe, state: dict[str, object], **facts: object) -> None:
    """Write a run folder with weights."""
    write_yaml(folder / "config.yaml", {"recipe": dataclasses.asdict(recipe), **facts})
    checkpoint.save_weights(folder / "weights.pt", state)


def write_objects(folder: Path) -> Path:
    """Write 4 training and 2 test scenes of 64x80 pixels with 3 classes; return ``dataset.json``."""
    sets, categories = {}, [{"id": number, "name": f"class{number}"} for number in (1, 2, 4)]
    for seed, (name, count) in enumerate({"voc2007_trainval": 3, "voc2012_trainval": 1, "voc2007_test": 2}.items()):
        random, images, annotations = np.random.RandomState(seed), [], []
        for number in range(1, count + 1):
            file = f"{name}-{number}.png"
            painted(10 * seed + number, 80, 64).save(folder / file)
            images.append({"id": number, "file_name": file, "width": 80, "height": 64})
            for place in range(3):
                box = [*random.uniform(0, 30, 2), *random.uniform(15, 34, 2)]
                annotations.append(
                    {"id": len(annotations) + 1, "image_id": number, "category_id": (1, 2, 4)[place], "bbox": box}
                    | {"area": box[2] * box[3], "iscrowd": 0, "difficult": int(place == 2 and number == 1)}
                )
        sets[name] = {"images": images, "annotations": annotations, "categories": categories}
    output = folder / "dataset.json"
    objects.describe(output, name="golden", folder=folder, horizontal_flip=True, sets=sets)
    return output


def few(images: dict[str, int], counts: dict[str, int]) -> contextlib.AbstractContextManager:
    """Let a writer of demo data write few of them."""
    return mock.patch.dict(images, counts)


DETECTOR = {
    "experiment": "voc07", "shorter_side": 64, "max_size": 96, "anchor_sizes": (16, 32), "rois": 16,
    "rpn_pre_nms_top_n_train": 100, "rpn_pre_nms_top_n_test": 50, "rpn_post_nms_top_n_train": 40,
    "rpn_post_nms_top_n_test": 20, "batch_size": 2, "iterations": 3, "lr": 0.01, "lr_drops": (2,),
    "weight_decay": 0.01, "log_interval": 1, "evaluation_interval": 3, "evaluation_images": 2,
}  # fmt: skip
TINY = {"width": 1 / 16, "image_size": 32}


# The kinds of work, named as in VERSIONS


@golden
def prepare_cifar10(_folder: Path) -> Numbers:
    """The digits."""
    training, test = digits.load_images()
    return {"training": training.pixels, "test": test.pixels, "labels": [*training.labels, *test.labels]}


@golden
def prepare_imagenet(folder: Path) -> Numbers:
    """Few digits on photographs, as they are described."""
    with few(handwriting.IMAGES, {"train": 40, "val": 20, "test": 2}):
        handwriting.write_handwriting(folder / "ILSVRC2012")
    description = imagenet.describe("golden", folder / "ILSVRC2012", True, folder / "dataset.json")
    numbers: Numbers = {"ids": list(description.ids)}
    for split in imagenet.SPLITS:
        index = imagenet.read_index(folder / "dataset.json", description, split)
        numbers[f"{split} labels"] = index.labels
        numbers[f"{split} colours"] = [colours(description.path / path) for path in index.paths]
    return numbers


def colours(path: Path) -> np.ndarray:
    """Return the mean colour of the quarters of an image."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"), np.float64)
    (height, width), halves = pixels.shape[:2], (slice(None, 2), slice(2, None))
    shrunk = pixels[: height // 4 * 4, : width // 4 * 4].reshape(4, height // 4, 4, width // 4, 3).mean((1, 3))
    return np.array([shrunk[down, across].mean((0, 1)) for down in halves for across in halves])


@golden
def prepare_detection(folder: Path) -> Numbers:
    """Few scenes in VOC's and COCO's layouts, as they are read."""
    with few(scenes.IMAGES, dict.fromkeys(scenes.IMAGES, 13)):
        scenes.write_scenes(folder / "VOCdevkit", folder / "coco")
    numbers: Numbers = {}
    for name, below, sets in (
        ("voc", "VOCdevkit", read_voc(folder / "VOCdevkit")),
        ("coco", "coco", read_coco(folder / "coco", "2014")),
    ):
        objects.describe(
            folder / name / "dataset.json", name=name, folder=folder / below, horizontal_flip=False, sets=sets
        )
        description = objects.ObjectsDescription.read(folder / name / "dataset.json")
        for key in sets:
            found = objects.read_scenes(folder / name / "dataset.json", description, key)
            numbers[f"{key} sizes"] = [scene.size for scene in found]
            numbers[f"{key} colours"] = [colours(description.path / scene.file) for scene in found]
            if key not in description.unlabelled:
                numbers[f"{key} boxes"] = np.concatenate([scene.boxes for scene in found])
                numbers[f"{key} labels"] = np.concatenate([[*scene.labels, *scene.ignored] for scene in found])
    return numbers


@golden
def decode(folder: Path) -> Numbers:
    """A JPEG of odd sides, decoded whole and at a part of its size; grey, palette, transparency and 16 bits."""
    image = painted(1, 301, 223)
    image.save(folder / "odd.jpeg", quality=95)
    image.convert("L").save(folder / "grey.jpeg", quality=95)
    image.convert("CMYK").save(folder / "cmyk.jpeg", quality=95)
    image.quantize(200).save(folder / "palette.png")
    image.convert("RGBA").save(folder / "transparent.png")
    Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257).save(folder / "deep.png")
    numbers: Numbers = {path.name: whole(path, 100) for path in sorted(folder.iterdir())}
    scene = objects.Scene(1, "odd.jpeg", image.size, np.empty((0, 4)), np.empty(0, np.int64), np.empty(0, bool))
    return numbers | {
        "crop": crop_of_resized(folder / "odd.jpeg", 60, 48, (0.3, 0.7)),
        "large crop": crop_of_resized(folder / "odd.jpeg", 200, 64, (0.9, 0.1)),
        "centre": centre_crop(folder / "odd.jpeg", 40, 33),
        "scene": SceneImages(folder, [scene], 90, 110)[0],
    }


@golden
def measure_image_statistics(folder: Path) -> Numbers:
    """The statistics of a training set."""
    run("measure_image_statistics", "--data", write_ilsvrc(folder), "--test-shorter-side", 32, "--image-size", 32,
        "--output", folder / "p.npz")  # fmt: skip
    pixels = read_arrays(folder / "p.npz", ImageStatistics)
    # The signs of eigenvectors are anybody's choice.
    return {
        "mean": pixels.mean,
        "values": pixels.values,
        "covariance": pixels.vectors * pixels.values @ pixels.vectors.T,
    }


@golden
def measure_responses(folder: Path) -> Numbers:
    """The responses of a network."""
    write_cifar(folder)
    recipe = CifarRecipe(model="resnet-8", image_size=16)
    write_run(folder / "run", recipe, draw_weights(build_net(recipe, 10)))
    run("measure_responses", "--data", folder / "dataset.json", "--run-folders", folder / "run")
    rows = (folder / "run/responses.csv").read_text().splitlines()[1:]
    return {"deviations": [float(row.split(",")[2]) for row in rows]}


@golden
def measure_layer_signals(folder: Path) -> Numbers:
    """The signals of an update after another, in float64."""
    values = {"image_size": 16, "padding": 2, "batch_size": 12, "iterations": 6, "lr": 0.05, "lr_drops": (4,)}
    recipe = CifarRecipe(**{"model": "resnet-8", "shortcut": "B", **values})
    training = Training(recipe, CPU, partial(cifar_task, recipe, write_cifar(folder)))
    training.net.double()
    training.net.register_forward_pre_hook(lambda _net, arguments: (arguments[0].double(),))
    draw_weights(training.net)
    training.update()
    rows = measured_update(training)
    return {key: [row[key] for row in rows] for key in ("std", "gradient")}


@golden
def measure_bn_statistics(folder: Path) -> Numbers:
    """The statistics of batch normalisation, over several batches."""
    data, recipe = write_ilsvrc(folder), ImageNetRecipe(model="resnet-18-B", **TINY)
    write_run(folder / "run", recipe, draw_weights(build_net(recipe, 4)))
    with mock.patch.object(views, "EVALUATION_BATCH", 8):
        run("measure_bn_statistics", "--data", data,
            "--image-statistics", write_image_statistics(folder / "p.npz", 32), "--size", 32,
            "--run-folder", folder / "run", "--output", folder / "s.pt", "--device", "cpu")  # fmt: skip
    found = checkpoint.read_tensors(folder / "s.pt")["statistics"]
    kinds = ("running_mean", "running_var")
    return {kind: torch.cat([value for name, value in found.items() if name.endswith(kind)]) for kind in kinds}


@golden
def train_cifar10(folder: Path) -> Numbers:
    """A residual net with a warm-up, a plain net, and one with projections and ghost batches."""
    description = write_cifar(folder)
    tiny = {
        "image_size": 16, "padding": 2, "batch_size": 12, "iterations": 6, "lr": 0.05, "lr_drops": (4,),
        "weight_decay": 0.01, "log_interval": 1, "evaluation_interval": 6,
    }  # fmt: skip
    numbers: Numbers = {}
    for model, changes in {
        "resnet-8": {"warmup_from_depth": 8, "warmup_error": 99.9},
        "plain-8": {"seed": 3},
        "resnet-14": {"shortcut": "B", "ghost_batch_size": 4},
    }.items():
        recipe = CifarRecipe(**{"model": model, **tiny, **changes})
        training = Training(recipe, CPU, partial(cifar_task, recipe, description))
        found = trained(training, ("val", "test"))
        numbers |= {f"{model} {name}": values for name, values in found.items()}
    totals = Totals(torch.device("cpu"))
    scores = torch.from_numpy(np.random.RandomState(0).standard_normal((200, 10)))
    totals.add(scores, torch.arange(200) % 10, torch.tensor(2.5))
    return numbers | {"errors": list(totals.averages().values())}


@golden
def train_imagenet(folder: Path) -> Numbers:
    """A net of each kind of block, and a VGG net with dropout; and what is drawn for each image."""
    data, pixels = write_ilsvrc(folder), write_image_statistics(folder / "p.npz", 32)
    tiny = {
        **TINY, "scale_min": 32, "scale_max": 32, "test_shorter_side": 40, "batch_size": 16, "iterations": 4,
        "lr": 0.02, "lr_drops": (3,), "weight_decay": 0.01, "log_interval": 1, "evaluation_interval": 4,
    }  # fmt: skip
    numbers: Numbers = {}
    # Fifty layers on so few images make much of rounding, so there is one update of them.
    short = {"iterations": 1, "lr_drops": (1,), "seed": 1}
    for model, changes in {"resnet-18-A": {}, "resnet-50": short, "vgg-16": {"dropout": 0.5}}.items():
        recipe = ImageNetRecipe(**{"model": model, **tiny, **changes})
        training = Training(recipe, CPU, partial(imagenet_task, recipe, data, pixels))
        found = trained(training, () if model == "resnet-50" else ("val",))
        numbers |= {f"{model} {name}": values for name, values in found.items()}
    recipe = ImageNetRecipe(**{"model": "plain-18", **tiny, "scale_max": 64})
    draws = imagenet_task(recipe, data, pixels, training.processes).training.plan.draws(2)
    return numbers | {f"drawn {name}": values for name, values in draws.items()}


@golden
def train_detector(folder: Path) -> Numbers:
    """Both networks."""
    data, numbers = write_objects(folder), {}
    for model in ("resnet-50", "vgg-16"):
        described = ImageNetRecipe(model=model, **TINY)
        net = build_net(described, 4)
        draw_weights(net)
        mean = torch.tensor([0.4, 0.5, 0.6])[:, None, None]
        recipe = DetectorRecipe(**{"model": model, **DETECTOR})
        build = partial(detection_task, recipe, data, Classifier(net.eval(), mean, described, None, {}))
        training = Training(recipe, CPU, build)
        training.net.heads.box_head.register_forward_pre_hook(lambda _head, regions: (regions[0].double(),))
        numbers |= {f"{model} {name}": values for name, values in trained(training).items()}
    return numbers


@golden
def import_weights(folder: Path) -> Numbers:
    """A small network of torchvision's."""
    torch.save(draw_weights(torchvision.models.resnet18(num_classes=4)), folder / "resnet18.pth")
    run(
        "import_weights", "--model", "resnet-18-B", "--weights", folder / "resnet18.pth", "--run-folder", folder / "run"
    )
    weights = checkpoint.read_tensors(folder / "run/weights.pt")
    pixels = read_arrays(folder / "run/image_statistics.npz", ImageStatistics)
    names = {"first": "conv1.weight", "last": "fc.weight", "statistics": "bn1.running_var"}
    return {"mean": pixels.mean, **{name: weights[key] for name, key in names.items()}}


@golden
def evaluate_imagenet(folder: Path) -> Numbers:
    """The probabilities of each protocol; errors, and the average of an ensemble."""
    data, pixels, numbers = write_ilsvrc(folder), write_image_statistics(folder / "p.npz", 32), {}
    for model in ("resnet-18-B", "vgg-16"):
        recipe = ImageNetRecipe(model=model, **TINY, test_shorter_side=40)
        write_run(folder / model, recipe, draw_weights(build_net(recipe, 4)))
        protocols = ("center", "10crop", "multiscale")
        run("evaluate_imagenet", "--data", data, "--image-statistics", pixels, "--run-folder", folder / model,
            "--protocols", *protocols, "--multiscale-shorter-sides", 40, 40, "--output", folder / model,
            "--device", "cpu")  # fmt: skip
        for protocol in protocols:
            numbers[f"{model} {protocol}"] = read_arrays(folder / model / f"{protocol}.npz", Predictions).probabilities
    numbers["ensemble"] = average([folder / model / "10crop.npz" for model in ("resnet-18-B", "vgg-16")]).probabilities
    probabilities = np.random.RandomState(0).uniform(size=(200, 10)).astype(np.float32)
    errors = Predictions(np.arange(200), np.arange(200) % 11 - 1, probabilities).errors()
    return numbers | {"errors": list(errors.values())}


@golden
def detect_objects(folder: Path) -> Numbers:
    """The detections of both networks in a test set."""
    data, numbers = write_objects(folder), {}
    for model in write_detectors(folder):
        numbers |= detected(model, data, folder, folder / model)
    return numbers


@golden
def improve_detections(folder: Path) -> Numbers:
    """The same with what improves them, and those of both networks together."""
    data, numbers = write_objects(folder), {}
    runs = [folder / model for model in write_detectors(folder)]
    for name, options in {
        "refined": ("--box-refinement",),
        "multiscale": ("--shorter-sides", 48, 64, 96),
    }.items():
        numbers |= detected(name, data, folder, runs[0], *options)
    return numbers | detected("ensemble", data, folder, *runs)


def write_detectors(folder: Path) -> tuple[str, ...]:
    """Write the run folders of both networks; return their names."""
    models = ("resnet-50", "vgg-16")
    for model in models:
        recipe = DetectorRecipe(**{"model": model, **DETECTOR})
        classifier = {"model": model, **TINY, "stride_in_3x3": False}
        net = Detector(build_net(ImageNetRecipe(model=model, **TINY), 4), torch.full((3, 1, 1), 0.5), 3, recipe)
        state = draw_weights(net)
        # So that no class is certain.
        state["heads.box_predictor.cls_score.weight"].mul_(0.1)
        resolved = {"classes": ["class1", "class2", "class4"], "classifier": classifier}
        write_run(folder / model, recipe, state, resolved=resolved)
    return models


def detected(name: str, data: Path, folder: Path, *options: object) -> Numbers:
    """Return what the program finds with some run folders and options."""
    run("detect_objects", "--data", data, "--run-folder", *options, "--output", folder / "d.json", "--device", "cpu")
    found = read_json(folder / "d.json")
    return {f"{name} {key}": [one[key] for one in found] for key in ("bbox", "score", "category_id")}


@golden
def evaluate_detections(_folder: Path) -> Numbers:
    """Each metric, of detections near objects and elsewhere."""
    random, truth = np.random.RandomState(0), {"images": [], "annotations": [], "categories": []}
    truth["categories"] = [{"id": number, "name": f"class{number}"} for number in (1, 2)]
    detections = []
    for image in range(1, 31):
        truth["images"].append({"id": image, "file_name": f"{image}.png", "width": 200, "height": 200})
        for place in range(3):
            box, category = [*random.uniform(0, 100, 2), *random.uniform(10, 100, 2)], int(random.randint(1, 3))
            truth["annotations"].append(
                {"id": 3 * image + place, "image_id": image, "category_id": category, "bbox": box}
                | {"area": box[2] * box[3], "iscrowd": int(random.rand() < 0.1), "difficult": int(random.rand() < 0.1)}
            )
            for _ in range(2):
                moved = (np.array(box) + random.normal(0, 4, 4)).round(3).tolist()
                detections.append({"image_id": image, "category_id": category, "bbox": moved, "score": random.rand()})
    numbers = {}
    for metric in ("11-point", "area", "coco"):
        found = average_precision(truth, detections, metric)
        classes = found.pop("classes").values()
        numbers[metric] = [*found.values(), *(value for values in classes for value in values.values())]
    return numbers


@golden
def prepare_boxes(folder: Path) -> Numbers:
    """Few digits anywhere on photographs, and their boxes as they are read."""
    with few(scattered.IMAGES, {"train": 24, "val": 10}):
        scattered.write_scattered(folder / "ILSVRC2012")
    description = imagenet.describe("golden", folder / "ILSVRC2012", True, folder / "dataset.json")
    numbers: Numbers = {}
    for split in located.SPLITS:
        index = imagenet.read_index(folder / "dataset.json", description, split)
        found = located.locate(description.path / "Annotations", description, index, split, 1)
        numbers[f"{split} boxes"] = found.boxes
        numbers[f"{split} images"] = np.stack([found.images, found.counts, *found.sizes.T])
        numbers[f"{split} colours"] = [colours(description.path / path) for path in index.paths]
    return numbers


LOCALISER = {
    "anchor_sizes": (16, 32), "proposals": 3, "batch_size": 6, "iterations": 3, "lr": 0.05, "lr_drops": (2,),
    "weight_decay": 0.01, "log_interval": 1, "evaluation_interval": 3, "evaluation_images": 8,
}  # fmt: skip


def write_boxes(folder: Path, data: Path) -> None:
    """Write boxes of the images of ``write_ilsvrc``, one or two of each, beside ``dataset.json``."""
    description = imagenet.ImageNetDescription.read(data)
    for split in located.SPLITS:
        index, random = imagenet.read_index(data, description, split), np.random.RandomState(len(split))
        sizes = np.array([Image.open(description.path / path).size for path in index.paths])
        counts = random.randint(1, 3, len(index))
        corners = random.uniform(0, 0.4, (counts.sum(), 2))
        boxes = np.concatenate([corners, corners + random.uniform(0.3, 0.6, corners.shape)], 1)
        boxes *= np.tile(sizes, 2).repeat(counts, 0)
        found = located.Boxes(np.arange(len(index)), sizes, counts, boxes)
        write_arrays(folder / f"boxes-{split}.npz", found)


@golden
def train_localiser(folder: Path) -> Numbers:
    """Both stages."""
    data, statistics, numbers = write_ilsvrc(folder), write_image_statistics(folder / "p.npz", 32), {}
    write_boxes(folder, data)
    boxes = {split: folder / f"boxes-{split}.npz" for split in located.SPLITS}
    random, drawn = np.random.RandomState(1), np.random.RandomState(2).uniform(0, 32, (24, 1, 3, 2, 2))
    proposals = np.sort(drawn, axis=3).reshape(24, 1, 3, 4).astype(np.float32)
    labels = imagenet.read_index(data, imagenet.ImageNetDescription.read(data), "train").labels
    write_arrays(folder / "r.npz", Proposals(np.array(labels)[:, None], proposals, random.rand(24, 1, 3)))
    # The scales are such that crops show parts of images.
    described = ImageNetRecipe(model="resnet-18-B", **TINY, scale_min=32, scale_max=40, test_shorter_side=36)
    for stage in LOCALISER_STAGES:
        net = build_net(described, 4)
        draw_weights(net)
        classifier = Classifier(net.eval(), torch.tensor([0.4, 0.5, 0.6])[:, None, None], described, None, {})
        recipe = LocaliserRecipe(**{"model": "resnet-18-B", "stage": stage, **LOCALISER})
        regions = folder / "r.npz" if stage == "rcnn" else None
        build = partial(localisation_task, recipe, data, boxes, classifier, statistics, regions)
        numbers |= {f"{stage} {name}": values for name, values in trained(Training(recipe, CPU, build)).items()}
    return numbers


@golden
def localise(folder: Path) -> Numbers:
    """What both stages find, by one crop and at two scales; and its errors."""
    data, numbers = write_ilsvrc(folder), {}
    write_boxes(folder, data)
    files = ("--data", data, "--boxes", folder / "boxes-val.npz")
    classifier = {"model": "resnet-18-B", **TINY, "stride_in_3x3": False}
    resolved = {"classes": 4, "classifier": classifier, "test_shorter_side": 40}
    for stage in LOCALISER_STAGES:
        recipe = LocaliserRecipe(**{"model": "resnet-18-B", "stage": stage, **LOCALISER})
        net = Localiser(
            build_net(ImageNetRecipe(model="resnet-18-B", **TINY), 4), torch.full((3, 1, 1), 0.5), 4, recipe
        )
        state = draw_weights(net)
        state["siblings.reg.weight"].mul_(0.2)
        write_run(folder / stage, recipe, state, resolved=resolved)
    for protocol in ("center", "dense"):
        run("propose_boxes", *files, "--run-folder", folder / "rpn", "--protocol", protocol,
            "--shorter-sides", 40, 48, "--output", folder / f"{protocol}.npz", "--device", "cpu")  # fmt: skip
    run("refine_boxes", *files, "--run-folder", folder / "rcnn", "--proposals", folder / "dense.npz",
        "--output", folder / "refined.npz", "--device", "cpu")  # fmt: skip
    for name in ("center", "dense", "refined"):
        found = read_arrays(folder / f"{name}.npz", Proposals)
        numbers |= {f"{name} boxes": found.boxes, f"{name} scores": found.scores}
    random = np.random.RandomState(0)
    truth = located.Boxes(np.arange(40), np.full((40, 2), 100), np.ones(40, np.int64), random.uniform(0, 50, (40, 4)))
    truth.boxes[:, 2:] += 50
    moved = (truth.boxes[:, None, None] + random.normal(0, 8, (40, 6, 2, 4))).astype(np.float32)
    classes = random.randint(0, 8, (40, 6))
    errors = localisation_errors(truth, Proposals(classes, moved, random.rand(40, 6, 2)))
    return numbers | {"errors": list(errors.values())}


if __name__ == "__main__":
    write()

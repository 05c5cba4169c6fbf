"""Seconds of this project's Faster R-CNN against torchvision's stock one, in training and in the test, in one run.

Three loops, with the same weights, images, anchors, numbers of proposals and regions, thresholds and frozen stages:

torchvision       engine torchvision: scripts/resnet/detection/detector.py
detectron2        engine detectron2; left out where it is not installed (make detectron2 installs it)
stock             torchvision.models.detection.FasterRCNN as it is usually put together: torchvision's ResNet up to
                  layer3 with FrozenBatchNorm2d and layer4 as the head of the regions, or torchvision's VGG layers with
                  fc6 and fc7; MultiScaleRoIAlign, AnchorGenerator and GeneralizedRCNNTransform

An iteration is forward, backward and a step of SGD; a test image is forward with NMS. Decoding is not in it: images
come as tensors at their size (benchmarks/imagenet_input.py measures JPEG files). The loops take turns, each on the same
image, so a machine whose speed drifts is fair to all; ratios are of one turn. The weights are random, with measured
statistics of batch normalisation; all ResNets stride in the 3x3 layers, as torchvision's do. Also printed, so that the
comparison is seen to be of the same work: proposals, regions and detections per image, the pixels of a batch (stock
pads to multiples of 32), and what is kept for the backward pass. The defaults, narrow nets and small images, are for
a CPU; --scale takes all sizes and numbers from a scale, but for the pooling: stock has RoIAlign only. Else anchors
shrink with the images.

How average precision compares with pycocotools, in speed and value: benchmarks/coco_average_precision.py.

    PYTHONPATH=scripts python benchmarks/detection.py
    PYTHONPATH=scripts python benchmarks/detection.py --scale demo
    PYTHONPATH=scripts python benchmarks/detection.py --scale paper --turns 3
"""

import argparse
import copy
import dataclasses
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.resnet import Bottleneck, ResNet
from torchvision.models.vgg import make_layers
from torchvision.ops import FrozenBatchNorm2d, MultiScaleRoIAlign

from resnet.architectures import (
    IMAGENET_BLOCKS,
    IMAGENET_FILTERS,
    VGG_LAYERS,
    ImageNetNet,
    Vgg,
    build_net,
    fold_norms,
    initialise,
    scaled,
    to_torchvision,
)
from resnet.classification.bn_statistics import measure_bn_statistics
from resnet.config import load
from resnet.detection import detector as settings
from resnet.detection.detector import Detector, Target
from resnet.detection.engines import build_detector
from resnet.detection.inputs import resized
from resnet.errors import UserError
from resnet.files import read_yaml
from resnet.provenance import processor_name
from resnet.settings import DetectorRecipe, ImageNetRecipe, parse_imagenet_model

ROOT = Path(__file__).resolve().parents[1]
# VOC's classes and the size of most of its images.
CLASSES, SIZES, OBJECTS = 20, ((500, 375), (375, 500)), 3
MEAN = 0.5


class Noise:
    """Batches of noise, on which statistics are measured."""

    device = torch.device("cpu")

    def __init__(self, generator: torch.Generator) -> None:
        self.images = torch.rand(16, 3, 128, 128, generator=generator) - MEAN

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        yield self.images, torch.zeros(len(self.images))


def random_classifier(classifier: ImageNetRecipe) -> ImageNetNet | Vgg:
    """Return a net with random weights whose activations neither vanish nor overflow."""
    generator = torch.Generator().manual_seed(0)
    net = build_net(classifier, 1)
    initialise(net, generator)
    if isinstance(net, ImageNetNet):
        measured = measure_bn_statistics(net, Noise(generator), lambda _count: None)
        net.load_state_dict(net.state_dict() | measured)
    return net


class StockResNet(ResNet):
    """torchvision's ResNet with fixed batch normalisation, of any width.

    Its modules are called by the backbone and the head, not by its own forward.
    """

    def __init__(self, net: ImageNetNet, depth: int, width: float) -> None:
        self.width = width
        super().__init__(Bottleneck, list(IMAGENET_BLOCKS[depth]), norm_layer=FrozenBatchNorm2d)
        channels = scaled(IMAGENET_FILTERS[0], width)
        self.conv1, self.bn1 = nn.Conv2d(3, channels, 7, 2, 3, bias=False), FrozenBatchNorm2d(channels)
        self.fc = nn.Linear(net.fc.in_features, net.fc.out_features)
        self.load_state_dict(to_torchvision(net))

    def _make_layer(self, block: type[Bottleneck], planes: int, *arguments: int, **options: int) -> nn.Sequential:
        if planes == IMAGENET_FILTERS[0]:
            self.inplanes = scaled(planes, self.width)
        return super()._make_layer(block, scaled(planes, self.width), *arguments, **options)


def stock_resnet(net: ImageNetNet, depth: int, width: float, frozen: int) -> tuple[nn.Sequential, nn.Sequential]:
    """Return torchvision's ResNet as backbone and head of the regions, with so many frozen stages."""
    body = StockResNet(net, depth, width)
    backbone = nn.Sequential(body.conv1, body.bn1, body.relu, body.maxpool, body.layer1, body.layer2, body.layer3)
    # The first stage has four modules.
    for module in backbone[: 3 + frozen]:
        module.requires_grad_(False)
    backbone.out_channels = net.stages[3][0].conv1.in_channels
    return backbone, nn.Sequential(body.layer4, body.avgpool, nn.Flatten())


def stock_vgg(net: Vgg, depth: int, width: float, frozen: int, dropout: float) -> tuple[nn.Sequential, nn.Sequential]:
    """Return torchvision's VGG as backbone and head of the regions, with so many frozen stages."""
    layers: list[str | int] = []
    for filters, count in zip((*IMAGENET_FILTERS, IMAGENET_FILTERS[-1]), VGG_LAYERS[depth], strict=True):
        layers += [*([scaled(filters, width)] * count), "M"]
    features = make_layers(layers)
    features.load_state_dict(net.features.state_dict())
    pools = [place for place, layer in enumerate(features) if isinstance(layer, nn.MaxPool2d)]
    for module in features[: pools[frozen - 1]]:
        module.requires_grad_(False)
    backbone = features[:-1]
    backbone.out_channels = net.features[-3].out_channels
    fc6, fc7 = (nn.Linear(layer.in_features, layer.out_features) for layer in (net.fc6, net.fc7))
    fc6.load_state_dict(net.fc6.state_dict())
    fc7.load_state_dict(net.fc7.state_dict())
    rest = (nn.Dropout(dropout), fc7, nn.ReLU(inplace=True), nn.Dropout(dropout))
    return backbone, nn.Sequential(nn.Flatten(), fc6, nn.ReLU(inplace=True), *rest)


def stock_detector(net: ImageNetNet | Vgg, detector: Detector, width: float, recipe: DetectorRecipe) -> FasterRCNN:
    """Return torchvision's Faster R-CNN with the weights of a classifier and of a detector's new layers."""
    kind, depth, _ = parse_imagenet_model(recipe.model)
    if kind == "vgg":
        backbone, head = stock_vgg(net, depth, width, recipe.frozen_stages, recipe.dropout)
    else:
        backbone, head = stock_resnet(net, depth, width, recipe.frozen_stages)
    predictor = FastRCNNPredictor(detector.heads.box_head.channels, CLASSES + 1)
    stock = FasterRCNN(
        backbone,
        min_size=recipe.shorter_side,
        max_size=recipe.max_size,
        image_mean=[MEAN] * 3,
        image_std=[1.0] * 3,
        rpn_anchor_generator=AnchorGenerator((recipe.anchor_sizes,), (settings.RATIOS,)),
        rpn_pre_nms_top_n_train=detector.rpn._pre_nms_top_n["training"],
        rpn_pre_nms_top_n_test=detector.rpn._pre_nms_top_n["testing"],
        rpn_post_nms_top_n_train=recipe.rpn_post_nms_top_n_train,
        rpn_post_nms_top_n_test=recipe.rpn_post_nms_top_n_test,
        rpn_nms_thresh=settings.PROPOSAL_NMS,
        rpn_bg_iou_thresh=settings.ANCHOR_IOU[0],
        rpn_fg_iou_thresh=settings.ANCHOR_IOU[1],
        rpn_batch_size_per_image=settings.ANCHORS_PER_IMAGE,
        rpn_positive_fraction=settings.ANCHOR_POSITIVES,
        # Its layers for each region see the same maps as ours; stock detectors sample 2 x 2 points whatever the region.
        box_roi_pool=MultiScaleRoIAlign(["0"], detector.heads.box_roi_pool.size, sampling_ratio=0),
        box_head=head,
        box_predictor=predictor,
        box_score_thresh=settings.SCORE_THRESHOLD,
        box_nms_thresh=settings.DETECTION_NMS,
        box_detections_per_img=settings.DETECTIONS_PER_IMAGE,
        box_fg_iou_thresh=settings.REGION_IOU,
        box_bg_iou_thresh=settings.REGION_IOU,
        box_batch_size_per_image=recipe.rois,
        box_positive_fraction=settings.REGION_POSITIVES,
        bbox_reg_weights=settings.BOX_WEIGHTS,
    )
    # Their anchors are in another order, which is nothing to random weights.
    stock.rpn.head.load_state_dict(detector.rpn.head.state_dict())
    predictor.load_state_dict(detector.heads.box_predictor.state_dict())
    return stock


class Loop:
    """A detector that is trained and tested; counts what it works on.

    Args:
        net: returns a dictionary of losses, or detections.
        proposals: its region proposal network.
        head: what is computed for each region.
        recipe: its settings.
        background: label of the first class of objects.
    """

    def __init__(
        self, net: nn.Module, proposals: nn.Module, head: nn.Module, recipe: DetectorRecipe, background: int = 0
    ) -> None:
        self.net, self.tested, self.background = net, net, background
        trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
        self.trained = sum(parameter.numel() for parameter in trained)
        # A learning rate at which the random weights stay sane.
        self.optimizer = torch.optim.SGD(
            trained, lr=1e-6, momentum=recipe.momentum, weight_decay=recipe.weight_decay, fused=True
        )
        self.counts: dict[str, list[int]] = {}
        if isinstance(net, Detector):
            # As in scripts/resnet/detection/detect.py.
            self.tested = copy.deepcopy(net)
            fold_norms(self.tested)
        self.counted(proposals, head)
        if self.tested is not net:
            self.counted(self.tested.rpn, self.tested.heads.box_head)

    def counted(self, proposals: nn.Module, head: nn.Module) -> None:
        """Count what proposal network and head work on."""
        proposals.register_forward_hook(lambda _m, _i, output: self._count("proposals", sum(map(len, output[0]))))
        head.register_forward_pre_hook(lambda _m, inputs: self._count("regions", len(inputs[0])))

    def _count(self, what: str, count: int) -> None:
        self.counts.setdefault(f"{'training' if self.net.training else 'test'} {what}", []).append(count)

    def mean(self, what: str, images: int = 1) -> float:
        """Return the mean of a count per image."""
        return statistics.mean(self.counts[what]) / images

    def update(self, images: list[Tensor], targets: list[Target]) -> None:
        """Make one update."""
        self.net.train()
        shifted = [{"boxes": one["boxes"], "labels": one["labels"] + self.background} for one in targets]
        loss = torch.stack(list(self.net(images, shifted).values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        if not loss.isfinite():
            raise SystemExit("the loss is not finite: the comparison would be of other work")

    @torch.inference_mode()
    def test(self, images: list[Tensor], _targets: list[Target]) -> None:
        """Detect objects in the first image."""
        self.net.eval()
        (found,) = self.tested.eval()(images[:1])
        self._count("detections", len(found["scores"].tolist()))


def build_loops(
    classifier: ImageNetRecipe, recipes: dict[str, DetectorRecipe], device: torch.device
) -> dict[str, Loop]:
    """Return the loops by name; what is not installed is left out, and said."""
    net = random_classifier(classifier)

    def detector(recipe: DetectorRecipe) -> Detector:
        mean = torch.full((3, 1, 1), MEAN)
        again = random_classifier(classifier)
        return Detector(again, mean, CLASSES, recipe, torch.Generator().manual_seed(0))

    # As in scripts/resnet/training/loop.py.
    layout = {"device": device, "memory_format": torch.channels_last}
    recipe = recipes["torchvision"]
    ours = detector(recipe)
    stock = stock_detector(net, ours, classifier.width, recipe).to(device)
    ours.to(**layout)
    loops = {"torchvision": Loop(ours, ours.rpn, ours.heads.box_head, recipe)}
    try:
        other = build_detector(detector(recipes["detectron2"]), CLASSES, recipes["detectron2"]).to(**layout)
        heads = other.net.roi_heads
        head = heads.res5 if hasattr(heads, "res5") else heads.box_head
        loops["detectron2"] = Loop(other, other.net.proposal_generator, head, recipes["detectron2"])
    except UserError as error:
        print(f"detectron2 is left out: {error}")
    loops["stock"] = Loop(stock, stock.rpn, stock.roi_heads.box_head, recipe, background=1)
    return loops


def noise_batch(
    turn: int, size: int, recipe: DetectorRecipe, device: torch.device
) -> tuple[list[Tensor], list[Target]]:
    """Return images of noise, upright in every second turn, with objects anywhere: speed depends little on them."""
    generator = torch.Generator().manual_seed(turn)
    width, height = resized(SIZES[turn % len(SIZES)], recipe.shorter_side, recipe.max_size)
    images, targets = [], []
    for _ in range(size):
        images.append(torch.rand(3, height, width, generator=generator).to(device))
        sides = 0.2 + 0.4 * torch.rand(OBJECTS, 2, generator=generator)
        corners = (1 - sides) * torch.rand(OBJECTS, 2, generator=generator)
        boxes = torch.cat([corners, corners + sides], 1) * torch.tensor([width, height] * 2)
        labels = torch.randint(CLASSES, (OBJECTS,), generator=generator)
        targets.append({"boxes": boxes.to(device), "labels": labels.to(device)})
    return images, targets


def seconds(work: Callable[[], None], device: torch.device) -> float:
    """Return the seconds of some work, until the device has done it; on one thread, those of the core."""
    # Others may use the core, too.
    clock = time.process_time if device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = clock()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - start


def kept_bytes(loop: Loop, batch: tuple[list[Tensor], list[Target]]) -> int:
    """Return the bytes that an update keeps for its backward pass, without weights."""
    weights = {value.untyped_storage().data_ptr() for value in [*loop.net.parameters(), *loop.net.buffers()]}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loop.update(*batch)
    return sum(kept.values())


def padded_pixels(recipe: DetectorRecipe) -> float:
    """Return the pixels of an image that stock pads to multiples of 32, in images as they are."""
    width, height = resized(SIZES[0], recipe.shorter_side, recipe.max_size)
    return (-(-width // 32) * 32) * (-(-height // 32) * 32) / (width * height)


def spread(values: list[float], digits: int) -> str:
    """Return median and range."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def read_recipes(model: str, arguments: argparse.Namespace) -> tuple[ImageNetRecipe, DetectorRecipe]:
    """Return the recipes of a detector and of the classifier that it is built on."""
    if arguments.scale:
        config = load({**read_yaml(ROOT / "config.yaml"), "scale": arguments.scale}, ROOT / "workflow")
        scaled_net = config.imagenet.recipe(model, 0)
        width, image_size, recipe = scaled_net.width, scaled_net.image_size, config.detector.recipe("voc07", model, 0)
    else:
        width, image_size = arguments.width, ImageNetRecipe.image_size
        recipe = DetectorRecipe(
            model=model,
            shorter_side=arguments.shorter_side,
            max_size=arguments.max_size,
            anchor_sizes=tuple(round(size * arguments.shorter_side / 600) for size in DetectorRecipe.anchor_sizes),
            batch_size=arguments.batch_size,
        )
    classifier = ImageNetRecipe.of_network(model=model, width=width, image_size=image_size, stride_in_3x3=True)
    return classifier, dataclasses.replace(recipe, pooling=arguments.pooling)


def measure(model: str, arguments: argparse.Namespace, device: torch.device) -> None:
    """Measure the loops with one model and print their tables."""
    classifier, recipe = read_recipes(model, arguments)
    recipes = {engine: dataclasses.replace(recipe, engine=engine) for engine in ("torchvision", "detectron2")}
    loops = build_loops(classifier, recipes, device)
    batches = [noise_batch(turn, recipe.batch_size, recipe, device) for turn in range(arguments.turns)]
    kept = {name: kept_bytes(loop, batches[0]) for name, loop in loops.items()}
    works = {"training": Loop.update, "test": Loop.test}
    turns: dict[tuple[str, str], list[float]] = {(name, phase): [] for name in loops for phase in works}
    # Each shape of image once to warm up.
    for turn, batch in [*enumerate(batches[: len(SIZES)], -len(SIZES)), *enumerate(batches)]:
        for phase, work in works.items():
            for name, loop in loops.items():
                torch.manual_seed(turn % len(batches))
                passed = seconds(lambda work=work, loop=loop, batch=batch: work(loop, *batch), device)
                if turn >= 0:
                    turns[name, phase].append(passed)
    width, height = resized(SIZES[0], recipe.shorter_side, recipe.max_size)
    print(
        f"\n{model}, width {classifier.width:g}: {loops['stock'].trained / 1e6:.2f} million weights are trained; "
        f"{width}x{height} and {height}x{width} pixels, {recipe.batch_size} per iteration, anchors of "
        f"{', '.join(map(str, recipe.anchor_sizes))} pixels, RoI {recipe.pooling} (stock: align)"
    )
    columns = ("s per iteration", "times stock's s", "s per test image", "times stock's s")
    print(f"{'loop':12}" + "".join(f"{column:>24}" for column in columns))
    for name in loops:
        cells = []
        for phase in works:
            ratios = [own / stock for own, stock in zip(turns[name, phase], turns["stock", phase], strict=True)]
            cells += [spread(turns[name, phase], 3), spread(ratios, 2)]
        print(f"{name:12}" + "".join(f"{cell:>24}" for cell in cells))
    columns = ("training: proposals", "regions", "kept MB", "test: proposals", "regions", "detections", "padded to")
    print(f"{'':12}" + "".join(f"{column:>{max(12, len(column) + 2)}}" for column in columns))
    for name, loop in loops.items():
        counts = [loop.mean(f"training {what}", recipe.batch_size) for what in ("proposals", "regions")]
        counts += [kept[name] / 1e6, *(loop.mean(f"test {what}") for what in ("proposals", "regions", "detections"))]
        cells = [*(f"{count:.0f}" for count in counts), f"{padded_pixels(recipe) if name == 'stock' else 1:.2f}"]
        print(
            f"{name:12}"
            + "".join(f"{cell:>{max(12, len(column) + 2)}}" for cell, column in zip(cells, columns, strict=True)),
            flush=True,
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    models = ("vgg-16", "resnet-50", "resnet-101")
    parser.add_argument("--model", choices=models, nargs="+", default=["vgg-16", "resnet-101"])
    parser.add_argument("--scale", help="a scale of workflow/scales, instead of the next four")
    parser.add_argument("--width", type=float, default=0.25, help="of the paper's filters (default: 0.25)")
    parser.add_argument("--shorter-side", type=int, default=288, help="shorter side of an image (default: 288)")
    parser.add_argument("--max-size", type=int, default=480, help="longest side (default: 480)")
    parser.add_argument("--batch-size", type=int, default=1, help="images per iteration (default: 1)")
    parser.add_argument(
        "--pooling", choices=("align", "pool"), default="align", help="of our engines; stock has align (default: align)"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of the CPU (default: 1)")
    parser.add_argument("--turns", type=int, default=7, help="turns of each loop (default: 7)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else processor_name()
    print(f"{name}, {arguments.threads} threads, torch {torch.__version__}; medians of {arguments.turns} turns (range)")
    for model in arguments.model:
        measure(model, arguments, device)


if __name__ == "__main__":
    main()

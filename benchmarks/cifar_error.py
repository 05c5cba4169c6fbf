"""The test error of another implementation's network, trained the way its users train it, on the images that we use.

The usual recipe: random crops and flips, the mean and deviation of ImageNet's colours, SGD with momentum, the learning
rate divided by 10 at two milestones; PyTorch's own layers, optimizer and schedule. The network comes from a file of the
other project, fetched by hand, whose function takes no arguments. The same schedule of ours, for comparison:

    T=results/runs/short/cifar10/resnet-20/seed0/result.json    # schedule.yaml: the recipe's iterations and lr_drops
    snakemake --cores 2 --config scale=short --configfile config.yaml schedule.yaml -- $T
    PYTHONPATH=scripts python benchmarks/cifar_error.py --net ../resnet.py:resnet20 --data data/cifar10/dataset.json
"""

import argparse
import importlib.util
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet.data import cifar10
from resnet.progress import Progress
from resnet.provenance import processor_name

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def network_of(source: str) -> nn.Module:
    """Return the network that ``FILE:FUNCTION`` builds."""
    path, function = source.rsplit(":", 1)
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return getattr(module, function)()


def normalise(pixels: np.ndarray) -> Tensor:
    """Map uint8 (N, 3, 32, 32) to float32 with the usual mean and deviation."""
    images = torch.from_numpy(pixels).float().div_(255)
    return images.sub_(torch.tensor(MEAN).view(3, 1, 1)).div_(torch.tensor(DEVIATION).view(3, 1, 1))


def augmented(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return a random crop of each image, padded by four zeros, half of them flipped."""
    padded = F.pad(images, (4, 4, 4, 4))
    rows, columns = torch.randint(0, 9, (2, len(images)), generator=generator)
    crops = torch.stack([image[:, y : y + 32, x : x + 32] for image, y, x in zip(padded, rows, columns, strict=True)])
    flipped = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(flipped.view(-1, 1, 1, 1), crops.flip(3), crops)


def train(net: nn.Module, images: Tensor, labels: Tensor, arguments: argparse.Namespace) -> None:
    """Train with the usual recipe, in epochs of whole batches."""
    generator = torch.Generator().manual_seed(arguments.seed)
    optimizer = torch.optim.SGD(net.parameters(), arguments.lr, momentum=0.9, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, arguments.lr_drops)
    progress = Progress(
        arguments.iterations,
        title=arguments.net,
        unit="iterations",
        speed_unit="images",
        scale=arguments.batch_size,
    )
    done = 0
    while done < arguments.iterations:
        for batch in torch.randperm(len(images), generator=generator).split(arguments.batch_size):
            if len(batch) < arguments.batch_size or done == arguments.iterations:
                break
            loss = F.cross_entropy(net(augmented(images[batch], generator)), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            done += 1
            progress.step()
    progress.close()


@torch.inference_mode()
def error(net: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the error in percent."""
    net.eval()
    wrong = sum(int((net(x).argmax(1) != y).sum()) for x, y in zip(images.split(500), labels.split(500), strict=True))
    return 100 * wrong / len(images)


def main() -> None:
    """Train, and print one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", required=True, metavar="FILE:FUNCTION", help="what builds the other network")
    parser.add_argument("--data", type=Path, default=Path("data/cifar10/dataset.json"), help="prepared CIFAR-10")
    parser.add_argument("--iterations", type=int, default=1500)
    parser.add_argument("--lr-drops", type=int, nargs="+", default=[1000, 1250])
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--validation-fraction", type=float, default=0.1, help="left out, as our recipe does")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    description = cifar10.CifarDescription.read(arguments.data)
    training, test = (cifar10.read_split(description.path, split) for split in ("train", "test"))
    training, _ = cifar10.split_training(training, arguments.validation_fraction, arguments.seed)
    net = network_of(arguments.net)
    train(net, normalise(training.pixels), torch.from_numpy(training.labels), arguments)
    result = error(net, normalise(test.pixels), torch.from_numpy(test.labels))
    print(
        f"{arguments.net}, seed {arguments.seed}, {arguments.iterations} iterations of {arguments.batch_size} images: "
        f"{result:.2f} % of {len(test.labels)} test images wrong ({processor_name()}, {arguments.threads} threads)"
    )


if __name__ == "__main__":
    main()

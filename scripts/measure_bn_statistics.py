"""Measure a residual network's batch-normalisation statistics on the training images, for detectors (appendix A).

The images' middle squares are resized to about the size that detectors see: a small network's maps grow or fade where
the statistics are those of images of another size.
"""

import argparse
from pathlib import Path

from resnet.errors import run_program
from resnet.files import read_arrays
from resnet.progress import Progress
from resnet.run_folder import RunFolder
from resnet.settings import ArgumentParser, BatchNormStatistics, Hardware, add_arguments, read_hardware


def main() -> None:
    """Read the arguments and measure."""
    parser = ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="dataset.json of the data it was trained on")
    parser.add_argument("--image-statistics", type=Path, required=True, help="those that it was trained with")
    parser.add_argument("--run-folder", type=Path, required=True, help="folder of the run")
    parser.add_argument("--output", type=Path, required=True, help="file of tensors to write")
    add_arguments(parser, BatchNormStatistics)
    add_arguments(parser, Hardware)
    arguments = parser.parse_args()

    # What takes long to import comes after the arguments, so that --help and a wrong one are answered at once.
    import torch

    from resnet.classification.bn_statistics import drawn_images, measure_bn_statistics
    from resnet.classification.evaluate import load_network
    from resnet.data.image_statistics import ImageStatistics
    from resnet.data.imagenet import ImageNetDescription, read_index
    from resnet.data.scratch import on_scratch
    from resnet.data.views import CentreViews, Normalise
    from resnet.training.checkpoint import save_tensors
    from resnet.training.distributed import Processes

    hardware = read_hardware(arguments)
    torch.set_num_threads(hardware.threads)
    processes = Processes(hardware)
    description = ImageNetDescription.read(arguments.data)
    net, _ = load_network(RunFolder(arguments.run_folder), len(description.wnids), processes.device)
    index = read_index(arguments.data, description, "train")
    description = on_scratch(description, processes, index)
    # Of each colour, as a detector subtracts it.
    mean = (
        torch.from_numpy(read_arrays(arguments.image_statistics, ImageStatistics).mean)
        .mean((1, 2), keepdim=True)
        .to(processes.device)
    )
    views = CentreViews(
        description.path,
        index,
        Normalise(mean),
        side=arguments.size,
        size=arguments.size,
        chosen=drawn_images(len(index), arguments.images),
        device=processes.device,
        workers=processes.workers,
    )
    progress = Progress(len(views), title="batch normalisation", unit="images", speed_unit="images")
    statistics = measure_bn_statistics(net, views, progress.step)
    progress.close()
    save_tensors(arguments.output, {"images": len(views), "statistics": statistics})


if __name__ == "__main__":
    run_program(main)

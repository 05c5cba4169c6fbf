"""Download the weights that torchvision publishes for a network, checked by the digits in their file's name."""

import argparse
from pathlib import Path

from resnet.errors import UserError, run_program
from resnet.settings import is_published, parse_imagenet_model


def main() -> None:
    """Read the arguments and download."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="resnet-<18|34>-B, resnet-<50|101|152>, vgg-<16|19>")
    parser.add_argument("--output", type=Path, required=True, help="where the file goes")
    arguments = parser.parse_args()
    kind, depth, _ = parse_imagenet_model(arguments.model)
    if not is_published(arguments.model):
        raise UserError(f"torchvision publishes no weights of {arguments.model}")

    # What takes long to import comes after the arguments, so that --help and a wrong one are answered at once.
    from torchvision.models import get_model_weights

    from resnet.data.download import download

    url = get_model_weights(f"{kind}{depth}")["IMAGENET1K_V1"].url
    digits = Path(url).stem.rsplit("-", 1)[1]
    hint = "Try again later, or name a folder that holds the file in config.yaml under data.imagenet.weights"
    download(url, arguments.output, digits, hint=hint)


if __name__ == "__main__":
    run_program(main)

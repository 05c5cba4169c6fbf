"""Run folders of weights that torchvision publishes.

torchvision's networks see images minus the channels' means, divided by their deviations; the division is folded into
the first convolution. A bottleneck's stride is in the 3x3 layer there, which the weights' file says.
"""

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from resnet.architectures import build_net, from_torchvision
from resnet.data.image_statistics import ImageStatistics
from resnet.errors import UserError
from resnet.files import checksum, write_arrays, write_yaml
from resnet.settings import ImageNetRecipe
from resnet.training.checkpoint import load_into, read_tensors, save_weights

# What torchvision's published networks were trained with (its references/classification).
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Where training programs put the state dict of a network.
WRAPPERS = ("state_dict", "model")


def write_run(run: Path, recipe: ImageNetRecipe, weights: Path) -> None:
    """Write config.yaml, image_statistics.npz and weights.pt.

    Raises:
        UserError: the file is damaged, or holds another network's weights.
    """
    state = plain_state(read_tensors(weights, advice="get it again"))
    # The last layer has an output per class.
    last = state.get("classifier.6.bias" if recipe.model.startswith("vgg") else "fc.bias", torch.empty(1))
    net = build_net(recipe, len(last))
    if difference := load_into(net, from_torchvision(state, net)):
        raise UserError(
            f"{weights} does not hold torchvision's weights of {recipe.model} for crops of {recipe.image_size} pixels: "
            f"{difference}"
        )
    first = next(module for module in net.modules() if isinstance(module, torch.nn.Conv2d))
    with torch.no_grad():
        first.weight /= torch.tensor(DEVIATION)[:, None, None]
    save_weights(run / "weights.pt", net.state_dict())
    mean = np.array(MEAN, np.float32)[:, None, None]
    write_arrays(
        run / "image_statistics.npz", ImageStatistics(mean, np.zeros(3, np.float32), np.eye(3, dtype=np.float32))
    )
    source = f"torchvision ({weights.name})"
    settings = {**dataclasses.asdict(recipe), "lr_drops": list(recipe.lr_drops), "source": source}
    write_yaml(run / "config.yaml", {"recipe": settings, "weights": {"sha256": checksum(weights, "sha256")}})


def plain_state(content: dict[str, Any]) -> dict[str, Any]:
    """Return the state dict in what training programs write: beside other things, or with a wrapper's prefix."""
    state = next((content[key] for key in WRAPPERS if isinstance(content.get(key), dict)), content)
    # Of DataParallel and of torch.compile.
    return {re.sub(r"^(module\.|_orig_mod\.)+", "", str(key)): value for key, value in state.items()}

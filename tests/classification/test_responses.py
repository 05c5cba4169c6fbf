"""The measurement behind Fig. 7, against a forward pass written out."""

import pytest
import torch
import torch.nn.functional as F

from resnet.architectures import CifarNet, initialise
from resnet.classification.responses import response_deviations, response_layers


@pytest.fixture
def net():
    made = CifarNet("resnet-14", "B")
    initialise(made, torch.Generator().manual_seed(0))
    for index, module in enumerate(made.modules()):
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(index))
            module.running_var.fill_(2.0)
    return made.double()


def test_one_value_per_3x3_layer(net):
    names = [name for name, _ in response_layers(net)]
    assert len(names) == 13
    assert names[:3] == ["conv1", "blocks.0.conv1", "blocks.0.conv2"]


def test_after_normalisation_before_relu_and_addition(net):
    images = torch.randn(10, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    labels = torch.zeros(10)
    found = dict(response_deviations(net, [(images[:6], labels[:6]), (images[6:], labels[6:])]))
    with torch.no_grad():
        x = net.bn1(net.conv1(images))
        expected = {"conv1": x.std(correction=0).item()}
        x = F.relu(x)
        for index, block in enumerate(net.blocks):
            first = block.bn1(block.conv1(x))
            second = block.bn2(block.conv2(F.relu(first)))
            expected[f"blocks.{index}.conv1"] = first.std(correction=0).item()
            expected[f"blocks.{index}.conv2"] = second.std(correction=0).item()
            x = F.relu(second + block.shortcut(x))
    assert found == pytest.approx(expected, rel=1e-9)

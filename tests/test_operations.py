"""The operations of networks as their ``forward`` computes them."""

import pytest
import torch
from conftest import imagenet_net
from torch import Tensor, nn

from resnet.architectures import CifarNet, count_multiply_adds, count_parameters
from resnet.errors import UserError
from resnet.operations import operations, operations_of


@pytest.mark.parametrize("model", ["vgg-19", "resnet-34-B", "resnet-50"])
def test_operations_have_all_that_is_counted_of_a_network(model):
    with torch.device("meta"):
        net = imagenet_net(model, 1000)
    found = operations_of(model)
    assert sum(one.multiply_adds for one in found) == count_multiply_adds(net, 224)
    assert sum(one.parameters for one in found) == count_parameters(net)
    assert [one.number for one in found] == list(range(len(found)))
    assert all(before < one.number for one in found for before in one.inputs)


def test_a_block_is_read_from_what_it_computes():
    block = operations_of("resnet-50/stages.0.1")
    assert [one.kind for one in block] == ["input", "conv", "relu", "conv", "relu", "conv", "add", "relu"]
    assert [(one.kernel, one.channels) for one in block if one.kind == "conv"] == [(1, 64), (3, 64), (1, 256)]
    assert block[6].inputs == (5, 0)
    assert {one.side for one in block} == {56}


def test_a_shortcut_of_option_a_pads_and_one_of_option_b_projects():
    padded, projected = (operations_of(f"resnet-34-{option}/stages.1.0") for option in "AB")
    [padding] = [one for one in padded if one.kind == "zero padding"]
    assert (padding.inputs, padding.stride, padding.channels, padding.side) == ((0,), 2, 128, 28)
    projection = projected[projected[5].inputs[1]]
    assert (projection.kind, projection.kernel, projection.stride) == ("conv", 1, 2)
    assert projection.inputs == (0,)


def test_networks_of_cifar10_are_read_too():
    net = CifarNet("resnet-20")
    found = operations(net, 3, 32)
    assert sum(one.kind == "add" for one in found) == 9
    assert sum(one.multiply_adds for one in found) == count_multiply_adds(net, 32)


def test_what_is_unknown_is_one_clear_error():
    class Strange(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.tanh()

    with pytest.raises(UserError, match="the network computes tanh, which no figure knows how to draw"):
        operations(Strange(), 3, 8)
    with pytest.raises(UserError, match=r"resnet-50 has no part 'stages\.9'"):
        operations_of("resnet-50/stages.9")

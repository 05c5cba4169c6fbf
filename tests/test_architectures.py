"""The networks of sections 4.1 and 4.2 against published counts and torchvision's blocks."""

import pytest
import torch
import torch.nn.functional as F
import torchvision
from conftest import imagenet_net
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torchvision.models.resnet import BasicBlock as TorchvisionBlock

from resnet import architectures
from resnet.architectures import (
    BasicBlock,
    BatchNorm2d,
    Bottleneck,
    CifarNet,
    count_multiply_adds,
    count_parameters,
    from_torchvision,
    initialise,
    layers_by_map,
    to_torchvision,
    weighted_layers,
)
from resnet.errors import UserError


@pytest.mark.parametrize(
    ("depth", "printed"), [(20, "0.27"), (32, "0.46"), (44, "0.66"), (56, "0.85"), (110, "1.7"), (1202, "19.4")]
)
def test_parameters_are_those_of_table_6(depth, printed):
    with torch.device("meta"):
        residual = CifarNet(f"resnet-{depth}")
    digits = len(printed.split(".")[1])
    assert f"{count_parameters(residual) / 1e6:.{digits}f}" == printed


@given(n=st.integers(1, 12), option=st.sampled_from("ABC"))
@settings(deadline=None, max_examples=20)
def test_depth_shortcuts_and_parameters_for_any_n(n, option):
    depth = 6 * n + 2
    with torch.device("meta"):
        plain, residual = CifarNet(f"plain-{depth}"), CifarNet(f"resnet-{depth}", option)
    assert len(weighted_layers(plain)) == len(weighted_layers(residual)) == depth
    assert sum(block.shortcut is not None for block in residual.blocks) == 3 * n
    assert all(block.shortcut is None for block in plain.blocks)
    # Projections: 1x1 weights and two values of batch normalisation per channel; B has two, C one per block.
    projection = {(16, 16): 16 * 16 + 32, (16, 32): 16 * 32 + 64, (32, 32): 32 * 32 + 64}
    projection |= {(32, 64): 32 * 64 + 128, (64, 64): 64 * 64 + 128}
    b = projection[16, 32] + projection[32, 64]
    c = n * projection[16, 16] + (n - 1) * (projection[32, 32] + projection[64, 64]) + b
    assert count_parameters(residual) - count_parameters(plain) == {"A": 0, "B": b, "C": c}[option]


def test_layers_and_filters_per_map_size():
    assert layers_by_map(CifarNet("resnet-56")) == {32: (19, 16), 16: (18, 32), 8: (18, 64)}


def test_multiply_adds_by_hand():
    # 3x3 layers of ResNet-20: 7 of 16 filters (the first one sees 3 channels), then 6 and 6, and the fc layer.
    first, inside = 9 * 3 * 16 * 32**2, 9 * 16 * 16 * 32**2
    halved = inside // 2  # half the input channels at a quarter of the positions, twice the filters
    assert count_multiply_adds(CifarNet("plain-20"), 32) == first + 6 * inside + 2 * (halved + 5 * inside) + 640


def test_counting_leaves_the_network_as_it_is():
    net = CifarNet("resnet-8")
    count_multiply_adds(net, 32)
    layers_by_map(net)
    assert net.training
    assert all(not module._forward_hooks for module in net.modules())


@pytest.mark.parametrize("model", ["resnet-21", "plain-2", "resnet-0"])
def test_a_wrong_depth_is_one_clear_error(model):
    with pytest.raises(UserError, match=r"the depth must be 6n\+2"):
        CifarNet(model)


def test_an_unknown_kind_is_one_clear_error():
    with pytest.raises(UserError, match="expected plain-<depth> or resnet-<depth>"):
        CifarNet("vgg-16")


@pytest.mark.processor
def test_block_with_projection_equals_torchvisions():
    torch.manual_seed(0)
    around = architectures.make_shortcut("B", 16, 32, 2)
    ours = architectures.BasicBlock(16, 32, 2, around)
    theirs = TorchvisionBlock(16, 32, 2, nn.Sequential(nn.Conv2d(16, 32, 1, 2, bias=False), nn.BatchNorm2d(32)))
    renamed = {key.replace("downsample", "shortcut"): value for key, value in theirs.state_dict().items()}
    ours.load_state_dict(renamed)
    x = torch.randn(4, 16, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(ours.double()(x), theirs.double()(x))
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


def test_option_a_takes_every_second_pixel_and_pads_zeros_at_the_end():
    x = torch.randn(2, 16, 8, 8)
    out = architectures.make_shortcut("A", 16, 32, 2)(x)
    assert torch.equal(out[:, :16], x[:, :, ::2, ::2])
    assert torch.equal(out[:, 16:], torch.zeros(2, 16, 4, 4))


def test_initial_weights_are_he_normal_and_follow_the_seed():
    nets = [CifarNet("resnet-20") for _ in range(3)]
    for net, seed in zip(nets, (1, 1, 2), strict=True):
        initialise(net, torch.Generator().manual_seed(seed))
    weights = [net.blocks[8].conv2.weight for net in nets]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert weights[0].std().item() == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.02)


@pytest.mark.processor
def test_fixed_normalisation_is_part_of_the_convolution_before_it():
    torch.manual_seed(0)
    block = architectures.Bottleneck(3, 4, 2, architectures.make_shortcut("B", 3, 16, 2)).double().eval()
    for norm in (module for module in block.modules() if isinstance(module, BatchNorm2d)):
        for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            torch.nn.init.uniform_(values, 0.5, 2)
    images, weights, outputs = torch.randn(2, 3, 8, 8, dtype=torch.float64), [], []
    for fixed in (False, True):
        for norm in (module for module in block.modules() if isinstance(module, BatchNorm2d)):
            norm.requires_grad_(not fixed)
        block.zero_grad()
        outputs.append(block(images))
        outputs[-1].square().sum().backward()
        weights.append([layer.weight.grad.clone() for layer in architectures.convolutions(block)])
    torch.testing.assert_close(outputs[1], outputs[0])
    torch.testing.assert_close(weights[1], weights[0])
    # In a test, once for all.
    architectures.fold_norms(block)
    torch.testing.assert_close(block(images), outputs[0])
    assert not any(isinstance(module, BatchNorm2d) for module in block.modules())


@pytest.mark.processor
def test_ghost_batches_are_normalised_one_by_one():
    norm = architectures.BatchNorm2d(3).double()
    norm.ghost_batch_size = 4
    x = torch.randn(8, 3, 5, 5, dtype=torch.float64) + torch.arange(8)[:, None, None, None]
    reference = nn.BatchNorm2d(3).double()
    expected_first = reference(x[:4])
    out = norm(x)
    torch.testing.assert_close(out[:4], expected_first)
    # The running statistics follow the first part, as those of the first GPU do.
    torch.testing.assert_close(norm.running_mean, reference.running_mean)
    torch.testing.assert_close(norm.running_var, reference.running_var)
    torch.testing.assert_close(out[4:], nn.BatchNorm2d(3).double()(x[4:]))


def test_recomputing_activations_changes_no_bit():
    torch.manual_seed(0)
    images, labels = torch.randn(8, 3, 8, 8), torch.arange(8)
    nets = [CifarNet("resnet-20") for _ in range(2)]
    for net, group in zip(nets, (0, 2), strict=True):
        initialise(net, torch.Generator().manual_seed(3))
        net.recompute_group = group
        F.cross_entropy(net(images), labels).backward()
    for (name, ours), theirs in zip(nets[0].named_parameters(), nets[1].parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad), name
    for (name, ours), theirs in zip(nets[0].named_buffers(), nets[1].buffers(), strict=True):
        assert torch.equal(ours, theirs), name


TORCHVISION = {
    "resnet-18-B": torchvision.models.resnet18,
    "resnet-34-B": torchvision.models.resnet34,
    "resnet-50": torchvision.models.resnet50,
    "resnet-101": torchvision.models.resnet101,
    "resnet-152": torchvision.models.resnet152,
    "vgg-16": torchvision.models.vgg16,
}
IMAGENET_FLOPS = {
    "resnet-18-A": "1.8", "plain-18": "1.8", "resnet-34-A": "3.6", "plain-34": "3.6", "resnet-50": "3.8",
    "resnet-101": "7.6", "resnet-152": "11.3", "vgg-16": "15.3", "vgg-19": "19.6",
}  # fmt: skip


def paired(name, image_size=64):
    """torchvision's network with random weights and statistics, and one of ours."""
    # Its own initial values of VGG-16's fc layers take seconds to draw.
    options = {"init_weights": False} if name == "vgg-16" else {}
    theirs = TORCHVISION[name](num_classes=7, **options).eval()
    generator = torch.Generator().manual_seed(0)
    for key, value in theirs.state_dict().items():
        if "running_mean" in key:
            value.normal_(generator=generator).mul_(0.1)
        elif "running_var" in key:
            value.uniform_(0.5, 2, generator=generator)
    settings = {} if name == "vgg-16" else {"stride_in_3x3": True}
    ours = imagenet_net(name, 7, image_size=224 if name == "vgg-16" else image_size, **settings).eval()
    return theirs, ours


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "vgg-16")) for name in TORCHVISION]
)
def test_same_outputs_as_torchvision_from_the_same_weights(name):
    theirs, ours = paired(name)
    ours.load_state_dict(from_torchvision(theirs.state_dict(), ours))
    back = to_torchvision(ours)
    assert back.keys() == theirs.state_dict().keys()
    assert all(torch.equal(back[key], value) for key, value in theirs.state_dict().items())
    side = 224 if name == "vgg-16" else 64
    images = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(ours.double()(images), theirs.double()(images), rtol=1e-9, atol=1e-9)


@pytest.mark.processor
def test_the_paper_s_stride_is_torchvision_s_net_with_strides_moved():
    theirs, _ = paired("resnet-50")
    for module in theirs.modules():
        if isinstance(module, torchvision.models.resnet.Bottleneck):
            module.conv1.stride, module.conv2.stride = module.conv2.stride, module.conv1.stride
    released = imagenet_net("resnet-50", 7, image_size=64).eval()
    v15 = imagenet_net("resnet-50", 7, image_size=64, stride_in_3x3=True)
    state = from_torchvision(theirs.state_dict(), v15) | {"_extra_state": released.architecture}
    released.load_state_dict(state)
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(released.double()(images), theirs.double()(images), rtol=1e-9, atol=1e-9)


def test_weights_of_the_other_stride_are_refused():
    released = imagenet_net("resnet-50", 7, width=0.1)
    v15 = imagenet_net("resnet-50", 7, width=0.1, stride_in_3x3=True)
    with pytest.raises(UserError, match="the weights have stride_in_3x3 True, but the net has False"):
        released.load_state_dict(v15.state_dict())
    with pytest.raises(UserError, match="strides in the 3x3 layers, this one in the first 1x1"):
        to_torchvision(released)
    with pytest.raises(UserError, match="only B"):
        to_torchvision(imagenet_net("resnet-34-A", 7, width=0.1))


@pytest.mark.parametrize(("name", "printed"), IMAGENET_FLOPS.items())
def test_flops_are_those_that_the_paper_prints(name, printed):
    """Multiply-adds of convolutions and fc layers; 3.8 and 15.3 are cut off, and VGG-16's are without its fc layers."""
    with torch.device("meta"):
        net = imagenet_net(name, 1000)
    flops = count_multiply_adds(net, 224)
    if name == "vgg-16":
        flops -= sum(m.in_features * m.out_features for m in net.modules() if isinstance(m, nn.Linear))
    cut = int(flops / 1e8) / 10
    assert printed in (f"{flops / 1e9:.1f}", f"{cut:.1f}")
    assert len(weighted_layers(net)) == int(name.split("-")[1])


def test_option_c_has_thirteen_more_projections():
    def projections(name):
        with torch.device("meta"):
            return sum(".shortcut.0.weight" in key for key in imagenet_net(name, 10).state_dict())

    assert projections("resnet-34-C") - projections("resnet-34-B") == 13
    assert projections("resnet-34-A") == 0


@pytest.mark.parametrize("name", ["resnet-18-A", "resnet-50", "vgg-16", "plain-18"])
@pytest.mark.processor
def test_the_fully_convolutional_form_is_the_mean_over_windows(name):
    """At the training size it is the plain forward; at a larger one, the mean over all windows of the last map."""
    net = imagenet_net(name, 5, width=0.125, image_size=64).eval()
    initialise(net, torch.Generator().manual_seed(0))
    net.double()
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    larger = torch.randn(1, 3, 128, 160, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(net.dense(images), net(images), rtol=1e-9, atol=1e-9)
        maps = net.features(larger)
        scores = []
        for top in range(maps.shape[2] - 1):
            for left in range(maps.shape[3] - 1):
                window = maps[:, :, top : top + 2, left : left + 2]
                if name == "vgg-16":
                    scores.append(net.fc(F.relu(net.fc7(F.relu(net.fc6(window.flatten(1)))))))
                else:
                    scores.append(net.fc(window.mean((2, 3))))
        torch.testing.assert_close(net.dense(larger), torch.stack(scores).mean(0), rtol=1e-9, atol=1e-9)


def test_vgg_s_dense_form_takes_images_of_any_size():
    """Below the training crop, a map lies amid zeros: the scores are those of the fc layers on the padded map."""
    net = imagenet_net("vgg-16", 7, width=0.1, image_size=96).eval()
    generator = torch.Generator().manual_seed(0)
    initialise(net, generator)
    with torch.no_grad():
        crop = torch.rand(2, 3, 96, 96, generator=generator)
        torch.testing.assert_close(net.dense(crop), net(crop))
        small = torch.rand(2, 3, 70, 128, generator=generator)
        maps = F.pad(net.features(small), (0, 0, 0, 1))
        expected = []
        for left in (0, 1):
            x = maps[..., left : left + 3].flatten(1)
            expected.append(net.fc(F.relu(net.fc7(F.relu(net.fc6(x))))))
        torch.testing.assert_close(net.dense(small), sum(expected) / 2)
        assert net.dense(small[..., :32, :32]).isfinite().all()


@pytest.mark.parametrize(
    "build",
    [lambda: CifarNet("resnet-20"), lambda: imagenet_net("resnet-18-C", 10), lambda: imagenet_net("resnet-50", 10)],
)
def test_the_last_normalisation_of_each_residual_branch_begins_at_its_scale(build):
    net = build()
    initialise(net, torch.Generator().manual_seed(0), branch_scale=0.25)
    blocks = [module for module in net.modules() if isinstance(module, BasicBlock | Bottleneck)]
    last = [block.bn3 if isinstance(block, Bottleneck) else block.bn2 for block in blocks]
    assert last
    for module in net.modules():
        if isinstance(module, BatchNorm2d):
            assert (module.weight == (0.25 if module in last else 1)).all()


def test_plain_nets_with_bottlenecks_are_residual_ones_without_shortcuts():
    """Section 4.1's footnote 4."""
    with torch.device("meta"):
        plain, residual = imagenet_net("plain-50", 10), imagenet_net("resnet-50", 10)
    own = {key: value.shape for key, value in plain.state_dict().items() if key != "_extra_state"}
    rest = {key: value.shape for key, value in residual.state_dict().items() if key != "_extra_state"}
    assert own == {key: shape for key, shape in rest.items() if ".shortcut." not in key}
    block = plain.stages[0][0]
    x = torch.randn(2, 64, 5, 5)
    block = block.to_empty(device="cpu")
    initialise(block, torch.Generator().manual_seed(0))
    for norm in (block.bn1, block.bn2, block.bn3):
        norm.reset_running_stats()
        nn.init.ones_(norm.weight)
        nn.init.zeros_(norm.bias)
    out = F.relu(block.bn2(block.conv2(F.relu(block.bn1(block.conv1(x))))))
    torch.testing.assert_close(block(x), F.relu(block.bn3(block.conv3(out))))


def test_shortcuts_may_go_around_single_layers():
    """Section 3.2's F(x) of one layer: as many layers and parameters, twice the shortcuts."""
    single, plain = CifarNet("resnet-20", layers_per_block=1), CifarNet("plain-20")
    assert len(weighted_layers(single)) == 20
    assert count_parameters(single) == count_parameters(plain)
    assert len(single.blocks) == 2 * len(plain.blocks)
    initialise(single, torch.Generator().manual_seed(0))
    block, x = single.blocks[1], torch.randn(4, 16, 6, 6)
    torch.testing.assert_close(block(x), F.relu(F.batch_norm(block.conv1(x), None, None, training=True) + x))
    with pytest.raises(UserError, match="the weights have layers_per_block None, but the net has 1"):
        single.load_state_dict(CifarNet("resnet-20").state_dict())


def test_the_name_of_a_variation_is_not_that_of_its_network():
    assert CifarNet("resnet-20+slow").architecture == CifarNet("resnet-20").architecture
    with torch.device("meta"):
        varied, net = imagenet_net("vgg-16+slow", 10), imagenet_net("vgg-16", 10)
    assert varied.architecture == net.architecture


def test_a_plain_net_has_no_branches_to_scale():
    net = CifarNet("plain-20")
    initialise(net, torch.Generator().manual_seed(0), branch_scale=0.25)
    assert all((module.weight == 1).all() for module in net.modules() if isinstance(module, BatchNorm2d))

"""Statistics of batch normalisation: those of the population, measured on images of all classes."""

import copy
import dataclasses
import functools

import numpy as np
import pytest
import torch
from conftest import CPU, image_statistics, imagenet_net, noise, run_program, same_weights, small_net

from classification.conftest import task, tiny
from resnet.architectures import BatchNorm2d, initialise
from resnet.classification.bn_statistics import drawn_images, measure_bn_statistics
from resnet.files import write_yaml
from resnet.settings import Hardware
from resnet.training.checkpoint import save_weights
from resnet.training.distributed import Processes


@pytest.mark.processor
def test_statistics_of_the_first_layer_are_those_of_the_population():
    net, batches = small_net("resnet-50", measured=False).double(), noise(count=3, batch=5, dtype=torch.float64)
    before, steps = copy.deepcopy(net.state_dict()), []
    found = measure_bn_statistics(net, batches, steps.append)
    with torch.no_grad():
        maps = torch.cat([net.conv1(images) for images, _ in batches]).double()
    np.testing.assert_allclose(found["bn1.running_mean"], maps.mean((0, 2, 3)), atol=1e-5)
    np.testing.assert_allclose(found["bn1.running_var"], maps.var((0, 2, 3), unbiased=False), rtol=1e-5)
    assert steps == [5, 5, 5]
    assert len(found) == 2 * 53
    assert not any(module.training for module in net.modules())
    same_weights(before, net.state_dict())
    assert not any(module._forward_pre_hooks for module in net.modules())


@pytest.mark.processor
def test_statistics_of_one_batch_are_those_it_is_normalised_by():
    net, batches = small_net("resnet-50", measured=False).double(), noise(batch=6, dtype=torch.float64)
    ((images, _),) = batches
    found = measure_bn_statistics(net, batches, lambda _: None)
    reference, counts = copy.deepcopy(net).train(), {}
    for name, module in reference.named_modules():
        if isinstance(module, BatchNorm2d):
            module.momentum = 1.0
            count = functools.partial(lambda key, _, inputs: counts.update({key: inputs[0][:, 0].numel()}), name)
            module.register_forward_pre_hook(count)
    with torch.no_grad():
        expected = reference(images)
    for name, value in reference.state_dict().items():
        if name.endswith("running_mean"):
            torch.testing.assert_close(found[name].double(), value, rtol=1e-5, atol=1e-5)
        elif name.endswith("running_var"):
            # torch keeps the unbiased one.
            count = counts[name.removesuffix(".running_var")]
            torch.testing.assert_close(found[name].double(), value * (count - 1) / count, rtol=1e-5, atol=1e-5)
    net.load_state_dict({**net.state_dict(), **found})
    with torch.no_grad():
        # The statistics are float32, whose rounding grows over 53 layers.
        torch.testing.assert_close(net(images), expected, rtol=1e-2, atol=1e-2)


def test_batch_normalisation_is_measured_on_batches_of_all_classes():
    """Of two classes, one is dark and one bright: an index goes class by class, and a batch of one hides the other."""
    net = imagenet_net("resnet-18-A", 2, width=0.1, image_size=32)
    initialise(net, torch.Generator().manual_seed(0))
    views = 0.2 * torch.rand(96, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    views[48:] += 0.6

    class Given(list):
        device = CPU

    def measured(order, size):
        batches = Given((views[part], None) for part in torch.tensor(order).split(size))
        return measure_bn_statistics(net, batches, lambda _: None)["stages.1.1.bn2.running_var"].log()

    drawn = drawn_images(96, None)
    assert sorted(drawn) == list(range(96))
    assert drawn_images(96, 10) == drawn[:10]
    whole, by_class, mixed = measured(range(96), 96), measured(range(96), 24), measured(drawn, 24)
    # With seeds 0 to 3 of each, 0.03 to 0.1 of it.
    assert (mixed - whole).abs().mean() < 0.25 * (by_class - whole).abs().mean()


def test_the_statistics_program_mixes_the_classes(ilsvrc, tmp_path, monkeypatch):
    recipe, labels = tiny(), []
    write_yaml(tmp_path / "config.yaml", {"recipe": {**dataclasses.asdict(recipe), "lr_drops": []}})
    save_weights(tmp_path / "weights.pt", task(recipe, ilsvrc)(Processes(Hardware(device="cpu"))).net.state_dict())
    monkeypatch.setattr("resnet.data.views.EVALUATION_BATCH", 16)
    monkeypatch.setattr(
        "resnet.classification.bn_statistics.measure_bn_statistics",
        lambda _net, views, _step: labels.extend(batch for _, batch in views),
    )
    code, output = run_program(
        "measure_bn_statistics", "--data", ilsvrc, "--image-statistics", image_statistics(ilsvrc),
        "--run-folder", tmp_path, "--output", tmp_path / "s.pt", "--size", 32, "--device", "cpu",
    )  # fmt: skip
    assert code == 0, output
    assert [len(batch) for batch in labels] == [16, 16, 16]
    assert min(len(batch.unique()) for batch in labels) > 3
    assert torch.cat(labels).bincount().tolist() == [8] * 6

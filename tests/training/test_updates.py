"""Updates as a GPU needs them: nothing waits, nothing comes from the host, and all can be replayed."""

import contextlib

import pytest
import torch
from conftest import task, tiny_recipe
from torch.utils._pytree import tree_leaves

from resnet.errors import UserError
from resnet.settings import Hardware
from resnet.training.loop import Training
from training.conftest import Operations, advance, on_shapes

RECIPES = {"float32": {"momentum": 0.0}, "bf16": {"precision": "bf16"}, "parts": {"ghost_batch_size": 4}}


def begin(dataset, kind, processes=None, **hardware):
    recipe = tiny_recipe(iterations=24, lr_drops=(7, 15), log_interval=5, **RECIPES[kind])
    parts = 2 if kind == "parts" else 1
    return Training(recipe, Hardware(device="cpu", accumulate=parts, **hardware), task(recipe, dataset), processes)


def storages(values):
    return {
        value.untyped_storage()._cdata: value.untyped_storage()
        for value in tree_leaves(values)
        if torch.is_tensor(value)
    }


class Replayed(Operations):
    """What a CUDA graph is to a GPU: operations that are noted, not made, and then repeated on the same memory."""

    def __init__(self):
        super().__init__()
        self.own, self.before = {}, {}

    def __torch_dispatch__(self, operation, types, arguments=(), settings=None):
        given = storages((arguments, settings))
        self.before |= {
            key: (place, place.clone()) for key, place in given.items() if key not in self.own | self.before
        }
        results = super().__torch_dispatch__(operation, types, arguments, settings)
        self.own |= {key: place for key, place in storages(results).items() if key not in self.before}
        return results

    def __exit__(self, *error):
        super().__exit__(*error)
        for place, content in self.before.values():
            place.copy_(content)

    def replay(self):
        with torch.no_grad():
            for operation, arguments, settings, results in self.calls:
                for old, new in zip(tree_leaves(results), tree_leaves(operation(*arguments, **settings)), strict=True):
                    if torch.is_tensor(old) and not storages(old).keys() & storages(new).keys():
                        old.copy_(new)


@pytest.fixture
def graphs(monkeypatch):
    """Let the CPU have CUDA graphs and a stream."""
    monkeypatch.setattr(Training, "_why_not", lambda _run, _way: None)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Replayed)
    monkeypatch.setattr(torch.cuda, "graph", lambda graph: graph)
    stream = contextlib.nullcontext()
    stream.wait_stream = lambda _other: None
    for name in ("Stream", "current_stream"):
        monkeypatch.setattr(torch.cuda, name, lambda: stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: stream)


def same(ours, theirs):
    assert ours.rows == theirs.rows
    assert torch.equal(ours.meter.sums, theirs.meter.sums)
    for one, other in zip(ours.net.state_dict().values(), theirs.net.state_dict().values(), strict=True):
        assert one == other if isinstance(one, dict) else torch.equal(one, other)


@pytest.mark.parametrize("kind", RECIPES)
def test_updates_that_are_replayed_give_the_same_bits(dataset, graphs, kind):
    """Over ends of epochs, drops of the rate, log points and evaluations, and gone on with from the middle."""
    expected, run = begin(dataset, kind, compile="false"), begin(dataset, kind, compile="cuda-graphs")
    for each in (expected, run):
        advance(each, 12)
    assert run.step.graph.calls
    same(run, expected)
    resumed = begin(dataset, kind, compile="cuda-graphs")
    resumed.restore(run.state())
    for each in (expected, resumed):
        advance(each, 24)
    same(resumed, expected)


def test_a_loss_that_is_not_finite_is_noticed_in_a_replay(dataset, graphs):
    run = begin(dataset, "float32", compile="cuda-graphs")
    advance(run, 6)
    with torch.no_grad():
        run.net.fc.bias.fill_(torch.nan)
    run.update()
    run.update()
    with pytest.raises(UserError, match="the loss is not finite at iteration 7"):
        run.check_loss()


def test_an_update_takes_nothing_from_the_host_and_waits_for_nothing(dataset, monkeypatch):
    run = begin(dataset, "parts", on_shapes(monkeypatch))
    # It is one operation, which torch has not made for such a device.
    run.optimizer.step = lambda: None
    run.update()
    with Operations() as made:
        run.update()
    assert len(made.calls) > 200
    devices = {value.device.type for call in made.calls for value in tree_leaves(call) if torch.is_tensor(value)}
    assert devices == {"meta"}

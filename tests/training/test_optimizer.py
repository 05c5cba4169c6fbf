"""The optimizer of all trainings."""

import sys

import torch

from resnet.training.optimizer import SGD

SETTINGS = {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-3, "fused": True}


def train(optimizer_class, updates, weights=None, state=None):
    """Return weights and state after some updates."""
    weight = torch.nn.Parameter(torch.linspace(-1, 1, 5) if weights is None else weights.clone())
    optimizer = optimizer_class([weight], **SETTINGS)
    if state:
        optimizer.load_state_dict(state)
    for _ in range(updates):
        optimizer.zero_grad(set_to_none=True)
        weight.square().sum().backward()
        optimizer.step()
    return weight.detach(), optimizer.state_dict()


def test_updates_and_state_are_torchs_own_and_its_tracer_is_not_imported(monkeypatch):
    with monkeypatch.context() as patched:
        # An import of it would fail.
        patched.setitem(sys.modules, "torch._dynamo", None)
        halfway, state = train(SGD, 2)
        found, _ = train(SGD, 2, halfway, state)
    expected, _ = train(torch.optim.SGD, 4)
    assert state["state"][0]["momentum_buffer"].abs().sum() > 0
    assert torch.equal(found, expected)

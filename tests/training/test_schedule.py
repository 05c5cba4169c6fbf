"""The learning rate of section 4.2."""

import pytest
from conftest import tiny_recipe
from hypothesis import given
from hypothesis import strategies as st

from resnet.settings import CifarRecipe
from resnet.training.schedule import learning_rate


@pytest.mark.parametrize(
    ("iteration", "rate"), [(0, 0.1), (31999, 0.1), (32000, 0.01), (47999, 0.01), (48000, 0.001), (63999, 0.001)]
)
def test_the_papers_schedule(iteration, rate):
    assert learning_rate(CifarRecipe(model="resnet-56"), iteration, None) == pytest.approx(rate)


def test_deep_nets_warm_up_until_the_event():
    recipe = CifarRecipe(model="resnet-110")
    assert learning_rate(recipe, 0, None) == 0.01
    assert learning_rate(recipe, 399, 400) == 0.01
    assert learning_rate(recipe, 400, 400) == 0.1
    assert learning_rate(recipe, 40000, 400) == pytest.approx(0.01)


@given(iteration=st.integers(0, 10**6), event=st.none() | st.integers(1, 1000), depth=st.sampled_from([20, 110]))
def test_never_rises_but_at_the_event(iteration, event, depth):
    recipe = CifarRecipe(model=f"plain-{depth}")
    before, after = (learning_rate(recipe, i, event) for i in (iteration, iteration + 1))
    if iteration + 1 != event:
        assert after <= before
    assert 0 < after <= 0.1


def test_shallow_nets_ignore_the_warmup():
    assert learning_rate(tiny_recipe(), 0, None) == 0.05

"""The learning rate of section 4.2."""

import pytest
from conftest import tiny_recipe
from hypothesis import given
from hypothesis import strategies as st

from resnet.settings import CifarRecipe, ImageNetRecipe
from resnet.training.schedule import find_plateaus, learning_rate


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


def test_the_schedule_of_imagenet():
    recipe = ImageNetRecipe()
    rates = [learning_rate(recipe, iteration) for iteration in (0, 149999, 150000, 299999, 300000, 599999)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_plateaus():
    errors = [50, 40, 41, 40, 30, 31, 32, 33, 34]
    rows = [{"split": "val", "iteration": 10 * (n + 1), "top1_error": e} for n, e in enumerate(errors)]
    rows.insert(1, {"split": "train", "iteration": 15, "top1_error": 99})
    assert find_plateaus(rows, 2) == (40, 70, 90)
    assert find_plateaus(rows, 5) == ()
    recipe = ImageNetRecipe(plateau=2)
    assert learning_rate(recipe, 69, None, (40, 70)) == pytest.approx(0.01)
    assert learning_rate(recipe, 70, None, (40, 70)) == pytest.approx(0.001)

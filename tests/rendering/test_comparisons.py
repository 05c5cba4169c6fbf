"""Comparisons: what numbers say, and what they leave open."""

import dataclasses
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rendering.conftest import drawn
from resnet.rendering import comparisons
from resnet.rendering.comparisons import Comparison, Measured, Verdict, together

errors = st.floats(0, 100)
measured = st.builds(
    lambda values, images, deviation: Measured("net", tuple(values), images, deviation),
    st.lists(errors, min_size=1, max_size=6),
    st.integers(50, 10**6),
    st.floats(0, 5),
)


@settings(deadline=None)
@given(measured, measured)
def test_what_is_lower_is_not_higher(a, b):
    there, back = together(comparisons.lower(a, b)), together(comparisons.lower(b, a))
    opposite = {Verdict.HOLDS: Verdict.FAILS, Verdict.FAILS: Verdict.HOLDS, Verdict.OPEN: Verdict.OPEN}
    assert back is opposite[there]


@settings(deadline=None)
@given(measured)
def test_nothing_is_lower_than_itself(a):
    assert together(comparisons.lower(a, a)) is Verdict.OPEN


@settings(deadline=None)
@given(measured, measured)
def test_a_chain_of_two_is_a_comparison_of_two(a, b):
    assert comparisons.falls([a, b]) == comparisons.lower(b, a)
    assert comparisons.rises([a, b]) == comparisons.lower(a, b)


@settings(deadline=None)
@given(measured, measured, st.floats(0.1, 20))
def test_similar_does_not_depend_on_the_order(a, b, within):
    verdicts = {together(comparisons.similar(x, y, within=within)) for x, y in ((a, b), (b, a))}
    assert len(verdicts) == 1


@settings(deadline=None)
@given(measured, measured, st.integers(2, 100))
def test_more_images_never_widen_the_margin(a, b, times):
    more = dataclasses.replace(a, samples=a.samples * times)
    assert comparisons.lower(more, b)[0].margin <= comparisons.lower(a, b)[0].margin * (1 + 1e-9)


@settings(deadline=None)
@given(errors, st.floats(0, 5), st.integers(1, 5), st.integers(1, 5))
def test_more_runs_that_agree_never_widen_the_margin(error, deviation, runs, more):
    few, many = (Measured("net", (error,) * count, 1000, deviation) for count in (runs, runs + more))
    assert many.variance <= few.variance * (1 + 1e-9)


@settings(deadline=None)
@given(st.lists(measured, min_size=2, max_size=5))
def test_a_chain_that_falls_does_not_rise(chain):
    if together(comparisons.falls(chain)) is Verdict.HOLDS:
        assert together(comparisons.rises(chain)) is Verdict.FAILS


@settings(deadline=None)
@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_between_exact_numbers_nothing_is_open(a, b):
    verdict = together(comparisons.lower(Measured("a", (a,)), Measured("b", (b,))))
    assert verdict is (Verdict.HOLDS if a < b else Verdict.FAILS)


def test_the_worst_comparison_decides():
    holds, is_open, fails = (Comparison("", difference, 1) for difference in (2, 0, -2))
    assert together([holds, is_open]) is Verdict.OPEN
    assert together([holds, is_open, fails]) is Verdict.FAILS
    assert comparisons.closest([holds, is_open]) is is_open
    # "No worse" is not contradicted by chance, and needs no difference of its own.
    assert Comparison("", -0.5, 1, weak=True).verdict is Verdict.HOLDS
    assert Comparison("", -2, 1, weak=True).verdict is Verdict.FAILS


def test_a_step_against_the_trend_counts_only_beyond_chance():
    def chain(*values):
        return [Measured(str(value), (value,), 10000) for value in values]

    assert together(comparisons.falls(chain(9, 7, 7.2, 6))) is Verdict.HOLDS
    assert together(comparisons.falls(chain(9, 7, 8.5, 6))) is Verdict.FAILS
    assert together(comparisons.falls(chain(7, 7.1, 6.9))) is Verdict.OPEN


def test_the_margin_has_the_test_sets_and_the_runs():
    a = Measured("a", (6.43, 6.6, 6.8), 10000, 0.16)
    error = (0.0661 * 10000 + 2) / 10004
    squares = sum((value - 6.61) ** 2 for value in a.values)
    variance = 100**2 * error * (1 - error) / 10000 + (4 * 0.16**2 + squares) / 6 / 3
    assert comparisons.below(a, value=7)[0].margin == pytest.approx(2 * variance**0.5)
    assert Measured("a", (6.61,), 10000, 0.16).between_runs == pytest.approx(0.16**2)


# By the seed of the draws: a rate is the same on every machine.
DRAWS = 1000


@pytest.mark.parametrize(
    ("compare", "first", "second"),
    [
        (lambda a, b: comparisons.lower(a, b), 7, 7),
        (lambda a, b: comparisons.lower(a, b, by=2), 5, 7),
        (lambda a, b: comparisons.lower(a, b, factor=0.5), 4, 8),
        (lambda a, b: comparisons.falls([b, b, a]), 7, 7),
        (lambda a, b: comparisons.no_worse([a, b], within=1), 7, 8),
        (lambda a, b: comparisons.similar(a, b, within=1.5), 7, 8.5),
        (lambda a, _: comparisons.below(a, value=7), 7, 7),
        (lambda a, _: comparisons.above(a, value=7), 7, 7),
    ],
)
@pytest.mark.parametrize("runs", [1, 5])
def test_a_claim_that_is_just_not_true_holds_by_chance_in_a_twentieth_of_all_cases_at_most(
    compare, first, second, runs
):
    draw = random.Random(0)
    held = 0
    for _ in range(DRAWS):
        a, b = (Measured("net", drawn(draw, true, 10000, 0.16, runs), 10000, 0.16) for true in (first, second))
        held += together(compare(a, b)) is Verdict.HOLDS
    assert held / DRAWS <= 0.05


@pytest.mark.parametrize("runs", [1, 5])
def test_another_number_than_the_papers_is_not_taken_for_it(runs):
    """The test images are the paper's, so only the runs differ: ours, and the paper's own."""
    draw = random.Random(0)
    held = 0
    for _ in range(DRAWS):
        value = 6.5 + draw.gauss(0, 0.16 / runs**0.5)
        ours = Measured("net", tuple(7 + draw.gauss(0, 0.16) for _ in range(runs)), 10000, 0.16)
        held += together(comparisons.reaches(ours, value=value, within=0.5)) is Verdict.HOLDS
    assert held / DRAWS <= 0.05

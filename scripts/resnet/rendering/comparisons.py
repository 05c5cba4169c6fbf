"""Comparisons of measured numbers that know how uncertain the numbers are; pure functions, no torch.

A number is the mean over a network's runs. Two things make it uncertain: its test set has n images, which gives an
error e the variance e(1-e)/n, and runs that differ only in their seed end at different numbers. A comparison is a
weighted sum of such numbers that a claim says is positive. Its margin is twice its standard deviation, so a claim
between equals holds by chance in 2.3 % of all cases. The networks are taken as independent; as they share their test
images, which makes their errors go together, the margin is rather too large than too small.
"""

import dataclasses
import enum
import itertools
import math
from collections.abc import Iterable, Sequence

MARGIN = 2
# The variance between runs that is assumed counts as much as that of so many measured runs.
ASSUMED_RUNS = 5


class Verdict(enum.StrEnum):
    """What is said of a claim, or of one comparison of it (the first three)."""

    HOLDS = "holds"
    OPEN = "open"
    FAILS = "does not hold"
    NOT_SEEN = "not seen at this scale"
    NOT_TESTED = "not tested"


@dataclasses.dataclass(frozen=True)
class Measured:
    """A number of one network, measured in one run or more.

    Attributes:
        name: the network.
        values: the number of each run; errors and average precision in percent.
        samples: on how many images it was measured, or objects of detectors; None for a number that is no proportion of
            them, such as a count.
        deviation: the standard deviation between runs that is expected, in the unit of the values; 0 for exact ones.
        differs: what sets the runs apart from the paper's, in words; empty for the paper's recipe and data.
        source: the section or experiment of the runs; empty where a network was counted rather than trained.
    """

    name: str
    values: tuple[float, ...]
    samples: int | None = None
    deviation: float = 0
    differs: tuple[str, ...] = ()
    source: str = ""

    @property
    def mean(self) -> float:
        """The mean over the runs."""
        return math.fsum(self.values) / len(self.values)

    @property
    def between_runs(self) -> float:
        """The variance of the mean that runs with other seeds would show.

        What is expected and what is measured are pooled by their degrees of freedom, so that one run alone has what is
        expected, and two that happen to agree are not taken as certain.
        """
        mean = self.mean
        squares = math.fsum((value - mean) ** 2 for value in self.values)
        freedom = ASSUMED_RUNS - 1
        pooled = (freedom * self.deviation**2 + squares) / (freedom + len(self.values) - 1)
        return pooled / len(self.values)

    @property
    def sampling(self) -> float:
        """The variance of the mean that other test images would show; the same images are in all runs.

        Two images that are right and two that are wrong are added (Agresti and Coull), as no error in 100 images does
        not mean that there is none in 10,000.
        """
        if self.samples is None:
            return 0.0
        error = (self.mean / 100 * self.samples + 2) / (self.samples + 4)
        return 100**2 * error * (1 - error) / self.samples

    @property
    def variance(self) -> float:
        """The variance of the mean."""
        return self.between_runs + self.sampling


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One thing that a claim says.

    Attributes:
        text: what is compared.
        difference: how far the numbers are on the claim's side, in their unit; negative on the other side.
        margin: the difference that chance explains.
        weak: it is enough that the difference is not clearly on the other side ("no worse than").
    """

    text: str
    difference: float
    margin: float
    weak: bool = False

    @property
    def verdict(self) -> Verdict:
        """Holds or fails where the difference exceeds the margin; between exact numbers nothing is open."""
        if self.difference > self.margin or (self.weak and self.difference >= -self.margin):
            return Verdict.HOLDS
        return Verdict.FAILS if self.difference < -self.margin or self.margin == 0 else Verdict.OPEN


def together(comparisons: Iterable[Comparison]) -> Verdict:
    """Return the verdict on comparisons that a claim makes together: the worst of theirs."""
    return min((one.verdict for one in comparisons), key=_rank)


def closest(comparisons: Iterable[Comparison]) -> Comparison:
    """Return the comparison on which the verdict hangs."""
    return min(comparisons, key=lambda one: (_rank(one.verdict), one.weak, one.difference - one.margin))


def _rank(verdict: Verdict) -> int:
    return (Verdict.FAILS, Verdict.OPEN, Verdict.HOLDS).index(verdict)


def positive(
    text: str, terms: Iterable[tuple[float, Measured]], offset: float = 0, *, weak: bool = False
) -> Comparison:
    """Compare a weighted sum of numbers, plus ``offset``, with zero."""
    terms = list(terms)
    difference = sum(weight * number.mean for weight, number in terms) + offset
    margin = MARGIN * math.sqrt(sum(weight**2 * number.variance for weight, number in terms))
    return Comparison(text, difference, margin, weak)


def lower(ours: Measured, theirs: Measured, *, by: float = 0, factor: float = 1) -> list[Comparison]:
    """``ours`` is lower than ``theirs`` times ``factor``, by more than ``by``."""
    times = "" if factor == 1 else f"{factor:g} × "
    text = f"{times}{theirs.name} − {ours.name}" + (f" − {by:,.10g}" if by else "")
    return [positive(text, [(factor, theirs), (-1, ours)], -by)]


def falls(chain: Sequence[Measured], *, by: float = 0) -> list[Comparison]:
    """Numbers fall along a chain: the last is lower than the first by more than ``by``, and no step clearly rises."""
    steps = itertools.pairwise(chain) if len(chain) > 2 else ()
    weak = [positive(f"{a.name} − {b.name}, not below 0", [(1, a), (-1, b)], weak=True) for a, b in steps]
    return lower(chain[-1], chain[0], by=by) + weak


def rises(chain: Sequence[Measured], *, by: float = 0) -> list[Comparison]:
    """Numbers rise along a chain: the last is higher than the first by more than ``by``, and no step clearly falls."""
    return falls(chain[::-1], by=by)


def no_worse(chain: Sequence[Measured], *, within: float) -> list[Comparison]:
    """Each error is below the one before it, or above it by less than ``within``."""
    return [
        positive(f"{a.name} + {within:,.10g} − {b.name}", [(1, a), (-1, b)], within)
        for a, b in itertools.pairwise(chain)
    ]


def similar(one: Measured, other: Measured, *, within: float) -> list[Comparison]:
    """Two numbers are less than ``within`` apart."""
    return no_worse([one, other], within=within) + no_worse([other, one], within=within)


def closer_than_gain(chain: Sequence[Measured], *, factor: float) -> list[Comparison]:
    """All but the last number differ by less than ``factor`` times what the first of them gains over the last."""
    *close, worst = chain
    comparisons = []
    for a, b in itertools.permutations(close, 2):
        weights = dict.fromkeys((one.name for one in chain), 0.0)
        for one, weight in ((worst, factor), (close[0], -factor), (a, -1), (b, 1)):
            weights[one.name] += weight
        text = f"{factor:.3g} × ({worst.name} − {close[0].name}) − ({a.name} − {b.name})"
        comparisons.append(positive(text, [(weights[one.name], one) for one in chain]))
    return comparisons


def below(number: Measured, *, value: float) -> list[Comparison]:
    """A number is below ``value``."""
    return [positive(f"{value:,.10g} − {number.name}", [(-1, number)], value)]


def above(number: Measured, *, value: float) -> list[Comparison]:
    """A number is above ``value``."""
    return [positive(f"{number.name} − {value:,.10g}", [(1, number)], -value)]


def reaches(number: Measured, *, value: float, within: float) -> list[Comparison]:
    """A number is less than ``within`` from ``value``, which the paper measured on the same images in as many runs."""
    margin = MARGIN * math.sqrt(2 * number.between_runs)
    distance = abs(number.mean - value)
    return [Comparison(f"{within:,.10g} − |{number.name} − {value:,.10g}|", within - distance, margin)]

"""The learning rate of sections 3.4 and 4.2, a pure function of the iteration and of what was seen before it."""

from typing import Any

from resnet.settings import Recipe


def learning_rate(
    recipe: Recipe, iteration: int, warmup_ended_at: int | None = None, plateaus: tuple[int, ...] | None = None
) -> float:
    """Return the learning rate of the update number ``iteration`` (0 is the first one).

    The rate is ``lr``, divided by 10 at each iteration of ``lr_drops``, or of ``plateaus`` where they are given. A net
    with a warm-up uses its rate instead of ``lr`` until its training error has fallen far enough: ``warmup_ended_at``
    is the number of updates made when that was seen, None as long as it was not.
    """
    warmup = recipe.warmup
    rate = warmup[0] if warmup and (warmup_ended_at is None or iteration < warmup_ended_at) else recipe.lr
    drops = recipe.lr_drops if plateaus is None else plateaus
    return rate / 10 ** sum(iteration >= drop for drop in drops)


def find_plateaus(rows: list[dict[str, Any]], patience: int) -> tuple[int, ...]:
    """Return the iterations at which the validation error had not fallen for ``patience`` evaluations.

    After each the count starts again, as the rate is then another. Only rows of the split ``val`` are looked at.
    """
    plateaus, lowest, since = [], float("inf"), 0
    for row in rows:
        if row["split"] != "val":
            continue
        if row["top1_error"] < lowest:
            lowest, since = row["top1_error"], 0
        else:
            since += 1
        if since == patience:
            plateaus.append(row["iteration"])
            since = 0
    return tuple(plateaus)

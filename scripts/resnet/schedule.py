"""The learning rate of section 4.2, a pure function of the iteration and of one event."""

from resnet.settings import Recipe


def starts_with_warmup(recipe: Recipe) -> bool:
    """Whether this net starts at the small rate: 110 layers and more in the paper (section 4.2)."""
    return recipe.warmup_lr is not None and recipe.depth >= recipe.warmup_from_depth


def learning_rate(recipe: Recipe, iteration: int, warmup_ended_at: int | None) -> float:
    """Return the learning rate of the update number ``iteration`` (0 is the first one).

    The rate is ``lr``, divided by 10 at each iteration of ``lr_drops``. A deep net uses ``warmup_lr`` instead of
    ``lr`` until its training error has fallen below ``warmup_error`` percent: ``warmup_ended_at`` is the number of
    updates made when that was seen, None as long as it was not.
    """
    warming_up = starts_with_warmup(recipe) and (warmup_ended_at is None or iteration < warmup_ended_at)
    rate = recipe.warmup_lr if warming_up else recipe.lr
    return rate / 10 ** sum(iteration >= drop for drop in recipe.lr_drops)

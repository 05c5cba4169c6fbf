"""What the tests of claims and comparisons share: results as chance would have them."""


def drawn(draw, true, images, deviation, runs):
    """Errors of some runs: the test set's chance, which they share, and each run's own."""
    shared = draw.gauss(0, (true * (100 - true) / images) ** 0.5)
    return tuple(min(100, max(0, true + shared + draw.gauss(0, deviation))) for _ in range(runs))

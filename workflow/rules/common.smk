# Where the files of a run lie, and which runs an artefact shows.

RUN = f"results/runs/{CONFIG.scale}/{CONFIG.dataset}/{{model}}/seed{{seed}}"
TABLE6_MODELS = [f"resnet-{depth}" for depth in (20, 32, 44, 56, 110, 1202)]
FIGURE_MODELS = {
    "fig1": ["plain-20", "plain-56"],
    "fig6": [*(f"plain-{depth}" for depth in (20, 32, 44, 56)), *TABLE6_MODELS],
    "fig7": ["plain-20", "plain-56", "resnet-20", "resnet-56", "resnet-110"],
}


wildcard_constraints:
    model="|".join(CONFIG.seeds),
    seed=r"\d+",
    figure="|".join(FIGURE_MODELS),


def all_runs(name, models=tuple(CONFIG.seeds)):
    """Return the file ``name`` of every run of some models."""
    return [f"{RUN}/{name}".format(model=model, seed=seed) for model in models for seed in CONFIG.seeds[model]]


def first_runs(name, models):
    """Return the file ``name`` of the first run of each model: the one that figures show."""
    return [f"{RUN}/{name}".format(model=model, seed=CONFIG.seeds[model][0]) for model in models]

# The files of localisers, and what their jobs read.

# Folders of runs, with the wildcards {model} and {seed}.
PROPOSALS_RUN = run_folder(CONFIG, "appendix", source="seed{seed}", experiment="rpn")
REGIONS_RUN = run_folder(CONFIG, "appendix", source="seed{seed}", experiment="rcnn")
LOCALISER_RUN = run_folder(CONFIG, "appendix", source="seed{seed}", experiment="{stage}")
LOCALISER_ENSEMBLE = f"results/runs/{CONFIG.scale}/localiser/ensemble"
LOCATED = f"data/{CONFIG.localisation.data}"


def localiser_recipe(wildcards):
    """Return the recipe of a localiser's run."""
    return CONFIG.localisation.recipe(wildcards.stage, wildcards.model, int(wildcards.seed))


def localiser_files(wildcards):
    """Return what a localiser starts with: its classifier, and what R-CNN is trained on, proposals."""
    folder = classifier_of(wildcards.model)
    files = {"config": f"{folder}/config.yaml", "weights": f"{folder}/weights.pt"}
    files["image_statistics"] = image_statistics_of(CONFIG.imagenet.recipe(wildcards.model, 0))
    if wildcards.stage == "rcnn":
        files["regions"] = f"{PROPOSALS_RUN}/boxes/train-dense.npz".format(**wildcards)
    return files


def classifier_of(model):
    """Return the run of a network's first seed on ImageNet."""
    return run_folder(CONFIG, "imagenet", model, f"seed{CONFIG.imagenet.seeds[model][0]}")


def localiser_members(name):
    """Return the file ``name`` of each R-CNN of the ensemble."""
    members = CONFIG.localisation.ensemble
    folders = [run_folder(CONFIG, "appendix", one["model"], f"seed{one['seed']}", "rcnn") for one in members]
    return [f"{folder}/{name}" for folder in folders]


def predicted_classes(wildcards):
    """Return what classifiers say of the validation images: the network's own, or those of the ensemble."""
    models = {"train": [], "single": [wildcards.model]} | {
        "ensemble": list(dict.fromkeys(member["model"] for member in CONFIG.localisation.ensemble))
    }
    folder = "evaluation" if CONFIG.localisation.data == CONFIG.imagenet.dataset else "localisation"
    return [f"{classifier_of(model)}/{folder}/multiscale.npz" for model in models[wildcards.classes]]


def proposals_to_refine(wildcards):
    """Return the proposals that R-CNN refines: those of its own proposal network, or of all in the ensemble."""
    members = [(wildcards.model, wildcards.seed)]
    if wildcards.classes == "ensemble":
        members = [(member["model"], member["seed"]) for member in CONFIG.localisation.ensemble]
    folders = [run_folder(CONFIG, "appendix", model, f"seed{seed}", "rpn") for model, seed in members]
    return [f"{folder}/boxes/{wildcards.classes}-{wildcards.protocol}.npz" for folder in folders]


def split_of(wildcards):
    """Return the images that boxes are proposed for."""
    return "train" if wildcards.classes == "train" else "val"


def annotations_option():
    """Return the option that says where ILSVRC's boxes are, if a person names a folder of them."""
    named = CONFIG.data["imagenet"]["annotations"] if CONFIG.localisation.data == "imagenet" else None
    return [f"--annotations={named}"] if named else []


def localisations(artefact, runs):
    """Return what a table of localisation errors shows of runs, and of the ensemble where it is one of its rows."""
    wanted = {(row.get("experiment"), row.get("model"), row.get("protocol")) for row in artefact.values["rows"]}
    tested = [
        f"{run.folder}/evaluation/{protocol}.json"
        for run in runs
        for experiment, model, protocol in sorted(wanted, key=str)
        if (experiment, model) == (run.experiment, run.model)
    ]
    has_ensemble = "ensemble" in artefact.models and CONFIG.localisation.ensemble
    return tested + ([f"{LOCALISER_ENSEMBLE}/dense.json"] if has_ensemble else [])


def claimed_localisations():
    """Return the localisation errors that claims look at."""
    tables = claimed_artefacts("appendix", "localisation_table")
    return sorted({path for artefact, runs in tables for path in localisations(artefact, runs)})

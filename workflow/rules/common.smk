# Where the files of a run lie, and which runs an artefact shows.

# Snakemake formats this path, in which a folder's name may have braces.
ENVIRONMENT = str(Path(workflow.basedir).parent / "environment.yml").replace("{", "{{").replace("}", "}}")

RUN = f"results/runs/{CONFIG.scale}/{CONFIG.cifar10.dataset}/{{model}}/seed{{seed}}"
# {source} is seed<k> of a trained network, or torchvision for published weights.
IMAGENET_RUN = f"results/runs/{CONFIG.scale}/{CONFIG.imagenet.dataset}/{{model}}/{{source}}"
TRAINED_RUN = IMAGENET_RUN.replace("{source}", "seed{seed}")
PUBLISHED_RUN = IMAGENET_RUN.replace("{source}", "torchvision")
ENSEMBLE = f"results/runs/{CONFIG.scale}/{CONFIG.imagenet.dataset}/ensemble"
IMAGENET_DATA = f"data/{CONFIG.imagenet.dataset}/dataset.json"

# Weights and engines have folders of their own, as a run with the one must not replace a run with the other.
DETECTORS = f"results/runs/{CONFIG.scale}/detector-{CONFIG.detector.engine}-{CONFIG.detector.weights}"
DETECTOR_RUN = f"{DETECTORS}/{{experiment}}/{{model}}/seed{{seed}}"
MEASURED = [name for name, experiment in EXPERIMENTS.items() if experiment.metric != "server"]
DETECTION_TABLES = {"table7": ["voc07", "voc12"], "table8": ["coco"]}

TABLE6_MODELS = [f"resnet-{depth}" for depth in (20, 32, 44, 56, 110, 1202)]
# What is shown of a section; detectors have figures of their own.
TABLES = {
    "cifar10": ["table6", "cifar_architectures"],
    "imagenet": [f"table{number}" for number in range(1, 6)],
    "detection": [*DETECTION_TABLES, "detection_classes"],
}
FIGURES = {"cifar10": ["fig1", "fig6", "fig7"], "imagenet": ["fig4"], "detection": []}
FIGURE_MODELS = {
    "fig1": ["plain-20", "plain-56"],
    "fig4": ["plain-18", "plain-34", "resnet-18-A", "resnet-34-A"],
    "fig6": [*(f"plain-{depth}" for depth in (20, 32, 44, 56)), *TABLE6_MODELS],
    "fig7": ["plain-20", "plain-56", "resnet-20", "resnet-56", "resnet-110"],
}
DEEP = ["resnet-34-B", "resnet-34-C", "resnet-50", "resnet-101", "resnet-152"]
# Per table: how the networks are tested, and which.
ERROR_TABLES = {
    "table2": ("10crop", FIGURE_MODELS["fig4"]),
    "table3": ("10crop", ["vgg-16", "plain-34", "resnet-34-A", *DEEP]),
    "table4": ("multiscale", DEEP),
}
PUBLISHED_BY_TORCHVISION = ["vgg-16", "resnet-34-B", "resnet-50", "resnet-101", "resnet-152"]
WEIGHTS = CONFIG.imagenet.settings["weights"]


def any_of(names):
    """Return the pattern that matches the names and nothing else."""
    return "|".join(map(re.escape, names))


wildcard_constraints:
    model=any_of({**CONFIG.cifar10.seeds, **CONFIG.imagenet.seeds, **CONFIG.detector.seeds}),
    experiment=any_of(EXPERIMENTS),
    seed=r"\d+",
    source=r"seed\d+|torchvision",
    figure=any_of(FIGURE_MODELS),
    table=any_of([*ERROR_TABLES, *DETECTION_TABLES]),
    protocol="center|10crop|multiscale",
    # Claims and reports of one section have its name in theirs; without, they are about all of config.yaml.
    section=rf"(?:-(?:{any_of(TABLES)}))?",


def all_runs(name, models=tuple(CONFIG.cifar10.seeds)):
    """Return the file ``name`` of every run of some models; those that are left out have none."""
    seeds = CONFIG.cifar10.seeds
    return [f"{RUN}/{name}".format(model=model, seed=seed) for model in models for seed in seeds.get(model, [])]


def first_runs(name, models):
    """Return the file ``name`` of the first run of each model: the one that figures show."""
    cifar10 = [all_runs(name, [model])[:1] for model in models]
    imagenet = [imagenet_runs(name, [model])[:1] for model in models]
    return [path for paths in (*cifar10, *imagenet) for path in paths]


def imagenet_runs(name, models=tuple(CONFIG.imagenet.seeds)):
    """Return the file ``name`` of every trained run of some networks on ImageNet; those that are left out have none."""
    seeds = CONFIG.imagenet.seeds
    return [
        f"{IMAGENET_RUN}/{name}".format(model=model, source=f"seed{k}")
        for model in models
        for k in seeds.get(model, [])
    ]


def evaluations(table):
    """Return the evaluations that a table shows: of trained networks, or of weights that torchvision publishes."""
    if table in DETECTION_TABLES:
        return detectors("evaluation/average_precision.json", DETECTION_TABLES[table])
    protocol, models = ERROR_TABLES[table]
    name = f"evaluation/{protocol}.json"
    if WEIGHTS == "trained" or table == "table2":
        return imagenet_runs(name, models)
    published = [model for model in models if model in PUBLISHED_BY_TORCHVISION and model in CONFIG.imagenet.seeds]
    return [f"{IMAGENET_RUN}/{name}".format(model=model, source=WEIGHTS) for model in published]


def trained_evaluations():
    """Return every evaluation of trained networks that a table shows, and those of the ensemble's members."""
    found = [
        path
        for protocol, models in ERROR_TABLES.values()
        for path in imagenet_runs(f"evaluation/{protocol}.json", models)
    ]
    return sorted(set(found))


def ensemble_predictions():
    """Return the stored predictions of the ensemble's members."""
    name = f"{IMAGENET_RUN}/evaluation/multiscale.npz"
    members = CONFIG.imagenet.settings["ensemble"]
    return [name.format(model=member["model"], source=f"seed{member['seed']}") for member in members]


def ensemble_evaluation():
    """Return the ensemble's evaluation; nothing where none of its members is run."""
    return [f"{ENSEMBLE}/multiscale.json"] if CONFIG.imagenet.settings["ensemble"] else []


def figures(form, sections):
    """Return the figures of classifiers in some sections that show a run."""
    names = {name for section in sections for name in FIGURES[section]}
    shown = [name for name, models in FIGURE_MODELS.items() if name in names and first_runs("metrics.csv", models)]
    return [f"results/{name}.{form}" for name in shown]


def detection_figures(form):
    """Return the figures of detectors, where there are any."""
    names = ["detection_curves", *(f"detections-{experiment}" for experiment in MEASURED)]
    return [f"results/{name}.{form}" for name in names] if CONFIG.detector.seeds else []


def artefacts(section):
    """Return the tables and figures of a section, and its files for PASCAL's server."""
    tables = [f"results/{table}.csv" for table in TABLES[section]]
    of_detectors = [*detection_figures("pdf"), *submissions()] if section == "detection" else []
    return [*tables, *figures("pdf", [section]), *of_detectors]


def made(wildcards):
    """Return the sections that claims or a report are about: the one in their name, or all that can be made."""
    return [wildcards.section.removeprefix("-")] if wildcards.section else CONFIG.made


def left_out(wildcards):
    """Return the sections that claims or a report on all have to go without, each with the reason."""
    return [] if wildcards.section else [f"{section}={reason}" for section, reason in CONFIG.left_out.items()]


def of(section, paths):
    """Return a function of some inputs of claims or a report: none where they are not about a section."""
    return lambda wildcards: paths if section in made(wildcards) else []


def classifiers(wildcards):
    """Return ``result.json`` of the runs on ImageNet that a report shows: all, or those that its detectors start with."""
    if "imagenet" in made(wildcards):
        return imagenet_runs("result.json")
    needed = "detection" in made(wildcards) and CONFIG.detector.weights == "trained"
    return first_runs("result.json", CONFIG.detector.seeds) if needed else []


def detectors(name, experiments=tuple(MEASURED)):
    """Return the file ``name`` of every run of the detectors in some experiments."""
    return [
        f"{DETECTOR_RUN}/{name}".format(experiment=experiment, model=model, seed=seed)
        for experiment in experiments
        for model, seeds in CONFIG.detector.seeds.items()
        for seed in seeds
    ]


def submissions():
    """Return the files for PASCAL's server, where the images of VOC 2012 test are at hand."""
    folder = CONFIG.data["voc"]["folder"]
    real = CONFIG.detector.data["voc"] == "voc"
    listed = folder and (Path(folder) / "VOC2012/ImageSets/Main/test.txt").exists()
    if real and not (listed if folder else CONFIG.data["voc"]["test2012"]):
        return []
    return detectors("server/comp4_det_test.tar.gz", ["voc12-server"])


def first_detectors(name, experiment):
    """Return the file ``name`` of the first run of each detector in an experiment: the one that figures show."""
    return [
        f"{DETECTOR_RUN}/{name}".format(experiment=experiment, model=model, seed=seeds[0])
        for model, seeds in CONFIG.detector.seeds.items()
    ]


def detection_data(experiment):
    """Return the description of the data set of an experiment."""
    return f"data/{CONFIG.detector.data[EXPERIMENTS[experiment].data]}/dataset.json"


def classifier_files(model):
    """Return what a detector starts with: config, weights and statistics, those of a trained ResNet as measured."""
    source = "torchvision" if CONFIG.detector.weights == "torchvision" else f"seed{CONFIG.imagenet.seeds[model][0]}"
    folder = IMAGENET_RUN.format(model=model, source=source)
    files = {
        "config": f"{folder}/config.yaml",
        "weights": f"{folder}/weights.pt",
        "image_statistics": f"{folder}/image_statistics.npz",
    }
    if source != "torchvision":
        files["image_statistics"] = image_statistics_of(CONFIG.imagenet.recipe(model, 0))
        if not model.startswith("vgg"):
            files["bn_statistics"] = f"{folder}/bn_statistics.pt"
    return files


# By the names that their files get.
ARCHIVES = archive_names([CONFIG.data["cifar10"], *CONFIG.data["voc"]["archives"], *CONFIG.data["coco"]["archives"]])


def downloads(key):
    """Return the files that a data set is unpacked from: none where config.yaml names a folder of it."""
    data = CONFIG.data[key]
    wanted = {} if data["folder"] else {archive["md5"] for archive in data.get("archives", [data])}
    return [f"data/downloads/{name}" for name, archive in ARCHIVES.items() if archive["md5"] in wanted]


def source(key, option="--archives", also=None):
    """Return a function of the options that say where a data set is: a person's folder, or downloads and ``also``.

    A function, as Snakemake takes braces in a path for a wildcard, in inputs and params, but not in what a function of
    a param returns. So a person's own files are params.
    """
    folder = CONFIG.data[key]["folder"]
    if folder:
        return lambda wildcards: [f"--folder={folder}"]
    return lambda wildcards, input: [option, *input, *([existing(also, f"data.{key}")] if also else [])]


def existing(path, key):
    """Return the path of a person's own file; a missing one is said before anything runs."""
    if not Path(path).is_file():
        raise WorkflowError(f"{path} does not exist; it is named in config.yaml under {key}")
    return path


def image_statistics_of(recipe):
    """Return the statistics of the training images at a recipe's sizes."""
    return f"data/{CONFIG.imagenet.dataset}/image_statistics-{recipe.test_shorter_side}-{recipe.image_size}.npz"


def sizes_of(recipe):
    """Return the options that say at which sizes a network is tested."""
    return ["--test-shorter-side", recipe.test_shorter_side, "--image-size", recipe.image_size]


def torchvision_file(wildcards, input):
    """Return torchvision's file of weights: the one that was downloaded, or the one in the folder of config.yaml."""
    if input:
        return input[0]
    kind, depth = wildcards.model.split("-")[:2]
    folder = Path(CONFIG.data["imagenet"]["weights"])
    found = sorted(folder.glob(f"{kind}{depth}-*.pth"))
    return existing(found[0] if found else folder / f"{kind}{depth}-….pth", "data.imagenet.weights")


# How the command of a training begins. Snakemake deletes a log when it starts a job again, so the log of all starts is in
# the run folder. Without exec a SIGTERM to the whole job would end the shell, and the job with it, before it has saved.
TRAIN = 'ln -sf "$PWD"/{params.run:q}/train.log {log:q}; exec'


def gpus(processes=1):
    """Return how many GPUs some processes ask for."""
    return processes if HAS_GPU else 0


def cores(processes=1):
    """Return how many cores some processes ask for: to compute, and to decode images for a GPU."""
    workers = CONFIG.hardware.workers
    if workers is None:
        # On a cluster a job sees no cores but its own; elsewhere it finds those of the machine.
        workers = 7 if ON_CLUSTER and HAS_GPU else 0
    return processes * (CONFIG.hardware.threads + workers)


def launcher(processes):
    """Return what starts a training program, in one process or in several that save and leave at a signal."""
    if processes == 1:
        return "python"
    heeded = ["SIGTERM", "SIGINT", "SIGQUIT", "SIGUSR1"]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        heeded.append("SIGHUP")
    return (
        f"torchrun --standalone --nproc-per-node {processes} --signals-to-handle {','.join(heeded)}"
        " --shutdown-timeout 300"
    )


def detector_processes(wildcards):
    """Return how many processes train a detector: as many of hardware.processes as share its batch evenly."""
    return math.gcd(CONFIG.processes, detector_recipe(wildcards).batch_size)


def detector_parts(wildcards):
    """Return into how many parts a process splits its batch: of hardware.accumulate, as many as divide it."""
    return math.gcd(CONFIG.hardware.accumulate, detector_recipe(wildcards).batch_size // detector_processes(wildcards))


def detector_recipe(wildcards):
    """Return the recipe of a detector's run."""
    return CONFIG.detector.recipe(wildcards.experiment, wildcards.model, int(wildcards.seed))

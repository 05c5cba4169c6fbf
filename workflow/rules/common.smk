# Which runs there are, which of them an artefact shows, and where their files lie.

# Snakemake formats this path, in which a folder's name may have braces.
ENVIRONMENT = str(BASE.parent / "environment.yml").replace("{", "{{").replace("}", "}}")

# Folders of runs, with the wildcards {model}, {source} (seed<k> of a trained network, or torchvision for published
# weights) and, of detectors, {experiment}.
CIFAR_RUN = run_folder(CONFIG, "cifar10", source="seed{seed}")
IMAGENET_RUN = run_folder(CONFIG, "imagenet")
TRAINED_RUN = run_folder(CONFIG, "imagenet", source="seed{seed}")
PUBLISHED_RUN = run_folder(CONFIG, "imagenet", source="torchvision")
DETECTOR_RUN = run_folder(CONFIG, "detection", source="seed{seed}")
DETECTOR_ENSEMBLE = str(Path(run_folder(CONFIG, "appendix", "ensemble", "")))
ENSEMBLE = f"results/runs/{CONFIG.scale}/{CONFIG.imagenet.dataset}/ensemble"
LAYER_SIGNALS = f"results/runs/{CONFIG.scale}/{{dataset}}/layer_signals.csv"
IMAGENET_DATA = f"data/{CONFIG.imagenet.dataset}/dataset.json"

WEIGHTS = CONFIG.imagenet.settings["weights"]
ARTEFACT_FILE = f"{WORKFLOW}/artefacts/{{artefact}}.yaml"
# Per artefact, the runs that it shows.
SHOWN = {name: shown(artefact, RUNS, WEIGHTS) for name, artefact in ARTEFACTS.items()}


def any_of(names):
    """Return the pattern that matches the names and nothing else."""
    return "|".join(map(re.escape, names)) or "(?!)"


def of_kind(kind, section=None):
    """Return the artefacts of a kind, those of one section or of all."""
    return [one for one in ARTEFACTS.values() if one.kind == kind and section in (None, one.section)]


def names_of_kind(kind):
    """Return the pattern that matches the names of the artefacts of a kind."""
    return any_of(artefact.name for artefact in of_kind(kind))


def in_folder(test):
    """Return what the folder of a test of detectors has in its name after "evaluation"."""
    return f"-{test}" if test else ""


wildcard_constraints:
    model=any_of(dict.fromkeys([*CONFIG.cifar10.seeds, *CONFIG.imagenet.seeds, *CONFIG.detector.models])),
    experiment=any_of(EXPERIMENTS),
    seed=r"\d+",
    source=r"seed\d+|torchvision",
    dataset=any_of(dict.fromkeys([CONFIG.cifar10.dataset, CONFIG.imagenet.dataset])),
    # A test with what appendix B improves has its name in that of its folder.
    tested="|".join(map(in_folder, TESTS)),
    # Claims and reports of one section have its name in theirs; without, they are about all of config.yaml.
    section=rf"(?:-(?:{any_of(SECTIONS)}))?",


def files(name, runs):
    """Return the file ``name`` of each of some runs."""
    return [f"{run.folder}/{name}" for run in runs]


def evaluations(artefact, runs):
    """Return the evaluations of the runs that a table shows, and the ensemble's where it is one of its networks."""
    tested = tests(f"{artefact.values['protocol']}.json", artefact, runs)
    if "ensemble" not in artefact.models:
        return tested
    if artefact.section == "imagenet":
        return tested + [f"{ENSEMBLE}/multiscale.json"] * bool(CONFIG.imagenet.settings["ensemble"])
    return tested + [
        f"{DETECTOR_ENSEMBLE.format(experiment=name)}/evaluation{in_folder(test)}/{artefact.values['protocol']}.json"
        for name in artefact.experiments
        for test in artefact.tests("ensemble")
        if len(detector_members(name)) > 1
    ]


def tests(name, artefact, runs):
    """Return the file ``name`` of each test that a table shows of some runs."""
    return [f"{run.folder}/evaluation{in_folder(test)}/{name}" for run in runs for test in artefact.tests(run.model)]


def shown_tests(name, artefact):
    """Return the file ``name`` of each test that a table shows."""
    return tests(name, ARTEFACTS[artefact], SHOWN[artefact])


def detector_members(experiment):
    """Return the detectors of an ensemble: all that the appendix trains for an experiment."""
    return select(RUNS, section="appendix", experiment=experiment)


def ensemble_predictions():
    """Return the stored predictions of the ensemble's members."""
    members = CONFIG.imagenet.settings["ensemble"]
    folders = [run_folder(CONFIG, "imagenet", member["model"], f"seed{member['seed']}") for member in members]
    return [f"{folder}/evaluation/multiscale.npz" for folder in folders]


def response_runs():
    """Return the runs whose layer responses are measured."""
    return list(dict.fromkeys(run for figure in of_kind("responses") for run in SHOWN[figure.name]))


def watched(dataset):
    """Return the figures of signals along trainings on a data set."""
    return [one for one in of_kind("layer_signals") if getattr(CONFIG, one.section).dataset == dataset]


def watched_runs(dataset):
    """Return the runs on a data set whose signals are measured."""
    return list(dict.fromkeys(run for artefact in watched(dataset) for run in SHOWN[artefact.name]))


def watched_iterations(dataset):
    """Return the early updates whose signals are measured."""
    return sorted({number for artefact in watched(dataset) for number in artefact.values["iterations"]})


def layer_signals(section):
    """Return the signals along the trainings of a section; nothing where none of the networks is run."""
    dataset = getattr(CONFIG, section).dataset
    return [LAYER_SIGNALS.format(dataset=dataset)] if watched_runs(dataset) else []


def others(wildcards):
    """Return the networks that a table shows although its file does not name them: the paper does not have them."""
    known, found = ARTEFACTS[wildcards.artefact].models, SHOWN[wildcards.artefact]
    return [model for model in dict.fromkeys(run.model for run in found) if model not in known]


def reported(path):
    """Return an output that Snakemake's report shows, under the artefact's title and with its caption."""
    return report(
        path,
        caption="../report/artefact.rst",
        category=lambda wildcards: "Figures" if ARTEFACTS[wildcards.artefact].is_figure else "Tables",
        subcategory=lambda wildcards: SECTIONS[ARTEFACTS[wildcards.artefact].section],
        labels=lambda wildcards: {"artefact": ARTEFACTS[wildcards.artefact].title},
    )


def caption_of(artefact):
    """Return an artefact's caption in Snakemake's report."""
    return " ".join(text for text in (artefact.caption, artefact.note, f"Scale: {CONFIG.scale}.") if text)


def caption(wildcards):
    """Return the caption of the artefact that a job makes."""
    return caption_of(ARTEFACTS[wildcards.artefact])


def target(artefact):
    """Return the file that a person asks for to have an artefact."""
    return f"results/{artefact.name}.{'pdf' if artefact.is_figure else 'csv'}"


def exhibited(sections):
    """Return the artefacts of some sections that are made: a figure of networks that are not run is not."""
    return [
        artefact
        for artefact in ARTEFACTS.values()
        if artefact.section in sections and (SHOWN[artefact.name] or not artefact.needs_runs)
    ]


def artefacts(section):
    """Return the tables and figures of a section, and its files for PASCAL's server."""
    server = select(RUNS, section=section, experiment=set(EXPERIMENTS) - set(MEASURED))
    return [
        *map(target, exhibited([section])),
        *(f"{run.folder}/server{in_folder(test)}/comp4_det_test.tar.gz" for run in server for test in tests_of(run)),
    ]


def tests_of(run):
    """Return how the tables of its section test a run's network."""
    tables = [one for one in ARTEFACTS.values() if one.section == run.section and run.model in one.models]
    return list(dict.fromkeys(test for table in tables for test in table.tests(run.model))) or [""]


def made(wildcards):
    """Return the sections that claims or a report are about: the one in their name, or all that can be made."""
    return [wildcards.section.removeprefix("-")] if wildcards.section else CONFIG.made


def left_out(wildcards):
    """Return what claims or a report have to go without, sections and figures, each with the reason."""
    sections = {} if wildcards.section else CONFIG.left_out
    titles = {
        artefact.title: f"none of {', '.join(artefact.models)} is run"
        for artefact in ARTEFACTS.values()
        if artefact.section in made(wildcards) and artefact not in exhibited(made(wildcards))
    }
    return [f"{name}={reason}" for name, reason in {**sections, **titles}.items()]


def unasked(wildcards):
    """Return the sections that are made only where they are asked for and are not: their claims say so."""
    missing = [] if wildcards.section else [name for name in OPTIONAL if name not in CONFIG.sections]
    return [f"{name}=sections in config.yaml does not name {name}" for name in missing]


def shown_elsewhere(wildcards):
    """Return what reports of other scales, of everything or of a section, have shown here; the newest last."""
    found = [path for path in Path("results/runs").glob("*/report*.json") if path.parent.name != CONFIG.scale]
    return sorted(map(str, found), key=os.path.getmtime)


def of(section, paths):
    """Return a function of some inputs of claims or a report: none where they are not about a section."""
    return lambda wildcards: paths if section in made(wildcards) else []


def trained(section):
    """Return the trained runs of a section."""
    return select(RUNS, section=section, is_published=False)


def detectors(wildcards):
    """Return the runs of detectors whose test sets have public objects, as claims or a report show them.

    The appendix shows those that its improvements are compared with, too.
    """
    sections = [section for section in ("detection", "appendix") if section in made(wildcards)]
    found = select(RUNS, section=sections, experiment=MEASURED)
    shown = [run for one in ARTEFACTS.values() if one.section == "appendix" for run in SHOWN[one.name]]
    compared = select(shown, experiment=MEASURED)
    return list(dict.fromkeys([*found, *(compared if "appendix" in sections else [])]))


def average_precisions(wildcards):
    """Return what was measured of detectors, as claims look at it."""
    plain = [run for run in detectors(wildcards) if run.section == "detection"]
    found = files("evaluation/average_precision.json", plain)
    if "appendix" in made(wildcards):
        for artefact in of_kind("evaluation_table", "appendix"):
            found += evaluations(artefact, SHOWN[artefact.name])
        for artefact in of_kind("class_columns"):
            found += shown_tests("average_precision.json", artefact.name)
    return list(dict.fromkeys(found))


def classifiers(wildcards):
    """Return the runs on ImageNet that claims or a report show: all, or those that its detectors start with."""
    if "imagenet" in made(wildcards):
        return trained("imagenet")
    if CONFIG.detector.weights != "trained":
        return []
    models = {network_of(run.model) for run in detectors(wildcards)}
    return first_of_each(select(trained("imagenet"), model=models))


def claimed_artefacts(section, kind):
    """Return the artefacts of a kind that claims look at, each with its runs of the paper's networks.

    They are trained ones, also where a table shows weights that torchvision publishes.
    """
    return [(artefact, [run for run in shown(artefact, RUNS) if run.in_paper]) for artefact in of_kind(kind, section)]


def claimed(name, section, kind):
    """Return the file ``name`` of the runs that claims look at as a kind of artefacts does."""
    return files(name, dict.fromkeys(run for _, runs in claimed_artefacts(section, kind) for run in runs))


def claimed_evaluations():
    """Return the evaluations on ImageNet that claims look at."""
    tables = claimed_artefacts("imagenet", "evaluation_table")
    return sorted({path for artefact, runs in tables for path in evaluations(artefact, runs)})


def counted(kind):
    """Return the tables of a kind that count layers and parameters."""
    return [target(artefact) for artefact in of_kind(kind)]


def detection_data(experiment):
    """Return the description of the data set of an experiment."""
    return f"data/{CONFIG.detector.data[EXPERIMENTS[experiment].data]}/dataset.json"


def start_files(wildcards):
    """Return what a detector starts with: config, weights and result of another one, or what a classifier has."""
    start = detector_recipe(wildcards).starts_with
    if start is None:
        return classifier_files(network_of(wildcards.model))
    experiment, model = start.split("/")
    found = select(RUNS, section=["detection", "appendix"], experiment=experiment, model=model)
    if not found:
        raise WorkflowError(f"starts_with is {start}, but the data that {experiment} is trained on are not named")
    folder = found[0].folder
    return {
        "config": f"{folder}/config.yaml",
        "weights": f"{folder}/weights.pt",
        "start_result": f"{folder}/result.json",
    }


def start_options(wildcards, input):
    """Return the options that name what a detector starts with."""
    folder = Path(input.weights).parent
    if "image_statistics" not in input.keys():
        return ["--detector", folder]
    statistics = ["--bn-statistics", input.bn_statistics] if "bn_statistics" in input.keys() else []
    return ["--classifier", folder, "--image-statistics", input.image_statistics, *statistics]


def classifier_files(model):
    """Return what of a classifier a detector starts with: config, weights, and statistics, a trained ResNet's measured."""
    source = "torchvision" if CONFIG.detector.weights == "torchvision" else f"seed{CONFIG.imagenet.seeds[model][0]}"
    folder = run_folder(CONFIG, "imagenet", model, source)
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
    return lambda wildcards, input: [option, *input, *([existing(also, f"data.{key}.test2012")] if also else [])]


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


def gpu_percent(processes=1, sharing=1):
    """Return what of the machine's GPUs some processes take, where that limits what runs at once: not on a cluster."""
    return 100 * gpus(processes) // sharing


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


def processes_of(recipe):
    """Return how many processes train a detector or localiser: of hardware.processes, as share its batch evenly."""
    return math.gcd(CONFIG.processes, recipe.batch_size)


def parts_of(recipe):
    """Return into how many parts a process splits its batch: of hardware.accumulate, as many as divide it."""
    return math.gcd(CONFIG.hardware.accumulate, recipe.batch_size // processes_of(recipe))


def detector_recipe(wildcards):
    """Return the recipe of a detector's run."""
    return CONFIG.detector.recipe(wildcards.experiment, wildcards.model, int(wildcards.seed))


def improvements(wildcards):
    """Return the options of what improves a test."""
    names = wildcards.tested.split("-")
    sides = ["--shorter-sides", *CONFIG.detector.multiscale_shorter_sides] if "multiscale" in names else []
    return ["--box-refinement"] * ("refined" in names) + sides


# Snakemake says of a target that nothing makes it; what was probably meant is added.
class MissingRuleException(snakemake.exceptions.MissingRuleException):
    def __init__(self, file, **where):
        super().__init__(file, **where)
        targets = [rule.name for rule in workflow.rules if not rule.has_wildcards()]
        targets += map(target, exhibited(SECTIONS))
        scales = [path.stem for path in (BASE / "scales").glob("*.yaml")]
        self.args = (f"nothing makes {file}; {meant(str(file), targets, CONFIG.scale, scales)}",)


snakemake.dag.MissingRuleException = MissingRuleException

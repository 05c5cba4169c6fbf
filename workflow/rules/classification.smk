# Training, measuring and testing the networks of sections 4.1 and 4.2.


rule train_cifar10:
    """Train a network of section 4.2."""
    input:
        data=f"data/{CONFIG.cifar10.dataset}/dataset.json",
    output:
        config=f"{CIFAR_RUN}/config.yaml",
        metrics=f"{CIFAR_RUN}/metrics.csv",
        result=f"{CIFAR_RUN}/result.json",
        environment=f"{CIFAR_RUN}/environment.json",
        weights=f"{CIFAR_RUN}/weights.pt",
    log:
        f"logs/train_cifar10/{CONFIG.scale}-{{model}}-seed{{seed}}.log",
    benchmark:
        f"{CIFAR_RUN}/benchmarks/train_cifar10.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.hardware.threads
    resources:
        mem_mb=8000,
        runtime="1d",
        gpu=gpus(),
        gpu_percent=gpu_percent(1, CONFIG.trainings_per_gpu),
    params:
        run=lambda wildcards, output: Path(output.result).parent,
        # What retrains when it changes. Hardware is not part of it: it is in the command, which does not retrain.
        recipe=lambda wildcards: to_flags(CONFIG.cifar10.recipe(wildcards.model, int(wildcards.seed))).split(),
        versions=versions("train_cifar10"),
    shell:
        f"{TRAIN} python {PROGRAMS}/train_cifar10.py --data {{input.data:q}} --run-folder {{params.run:q}}"
        f" --wait {{params.recipe:q}} {to_flags(CONFIG.hardware)} >> {{log:q}} 2>&1"


rule measure_responses:
    """Measure the layer responses of networks on CIFAR-10 (Fig. 7): of all in one job, as starting takes longest."""
    input:
        data=f"data/{CONFIG.cifar10.dataset}/dataset.json",
        config=files("config.yaml", response_runs()),
        weights=files("weights.pt", response_runs()),
    output:
        files("responses.csv", response_runs()),
    log:
        f"logs/measure_responses-{CONFIG.scale}.log",
    benchmark:
        f"logs/benchmarks/measure_responses-{CONFIG.scale}.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.hardware.threads
    resources:
        mem_mb=4000,
        runtime="1h",
        gpu=gpus(),
        gpu_percent=gpu_percent(),
    params:
        runs=[run.folder for run in response_runs()],
        versions=versions("measure_responses"),
    shell:
        f"python {PROGRAMS}/measure_responses.py --data {{input.data:q}} --run-folders {{params.runs:q}} "
        f"{to_flags(CONFIG.hardware)} > {{log:q}} 2>&1"


rule measure_layer_signals:
    """Measure outputs and gradients of layers along the trainings of some networks (section 4.1)."""
    input:
        data="data/{dataset}/dataset.json",
        config=lambda wildcards: files("config.yaml", watched_runs(wildcards.dataset)),
        weights=lambda wildcards: files("weights.pt", watched_runs(wildcards.dataset)),
        image_statistics=lambda wildcards: [
            image_statistics_of(CONFIG.imagenet.recipe(run.model, run.seed))
            for run in watched_runs(wildcards.dataset)
            if run.section == "imagenet"
        ],
    output:
        LAYER_SIGNALS,
    log:
        f"logs/measure_layer_signals/{CONFIG.scale}-{{dataset}}.log",
    benchmark:
        f"logs/benchmarks/measure_layer_signals-{CONFIG.scale}-{{dataset}}.tsv"
    conda:
        ENVIRONMENT
    threads: cores()
    resources:
        mem_mb=16000,
        runtime="1d",
        gpu=gpus(),
        gpu_percent=gpu_percent(),
    params:
        runs=lambda wildcards: [run.folder for run in watched_runs(wildcards.dataset)],
        iterations=lambda wildcards: watched_iterations(wildcards.dataset),
        versions=versions("decode", "train_cifar10", "train_imagenet", "measure_layer_signals"),
    shell:
        f"python {PROGRAMS}/measure_layer_signals.py "
        "--data {input.data:q} --image-statistics {input.image_statistics:q} "
        "--run-folders {params.runs:q} --iterations {params.iterations:q} --output {output:q} "
        f"{to_flags(CONFIG.hardware)} > {{log:q}} 2>&1"


rule train_imagenet:
    """Train a network of section 4.1."""
    input:
        data=IMAGENET_DATA,
        image_statistics=lambda wildcards: image_statistics_of(
            CONFIG.imagenet.recipe(wildcards.model, int(wildcards.seed))
        ),
    output:
        config=f"{TRAINED_RUN}/config.yaml",
        metrics=f"{TRAINED_RUN}/metrics.csv",
        result=f"{TRAINED_RUN}/result.json",
        environment=f"{TRAINED_RUN}/environment.json",
        weights=f"{TRAINED_RUN}/weights.pt",
    log:
        f"logs/train_imagenet/{CONFIG.scale}-{{model}}-seed{{seed}}.log",
    benchmark:
        f"{TRAINED_RUN}/benchmarks/train_imagenet.tsv"
    # What most depends on comes first, so that no long job is left for the end.
    priority: 1
    conda:
        ENVIRONMENT
    threads: cores(CONFIG.processes)
    resources:
        mem_mb=16000 * CONFIG.processes,
        runtime="1d",
        gpu=gpus(CONFIG.processes),
        gpu_percent=gpu_percent(CONFIG.processes),
        # What starts the program: python, torchrun, or, from a profile for several nodes, srun.
        launcher=launcher(CONFIG.processes),
    params:
        run=lambda wildcards, output: Path(output.result).parent,
        recipe=lambda wildcards: to_flags(CONFIG.imagenet.recipe(wildcards.model, int(wildcards.seed))).split(),
        versions=versions("decode", "train_imagenet"),
    shell:
        f"{TRAIN} {{resources.launcher}} {PROGRAMS}/train_imagenet.py --data {{input.data:q}} --image-statistics {{input.image_statistics:q}} --run-folder {{params.run:q}}"
        f" --wait {{params.recipe:q}} {to_flags(CONFIG.hardware)} >> {{log:q}} 2>&1"


rule import_weights:
    """Make a run folder of weights that torchvision publishes."""
    input:
        weights=[] if CONFIG.data["imagenet"]["weights"] else "data/downloads/torchvision-{model}.pth",
    output:
        config=f"{PUBLISHED_RUN}/config.yaml",
        image_statistics=f"{PUBLISHED_RUN}/image_statistics.npz",
        weights=f"{PUBLISHED_RUN}/weights.pt",
    log:
        f"logs/import_weights/{CONFIG.scale}-{{model}}.log",
    benchmark:
        f"logs/benchmarks/import_weights-{CONFIG.scale}-{{model}}.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        run=lambda wildcards, output: Path(output.config).parent,
        weights=torchvision_file,
        sizes=lambda wildcards: sizes_of(CONFIG.imagenet.recipe(wildcards.model, 0)),
        versions=versions("import_weights"),
    shell:
        f"python {PROGRAMS}/import_weights.py "
        "--model {wildcards.model:q} --weights {params.weights:q} "
        "{params.sizes:q} --run-folder {params.run:q} > {log:q} 2>&1"


# How the tables test networks, and what the ensemble averages. Starting costs a short test more than testing, so a job
# has them all.
PROTOCOLS = sorted({table.values["protocol"] for table in of_kind("evaluation_table", "imagenet")} | {"multiscale"})


rule evaluate_imagenet:
    """Test a network on ImageNet as the tables do: by 10 crops, at multiple scales."""
    input:
        data=IMAGENET_DATA,
        config=f"{IMAGENET_RUN}/config.yaml",
        weights=f"{IMAGENET_RUN}/weights.pt",
        image_statistics=lambda wildcards: (
            f"{IMAGENET_RUN}/image_statistics.npz".format(**wildcards)
            if wildcards.source == "torchvision"
            else image_statistics_of(CONFIG.imagenet.recipe(wildcards.model, 0))
        ),
    output:
        [f"{IMAGENET_RUN}/evaluation/{protocol}.{kind}" for protocol in PROTOCOLS for kind in ("json", "npz")],
    log:
        f"logs/evaluate_imagenet/{CONFIG.scale}-{{model}}-{{source}}.log",
    benchmark:
        f"{IMAGENET_RUN}/benchmarks/evaluate_imagenet.tsv"
    conda:
        ENVIRONMENT
    threads: cores()
    resources:
        mem_mb=8000,
        runtime="1d",
        gpu=gpus(),
        gpu_percent=gpu_percent(),
    params:
        run=lambda wildcards, input: Path(input.weights).parent,
        evaluation=lambda wildcards, output: Path(output[0]).parent,
        protocols=PROTOCOLS,
        shorter_sides=CONFIG.imagenet.settings["multiscale_shorter_sides"],
        versions=versions("decode", "evaluate_imagenet"),
    shell:
        f"python {PROGRAMS}/evaluate_imagenet.py "
        "--data {input.data:q} --image-statistics {input.image_statistics:q} --run-folder {params.run:q} "
        "--protocols {params.protocols:q} --multiscale-shorter-sides {params.shorter_sides:q} --output {params.evaluation:q} "
        f"{to_flags(CONFIG.hardware)} > {{log:q}} 2>&1"


rule evaluate_ensemble:
    """Test the ensemble of Table 5."""
    input:
        data=IMAGENET_DATA,
        predictions=ensemble_predictions(),
    output:
        f"{ENSEMBLE}/multiscale.json",
    log:
        f"logs/evaluate_ensemble-{CONFIG.scale}.log",
    benchmark:
        f"logs/benchmarks/evaluate_ensemble-{CONFIG.scale}.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        submission=lambda wildcards, output: Path(output[0]).with_name("test_submission.txt"),
        versions=versions("evaluate_imagenet"),
    shell:
        f"python {PROGRAMS}/evaluate_ensemble.py "
        "--data {input.data:q} --predictions {input.predictions:q} --output {output:q} "
        "--submission {params.submission:q} > {log:q} 2>&1"

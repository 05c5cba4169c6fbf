# Training and measuring the networks of section 4.2.


rule train_cifar10:
    input:
        data=f"data/{CONFIG.dataset}/dataset.json",
    output:
        config=f"{RUN}/config.yaml",
        metrics=f"{RUN}/metrics.csv",
        result=f"{RUN}/result.json",
        environment=f"{RUN}/environment.json",
        weights=f"{RUN}/weights.pt",
    log:
        f"logs/train_cifar10/{CONFIG.scale}-{{model}}-seed{{seed}}.log",
    benchmark:
        f"{RUN}/benchmarks/train_cifar10.tsv"
    conda:
        "../../environment.yml"
    threads: CONFIG.hardware.threads
    resources:
        mem_mb=8000,
        runtime="2d",
        gpu=TRAINING_GPUS,
    params:
        run=lambda wildcards, output: Path(output.result).parent,
        # What retrains when it changes. Hardware is not part of it: it is in the command, which does not retrain.
        recipe=lambda wildcards: to_flags(CONFIG.recipe(wildcards.model, int(wildcards.seed))),
        recipe_version=RECIPE_VERSION,
    shell:
        "python scripts/train_cifar10.py --data {input.data} --run {params.run} --wait {params.recipe}"
        f" {to_flags(CONFIG.hardware)} > {{log}} 2>&1"


rule measure_responses:
    input:
        data=f"data/{CONFIG.dataset}/dataset.json",
        config=f"{RUN}/config.yaml",
        weights=f"{RUN}/weights.pt",
    output:
        f"{RUN}/responses.csv",
    log:
        f"logs/measure_responses/{CONFIG.scale}-{{model}}-seed{{seed}}.log",
    benchmark:
        f"{RUN}/benchmarks/measure_responses.tsv"
    conda:
        "../../environment.yml"
    threads: CONFIG.hardware.threads
    resources:
        mem_mb=4000,
        runtime="1h",
        gpu=TRAINING_GPUS,
    params:
        run=lambda wildcards, input: Path(input.weights).parent,
    shell:
        "python scripts/measure_responses.py --data {input.data} --run {params.run} --threads {threads} "
        "--output {output} > {log} 2>&1"

# Training and measuring the networks of section 4.2.

RUNS = f"results/runs/{CONFIG.scale}/{CONFIG.dataset}"
RUN = RUNS + "/{model}/seed{seed}"


wildcard_constraints:
    model="|".join(CONFIG.seeds),
    seed=r"\d+",


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
        f"logs/train_cifar10/{CONFIG.scale}/{{model}}-seed{{seed}}.log",
    benchmark:
        f"{RUN}/benchmark.tsv"
    params:
        # What retrains when it changes; hardware is not part of it.
        recipe=lambda wildcards: to_flags(CONFIG.recipe(wildcards.model, int(wildcards.seed))),
        recipe_version=RECIPE_VERSION,
    threads: CONFIG.hardware.threads
    resources:
        mem_mb=4000,
        runtime="2d",
        gpu=TRAINING_GPUS,
    conda:
        "../../environment.yml"
    shell:
        "python scripts/train_cifar10.py --data {input.data} --run $(dirname {output.result}) --wait {params.recipe} "
        f"{to_flags(CONFIG.hardware)} > {{log}} 2>&1"


rule measure_responses:
    input:
        data=f"data/{CONFIG.dataset}/dataset.json",
        config=f"{RUN}/config.yaml",
        weights=f"{RUN}/weights.pt",
    output:
        f"{RUN}/responses.csv",
    log:
        f"logs/measure_responses/{CONFIG.scale}/{{model}}-seed{{seed}}.log",
    benchmark:
        "logs/benchmarks/measure_responses/{model}-seed{seed}.tsv"
    resources:
        gpu=TRAINING_GPUS,
    conda:
        "../../environment.yml"
    shell:
        "python scripts/measure_responses.py --data {input.data} --run $(dirname {input.weights}) --output {output} "
        "> {log} 2>&1"

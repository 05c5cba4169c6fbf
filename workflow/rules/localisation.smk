# Appendix C: localisation, by networks that start with those of section 4.1.


include: "localisation_files.smk"


wildcard_constraints:
    stage=any_of(LOCALISER_STAGES),
    # Whose classes boxes are proposed for: the true ones of the training images, or also those that the network's own
    # classifier, or all of the ensemble's, predict for the validation images.
    classes="train|single|ensemble",
    protocol=any_of(LOCALISER_PROTOCOLS),


rule prepare_scattered:
    """Write the demo's images for localisation: handwritten digits anywhere on photographs."""
    output:
        "data/scattered/dataset.json",
    log:
        "logs/prepare_scattered.log",
    benchmark:
        "logs/benchmarks/prepare_scattered.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        versions=versions("prepare_imagenet", "prepare_boxes"),
    shell:
        f"python {PROGRAMS}/prepare_scattered.py " "--output {output:q} > {log:q} 2>&1"


rule prepare_boxes:
    """Read where the objects are in the images for localisation."""
    input:
        data=f"{LOCATED}/dataset.json",
    output:
        [f"{LOCATED}/boxes-{split}.npz" for split in ("train", "val")],
    log:
        f"logs/prepare_boxes-{CONFIG.localisation.data}.log",
    benchmark:
        f"logs/benchmarks/prepare_boxes-{CONFIG.localisation.data}.tsv"
    localrule: CONFIG.localisation.data == "scattered"
    conda:
        ENVIRONMENT
    threads: 1 if CONFIG.localisation.data == "scattered" else 16
    resources:
        runtime="4h",
    params:
        # A function, as braces in what it returns are no wildcards.
        annotations=lambda wildcards: annotations_option(),
        folder=lambda wildcards, output: Path(output[0]).parent,
        versions=versions("prepare_boxes"),
    shell:
        f"python {PROGRAMS}/prepare_boxes.py "
        "--data {input.data:q} {params.annotations:q} --workers {threads:q} --output {params.folder:q} > {log:q} 2>&1"


rule predict_classes:
    """Predict the classes of the demo's images for localisation; those of ImageNet are predicted for Table 4."""
    input:
        data=f"{LOCATED}/dataset.json",
        config=f"{TRAINED_RUN}/config.yaml",
        weights=f"{TRAINED_RUN}/weights.pt",
        image_statistics=lambda wildcards: image_statistics_of(CONFIG.imagenet.recipe(wildcards.model, 0)),
    output:
        f"{TRAINED_RUN}/localisation/multiscale.json",
        f"{TRAINED_RUN}/localisation/multiscale.npz",
    log:
        f"logs/predict_classes/{CONFIG.scale}-{{model}}-seed{{seed}}.log",
    benchmark:
        f"{TRAINED_RUN}/benchmarks/predict_classes.tsv"
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
        folder=lambda wildcards, output: Path(output[0]).parent,
        shorter_sides=CONFIG.localisation.shorter_sides,
        versions=versions("decode", "evaluate_imagenet"),
    shell:
        f"python {PROGRAMS}/evaluate_imagenet.py "
        "--data {input.data:q} --image-statistics {input.image_statistics:q} --run-folder {params.run:q} "
        "--protocols multiscale --multiscale-shorter-sides {params.shorter_sides:q} --output {params.folder:q} "
        f"{to_flags(CONFIG.hardware)} > {{log:q}} 2>&1"


rule train_localiser:
    """Train a localiser of appendix C: a proposal network, or R-CNN on its proposals."""
    input:
        unpack(localiser_files),
        data=f"{LOCATED}/dataset.json",
        boxes=rules.prepare_boxes.output,
    output:
        config=f"{LOCALISER_RUN}/config.yaml",
        metrics=f"{LOCALISER_RUN}/metrics.csv",
        result=f"{LOCALISER_RUN}/result.json",
        environment=f"{LOCALISER_RUN}/environment.json",
        weights=f"{LOCALISER_RUN}/weights.pt",
    log:
        f"logs/train_localiser/{CONFIG.scale}-{{stage}}-{{model}}-seed{{seed}}.log",
    benchmark:
        f"{LOCALISER_RUN}/benchmarks/train_localiser.tsv"
    conda:
        ENVIRONMENT
    threads: lambda wildcards: cores(processes_of(localiser_recipe(wildcards)))
    resources:
        mem_mb=lambda wildcards: 16000 * processes_of(localiser_recipe(wildcards)),
        runtime="1d",
        gpu=lambda wildcards: gpus(processes_of(localiser_recipe(wildcards))),
        gpu_percent=lambda wildcards: gpu_percent(processes_of(localiser_recipe(wildcards))),
        launcher=lambda wildcards: launcher(processes_of(localiser_recipe(wildcards))),
        parts=lambda wildcards: parts_of(localiser_recipe(wildcards)),
    params:
        run=lambda wildcards, output: Path(output.result).parent,
        classifier=lambda wildcards, input: Path(input.weights).parent,
        boxes=lambda wildcards, input: Path(input.boxes[0]).parent,
        regions=lambda wildcards, input: ["--regions", input.regions] if "regions" in input.keys() else [],
        recipe=lambda wildcards: to_flags(localiser_recipe(wildcards)).split(),
        versions=versions("decode", "train_localiser"),
    # Hardware is in the command and the resources, not in the params: a change of it does not retrain.
    shell:
        f"{TRAIN} {{resources.launcher}} {PROGRAMS}/train_localiser.py"
        " --data {input.data:q} --boxes {params.boxes:q} --classifier {params.classifier:q}"
        " --image-statistics {input.image_statistics:q} {params.regions:q}"
        " --run-folder {params.run:q} --wait {params.recipe:q}"
        f" {to_flags(CONFIG.hardware)} --accumulate {{resources.parts:q}} >> {{log:q}} 2>&1"


rule propose_boxes:
    """Propose boxes for the classes of images: by one crop, or dense."""
    input:
        data=f"{LOCATED}/dataset.json",
        boxes=lambda wildcards: f"{LOCATED}/boxes-{split_of(wildcards)}.npz",
        config=f"{PROPOSALS_RUN}/config.yaml",
        weights=f"{PROPOSALS_RUN}/weights.pt",
        predictions=predicted_classes,
    output:
        boxes=f"{PROPOSALS_RUN}/boxes/{{classes}}-{{protocol}}.npz",
        environment=f"{PROPOSALS_RUN}/boxes/{{classes}}-{{protocol}}.json",
    log:
        f"logs/propose_boxes/{CONFIG.scale}-{{model}}-seed{{seed}}-{{classes}}-{{protocol}}.log",
    benchmark:
        f"{PROPOSALS_RUN}/benchmarks/propose_boxes-{{classes}}-{{protocol}}.tsv"
    conda:
        ENVIRONMENT
    threads: cores()
    resources:
        mem_mb=16000,
        runtime="1d",
        gpu=gpus(),
        gpu_percent=gpu_percent(),
    params:
        run=lambda wildcards, input: Path(input.weights).parent,
        split=split_of,
        shorter_sides=CONFIG.localisation.shorter_sides,
        versions=versions("decode", "localise"),
    shell:
        f"python {PROGRAMS}/propose_boxes.py "
        "--data {input.data:q} --boxes {input.boxes:q} --split {params.split:q} --run-folder {params.run:q} "
        "--predictions {input.predictions:q} --protocol {wildcards.protocol:q} --shorter-sides {params.shorter_sides:q} "
        f"--output {{output.boxes:q}} {to_flags(CONFIG.hardware)} > {{log:q}} 2>&1"


rule refine_boxes:
    """Refine proposals by R-CNN: the network's own, or those of all of the ensemble."""
    input:
        data=f"{LOCATED}/dataset.json",
        boxes=f"{LOCATED}/boxes-val.npz",
        config=f"{REGIONS_RUN}/config.yaml",
        weights=f"{REGIONS_RUN}/weights.pt",
        proposals=proposals_to_refine,
    output:
        boxes=f"{REGIONS_RUN}/boxes/{{classes}}-{{protocol}}.npz",
        environment=f"{REGIONS_RUN}/boxes/{{classes}}-{{protocol}}.json",
    log:
        f"logs/refine_boxes/{CONFIG.scale}-{{model}}-seed{{seed}}-{{classes}}-{{protocol}}.log",
    benchmark:
        f"{REGIONS_RUN}/benchmarks/refine_boxes-{{classes}}-{{protocol}}.tsv"
    conda:
        ENVIRONMENT
    threads: cores()
    resources:
        mem_mb=16000,
        runtime="7d",
        gpu=gpus(),
        gpu_percent=gpu_percent(),
    params:
        run=lambda wildcards, input: Path(input.weights).parent,
        versions=versions("decode", "localise"),
    shell:
        f"python {PROGRAMS}/refine_boxes.py "
        "--data {input.data:q} --boxes {input.boxes:q} --run-folder {params.run:q} --proposals {input.proposals:q} "
        f"--output {{output.boxes:q}} {to_flags(CONFIG.hardware)} > {{log:q}} 2>&1"


rule evaluate_localisation:
    """Measure the localisation errors of a run."""
    input:
        boxes=f"{LOCATED}/boxes-val.npz",
        results=f"{LOCALISER_RUN}/result.json",
        found=f"{LOCALISER_RUN}/boxes/single-{{protocol}}.npz",
    output:
        f"{LOCALISER_RUN}/evaluation/{{protocol}}.json",
    log:
        f"logs/evaluate_localisation/{CONFIG.scale}-{{stage}}-{{model}}-seed{{seed}}-{{protocol}}.log",
    benchmark:
        f"{LOCALISER_RUN}/benchmarks/evaluate_localisation-{{protocol}}.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        protocol=lambda wildcards: wildcards.protocol,
        versions=versions("localise"),
    shell:
        f"python {PROGRAMS}/evaluate_localisation.py "
        "--boxes {input.boxes:q} --results {input.results:q} --found {input.found:q} "
        "--protocol {params.protocol:q} --output {output:q} > {log:q} 2>&1"


use rule evaluate_localisation as evaluate_localisation_ensemble with:
    """Measure the localisation errors of the ensemble of Table 14."""
    input:
        boxes=f"{LOCATED}/boxes-val.npz",
        results=localiser_members("result.json"),
        found=localiser_members("boxes/ensemble-dense.npz"),
    output:
        f"{LOCALISER_ENSEMBLE}/dense.json",
    log:
        f"logs/evaluate_localisation/{CONFIG.scale}-ensemble.log",
    benchmark:
        f"logs/benchmarks/evaluate_localisation-{CONFIG.scale}-ensemble.tsv"
    params:
        protocol="dense",
        versions=versions("localise"),

# Section 4.3: detectors on PASCAL VOC and MS COCO, from networks of section 4.1.


rule measure_bn_statistics:
    """Measure the batch normalisation statistics that a detector keeps (appendix A)."""
    input:
        data=IMAGENET_DATA,
        image_statistics=lambda wildcards: image_statistics_of(
            CONFIG.imagenet.recipe(wildcards.model, int(wildcards.seed))
        ),
        config=f"{TRAINED_RUN}/config.yaml",
        weights=f"{TRAINED_RUN}/weights.pt",
    output:
        f"{TRAINED_RUN}/bn_statistics.pt",
    log:
        f"logs/measure_bn_statistics/{CONFIG.scale}-{{model}}-seed{{seed}}.log",
    benchmark:
        f"{TRAINED_RUN}/benchmarks/measure_bn_statistics.tsv"
    priority: 2
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
        size=CONFIG.detector.bn_statistics["size"],
        images=["--images", CONFIG.detector.bn_statistics["images"]] if CONFIG.detector.bn_statistics["images"] else [],
        versions=versions("decode", "measure_bn_statistics"),
    shell:
        f"python {PROGRAMS}/measure_bn_statistics.py "
        "--data {input.data:q} --image-statistics {input.image_statistics:q} --run-folder {params.run:q} "
        "--size {params.size:q} {params.images:q} "
        f"--output {{output:q}} {to_flags(CONFIG.hardware)} > {{log:q}} 2>&1"


rule train_detector:
    """Train a detector of section 4.3, or of appendix B."""
    input:
        unpack(start_files),
        data=lambda wildcards: detection_data(wildcards.experiment),
    output:
        config=f"{DETECTOR_RUN}/config.yaml",
        metrics=f"{DETECTOR_RUN}/metrics.csv",
        result=f"{DETECTOR_RUN}/result.json",
        environment=f"{DETECTOR_RUN}/environment.json",
        weights=f"{DETECTOR_RUN}/weights.pt",
    log:
        f"logs/train_detector/{CONFIG.scale}-{CONFIG.detector.engine}-{{experiment}}-{{model}}-seed{{seed}}.log",
    benchmark:
        f"{DETECTOR_RUN}/benchmarks/train_detector.tsv"
    priority: 2
    conda:
        ENVIRONMENT
    threads: lambda wildcards: cores(processes_of(detector_recipe(wildcards)))
    resources:
        mem_mb=lambda wildcards: 16000 * processes_of(detector_recipe(wildcards)),
        runtime="1d",
        gpu=lambda wildcards: gpus(processes_of(detector_recipe(wildcards))),
        gpu_percent=lambda wildcards: gpu_percent(processes_of(detector_recipe(wildcards))),
        launcher=lambda wildcards: launcher(processes_of(detector_recipe(wildcards))),
        parts=lambda wildcards: parts_of(detector_recipe(wildcards)),
    params:
        run=lambda wildcards, output: Path(output.result).parent,
        start=start_options,
        recipe=lambda wildcards: to_flags(detector_recipe(wildcards)).split(),
        versions=versions("decode", "train_detector"),
    # Hardware is in the command and the resources, not in the params: a change of it does not retrain.
    shell:
        f"{TRAIN} {{resources.launcher}} {PROGRAMS}/train_detector.py"
        " --data {input.data:q} {params.start:q}"
        " --run-folder {params.run:q} --wait {params.recipe:q}"
        f" {to_flags(CONFIG.hardware)} --accumulate {{resources.parts:q}} >> {{log:q}} 2>&1"


rule detect_objects:
    """Detect the objects in a test set."""
    input:
        data=lambda wildcards: detection_data(wildcards.experiment),
        config=f"{DETECTOR_RUN}/config.yaml",
        weights=f"{DETECTOR_RUN}/weights.pt",
    output:
        detections=f"{DETECTOR_RUN}/evaluation/detections.json",
        environment=f"{DETECTOR_RUN}/evaluation/environment.json",
    log:
        f"logs/detect_objects/{CONFIG.scale}-{CONFIG.detector.engine}-{{experiment}}-{{model}}-seed{{seed}}.log",
    benchmark:
        f"{DETECTOR_RUN}/benchmarks/detect_objects.tsv"
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
        versions=versions("decode", "detect_objects"),
    shell:
        f"python {PROGRAMS}/detect_objects.py "
        "--data {input.data:q} --run-folder {params.run:q} --output {output.detections:q} "
        f"{to_flags(CONFIG.hardware)} > {{log:q}} 2>&1"


rule improve_detections:
    """Detect the objects in a test set with what appendix B improves in the test alone."""
    input:
        data=lambda wildcards: detection_data(wildcards.experiment),
        config=f"{DETECTOR_RUN}/config.yaml",
        weights=f"{DETECTOR_RUN}/weights.pt",
    output:
        detections=f"{DETECTOR_RUN}/evaluation{{tested}}/detections.json",
        environment=f"{DETECTOR_RUN}/evaluation{{tested}}/environment.json",
    log:
        f"logs/improve_detections/{CONFIG.scale}-{CONFIG.detector.engine}-{{experiment}}-{{model}}-seed{{seed}}{{tested}}.log",
    benchmark:
        f"{DETECTOR_RUN}/benchmarks/improve_detections{{tested}}.tsv"
    wildcard_constraints:
        tested=any_of(map(in_folder, TESTS[1:])),
    conda:
        ENVIRONMENT
    threads: cores()
    resources:
        mem_mb=8000,
        runtime="1d",
        gpu=gpus(),
        gpu_percent=gpu_percent(),
    params:
        runs=lambda wildcards, input: [str(Path(path).parent) for path in input if Path(path).name == "weights.pt"],
        improvements=improvements,
        versions=versions("decode", "detect_objects", "improve_detections"),
    shell:
        f"python {PROGRAMS}/detect_objects.py "
        "--data {input.data:q} --run-folder {params.runs:q} {params.improvements:q} --output {output.detections:q} "
        f"{to_flags(CONFIG.hardware)} > {{log:q}} 2>&1"


use rule improve_detections as ensemble_detections with:
    """Detect the objects in a test set by several detectors together (appendix B)."""
    input:
        data=lambda wildcards: detection_data(wildcards.experiment),
        config=lambda wildcards: files("config.yaml", detector_members(wildcards.experiment)),
        weights=lambda wildcards: files("weights.pt", detector_members(wildcards.experiment)),
    output:
        detections=f"{DETECTOR_ENSEMBLE}/evaluation{{tested}}/detections.json",
        environment=f"{DETECTOR_ENSEMBLE}/evaluation{{tested}}/environment.json",
    log:
        f"logs/improve_detections/{CONFIG.scale}-{CONFIG.detector.engine}-{{experiment}}-ensemble{{tested}}.log",
    benchmark:
        f"{DETECTOR_ENSEMBLE}/benchmarks/ensemble_detections{{tested}}.tsv"
    wildcard_constraints:
        tested="|".join(map(in_folder, TESTS)),


rule evaluate_detections:
    """Compute the average precision of a detector."""
    input:
        data=lambda wildcards: detection_data(wildcards.experiment),
        result=f"{DETECTOR_RUN}/result.json",
        detections=f"{DETECTOR_RUN}/evaluation{{tested}}/detections.json",
        environment=f"{DETECTOR_RUN}/evaluation{{tested}}/environment.json",
    output:
        result=f"{DETECTOR_RUN}/evaluation{{tested}}/average_precision.json",
        classes=f"{DETECTOR_RUN}/evaluation{{tested}}/classes.csv",
    log:
        f"logs/evaluate_detections/{CONFIG.scale}-{CONFIG.detector.engine}-{{experiment}}-{{model}}-seed{{seed}}{{tested}}.log",
    benchmark:
        f"{DETECTOR_RUN}/benchmarks/evaluate_detections{{tested}}.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        versions=versions("evaluate_detections"),
    shell:
        f"python {PROGRAMS}/evaluate_detections.py "
        "--data {input.data:q} --result {input.result:q} --detections {input.detections:q} "
        "--environment {input.environment:q} --output {output.result:q} --classes {output.classes:q} > {log:q} 2>&1"


use rule evaluate_detections as evaluate_ensemble_detections with:
    """Compute the average precision of several detectors together."""
    input:
        data=lambda wildcards: detection_data(wildcards.experiment),
        result=lambda wildcards: files("result.json", detector_members(wildcards.experiment)),
        detections=rules.ensemble_detections.output.detections,
        environment=rules.ensemble_detections.output.environment,
    output:
        result=f"{DETECTOR_ENSEMBLE}/evaluation{{tested}}/average_precision.json",
        classes=f"{DETECTOR_ENSEMBLE}/evaluation{{tested}}/classes.csv",
    log:
        f"logs/evaluate_detections/{CONFIG.scale}-{CONFIG.detector.engine}-{{experiment}}-ensemble{{tested}}.log",
    benchmark:
        f"{DETECTOR_ENSEMBLE}/benchmarks/evaluate_detections{{tested}}.tsv"


rule write_submission:
    """Write a detector's files for PASCAL's server."""
    input:
        program=f"{SCRIPTS}/write_submission.py",
        library=library(f"{SCRIPTS}/write_submission.py"),
        data=lambda wildcards: detection_data(wildcards.experiment),
        detections=f"{DETECTOR_RUN}/evaluation{{tested}}/detections.json",
    output:
        f"{DETECTOR_RUN}/server{{tested}}/comp4_det_test.tar.gz",
    log:
        f"logs/write_submission/{CONFIG.scale}-{CONFIG.detector.engine}-{{experiment}}-{{model}}-seed{{seed}}{{tested}}.log",
    benchmark:
        f"{DETECTOR_RUN}/benchmarks/write_submission{{tested}}.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    shell:
        "python {input.program:q} --data {input.data:q} --experiment {wildcards.experiment:q} "
        "--detections {input.detections:q} --output {output:q} > {log:q} 2>&1"

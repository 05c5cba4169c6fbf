# Verified data sets: each is described by data/<name>/dataset.json, which changes only when the data do.


rule prepare_digits:
    """Write the demo's CIFAR-10: scikit-learn's handwritten digits."""
    output:
        "data/digits/dataset.json",
    log:
        "logs/prepare_digits.log",
    benchmark:
        "logs/benchmarks/prepare_digits.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        versions=versions("prepare_cifar10"),
    shell:
        f"python {PROGRAMS}/prepare_digits.py " "--output {output:q} > {log:q} 2>&1"


rule download_archive:
    """Download an archive of a data set; resumed, and its md5 checked."""
    output:
        "data/downloads/{archive}",
    log:
        "logs/download_archive-{archive}.log",
    benchmark:
        "logs/benchmarks/download_archive-{archive}.tsv"
    wildcard_constraints:
        archive=any_of(ARCHIVES),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        url=lambda wildcards: ARCHIVES[wildcards.archive]["url"],
        md5=lambda wildcards: ARCHIVES[wildcards.archive]["md5"],
        hint="Check its url and md5 under data in config.yaml",
    shell:
        f"python {PROGRAMS}/download_archive.py "
        "--url {params.url:q} --md5 {params.md5:q} --hint {params.hint:q} "
        "--output {output:q} > {log:q} 2>&1"


rule prepare_cifar10:
    """Check and describe CIFAR-10."""
    input:
        archive=downloads("cifar10"),
    output:
        "data/cifar10/dataset.json",
    log:
        "logs/prepare_cifar10.log",
    benchmark:
        "logs/benchmarks/prepare_cifar10.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        source=source("cifar10", "--archive"),
        versions=versions("prepare_cifar10"),
    shell:
        f"python {PROGRAMS}/prepare_cifar10.py " "{params.source:q} --output {output:q} > {log:q} 2>&1"


rule prepare_handwriting:
    """Write the demo's ImageNet: handwritten digits on photographs."""
    output:
        "data/handwriting/dataset.json",
    log:
        "logs/prepare_handwriting.log",
    benchmark:
        "logs/benchmarks/prepare_handwriting.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        versions=versions("prepare_imagenet"),
    shell:
        f"python {PROGRAMS}/prepare_handwriting.py " "--output {output:q} > {log:q} 2>&1"


rule prepare_imagenet:
    """Check and describe ILSVRC2012."""
    output:
        "data/imagenet/dataset.json",
    log:
        "logs/prepare_imagenet.log",
    benchmark:
        "logs/benchmarks/prepare_imagenet.tsv"
    conda:
        ENVIRONMENT
    resources:
        runtime="12h",
    params:
        # A function: see source.
        source=lambda wildcards: [
            f"--{key}={CONFIG.data['imagenet'][key]}" for key in ("folder", "archives") if CONFIG.data["imagenet"][key]
        ],
        versions=versions("prepare_imagenet"),
    shell:
        f"python {PROGRAMS}/prepare_imagenet.py " "{params.source:q} --output {output:q} > {log:q} 2>&1"


rule measure_image_statistics:
    """Measure the mean and the colours of ImageNet's training images."""
    input:
        IMAGENET_DATA,
    output:
        f"data/{CONFIG.imagenet.dataset}/image_statistics-{{side}}-{{size}}.npz",
    log:
        f"logs/measure_image_statistics-{CONFIG.imagenet.dataset}-{{side}}-{{size}}.log",
    benchmark:
        f"logs/benchmarks/measure_image_statistics-{CONFIG.imagenet.dataset}-{{side}}-{{size}}.tsv"
    wildcard_constraints:
        side=r"\d+",
        size=r"\d+",
    conda:
        ENVIRONMENT
    threads: 2 if CONFIG.scale == "demo" else 16
    resources:
        runtime="12h",
    params:
        versions=versions("decode", "measure_image_statistics"),
    shell:
        f"python {PROGRAMS}/measure_image_statistics.py "
        "--data {input:q} --test-shorter-side {wildcards.side:q} --image-size {wildcards.size:q} "
        "--workers {threads:q} --output {output:q} > {log:q} 2>&1"


rule download_weights:
    """Download the weights that torchvision publishes of a network."""
    output:
        "data/downloads/torchvision-{model}.pth",
    log:
        "logs/download_weights-{model}.log",
    benchmark:
        "logs/benchmarks/download_weights-{model}.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    shell:
        f"python {PROGRAMS}/download_weights.py " "--model {wildcards.model:q} --output {output:q} > {log:q} 2>&1"


rule prepare_scenes:
    """Write the demo's PASCAL VOC and MS COCO: scenes of handwritten digits."""
    output:
        voc="data/scenes-voc/dataset.json",
        coco="data/scenes-coco/dataset.json",
    log:
        "logs/prepare_scenes.log",
    benchmark:
        "logs/benchmarks/prepare_scenes.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        versions=versions("prepare_detection"),
    shell:
        f"python {PROGRAMS}/prepare_scenes.py "
        "--output-voc {output.voc:q} --output-coco {output.coco:q} > {log:q} 2>&1"


rule prepare_voc:
    """Check and describe PASCAL VOC."""
    input:
        archives=downloads("voc"),
    output:
        "data/voc/dataset.json",
    log:
        "logs/prepare_voc.log",
    benchmark:
        "logs/benchmarks/prepare_voc.tsv"
    conda:
        ENVIRONMENT
    threads: 16
    resources:
        runtime="2h",
    params:
        experiments=[name for name in MEASURED if EXPERIMENTS[name].data == "voc"],
        source=source("voc", also=CONFIG.data["voc"]["test2012"]),
        versions=versions("prepare_detection"),
    shell:
        f"python {PROGRAMS}/prepare_voc.py "
        "{params.source:q} --experiments {params.experiments:q} --workers {threads:q} "
        "--output {output:q} > {log:q} 2>&1"


rule prepare_coco:
    """Check and describe MS COCO."""
    input:
        archives=downloads("coco"),
    output:
        "data/coco/dataset.json",
    log:
        "logs/prepare_coco.log",
    benchmark:
        "logs/benchmarks/prepare_coco.tsv"
    conda:
        ENVIRONMENT
    threads: 16
    resources:
        mem_mb=8000,
        runtime="4h",
    params:
        year=CONFIG.data["coco"]["year"],
        source=source("coco"),
        versions=versions("prepare_detection"),
    shell:
        f"python {PROGRAMS}/prepare_coco.py "
        "{params.source:q} --year {params.year:q} --workers {threads:q} "
        "--output {output:q} > {log:q} 2>&1"


rule prepare_scenes_det:
    """Write the demo's detection set of ILSVRC: scenes of handwritten digits."""
    output:
        "data/scenes-det/dataset.json",
    log:
        "logs/prepare_scenes_det.log",
    benchmark:
        "logs/benchmarks/prepare_scenes_det.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        versions=versions("prepare_detection"),
    shell:
        f"python {PROGRAMS}/prepare_scenes_det.py " "--output {output:q} > {log:q} 2>&1"


rule prepare_det:
    """Check and describe ILSVRC's detection set."""
    output:
        "data/det/dataset.json",
    log:
        "logs/prepare_det.log",
    benchmark:
        "logs/benchmarks/prepare_det.tsv"
    conda:
        ENVIRONMENT
    threads: 16
    resources:
        mem_mb=16000,
        runtime="12h",
    params:
        # A function: see source.
        source=lambda wildcards: [f"--{key}={path}" for key, path in CONFIG.data["det"].items()],
        versions=versions("prepare_detection"),
    shell:
        f"python {PROGRAMS}/prepare_det.py "
        "{params.source:q} --workers {threads:q} --output {output:q} > {log:q} 2>&1"

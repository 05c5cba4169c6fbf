# Verified data sets: each is described by data/<name>/dataset.json, which changes only when the data do.


rule prepare_digits:
    output:
        "data/digits/dataset.json",
    log:
        "logs/prepare_digits.log",
    benchmark:
        "logs/benchmarks/prepare_digits.tsv"
    localrule: True
    conda:
        "../../environment.yml"
    shell:
        "python scripts/prepare_digits.py --output {output} > {log} 2>&1"


rule download_cifar10:
    output:
        "data/downloads/cifar-10-binary.tar.gz",
    log:
        "logs/download_cifar10.log",
    benchmark:
        "logs/benchmarks/download_cifar10.tsv"
    localrule: True
    conda:
        "../../environment.yml"
    params:
        url=CONFIG.data["cifar10"]["url"],
        md5=CONFIG.data["cifar10"]["md5"],
    shell:
        "python scripts/download_cifar10.py --url {params.url:q} --md5 {params.md5} --output {output} > {log} 2>&1"


rule prepare_cifar10:
    input:
        archive=[] if CONFIG.data["cifar10"]["folder"] else rules.download_cifar10.output,
    output:
        "data/cifar10/dataset.json",
    log:
        "logs/prepare_cifar10.log",
    benchmark:
        "logs/benchmarks/prepare_cifar10.tsv"
    localrule: True
    conda:
        "../../environment.yml"
    params:
        source=lambda wildcards, input: (
            f"--folder {shlex.quote(CONFIG.data['cifar10']['folder'])}"
            if CONFIG.data["cifar10"]["folder"]
            else f"--archive {input.archive}"
        ),
    shell:
        "python scripts/prepare_cifar10.py {params.source} --output {output} > {log} 2>&1"


rule prepare_handwriting:
    output:
        "data/handwriting/dataset.json",
    log:
        "logs/prepare_handwriting.log",
    benchmark:
        "logs/benchmarks/prepare_handwriting.tsv"
    localrule: True
    conda:
        "../../environment.yml"
    shell:
        "python scripts/prepare_handwriting.py --output {output} > {log} 2>&1"


rule prepare_imagenet:
    output:
        "data/imagenet/dataset.json",
    log:
        "logs/prepare_imagenet.log",
    benchmark:
        "logs/benchmarks/prepare_imagenet.tsv"
    conda:
        "../../environment.yml"
    resources:
        runtime="12h",
    params:
        source=" ".join(
            f"--{key} {shlex.quote(CONFIG.data['imagenet'][key])}"
            for key in ("folder", "archives")
            if CONFIG.data["imagenet"][key]
        ),
    shell:
        "python scripts/prepare_imagenet.py {params.source} --output {output} > {log} 2>&1"


rule measure_pixels:
    input:
        IMAGENET_DATA,
    output:
        f"data/{CONFIG.imagenet.dataset}/pixels-{{side}}-{{size}}.npz",
    log:
        f"logs/measure_pixels-{CONFIG.imagenet.dataset}-{{side}}-{{size}}.log",
    benchmark:
        f"logs/benchmarks/measure_pixels-{CONFIG.imagenet.dataset}-{{side}}-{{size}}.tsv"
    wildcard_constraints:
        side=r"\d+",
        size=r"\d+",
    conda:
        "../../environment.yml"
    threads: 2 if CONFIG.scale == "demo" else 16
    resources:
        runtime="12h",
    shell:
        "python scripts/measure_pixels.py --data {input} --test-side {wildcards.side} --image-size {wildcards.size} "
        "--workers {threads} --output {output} > {log} 2>&1"


rule download_weights:
    output:
        "data/downloads/torchvision-{net}.pth",
    log:
        "logs/download_weights-{net}.log",
    benchmark:
        "logs/benchmarks/download_weights-{net}.tsv"
    localrule: True
    conda:
        "../../environment.yml"
    shell:
        "python scripts/download_weights.py --model {wildcards.net} --output {output} > {log} 2>&1"

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
        url=CONFIG.cifar10["url"],
        md5=CONFIG.cifar10["md5"],
    shell:
        "python scripts/download_cifar10.py --url {params.url:q} --md5 {params.md5} --output {output} > {log} 2>&1"


rule prepare_cifar10:
    input:
        archive=[] if CONFIG.cifar10["folder"] else rules.download_cifar10.output,
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
            f"--folder {shlex.quote(CONFIG.cifar10['folder'])}"
            if CONFIG.cifar10["folder"]
            else f"--archive {input.archive}"
        ),
    shell:
        "python scripts/prepare_cifar10.py {params.source} --output {output} > {log} 2>&1"

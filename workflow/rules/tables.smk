# Tables beside the paper's values. Each follows its program and what that imports: editing them makes it again.


rule tabulate_table6:
    """Tabulate test errors on CIFAR-10 (Table 6)."""
    input:
        program="scripts/tabulate_table6.py",
        library=library("scripts/tabulate_table6.py"),
        paper="workflow/paper/table6.yaml",
        results=all_runs("result.json", TABLE6_MODELS),
    output:
        csv=report(
            "results/table6.csv",
            caption="../report/table6.rst",
            category="Tables",
            labels={"artefact": "Table 6", "shows": "test errors on CIFAR-10"},
        ),
        md="results/table6.md",
    log:
        "logs/tabulate_table6.log",
    benchmark:
        "logs/benchmarks/tabulate_table6.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        scale=CONFIG.scale,
    shell:
        "python {input.program:q} --paper {input.paper:q} --scale {params.scale:q} --results {input.results:q} "
        "--csv {output.csv:q} --md {output.md:q} > {log:q} 2>&1"


rule tabulate_cifar_architectures:
    """Count the layers and parameters of the networks of section 4.2."""
    input:
        program="scripts/tabulate_cifar_architectures.py",
        library=library("scripts/tabulate_cifar_architectures.py"),
        paper="workflow/paper/cifar_architectures.yaml",
    output:
        csv=report(
            "results/cifar_architectures.csv",
            caption="../report/cifar_architectures.rst",
            category="Tables",
            labels={"artefact": "Section 4.2", "shows": "architectures, counted"},
        ),
        md="results/cifar_architectures.md",
    log:
        "logs/tabulate_cifar_architectures.log",
    benchmark:
        "logs/benchmarks/tabulate_cifar_architectures.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        models=CONFIG.cifar10.models,
        shortcut=CONFIG.cifar10.recipe("resnet-20", 0).shortcut,
    shell:
        "python {input.program:q} --paper {input.paper:q} --models {params.models:q} --shortcut {params.shortcut:q} "
        "--csv {output.csv:q} --md {output.md:q} > {log:q} 2>&1"


rule tabulate_table1:
    """Count the FLOPs of the networks for ImageNet (Table 1)."""
    input:
        program="scripts/tabulate_table1.py",
        library=library("scripts/tabulate_table1.py"),
        paper="workflow/paper/table1.yaml",
    output:
        csv=report(
            "results/table1.csv",
            caption="../report/table1.rst",
            category="Tables",
            labels={"artefact": "Table 1", "shows": "architectures for ImageNet, counted"},
        ),
        md="results/table1.md",
    log:
        "logs/tabulate_table1.log",
    benchmark:
        "logs/benchmarks/tabulate_table1.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    shell:
        "python {input.program:q} --paper {input.paper:q} --csv {output.csv:q} --md {output.md:q} > {log:q} 2>&1"


rule tabulate_metrics:
    """Tabulate errors on ImageNet (Tables 2, 3 and 4)."""
    input:
        program="scripts/tabulate_metrics.py",
        library=library("scripts/tabulate_metrics.py"),
        paper="workflow/paper/{table}.yaml",
        evaluations=lambda wildcards: evaluations(wildcards.table),
    output:
        csv=report(
            "results/{table}.csv",
            caption="../report/metrics_table.rst",
            category="Tables",
            labels={"artefact": "{table}", "shows": "errors on ImageNet"},
        ),
        md="results/{table}.md",
    log:
        "logs/tabulate_metrics-{table}.log",
    benchmark:
        "logs/benchmarks/tabulate_metrics-{table}.tsv"
    wildcard_constraints:
        table="|".join(ERROR_TABLES),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        scale=CONFIG.scale,
        weights=WEIGHTS,
    shell:
        "python {input.program:q} --paper {input.paper:q} --evaluations {input.evaluations:q} --weights {params.weights:q} "
        "--scale {params.scale:q} --csv {output.csv:q} --md {output.md:q} > {log:q} 2>&1"


use rule tabulate_metrics as tabulate_detections with:
    """Tabulate the average precision of detectors (Tables 7 and 8)."""
    output:
        csv=report(
            "results/{table}.csv",
            caption="../report/detections_table.rst",
            category="Tables",
            labels={"artefact": "{table}", "shows": "average precision of detectors"},
        ),
        md="results/{table}.md",
    wildcard_constraints:
        table="|".join(DETECTION_TABLES),
    localrule: True
    params:
        scale=CONFIG.scale,
        weights="trained",


rule tabulate_classes:
    """Tabulate the average precision of each class."""
    input:
        program="scripts/tabulate_classes.py",
        library=library("scripts/tabulate_classes.py"),
        classes=detectors("evaluation/classes.csv"),
        evaluations=detectors("evaluation/average_precision.json"),
    output:
        report(
            "results/detection_classes.csv",
            caption="../report/detection_classes.rst",
            category="Tables",
            labels={"artefact": "Classes", "shows": "average precision of each class"},
        ),
    log:
        "logs/tabulate_classes.log",
    benchmark:
        "logs/benchmarks/tabulate_classes.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        scale=CONFIG.scale,
    shell:
        "python {input.program:q} --classes {input.classes:q} --evaluations {input.evaluations:q} --scale {params.scale:q} "
        "--output {output:q} > {log:q} 2>&1"


use rule tabulate_metrics as tabulate_table5 with:
    """Tabulate the error of the ensemble (Table 5)."""
    input:
        program="scripts/tabulate_metrics.py",
        library=library("scripts/tabulate_metrics.py"),
        paper="workflow/paper/table5.yaml",
        evaluations=ensemble_evaluation(),
    output:
        csv=report(
            "results/table5.csv",
            caption="../report/metrics_table.rst",
            category="Tables",
            labels={"artefact": "table5", "shows": "an ensemble's error on ImageNet"},
        ),
        md="results/table5.md",
    log:
        "logs/tabulate_table5.log",
    benchmark:
        "logs/benchmarks/tabulate_table5.tsv"
    localrule: True


rule check_claims:
    """Judge the paper's claims, all or those of one section."""
    input:
        program="scripts/check_claims.py",
        library=library("scripts/check_claims.py"),
        claims="workflow/paper/claims.yaml",
        paper="workflow/scales/paper.yaml",
        results=of("cifar10", all_runs("result.json")),
        responses=of("cifar10", first_runs("responses.csv", FIGURE_MODELS["fig7"])),
        architectures=of("cifar10", "results/cifar_architectures.csv"),
        imagenet=classifiers,
        evaluations=of("imagenet", trained_evaluations() + ensemble_evaluation()),
        metrics=of("imagenet", first_runs("metrics.csv", FIGURE_MODELS["fig4"])),
        table1=of("imagenet", "results/table1.csv"),
        detections=of("detection", detectors("evaluation/average_precision.json")),
        detectors=of("detection", detectors("config.yaml")),
    output:
        report(
            "results/claims{section}.csv",
            caption="../report/claims.rst",
            category="Claims",
            labels={"artefact": "Claims", "shows": "what reproduced and what did not"},
        ),
    log:
        "logs/check_claims{section}.log",
    benchmark:
        "logs/benchmarks/check_claims{section}.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        scale=CONFIG.scale,
        sections=made,
        left_out=left_out,
    shell:
        "python {input.program:q} --claims {input.claims:q} --paper {input.paper:q} --results {input.results:q} "
        "--responses {input.responses:q} --architectures {input.architectures:q} --imagenet {input.imagenet:q} "
        "--evaluations {input.evaluations:q} --metrics {input.metrics:q} --table1 {input.table1:q} "
        "--detections {input.detections:q} --detectors {input.detectors:q} --scale {params.scale:q} "
        "--sections {params.sections:q} --left-out {params.left_out:q} --output {output:q} > {log:q} 2>&1"

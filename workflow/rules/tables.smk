# Tables beside the paper's values, a rule for each kind of workflow/artefacts. Each follows the table's file, its program
# and what that imports: editing them makes it again.


rule tabulate_operations:
    """Read the operations of networks and building blocks from their modules (for Figs. 2, 3 and 5)."""
    input:
        program=f"{SCRIPTS}/tabulate_operations.py",
        library=library(f"{SCRIPTS}/tabulate_operations.py"),
    output:
        "results/operations.csv",
    log:
        "logs/tabulate_operations.log",
    benchmark:
        "logs/benchmarks/tabulate_operations.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        networks=list(dict.fromkeys(part for artefact in of_kind("diagram") for part in artefact.parts)),
    shell:
        "python {input.program:q} --networks {params.networks:q} --csv {output:q} > {log:q} 2>&1"


rule tabulate_counts:
    """Count what the paper says of its networks in numbers, and time building blocks."""
    input:
        program=f"{SCRIPTS}/tabulate_counts.py",
        library=library(f"{SCRIPTS}/tabulate_counts.py"),
        artefact=ARTEFACT_FILE,
    output:
        csv=reported("results/{artefact}.csv"),
        md="results/{artefact}.md",
        json="results/{artefact}.json",
    log:
        "logs/tabulate_counts-{artefact}.log",
    benchmark:
        "logs/benchmarks/tabulate_counts-{artefact}.tsv"
    wildcard_constraints:
        artefact=names_of_kind("counts"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        caption=caption,
    shell:
        "python {input.program:q} --artefact {input.artefact:q} --csv {output.csv:q} --md {output.md:q} "
        "--json {output.json:q} > {log:q} 2>&1"


rule tabulate_imagenet_architectures:
    """Count layers and FLOPs of the networks for ImageNet (Table 1)."""
    input:
        program=f"{SCRIPTS}/tabulate_imagenet_architectures.py",
        library=library(f"{SCRIPTS}/tabulate_imagenet_architectures.py"),
        artefact=ARTEFACT_FILE,
    output:
        csv=reported("results/{artefact}.csv"),
        md="results/{artefact}.md",
        json="results/{artefact}.json",
    log:
        "logs/tabulate_imagenet_architectures-{artefact}.log",
    benchmark:
        "logs/benchmarks/tabulate_imagenet_architectures-{artefact}.tsv"
    wildcard_constraints:
        artefact=names_of_kind("imagenet_architectures"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        caption=caption,
    shell:
        "python {input.program:q} --artefact {input.artefact:q} --csv {output.csv:q} --md {output.md:q} "
        "--json {output.json:q} > {log:q} 2>&1"


rule tabulate_cifar_architectures:
    """Count layers and parameters of the networks for CIFAR-10 (section 4.2)."""
    input:
        program=f"{SCRIPTS}/tabulate_cifar_architectures.py",
        library=library(f"{SCRIPTS}/tabulate_cifar_architectures.py"),
        artefact=ARTEFACT_FILE,
    output:
        csv=reported("results/{artefact}.csv"),
        md="results/{artefact}.md",
        json="results/{artefact}.json",
    log:
        "logs/tabulate_cifar_architectures-{artefact}.log",
    benchmark:
        "logs/benchmarks/tabulate_cifar_architectures-{artefact}.tsv"
    wildcard_constraints:
        artefact=names_of_kind("cifar_architectures"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        caption=caption,
        others=others,
        shortcut=CONFIG.cifar10.recipe("resnet-20", 0).shortcut,
    shell:
        "python {input.program:q} --artefact {input.artefact:q} --others {params.others:q} "
        "--shortcut {params.shortcut:q} --csv {output.csv:q} --md {output.md:q} --json {output.json:q} > {log:q} 2>&1"


rule tabulate_cifar_errors:
    """Tabulate test errors on CIFAR-10 (Table 6)."""
    input:
        program=f"{SCRIPTS}/tabulate_cifar_errors.py",
        library=library(f"{SCRIPTS}/tabulate_cifar_errors.py"),
        artefact=ARTEFACT_FILE,
        results=lambda wildcards: files("result.json", SHOWN[wildcards.artefact]),
    output:
        csv=reported("results/{artefact}.csv"),
        md="results/{artefact}.md",
        json="results/{artefact}.json",
    log:
        "logs/tabulate_cifar_errors-{artefact}.log",
    benchmark:
        "logs/benchmarks/tabulate_cifar_errors-{artefact}.tsv"
    wildcard_constraints:
        artefact=names_of_kind("cifar_error_table"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        caption=caption,
        others=others,
        scale=CONFIG.scale,
    shell:
        "python {input.program:q} --artefact {input.artefact:q} --results {input.results:q} --others {params.others:q} --scale {params.scale:q} "
        "--csv {output.csv:q} --md {output.md:q} --json {output.json:q} > {log:q} 2>&1"


rule tabulate_evaluations:
    """Tabulate errors on ImageNet, or average precision of detectors (Tables 2 to 5, 7 to 9)."""
    input:
        program=f"{SCRIPTS}/tabulate_evaluations.py",
        library=library(f"{SCRIPTS}/tabulate_evaluations.py"),
        artefact=ARTEFACT_FILE,
        evaluations=lambda wildcards: evaluations(ARTEFACTS[wildcards.artefact], SHOWN[wildcards.artefact]),
    output:
        csv=reported("results/{artefact}.csv"),
        md="results/{artefact}.md",
        json="results/{artefact}.json",
    log:
        "logs/tabulate_evaluations-{artefact}.log",
    benchmark:
        "logs/benchmarks/tabulate_evaluations-{artefact}.tsv"
    wildcard_constraints:
        artefact=names_of_kind("evaluation_table"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        caption=caption,
        others=others,
        scale=CONFIG.scale,
        weights=WEIGHTS,
    shell:
        "python {input.program:q} --artefact {input.artefact:q} --evaluations {input.evaluations:q} "
        "--weights {params.weights:q} --others {params.others:q} --scale {params.scale:q} "
        "--csv {output.csv:q} --md {output.md:q} --json {output.json:q} > {log:q} 2>&1"


rule tabulate_localisation:
    """Tabulate localisation errors (Tables 13 and 14)."""
    input:
        program=f"{SCRIPTS}/tabulate_localisation.py",
        library=library(f"{SCRIPTS}/tabulate_localisation.py"),
        artefact=ARTEFACT_FILE,
        evaluations=lambda wildcards: localisations(ARTEFACTS[wildcards.artefact], SHOWN[wildcards.artefact]),
    output:
        csv=reported("results/{artefact}.csv"),
        md="results/{artefact}.md",
        json="results/{artefact}.json",
    log:
        "logs/tabulate_localisation-{artefact}.log",
    benchmark:
        "logs/benchmarks/tabulate_localisation-{artefact}.tsv"
    wildcard_constraints:
        artefact=names_of_kind("localisation_table"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        caption=caption,
        scale=CONFIG.scale,
    shell:
        "python {input.program:q} --artefact {input.artefact:q} --evaluations {input.evaluations:q} "
        "--scale {params.scale:q} "
        "--csv {output.csv:q} --md {output.md:q} --json {output.json:q} > {log:q} 2>&1"


rule tabulate_footnotes:
    """Tabulate networks that the paper mentions without numbers (section 3.2, footnotes 3 to 5)."""
    input:
        program=f"{SCRIPTS}/tabulate_footnotes.py",
        library=library(f"{SCRIPTS}/tabulate_footnotes.py"),
        artefact=ARTEFACT_FILE,
        results=lambda wildcards: files("result.json", SHOWN[wildcards.artefact]),
    output:
        csv=reported("results/{artefact}.csv"),
        md="results/{artefact}.md",
        json="results/{artefact}.json",
    log:
        "logs/tabulate_footnotes-{artefact}.log",
    benchmark:
        "logs/benchmarks/tabulate_footnotes-{artefact}.tsv"
    wildcard_constraints:
        artefact=names_of_kind("footnote_table"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        caption=caption,
        scale=CONFIG.scale,
    shell:
        "python {input.program:q} --artefact {input.artefact:q} --results {input.results:q} --scale {params.scale:q} "
        "--csv {output.csv:q} --md {output.md:q} --json {output.json:q} > {log:q} 2>&1"


rule tabulate_classes:
    """Tabulate the average precision of each class."""
    input:
        program=f"{SCRIPTS}/tabulate_classes.py",
        library=library(f"{SCRIPTS}/tabulate_classes.py"),
        artefact=ARTEFACT_FILE,
        classes=lambda wildcards: files("evaluation/classes.csv", SHOWN[wildcards.artefact]),
        evaluations=lambda wildcards: files("evaluation/average_precision.json", SHOWN[wildcards.artefact]),
    output:
        csv=reported("results/{artefact}.csv"),
        md="results/{artefact}.md",
        json="results/{artefact}.json",
    log:
        "logs/tabulate_classes-{artefact}.log",
    benchmark:
        "logs/benchmarks/tabulate_classes-{artefact}.tsv"
    wildcard_constraints:
        artefact=names_of_kind("class_table"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        caption=caption,
        others=others,
        scale=CONFIG.scale,
    shell:
        "python {input.program:q} --artefact {input.artefact:q} --classes {input.classes:q} "
        "--evaluations {input.evaluations:q} --others {params.others:q} --scale {params.scale:q} "
        "--csv {output.csv:q} --md {output.md:q} --json {output.json:q} > {log:q} 2>&1"


rule tabulate_class_columns:
    """Tabulate the average precision of each class, a column each (Tables 10 and 11)."""
    input:
        program=f"{SCRIPTS}/tabulate_class_columns.py",
        library=library(f"{SCRIPTS}/tabulate_class_columns.py"),
        artefact=ARTEFACT_FILE,
        classes=lambda wildcards: shown_tests("classes.csv", wildcards.artefact),
        evaluations=lambda wildcards: shown_tests("average_precision.json", wildcards.artefact),
    output:
        csv=reported("results/{artefact}.csv"),
        md="results/{artefact}.md",
        json="results/{artefact}.json",
    log:
        "logs/tabulate_class_columns-{artefact}.log",
    benchmark:
        "logs/benchmarks/tabulate_class_columns-{artefact}.tsv"
    wildcard_constraints:
        artefact=names_of_kind("class_columns"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        caption=caption,
        scale=CONFIG.scale,
    shell:
        "python {input.program:q} --artefact {input.artefact:q} --classes {input.classes:q} "
        "--evaluations {input.evaluations:q} --scale {params.scale:q} "
        "--csv {output.csv:q} --md {output.md:q} --json {output.json:q} > {log:q} 2>&1"

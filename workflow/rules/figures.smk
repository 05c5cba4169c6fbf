# Figures in the paper's look, drawn from the runs' CSV files, a rule for each kind of workflow/artefacts. Each follows the
# figure's file, its program and what that imports.


rule plot_diagrams:
    """Draw networks and building blocks from their operations (Figs. 2, 3 and 5)."""
    input:
        program=f"{SCRIPTS}/plot_diagrams.py",
        library=library(f"{SCRIPTS}/plot_diagrams.py"),
        artefact=ARTEFACT_FILE,
        operations="results/operations.csv",
    output:
        pdf="results/{artefact}.pdf",
        png=reported("results/{artefact}.png"),
        json="results/{artefact}.json",
    log:
        "logs/plot_diagrams-{artefact}.log",
    benchmark:
        "logs/benchmarks/plot_diagrams-{artefact}.tsv"
    wildcard_constraints:
        artefact=names_of_kind("diagram"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        caption=caption,
    shell:
        "python {input.program:q} --artefact {input.artefact:q} --operations {input.operations:q} "
        "--output {output.pdf:q} {output.png:q} --json {output.json:q} > {log:q} 2>&1"


rule plot_errors:
    """Draw error against iterations (Figs. 1, 4 and 6)."""
    input:
        program=f"{SCRIPTS}/plot_errors.py",
        library=library(f"{SCRIPTS}/plot_errors.py"),
        artefact=ARTEFACT_FILE,
        metrics=lambda wildcards: files("metrics.csv", SHOWN[wildcards.artefact]),
        results=lambda wildcards: files("result.json", SHOWN[wildcards.artefact]),
    output:
        pdf="results/{artefact}.pdf",
        png=reported("results/{artefact}.png"),
        json="results/{artefact}.json",
    log:
        "logs/plot_errors-{artefact}.log",
    benchmark:
        "logs/benchmarks/plot_errors-{artefact}.tsv"
    wildcard_constraints:
        artefact=names_of_kind("error_curves"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        caption=caption,
        note=FIGURE_NOTE,
        # The paper's end values are marked where they can be compared.
        digitised=["--digitised"] if CONFIG.scale == "paper" else [],
    shell:
        "python {input.program:q} --artefact {input.artefact:q} --metrics {input.metrics:q} --results {input.results:q} "
        "--note={params.note:q} {params.digitised:q} --output {output.pdf:q} {output.png:q} --json {output.json:q} "
        "> {log:q} 2>&1"


rule plot_responses:
    """Draw the layer responses (Fig. 7)."""
    input:
        program=f"{SCRIPTS}/plot_responses.py",
        library=library(f"{SCRIPTS}/plot_responses.py"),
        artefact=ARTEFACT_FILE,
        responses=lambda wildcards: files("responses.csv", SHOWN[wildcards.artefact]),
        results=lambda wildcards: files("result.json", SHOWN[wildcards.artefact]),
    output:
        pdf="results/{artefact}.pdf",
        png=reported("results/{artefact}.png"),
        json="results/{artefact}.json",
    log:
        "logs/plot_responses-{artefact}.log",
    benchmark:
        "logs/benchmarks/plot_responses-{artefact}.tsv"
    wildcard_constraints:
        artefact=names_of_kind("responses"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        caption=caption,
        note=FIGURE_NOTE,
    shell:
        "python {input.program:q} --artefact {input.artefact:q} --responses {input.responses:q} "
        "--results {input.results:q} --note={params.note:q} --output {output.pdf:q} {output.png:q} "
        "--json {output.json:q} > {log:q} 2>&1"


rule plot_layer_signals:
    """Draw outputs and gradients of layers along trainings (section 4.1)."""
    input:
        program=f"{SCRIPTS}/plot_layer_signals.py",
        library=library(f"{SCRIPTS}/plot_layer_signals.py"),
        artefact=ARTEFACT_FILE,
        signals=lambda wildcards: layer_signals(ARTEFACTS[wildcards.artefact].section),
    output:
        pdf="results/{artefact}.pdf",
        png=reported("results/{artefact}.png"),
        json="results/{artefact}.json",
    log:
        "logs/plot_layer_signals-{artefact}.log",
    benchmark:
        "logs/benchmarks/plot_layer_signals-{artefact}.tsv"
    wildcard_constraints:
        artefact=names_of_kind("layer_signals"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        caption=caption,
        note=FIGURE_NOTE,
    shell:
        "python {input.program:q} --artefact {input.artefact:q} --signals {input.signals:q} --note={params.note:q} "
        "--output {output.pdf:q} {output.png:q} --json {output.json:q} > {log:q} 2>&1"


rule plot_detection_curves:
    """Draw loss and average precision of the detectors against iterations."""
    input:
        program=f"{SCRIPTS}/plot_detection_curves.py",
        library=library(f"{SCRIPTS}/plot_detection_curves.py"),
        artefact=ARTEFACT_FILE,
        metrics=lambda wildcards: files("metrics.csv", SHOWN[wildcards.artefact]),
    output:
        pdf="results/{artefact}.pdf",
        png=reported("results/{artefact}.png"),
        json="results/{artefact}.json",
    log:
        "logs/plot_detection_curves-{artefact}.log",
    benchmark:
        "logs/benchmarks/plot_detection_curves-{artefact}.tsv"
    wildcard_constraints:
        artefact=names_of_kind("detection_curves"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        caption=caption,
        note=FIGURE_NOTE,
    shell:
        "python {input.program:q} --artefact {input.artefact:q} --metrics {input.metrics:q} --note={params.note:q} "
        "--output {output.pdf:q} {output.png:q} --json {output.json:q} > {log:q} 2>&1"


rule plot_detections:
    """Draw test images with their objects and what was detected."""
    input:
        program=f"{SCRIPTS}/plot_detections.py",
        library=library(f"{SCRIPTS}/plot_detections.py"),
        artefact=ARTEFACT_FILE,
        data=lambda wildcards: detection_data(ARTEFACTS[wildcards.artefact].experiments[0]),
        detections=lambda wildcards: files("evaluation/detections.json", SHOWN[wildcards.artefact]),
    output:
        pdf="results/{artefact}.pdf",
        png=reported("results/{artefact}.png"),
        json="results/{artefact}.json",
    log:
        "logs/plot_detections-{artefact}.log",
    benchmark:
        "logs/benchmarks/plot_detections-{artefact}.tsv"
    wildcard_constraints:
        artefact=names_of_kind("detection_sheet"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        caption=caption,
        note=FIGURE_NOTE,
    shell:
        "python {input.program:q} --artefact {input.artefact:q} --data {input.data:q} "
        "--detections {input.detections:q} --note={params.note:q} --output {output.pdf:q} {output.png:q} "
        "--json {output.json:q} > {log:q} 2>&1"

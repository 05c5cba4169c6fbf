# Figures in the paper's look, drawn from the runs' CSV files. Each follows its program, what that imports, and the
# paper's drawing.


rule plot_errors:
    """Draw error against iterations (Figs. 1, 4 and 6)."""
    input:
        program="scripts/plot_errors.py",
        library=library("scripts/plot_errors.py"),
        drawing="workflow/paper/{figure}.yaml",
        metrics=lambda wildcards: first_runs("metrics.csv", FIGURE_MODELS[wildcards.figure]),
    output:
        pdf="results/{figure}.pdf",
        png=report(
            "results/{figure}.png",
            caption="../report/errors.rst",
            category="Figures",
            labels={"artefact": "{figure}", "shows": "error against iterations"},
        ),
    log:
        "logs/plot_errors-{figure}.log",
    benchmark:
        "logs/benchmarks/plot_errors-{figure}.tsv"
    wildcard_constraints:
        figure="fig1|fig4|fig6",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        note=FIGURE_NOTE,
        # The paper's end values are marked where they can be compared.
        digitised=["--digitised"] if CONFIG.scale == "paper" else [],
    shell:
        "python {input.program:q} --drawing {input.drawing:q} --metrics {input.metrics:q} --note={params.note:q} "
        "{params.digitised:q} --output {output.pdf:q} {output.png:q} > {log:q} 2>&1"


rule plot_responses:
    """Draw the layer responses (Fig. 7)."""
    input:
        program="scripts/plot_responses.py",
        library=library("scripts/plot_responses.py"),
        drawing="workflow/paper/fig7.yaml",
        responses=first_runs("responses.csv", FIGURE_MODELS["fig7"]),
    output:
        pdf="results/fig7.pdf",
        png=report(
            "results/fig7.png",
            caption="../report/fig7.rst",
            category="Figures",
            labels={"artefact": "fig7", "shows": "layer responses"},
        ),
    log:
        "logs/plot_responses.log",
    benchmark:
        "logs/benchmarks/plot_responses.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        note=FIGURE_NOTE,
    shell:
        "python {input.program:q} --drawing {input.drawing:q} --responses {input.responses:q} --note={params.note:q} "
        "--output {output.pdf:q} {output.png:q} > {log:q} 2>&1"


rule plot_detection_curves:
    """Draw loss and average precision of the detectors against iterations."""
    input:
        program="scripts/plot_detection_curves.py",
        library=library("scripts/plot_detection_curves.py"),
        metrics=[path for experiment in MEASURED for path in first_detectors("metrics.csv", experiment)],
    output:
        pdf="results/detection_curves.pdf",
        png=report(
            "results/detection_curves.png",
            caption="../report/detection_curves.rst",
            category="Figures",
            labels={"artefact": "detection curves", "shows": "loss and mAP against iterations"},
        ),
    log:
        "logs/plot_detection_curves.log",
    benchmark:
        "logs/benchmarks/plot_detection_curves.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        note=FIGURE_NOTE,
    shell:
        "python {input.program:q} --metrics {input.metrics:q} --note={params.note:q} --output {output.pdf:q} {output.png:q} "
        "> {log:q} 2>&1"


rule plot_detections:
    """Draw test images with their objects and what was detected."""
    input:
        program="scripts/plot_detections.py",
        library=library("scripts/plot_detections.py"),
        data=lambda wildcards: detection_data(wildcards.experiment),
        detections=lambda wildcards: first_detectors("evaluation/detections.json", wildcards.experiment),
    output:
        pdf="results/detections-{experiment}.pdf",
        png=report(
            "results/detections-{experiment}.png",
            caption="../report/detections.rst",
            category="Figures",
            labels={"artefact": "detections {experiment}", "shows": "test images with what was found"},
        ),
    log:
        "logs/plot_detections-{experiment}.log",
    benchmark:
        "logs/benchmarks/plot_detections-{experiment}.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        note=FIGURE_NOTE,
    shell:
        "python {input.program:q} --data {input.data:q} --experiment {wildcards.experiment:q} "
        "--detections {input.detections:q} --note={params.note:q} --output {output.pdf:q} {output.png:q} > {log:q} 2>&1"

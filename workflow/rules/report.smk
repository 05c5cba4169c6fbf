# One page with everything.


rule render_report:
    """Write the report: everything, or one section, on one page."""
    input:
        program="scripts/render_report.py",
        library=library("scripts/render_report.py"),
        errors=of("imagenet", expand("results/table{number}.csv", number=range(2, 6))),
        published=of("imagenet", expand("workflow/paper/table{number}.yaml", number=range(2, 6))),
        table1=of("imagenet", ["results/table1.csv", "workflow/paper/table1.yaml"]),
        table6=of("cifar10", "results/table6.csv"),
        architectures=of("cifar10", "results/cifar_architectures.csv"),
        claims=rules.check_claims.output,
        figures=lambda wildcards: figures("png", made(wildcards)),
        drawings=lambda wildcards: [
            f"workflow/paper/{Path(figure).stem}.yaml" for figure in figures("png", made(wildcards))
        ],
        results=of("cifar10", all_runs("result.json")),
        imagenet=classifiers,
        detection_tables=of("detection", expand("results/{table}.csv", table=DETECTION_TABLES)),
        detection_published=of("detection", expand("workflow/paper/{table}.yaml", table=DETECTION_TABLES)),
        detection_figures=of("detection", detection_figures("png")),
        detectors=of("detection", detectors("result.json")),
    output:
        report(
            "results/report{section}.html",
            caption="../report/report.rst",
            category="Report",
            labels={"artefact": "Report", "shows": "everything on one page"},
        ),
    log:
        "logs/render_report{section}.log",
    benchmark:
        "logs/benchmarks/render_report{section}.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        scale=CONFIG.scale,
        sections=made,
        left_out=left_out,
    shell:
        "python {input.program:q} --scale {params.scale:q} --sections {params.sections:q} --left-out {params.left_out:q} "
        "--errors {input.errors:q} --published {input.published:q} "
        "--table1 {input.table1:q} --table6 {input.table6:q} --architectures {input.architectures:q} "
        "--claims {input.claims:q} --figures {input.figures:q} --drawings {input.drawings:q} "
        "--results {input.results:q} {input.imagenet:q} "
        "--detection-tables {input.detection_tables:q} --detection-published {input.detection_published:q} "
        "--detection-figures {input.detection_figures:q} --detectors {input.detectors:q} "
        "--output {output:q} > {log:q} 2>&1"

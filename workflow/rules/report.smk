# One page with everything.


rule render_report:
    input:
        program="scripts/render_report.py",
        library=library("scripts/render_report.py"),
        errors=expand("results/table{number}.csv", number=range(2, 6)),
        published=expand("workflow/paper/table{number}.yaml", number=range(2, 6)),
        table1=[rules.tabulate_table1.output.csv, "workflow/paper/table1.yaml"],
        table6=rules.tabulate_table6.output.csv,
        architectures=rules.tabulate_cifar_architectures.output.csv,
        claims=rules.check_claims.output,
        figures=figures("png"),
        drawings=[f"workflow/paper/{Path(figure).stem}.yaml" for figure in figures("png")],
        results=all_runs("result.json") + imagenet_runs("result.json"),
        detection_tables=expand("results/{table}.csv", table=DETECTION_TABLES),
        detection_published=expand("workflow/paper/{table}.yaml", table=DETECTION_TABLES),
        detection_figures=detection_figures("png"),
        detectors=detectors("result.json"),
    output:
        report(
            "results/report.html",
            caption="../report/report.rst",
            category="Report",
            labels={"artefact": "Report", "shows": "everything on one page"},
        ),
    log:
        "logs/render_report.log",
    benchmark:
        "logs/benchmarks/render_report.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        scale=CONFIG.scale,
    shell:
        "python {input.program:q} --scale {params.scale:q} --errors {input.errors:q} --published {input.published:q} "
        "--table1 {input.table1:q} --table6 {input.table6:q} --architectures {input.architectures:q} "
        "--claims {input.claims:q} --figures {input.figures:q} --drawings {input.drawings:q} --results {input.results:q} "
        "--detection-tables {input.detection_tables:q} --detection-published {input.detection_published:q} "
        "--detection-figures {input.detection_figures:q} --detectors {input.detectors:q} "
        "--output {output:q} > {log:q} 2>&1"

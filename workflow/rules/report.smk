# What the runs and artefacts add up to: the sheet of runs, the claims, and one page with everything.


rule list_runs:
    """Write the sheet of all runs that the configuration has."""
    input:
        program=f"{SCRIPTS}/list_runs.py",
        library=library(f"{SCRIPTS}/list_runs.py"),
        scales=[f"{WORKFLOW}/scales/{path.name}" for path in sorted(BASE.glob("scales/*.yaml"))],
    output:
        "results/runs.csv",
    log:
        "logs/list_runs.log",
    benchmark:
        "logs/benchmarks/list_runs.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        config=json.dumps(config),
        workflow=lambda wildcards, input: Path(input.scales[0]).parent.parent,
    shell:
        "python {input.program:q} --config {params.config:q} --workflow {params.workflow:q} --output {output:q} > {log:q} 2>&1"


rule check_claims:
    """Judge the paper's claims, all or those of one section."""
    input:
        program=f"{SCRIPTS}/check_claims.py",
        library=library(f"{SCRIPTS}/check_claims.py"),
        artefact=f"{WORKFLOW}/artefacts/claims.yaml",
        paper=f"{WORKFLOW}/scales/paper.yaml",
        results=of("cifar10", files("result.json", trained("cifar10"))),
        responses=of("cifar10", claimed("responses.csv", "cifar10", "responses")),
        architectures=of("cifar10", counted("cifar_architectures")),
        imagenet=lambda wildcards: files("result.json", classifiers(wildcards)),
        evaluations=of("imagenet", claimed_evaluations()),
        metrics=of("imagenet", claimed("metrics.csv", "imagenet", "error_curves")),
        starts=of("cifar10", claimed("metrics.csv", "cifar10", "footnote_table")),
        table1=of("imagenet", counted("imagenet_architectures")),
        detections=average_precisions,
        detectors=lambda wildcards: files("config.yaml", detectors(wildcards)),
        localisations=of("appendix", claimed_localisations()),
        localisers=of("appendix", claimed("config.yaml", "appendix", "localisation_table")),
        counts=counted("counts"),
        cifar10_signals=of("cifar10", layer_signals("cifar10")),
        imagenet_signals=of("imagenet", layer_signals("imagenet")),
        printed=[f"{WORKFLOW}/artefacts/table{number}.yaml" for number in (7, 10, 11, 13, 14)],
    output:
        report(
            "results/claims{section}.csv",
            caption="../report/artefact.rst",
            category="Claims",
            labels={"artefact": ARTEFACTS["claims"].title},
        ),
    log:
        "logs/check_claims{section}.log",
    benchmark:
        "logs/benchmarks/check_claims{section}.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        caption=caption_of(ARTEFACTS["claims"]),
        scale=CONFIG.scale,
        sections=made,
        left_out=lambda wildcards: left_out(wildcards) + unasked(wildcards),
    shell:
        "python {input.program:q} --artefact {input.artefact:q} --paper {input.paper:q} --results {input.results:q} "
        "--responses {input.responses:q} --architectures {input.architectures:q} --imagenet {input.imagenet:q} "
        "--evaluations {input.evaluations:q} --metrics {input.metrics:q} {input.starts:q} --table1 {input.table1:q} "
        "--detections {input.detections:q} --detectors {input.detectors:q} "
        "--localisations {input.localisations:q} --localisers {input.localisers:q} --counts {input.counts:q} "
        "--cifar10-signals {input.cifar10_signals:q} --imagenet-signals {input.imagenet_signals:q} "
        "--printed {input.printed:q} --scale {params.scale:q} --sections {params.sections:q} --left-out {params.left_out:q} --output {output:q} > {log:q} 2>&1"


rule render_report:
    """Write the report: everything, or one section, on one page."""
    input:
        program=f"{SCRIPTS}/render_report.py",
        library=library(f"{SCRIPTS}/render_report.py"),
        claims=rules.check_claims.output,
        exhibits=lambda wildcards: [f"results/{artefact.name}.json" for artefact in exhibited(made(wildcards))],
        images=lambda wildcards: [
            f"results/{artefact.name}.png" for artefact in exhibited(made(wildcards)) if artefact.is_figure
        ],
        results=of("cifar10", files("result.json", trained("cifar10"))),
        imagenet=lambda wildcards: files("result.json", classifiers(wildcards)),
        detectors=lambda wildcards: files("result.json", detectors(wildcards)),
        others=shown_elsewhere,
    output:
        page=report(
            "results/report{section}.html",
            caption="../report/artefact.rst",
            category="Report",
            labels={"artefact": "Everything on one page"},
        ),
        shown=f"results/runs/{CONFIG.scale}/report{{section}}.json",
    log:
        "logs/render_report{section}.log",
    benchmark:
        "logs/benchmarks/render_report{section}.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        caption=f"Every artefact beside the paper's values, with the provenance of each run. Scale: {CONFIG.scale}.",
        scale=CONFIG.scale,
        sections=made,
        left_out=left_out,
    shell:
        "python {input.program:q} --scale {params.scale:q} --sections {params.sections:q} "
        "--left-out {params.left_out:q} --claims {input.claims:q} --exhibits {input.exhibits:q} "
        "--results {input.results:q} {input.imagenet:q} --detectors {input.detectors:q} "
        "--others {input.others:q} --shown {output.shown:q} --output {output.page:q} > {log:q} 2>&1"

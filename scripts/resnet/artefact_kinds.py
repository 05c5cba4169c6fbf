"""The kinds of artefacts, and what may stand in their files; no torch."""

import dataclasses
from collections.abc import Callable
from typing import Any

from resnet.rules import Rule
from resnet.settings import LOCALISER_PROTOCOLS, LOCALISER_STAGES, MEASURED, TESTS

# What stands for a network where several were tested together.
ENSEMBLE = "ensemble"


def mapping(required: Rule, optional: Rule | None = None) -> Rule:
    """Return the schema of a mapping: the keys that it must have, and those that it may have."""
    properties = {**required, **(optional or {})}
    return {"type": "object", "additionalProperties": False, "required": list(required), "properties": properties}


def some(item: Rule) -> Rule:
    """Return the schema of a list that is not empty."""
    return {"type": "array", "minItems": 1, "items": item}


def one_of(*values: str) -> Rule:
    """Return the schema of a text that is one of several."""
    return {"type": "string", "enum": list(values)}


TEXT: Rule = {"type": "string"}
NUMBER: Rule = {"type": "number"}
NUMBERS: Rule = some(NUMBER)
COUNT: Rule = {"type": "integer", "minimum": 1}
PAIR: Rule = {"type": "array", "minItems": 2, "maxItems": 2, "items": NUMBER}
EXPERIMENT = one_of(*MEASURED)
STYLE = one_of("solid", "dashed")
PLACE = one_of("best", "upper left", "upper right", "lower left", "lower right")


def evaluation_table(values: dict[str, Any]) -> Rule:
    """Return the schema of a table of evaluations; its columns say which published numbers a row may have.

    A row names its network under ``model``, or one network for each column under the key that is the column's ``of``;
    of detectors, it may say how they are ``tested``. A column without a metric has the paper's numbers only.
    """
    columns = [column for column in values.get("columns") or () if isinstance(column, dict)]
    networks = {str(column.get("of", "model")) for column in columns}
    numbers = {str(column.get("name")) for column in columns}
    is_detection = values.get("section") in ("detection", "appendix")
    metric = one_of(*(("map50", "map") if is_detection else ("top1_error", "top5_error")))
    column = mapping(
        {"name": TEXT, "heading": TEXT} | ({"experiment": EXPERIMENT} if is_detection else {}),
        # same_images: the paper's numbers are of the images that ours are of.
        {"metric": metric, "of": TEXT, "paper_heading": TEXT, "same_images": {"type": "boolean"}},
    )
    row = mapping(
        {"method": TEXT},
        {"quoted_from": TEXT, **dict.fromkeys(sorted(networks), TEXT), **dict.fromkeys(sorted(numbers), NUMBER)}
        | ({"tested": one_of(*TESTS[1:])} if is_detection else {}),
    )
    protocol = one_of(*(("average_precision",) if is_detection else ("center", "10crop", "multiscale")))
    # details: texts of an evaluation that have columns of their own. weights: trained keeps published ones out.
    optional = {"details": some(TEXT), "weights": one_of("trained")}
    return mapping({"protocol": protocol, "columns": some(column), "rows": some(row)}, optional)


PUBLISHED = dict.fromkeys(("parameters_millions", "top1_error", "top1_error_mean", "top1_error_std"), NUMBER)
CIFAR_ERROR_TABLE = mapping(
    {"rows": some(mapping({"method": TEXT}, {"model": TEXT, "quoted_from": TEXT, "layers": COUNT, **PUBLISHED}))}
)
CIFAR_ARCHITECTURES = mapping(
    {
        "models": some(TEXT),
        "rows": some(mapping({"map_size": COUNT, "layers": one_of("1+2n", "2n"), "filters": COUNT})),
    }
)
STAGES = ("conv1", "conv2_x", "conv3_x", "conv4_x", "conv5_x")
IMAGENET_ARCHITECTURES = mapping(
    {
        "stages": some(one_of(*STAGES)),
        "output_sizes": mapping(dict.fromkeys(STAGES, COUNT)),
        "rows": some(mapping({"method": TEXT, "model": TEXT, "flops_1e9": NUMBER}, dict.fromkeys(STAGES, TEXT))),
    }
)
CLASS_TABLE = mapping({"experiments": some(EXPERIMENT), "models": some(TEXT)})
# Of an experiment: a column for each class, which the paper gives a shorter name.
CLASS_COLUMNS = mapping(
    {
        "experiment": EXPERIMENT,
        "classes": {"type": "object", "additionalProperties": TEXT},
        "rows": some(
            mapping(
                {"method": TEXT, "model": TEXT, "data": TEXT, "map": NUMBER, "classes": NUMBERS},
                {"tested": one_of(*TESTS[1:])},
            )
        ),
    }
)
CURVE = {"model": TEXT, "colour": TEXT, "style": STYLE}
# digitised_end, digitised_median: what was read off the paper's figure, which never printed it.
ERROR_CURVE = mapping(
    {**CURVE, "split": one_of("train", "val", "test"), "width": NUMBER},
    {"legend": TEXT, "text": TEXT, "place": one_of("above", "below"), "digitised_end": NUMBER},
)
ERROR_CURVES = mapping(
    {
        "size_inches": PAIR,
        "paper_iterations": COUNT,
        "iteration_unit": COUNT,
        "ylim": PAIR,
        "panels": some(
            mapping(
                {"ylabel": TEXT, "yticks": NUMBERS, "curves": some(ERROR_CURVE)},
                {"grid": NUMBERS, "legend": PLACE, "starts_at": COUNT, "width_ratio": NUMBER},
            )
        ),
    }
)
RESPONSES = mapping(
    {
        "size_inches": PAIR,
        **dict.fromkeys(("xlim", "ylim"), PAIR),
        **dict.fromkeys(("xticks", "yticks"), NUMBERS),
        "ylabel": TEXT,
        "xlabels": some(TEXT),
        "curves": some(mapping({**CURVE, "legend": TEXT}, {"digitised_median": NUMBER})),
    }
)
DETECTOR = mapping({"model": TEXT, "colour": TEXT})
DETECTION_CURVES = mapping(
    {"panels": some(mapping({"experiment": EXPERIMENT, "title": TEXT})), "curves": some(DETECTOR)}
)
DETECTION_SHEET = mapping({"experiment": EXPERIMENT, "images": COUNT, "boxes": some(DETECTOR)})
NETWORKS = mapping({"networks": some(mapping({"network": TEXT, "title": TEXT, "flops_1e9": NUMBER}))})
# general: layers are drawn as any weight layer, and signals as formulas.
BLOCKS = mapping({"blocks": some(mapping({"part": TEXT}))}, {"general": {"type": "boolean"}})


def diagram(values: dict[str, Any]) -> Rule:
    """Return the schema of a figure of networks side by side, or of building blocks."""
    return NETWORKS if "networks" in values else BLOCKS


# testing, classifier: as printed. A row of ours has the rest: which run is tested how, and by which error.
LOCALISATION_ROW = mapping(
    {"method": TEXT},
    {
        "quoted_from": TEXT,
        "model": TEXT,
        "experiment": one_of(*LOCALISER_STAGES),
        "protocol": one_of(*LOCALISER_PROTOCOLS),
        **dict.fromkeys(("network", "testing", "classifier"), TEXT),
    },
)


def localisation_table(values: dict[str, Any]) -> Rule:
    """Return the schema of a table of localisation errors; its columns say which published numbers a row may have."""
    columns = [column for column in values.get("columns") or () if isinstance(column, dict)]
    row = LOCALISATION_ROW | {"properties": dict(LOCALISATION_ROW["properties"])}
    row["properties"] |= dict.fromkeys((str(column.get("name")) for column in columns), NUMBER)
    # metric: what is measured here; none of what only the server can.
    column = mapping({"name": TEXT, "heading": TEXT}, {"metric": one_of("gt_class_error", "top5_error")})
    return mapping(
        {"columns": some(column), "rows": some(row)}, {"texts": some(one_of("network", "testing", "classifier"))}
    )


COUNTS = mapping(
    {"rows": some(mapping({"count": TEXT, "says": TEXT}, {"paper": {"type": ["number", "string"]}, "unit": TEXT}))}
)
FOOTNOTE_TABLE = mapping({"rows": some(mapping({"says": TEXT, "model": TEXT}))})
LAYER_SIGNALS = mapping(
    {
        "iterations": some({"type": "integer", "minimum": 0}),
        "panels": some(mapping({"model": TEXT, "title": TEXT})),
    }
)
CLAIM = mapping(
    {"id": TEXT, "about": TEXT, "section": TEXT, "statement": TEXT},
    {
        "tests": some({"type": "object", "required": ["kind"], "properties": {"kind": TEXT}}),
        "untested": TEXT,
        "number": TEXT,
        "comparable_at": one_of("paper"),
        "in_the_paper": one_of("open", "does not hold", "not tested"),
    },
)
NOISE = mapping(dict.fromkeys(("deviation", "at", "responses", "signals"), NUMBER))
CLAIMS = mapping(
    {
        "thresholds": {"type": "object", "additionalProperties": NUMBER},
        "noise": {"type": "object", "required": ["other"], "additionalProperties": NOISE},
        "test_images": {"type": "object", "additionalProperties": COUNT},
        "claims": some(CLAIM),
    }
)


@dataclasses.dataclass(frozen=True)
class Kind:
    """What all artefacts of a kind share.

    Attributes:
        sections: those that it can be of; none for what is about all.
        schema: what their files hold beside the texts that every artefact has; or what returns it for a file.
        is_figure: they are drawn; tables are written.
        shows_others: they show networks that the paper does not have, after those that it has.
        shows_runs: as figures, they show trained networks, without which they are not made.
    """

    sections: tuple[str, ...]
    schema: Rule | Callable[[dict[str, Any]], Rule]
    is_figure: bool = False
    shows_others: bool = False
    shows_runs: bool = True


# Each has a rule and a program; docs/extending.md says how to add one.
KINDS = {
    "imagenet_architectures": Kind(("imagenet",), IMAGENET_ARCHITECTURES),
    "diagram": Kind(("imagenet",), diagram, is_figure=True, shows_runs=False),
    "counts": Kind(("imagenet",), COUNTS),
    "cifar_architectures": Kind(("cifar10",), CIFAR_ARCHITECTURES, shows_others=True),
    "evaluation_table": Kind(("imagenet", "detection", "appendix"), evaluation_table, shows_others=True),
    "cifar_error_table": Kind(("cifar10",), CIFAR_ERROR_TABLE, shows_others=True),
    "footnote_table": Kind(("imagenet", "cifar10"), FOOTNOTE_TABLE),
    "class_table": Kind(("detection",), CLASS_TABLE, shows_others=True),
    "localisation_table": Kind(("appendix",), localisation_table),
    "class_columns": Kind(("appendix",), CLASS_COLUMNS),
    "error_curves": Kind(("imagenet", "cifar10"), ERROR_CURVES, is_figure=True),
    "responses": Kind(("cifar10",), RESPONSES, is_figure=True),
    "layer_signals": Kind(("imagenet", "cifar10"), LAYER_SIGNALS, is_figure=True),
    "detection_curves": Kind(("detection",), DETECTION_CURVES, is_figure=True, shows_others=True),
    "detection_sheet": Kind(("detection",), DETECTION_SHEET, is_figure=True, shows_others=True),
    "claims": Kind((), CLAIMS),
}

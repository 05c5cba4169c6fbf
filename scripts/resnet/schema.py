"""What ``config.yaml`` and a scale may say, key by key, as settings classes: their JSON schemas are made of these."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

from resnet.rules import REQUIRED, Rule, schema_of, setting
from resnet.sections import DEFAULT_SECTIONS, SECTIONS
from resnet.settings import (
    LARGEST_SEED,
    BatchNormStatistics,
    CifarRecipe,
    DetectorRecipe,
    Hardware,
    ImageNetRecipe,
    LocaliserRecipe,
)

Seeds = dict[str, tuple[int, ...]]


def seeds_setting() -> Any:
    """Return the field of the runs of a section."""
    help = "the runs of each model, by their seeds; none leaves it out; others: those of all that are not named"
    return setting({}, help, minimum=0, maximum=LARGEST_SEED, unique=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Archive:
    """Where an archive is, and its md5."""

    url: str = setting(REQUIRED, "an address that starts with http:// or https://", pattern="^https?://")
    md5: str = setting(REQUIRED, "32 hexadecimal digits in quotes", pattern="^[0-9a-f]{32}$")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CifarPlace(Archive):
    """Where CIFAR-10 is."""

    folder: str | None = setting(None, "its binary version, if it is here; none downloads it", path=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageNetPlace:
    """Where ILSVRC2012 is: a folder or the folder of its archives; and torchvision's weights."""

    folder: str | None = setting(None, "train/<wnid>/*.JPEG and val/, if they are here", path=True)
    archives: str | None = setting(None, "the folder of the official archives, if they are here", path=True)
    weights: str | None = setting(None, "the folder of torchvision's weights; none downloads them", path=True)
    annotations: str | None = setting(
        None, "the folder of CLS-LOC/, boxes for localisation; none is the data set's own folder Annotations",
        path=True,
    )  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class VocPlace:
    """Where PASCAL VOC is."""

    folder: str | None = setting(None, "VOCdevkit, if it is here; none downloads the archives", path=True)
    archives: tuple[Archive, ...] = setting(REQUIRED, "where each archive is, and its md5", empty=False)
    test2012: str | None = setting(None, "the archive of VOC 2012's test images; none leaves them out", path=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CocoPlace:
    """Where MS COCO is."""

    folder: str | None = setting(None, "train<year>/, val<year>/ and annotations/, if they are here", path=True)
    year: int = setting(2014, "of the sets", choices=(2014, 2017))
    archives: tuple[Archive, ...] = setting(REQUIRED, "where each archive is, and its md5", empty=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetPlace:
    """Where ILSVRC's detection set is."""

    folder: str | None = setting(None, "the folder of Data/DET, Annotations/DET and ImageSets/DET", path=True)
    val1: str | None = setting(None, "the list of the validation images that are trained on", path=True)
    val2: str | None = setting(None, "the list of those that are tested", path=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Places:
    """Where the real data are."""

    cifar10: CifarPlace = setting(REQUIRED, "CIFAR-10")
    imagenet: ImageNetPlace = setting(REQUIRED, "ILSVRC2012")
    voc: VocPlace = setting(REQUIRED, "PASCAL VOC")
    coco: CocoPlace = setting(REQUIRED, "MS COCO")
    det: DetPlace = setting({}, "ILSVRC's detection set")


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkflowHardware(Hardware):
    """The hardware, how many processes share a training, and how many trainings a GPU."""

    processes: int = setting(
        1, "processes that train an ImageNet net together, each on a GPU of its own", minimum=1, maximum=64
    )
    trainings_per_gpu: int = setting(
        1, "trainings on CIFAR-10 that run on a GPU at once; not on a cluster", minimum=1, maximum=64
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class CifarKeys:
    """Section 4.2."""

    dataset: str = setting(
        "cifar10", "digits is embedded; cifar10 is downloaded or taken from data.cifar10", choices=("digits", "cifar10")
    )
    seeds: Seeds = seeds_setting()
    recipe: CifarRecipe = setting({}, "settings of all runs")
    overrides: dict[str, CifarRecipe | None] = setting(
        {}, "settings of single models that differ from the recipe; null takes those of the base scale out",
        was="exceptions",
    )  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class Member:
    """A network of the ensemble."""

    model: str = setting(REQUIRED, "name of the network")
    seed: int = setting(REQUIRED, "of its run", minimum=0, maximum=LARGEST_SEED)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageNetKeys:
    """Sections 3.4 and 4.1."""

    dataset: str = setting(
        "imagenet", "handwriting is embedded; imagenet is ILSVRC2012, from data.imagenet",
        choices=("handwriting", "imagenet"),
    )  # fmt: skip
    weights: str = setting(
        "trained", "where the weights of Tables 3 and 4 come from", choices=("trained", "torchvision")
    )
    seeds: Seeds = seeds_setting()
    recipe: ImageNetRecipe = setting({}, "settings of all runs")
    overrides: dict[str, ImageNetRecipe | None] = setting(
        {}, "settings of single models that differ from the recipe; null takes those of the base scale out",
        was="exceptions",
    )  # fmt: skip
    multiscale_shorter_sides: tuple[int, ...] = setting(
        (224, 256, 384, 480, 640), "shorter sides of the whole images in the multi-scale test (section 3.4)",
        unit="pixels", minimum=32, empty=False, was="multiscale_sides",
    )  # fmt: skip
    ensemble: tuple[Member, ...] = setting((), "the networks of Table 5", empty=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectionData:
    """The data sets that stand for VOC, COCO and DET; scenes-voc, scenes-coco and scenes-det are embedded."""

    voc: str = setting("voc", "for VOC", choices=("scenes-voc", "voc"))
    coco: str = setting("coco", "for COCO", choices=("scenes-coco", "coco"))
    det: str = setting("det", "for DET", choices=("scenes-det", "det"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectorKeys:
    """Section 4.3."""

    engine: str = setting("torchvision", "whose detector", choices=("torchvision", "detectron2"))
    weights: str = setting("trained", "what detectors start with", choices=("trained", "torchvision"))
    data: DetectionData = setting({}, "the data sets")
    bn_statistics: BatchNormStatistics = setting({}, "how batch normalisation is measured", was="statistics")
    seeds: Seeds = seeds_setting()
    appendix: dict[str, Seeds] = setting(
        {}, "the runs of appendix B alone: for an experiment, each model by its seeds; several are an ensemble",
        minimum=0, maximum=LARGEST_SEED, unique=True,
    )  # fmt: skip
    multiscale_shorter_sides: tuple[int, ...] = setting(
        (200, 400, 600, 800, 1000), "shorter sides, increasing, in the multi-scale test of appendix B; max_size grows "
        "with them", unit="pixels", minimum=1, empty=False,
    )  # fmt: skip
    recipe: DetectorRecipe = setting({}, "settings of all runs")
    overrides: dict[str, DetectorRecipe | None] = setting(
        {}, "settings that differ for a data set (voc, coco, det), an experiment or a model; null takes those of the "
        "base scale out", was="exceptions",
    )  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class LocalisationKeys:
    """Appendix C."""

    data: str = setting("imagenet", "scattered is embedded", choices=("scattered", "imagenet"))
    seeds: Seeds = seeds_setting()
    recipe: LocaliserRecipe = setting({}, "settings of all runs")
    overrides: dict[str, LocaliserRecipe | None] = setting(
        {}, "settings that differ for a stage (rpn, rcnn) or a model; null takes those of the base scale out"
    )
    shorter_sides: tuple[int, ...] = setting(
        (224, 256, 384, 480, 640), "shorter sides of the whole images in the dense test", unit="pixels", minimum=32,
        empty=False,
    )  # fmt: skip
    ensemble: tuple[Member, ...] = setting((), "the networks of Table 14", empty=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScaleKeys:
    """A scale, or the changes to it in ``config.yaml``."""

    cifar10: CifarKeys = setting({}, "section 4.2")
    imagenet: ImageNetKeys = setting({}, "sections 3.4 and 4.1")
    detector: DetectorKeys = setting({}, "section 4.3 and appendix A")
    localisation: LocalisationKeys = setting({}, "appendix C")


@functools.cache
def schemas(scales: Path) -> tuple[Rule, Rule]:
    """Return the schemas of ``config.yaml`` and of a scale, one of the files in the folder ``scales``."""
    names = tuple(sorted(path.stem for path in scales.glob("*.yaml")))

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class ConfigFile(ScaleKeys):
        scale: str = setting(REQUIRED, "schedules and sizes: a file of workflow/scales", choices=names)
        sections: tuple[str, ...] = setting(
            DEFAULT_SECTIONS,
            "the sections of the paper that are made",
            choices=tuple(SECTIONS),
            empty=False,
            unique=True,
        )
        data: Places = setting(REQUIRED, "where the real data are")
        hardware: WorkflowHardware = setting({}, "where and how fast it is computed")

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class ScaleFile(ScaleKeys):
        base: str | None = setting(None, "the scale from which this one differs", choices=names)

    return schema_of(ConfigFile), schema_of(ScaleFile)

"""The two engines: the same detector, with the same weights, computed by torchvision's blocks or by detectron2's."""

from resnet.detection.detector import Detector, Engine
from resnet.errors import UserError
from resnet.settings import DetectorRecipe


def build_detector(detector: Detector, classes: int, recipe: DetectorRecipe) -> Engine:
    """Return the detector of the engine that the recipe names, with the weights of ``detector``.

    Raises:
        UserError: detectron2 is named and not installed, or has no such detector.
    """
    if recipe.engine == "torchvision":
        return detector
    if recipe.context:
        raise UserError("engine detectron2 computes no context; use engine torchvision, or context false")
    try:
        from resnet.detection.detectron2_engine import Detectron2Detector
    except ModuleNotFoundError as error:
        raise UserError(
            f"engine is detectron2, but {error.name} is not installed: make detectron2 installs it; or use torchvision"
        ) from None
    return Detectron2Detector(detector, classes, recipe)

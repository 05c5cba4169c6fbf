"""The demo's sources: files that other packages ship, found without importing these, which takes a second."""

import importlib.util
from pathlib import Path

from PIL import Image


def packaged(package: str, *parts: str) -> Path:
    """Return the path of a file in a package.

    Raises:
        ModuleNotFoundError: the package is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    return Path(spec.origin).parent.joinpath(*parts)


def load_photographs() -> list[Image.Image]:
    """Return the two photographs that scikit-learn ships: a temple and a flower."""
    folder = packaged("sklearn", "datasets", "images")
    return [Image.open(folder / name).convert("RGB") for name in ("china.jpg", "flower.jpg")]

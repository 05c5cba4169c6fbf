"""Faster R-CNN on PASCAL VOC and MS COCO (section 4.3 and appendix A): detectors, their training, metrics."""

import importlib
import sys
import types
from typing import Any


class Tracer(types.ModuleType):
    """A part of torch.compile's tracer, imported when something of it is used.

    torchvision asks it one question, and only where deterministic algorithms are wanted. To import it for that takes
    nearly as long as torch itself.
    """

    def __getattr__(self, name: str) -> Any:
        if name == "is_compile_supported":
            return lambda device: self._imported().is_compile_supported(device)
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._imported(), name)

    def _imported(self) -> types.ModuleType:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return importlib.import_module(self.__name__)


sys.modules.setdefault("torch._dynamo.utils", Tracer("torch._dynamo.utils"))

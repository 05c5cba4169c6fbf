"""The operations of a network, read from what its ``forward`` computes: what Figs. 2, 3 and 5 draw."""

import dataclasses
import operator
from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import fx, nn

from resnet.architectures import (
    BatchNorm2d,
    PaddedIdentity,
    build_uninitialised,
    count_parameters,
    in_evaluation_mode,
    multiply_adds,
    no_images,
)
from resnet.errors import UserError
from resnet.settings import ImageNetRecipe

# The image and the classes of section 4.1.
SIDE, CLASSES = 224, 1000
Kind = Literal["input", "conv", "max pool", "average pool", "fc", "zero padding", "add", "relu"]
# What changes no value, and batch normalisation, which belongs to the convolution before it.
PASSED = (nn.Identity, nn.Flatten, BatchNorm2d)
MODULES: dict[type[nn.Module], Kind] = {
    nn.Conv2d: "conv",
    nn.Linear: "fc",
    nn.MaxPool2d: "max pool",
    nn.ReLU: "relu",
    PaddedIdentity: "zero padding",
}
FUNCTIONS: dict[Callable[..., Any] | str, Kind] = {
    F.relu: "relu",
    F.max_pool2d: "max pool",
    operator.add: "add",
    operator.iadd: "add",
    "mean": "average pool",
}


@dataclasses.dataclass(frozen=True)
class Operation:
    """A step from the input of a network to its scores.

    Attributes:
        number: its place; an operation comes after all that it needs.
        kind: what it computes.
        inputs: the numbers of the operations whose outputs it takes.
        kernel: side of a convolution or of max pooling, else None.
        stride: of these, and of zero padding; else None.
        channels: of its output.
        side: of its output's map; None where it has none (scores).
        parameters: learnt values, with those of the batch normalisation that follows.
        multiply_adds: of a convolution or fc layer, for one image; else 0.
    """

    number: int
    kind: Kind
    inputs: tuple[int, ...]
    kernel: int | None
    stride: int | None
    channels: int
    side: int | None
    parameters: int
    multiply_adds: int


def operations_of(name: str) -> list[Operation]:
    """Return the operations of a network of section 4.1 for 224x224 pixels, or of a part: ``resnet-50/stages.0.1``.

    Raises:
        UserError: the network or its part is unknown.
    """
    model, _, part = name.partition("/")
    net = build_uninitialised(ImageNetRecipe(model=model), CLASSES)
    if not part:
        return operations(net, 3, SIDE)
    try:
        module = net.get_submodule(part)
    except AttributeError:
        raise UserError(f"{model} has no part {part!r}") from None
    _, channels, side, _ = _input_shape(net, module)
    return operations(module, channels, side)


def _input_shape(net: nn.Module, module: nn.Module) -> torch.Size:
    """Return the shape of what a part of a network is given for one image."""
    shapes: list[torch.Size] = []
    hook = module.register_forward_pre_hook(lambda _module, inputs: shapes.append(inputs[0].shape))
    with torch.no_grad(), in_evaluation_mode(net), hook:
        net(no_images(net, 3, SIDE))
    return shapes[0]


class _Tracer(fx.Tracer):
    """Follows a network's ``forward`` down to the modules that are one operation here."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, (*MODULES, *PASSED))


class _Shapes(fx.Interpreter):
    """Notes the shape of what each node computes: torch's own ShapeProp also imports a library for symbols."""

    def run_node(self, n: fx.Node) -> Any:
        computed = super().run_node(n)
        n.meta["shape"] = computed.shape
        return computed


def operations(net: nn.Module, channels: int, side: int) -> list[Operation]:
    """Return the operations of a network, or of a part of it, for one image or map (channels, side, side).

    Batch normalisation counts as part of the convolution before it.

    Raises:
        UserError: it computes something that is no ``Kind``.
    """
    graph = _Tracer().trace(net)
    with torch.no_grad(), in_evaluation_mode(net):
        _Shapes(fx.GraphModule(net, graph)).run(no_images(net, channels, side))
    modules, found, number_of = dict(net.named_modules()), [], {}
    for node in graph.nodes:
        if node.op == "output":
            continue
        module = modules[node.target] if node.op == "call_module" else None
        before = tuple(number_of[one] for one in node.all_input_nodes)
        if isinstance(module, PASSED) or node.target == "flatten":
            number_of[node] = before[0]
            if isinstance(module, BatchNorm2d):
                normalised = found[before[0]]
                total = normalised.parameters + count_parameters(module)
                found[before[0]] = dataclasses.replace(normalised, parameters=total)
            continue
        number_of[node] = len(found)
        found.append(_operation(len(found), node, module, before))
    return found


def _operation(number: int, node: fx.Node, module: nn.Module | None, inputs: tuple[int, ...]) -> Operation:
    """Return the operation of a node of the traced graph."""
    kind = "input" if node.op == "placeholder" else _kind(node, module)
    kernel, stride = _window(kind, node, module)
    shape = node.meta["shape"]
    return Operation(
        number=number,
        kind=kind,
        inputs=inputs,
        kernel=kernel,
        stride=stride,
        channels=shape[1],
        side=shape[2] if len(shape) == 4 else None,
        parameters=count_parameters(module) if module else 0,
        multiply_adds=multiply_adds(module, shape[1:]) if isinstance(module, nn.Conv2d | nn.Linear) else 0,
    )


def _window(kind: Kind, node: fx.Node, module: nn.Module | None) -> tuple[Any, Any]:
    """Return kernel and stride of an operation, each None where it has none."""
    if kind == "max pool":
        return (module.kernel_size, module.stride) if module else (node.args[1], node.kwargs["stride"])
    if isinstance(module, nn.Conv2d):
        return module.kernel_size[0], module.stride[0]
    return None, module.stride if isinstance(module, PaddedIdentity) else None


def _kind(node: fx.Node, module: nn.Module | None) -> Kind:
    if module is not None:
        return MODULES[type(module)]
    if node.target not in FUNCTIONS:
        raise UserError(f"the network computes {node.target}, which no figure knows how to draw")
    return FUNCTIONS[node.target]

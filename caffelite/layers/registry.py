"""Which types of layers there are, and which one a layer of a net file means."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from caffelite.errors import NetError, Problem, did_you_mean
from caffelite.schema.forks import TYPES
from caffelite.schema.net import LayerParameter

if TYPE_CHECKING:
    from caffelite.layers.base import Layer

L = TypeVar("L", bound="type[Layer]")

registry: dict[str, type[Layer]] = {}
"""All known types of layers by the name that net files use."""


def register(cls: L) -> L:
    """Make a type of layer known to net files. Used as a decorator; a later one of the same name
    is refused."""
    name = cls.__dict__.get("type") or cls.__name__
    cls.type = name
    known = registry.get(name)
    if known is not None and (known.__module__, known.__qualname__) != (
        cls.__module__,
        cls.__qualname__,
    ):
        raise ValueError(f'a layer type "{name}" exists already ({known.__module__})')
    registry[name] = cls
    return cls


OWN_LAYER = "write it as a layer of your own: @caffelite.register, and --plugin FILE.py"


def layer_class(spec: LayerParameter) -> type[Layer] | None:
    """The class for `spec.type`, or None. A layer of type "Python" is one of those that stand here
    for well-known Python classes (`Layer.python`), if there is one; else it runs the user's."""
    if spec.type == "Python":
        return _python_class(spec) or registry.get(spec.type)
    cls = registry.get(spec.type)
    return cls.chosen(spec) if cls is not None else None


def _python_class(spec: LayerParameter) -> type[Layer] | None:
    param = spec.get("python_param")
    named = (param.module.rpartition(".")[2], param.layer)
    return next((cls for cls in registry.values() if named in cls.__dict__.get("python", ())), None)


ELSEWHERE = {
    **dict.fromkeys(("dense", "linear", "fc", "fullyconnected", "gemm", "matmul"), "InnerProduct"),
    **dict.fromkeys(("conv", "conv1d", "conv2d", "conv3d"), "Convolution"),
    **dict.fromkeys(("convtranspose2d", "conv2dtranspose", "convtranspose"), "Deconvolution"),
    **dict.fromkeys(("maxpool", "maxpool2d", "maxpooling2d"), "Pooling, with pool: MAX"),
    **dict.fromkeys(("avgpool2d", "averagepooling2d", "averagepool"), "Pooling, with pool: AVE"),
    "adaptiveavgpool2d": "Pooling, with pool: AVE and global_pooling: true",
    "globalaveragepooling2d": "Pooling, with pool: AVE and global_pooling: true",
    **dict.fromkeys(("batchnorm1d", "batchnorm2d", "batchnormalization"), "BatchNorm, then Scale"),
    "leakyrelu": "ReLU, with negative_slope",
    **dict.fromkeys(("crossentropyloss", "crossentropy"), "SoftmaxWithLoss"),
    **dict.fromkeys(("bcewithlogitsloss", "bceloss"), "SigmoidCrossEntropyLoss, of scores"),
    **dict.fromkeys(("mseloss", "mse"), "EuclideanLoss"),
    **dict.fromkeys(("add", "mul", "maximum"), "Eltwise, with operation: SUM, PROD or MAX"),
    **dict.fromkeys(("cat", "concatenate"), "Concat"),
    "embedding": "Embed",
    "localresponsenorm": "LRN",
}
"""What other frameworks call a type, in small letters."""


def find(spec: LayerParameter) -> type[Layer]:
    """As `layer_class`; an unknown type is refused with a suggestion."""
    cls = layer_class(spec)
    if cls is not None:
        return cls
    if not spec.type:
        raise NetError(
            Problem(
                f'layer "{spec.name}" has no type',
                spec.span(),
                'a type, as in type: "InnerProduct"',
                "`caffelite layers` lists the types",
            )
        )
    fork, ours = TYPES.get(spec.type), ELSEWHERE.get(spec.type.lower())
    raise NetError(
        Problem(
            f'unknown layer type "{spec.type}"',
            spec.span("type"),
            "one of the types that `caffelite layers` lists",
            f"it is of {fork}; {OWN_LAYER}"
            if fork
            else f"here it is {ours}"
            if ours
            else did_you_mean(spec.type, registry) or OWN_LAYER,
        )
    )

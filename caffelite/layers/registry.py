"""Which types of layers there are, and which one a layer of a net file means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

from caffelite.errors import NetError, Problem, did_you_mean
from caffelite.layers.index import declare_messages, read_index
from caffelite.schema.forks import TYPES
from caffelite.schema.net import LayerParameter

if TYPE_CHECKING:
    from caffelite.layers.base import Layer

L = TypeVar("L", bound="type[Layer]")


class Registry(MutableMapping[str, "type[Layer]"]):
    """All known types of layers by the name that net files use. The module of one that comes with
    caffelite is imported when its class is first asked for; names alone import nothing."""

    def __init__(self, modules: Mapping[str, str]) -> None:
        self._modules = dict(modules)
        """Where the types are whose modules nobody has imported."""
        self._classes: dict[str, type[Layer]] = {}

    def __getitem__(self, name: str) -> type[Layer]:
        cls = self._classes.get(name)
        if cls is None:
            import_module(self._modules[name])
            cls = self._classes[name]
        return cls

    def __setitem__(self, name: str, cls: type[Layer]) -> None:
        self._classes[name] = cls
        self._modules.pop(name, None)

    def __delitem__(self, name: str) -> None:
        if self._modules.pop(name, None) is None:
            del self._classes[name]

    def __contains__(self, name: object) -> bool:
        return name in self._classes or name in self._modules

    def __iter__(self) -> Iterator[str]:
        return iter([*self._classes, *self._modules])

    def __len__(self) -> int:
        return len(self._classes) + len(self._modules)

    def clear(self) -> None:
        """Forget all types."""
        self._classes.clear()
        self._modules.clear()

    def imported(self) -> list[type[Layer]]:
        """The classes whose modules have been imported."""
        return list(self._classes.values())

    def holder(self, name: str, cls: type[Layer]) -> str | None:
        """The module that has another class of this name, if there is one."""
        known = self._classes.get(name)
        if known is None:
            module = self._modules.get(name)
            return None if module == cls.__module__ else module
        same = (known.__module__, known.__qualname__) == (cls.__module__, cls.__qualname__)
        return None if same else known.__module__


_index = read_index()
declare_messages(_index)
registry = Registry(_index.types)
"""All known types of layers."""


def register(cls: L) -> L:
    """Make a type of layer known to net files. Used as a decorator; a later one of the same name
    is refused."""
    name = cls.__dict__.get("type") or cls.__name__
    cls.type = name
    holder = registry.holder(name, cls)
    if holder is not None:
        raise ValueError(f'a layer type "{name}" exists already ({holder})')
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
    standing = [registry[name] for name in _index.python if name in registry]
    known = (*standing, *registry.imported())
    return next((cls for cls in known if named in cls.__dict__.get("python", ())), None)


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
    **dict.fromkeys(("add", "mul"), "Eltwise, with operation: SUM, PROD or MAX"),
    **dict.fromkeys(("cat", "concatenate"), "Concat"),
    "embedding": "Embed",
    "localresponsenorm": "LRN",
}
"""What other frameworks call a type, in small letters."""


def _stated(spec: LayerParameter) -> str:
    """The shape of a source, as --shape takes it."""
    return f"{spec.top[0]}=1x3x224x224" if spec.top else "NAME=1x3x224x224"


def find(spec: LayerParameter, suggest: bool = True) -> type[Layer]:
    """As `layer_class`; an unknown type is refused, with a suggestion unless the search for one is
    to be saved."""
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
    own = OWN_LAYER if spec.bottom else f"{OWN_LAYER}; or --shape {_stated(spec)} stands in for it"
    raise NetError(
        Problem(
            f'unknown layer type "{spec.type}"',
            spec.span("type"),
            "one of the types that `caffelite layers` lists",
            f"it is of {fork}; {own}"
            if fork
            else f"here it is {ours}"
            if ours
            else (suggest and did_you_mean(spec.type, registry)) or own,
        )
    )

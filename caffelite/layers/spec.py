"""NetSpec: nets written in Python, with pycaffe's names.

    from caffelite import NetSpec, layers as L, params as P

    n = NetSpec()
    n.data, n.label = L.IdxData(images="i.gz", labels="l.gz", batch_size=64, ntop=2)
    n.conv1 = L.Convolution(n.data, kernel_size=5, num_output=20, weight_filler=dict(type="xavier"))
    n.pool1 = L.Pooling(n.conv1, kernel_size=2, stride=2, pool=P.Pooling.MAX)
    n.score = L.InnerProduct(n.pool1, num_output=10)
    n.relu1 = L.ReLU(n.score, in_place=True)
    n.loss = L.SoftmaxWithLoss(n.relu1, n.label)
    print(n.to_proto())

A keyword is a field of the layer (`include`, `param`, `loss_weight`), or else of its type's own
message (`kernel_size`). The net is given to `Net`, or written to a file as text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from caffelite.errors import NetError, Problem, did_you_mean
from caffelite.layers.base import registry
from caffelite.schema.net import LayerParameter, NetParameter


@dataclass(eq=False)
class Function:
    """One layer of a net in the making: its type, what it reads, its fields."""

    type: str
    inputs: tuple[Top, ...]
    fields: dict[str, Any]
    in_place: bool = False
    tops: list[Top] = field(default_factory=list)

    def layer(self, names: dict[Top, str], name: str) -> LayerParameter:
        """The layer's message; `names` says what the blobs are called."""
        layer = LayerParameter(name=name, type=self.type)
        layer.bottom = [names[top] for top in self.inputs]
        layer.top = layer.bottom[:1] if self.in_place else [names[top] for top in self.tops]
        own = next((f for f in registry[self.type].messages() if not _shared(f)), None)
        for key, value in self.fields.items():
            target = layer if key in LayerParameter.specs or own is None else layer.get(own)
            if key not in target.specs:
                raise NetError(
                    Problem(
                        f'{self.type} has no field "{key}"',
                        hint=did_you_mean(key, [*target.specs, *LayerParameter.specs]),
                    )
                )
            setattr(target, key, value)
        return layer


def _shared(name: str) -> bool:
    """Is it a message that many types read? Its fields are given by its own name."""
    return name in ("loss_param", "transform_param")


@dataclass(eq=False)
class Top:
    """A blob of a net in the making."""

    function: Function


class Factory:
    """`L.Convolution`: called, it makes a layer and gives its top, or `ntop` of them."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __call__(self, *inputs: Top, ntop: int = 1, in_place: bool = False, **fields: Any) -> Any:
        function = Function(self.kind, inputs, fields, in_place)
        function.tops = [Top(function) for _ in range(ntop)]
        if ntop == 0:
            return function
        return function.tops[0] if ntop == 1 else tuple(function.tops)

    def __repr__(self) -> str:
        return f"<L.{self.kind}>"


class NetSpec:
    """A net in the making: each attribute that is set names a blob, and the layer that makes it."""

    _names: dict[str, Top | Function]

    def __init__(self) -> None:
        object.__setattr__(self, "_names", {})

    def __setattr__(self, name: str, top: Top | Function) -> None:
        self._names[name] = top

    def __getattr__(self, name: str) -> Any:
        try:
            return self._names[name]
        except KeyError:
            raise AttributeError(f"the net has no {name!r}") from None

    __setitem__ = __setattr__
    __getitem__ = __getattr__

    def __delattr__(self, name: str) -> None:
        del self._names[name]

    def to_proto(self, name: str = "") -> NetParameter:
        """The net's message, its layers in the order in which they can run."""
        net = NetParameter(name=name) if name else NetParameter()
        blobs: dict[Top, str] = {}
        titles: dict[int, str] = {}
        for given, item in self._names.items():
            function = item if isinstance(item, Function) else item.function
            titles.setdefault(id(function), given)
            if isinstance(item, Top):
                blobs[item] = given
        done: set[int] = set()
        unnamed = 0
        for item in self._names.values():
            for function in _in_order(item if isinstance(item, Function) else item.function):
                if id(function) in done:
                    continue
                done.add(id(function))
                for top in function.tops:
                    if function.in_place:
                        blobs[top] = blobs[function.inputs[0]]
                    elif top not in blobs:
                        unnamed += 1
                        blobs[top] = f"autoblob{unnamed}"
                title = titles.get(id(function)) or (blobs[function.tops[0]])
                net.layer.append(function.layer(blobs, title))
        return net


def _in_order(last: Function) -> Iterator[Function]:
    """A layer after all that it reads from. Without recursion: nets are deep."""
    stack: list[tuple[Function, bool]] = [(last, False)]
    while stack:
        function, ready = stack.pop()
        if ready:
            yield function
            continue
        stack.append((function, True))
        stack += [(top.function, False) for top in reversed(function.inputs)]


class Enums:
    """`P.Pooling.MAX`: the enum values of a message, found by its name without "Parameter"."""

    def __getattr__(self, name: str) -> Any:
        for field_spec in LayerParameter.specs.values():
            message = field_spec.message_type
            if message is not None and message.__name__ == f"{name}Parameter":
                enums = [s.enum_type for s in message.specs.values() if s.enum_type is not None]
                # reversed: of two enums with a name in common, the one declared first counts
                members = [e.__members__ for e in reversed(enums)]
                return SimpleNamespace(**{k: v for group in members for k, v in group.items()})
        raise AttributeError(f"there are no enums of {name!r}")


params = Enums()
"""Known to pycaffe's users as P."""

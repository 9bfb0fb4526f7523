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
message (`kernel_size`). Blobs and layers without a name are called after their type and a number,
`Convolution1`, as in Caffe. The net is given to `Net`, or written to a file as text.

What messages come out is for the `Writer` to say: here they are caffelite's, in
`caffelite.pycaffe.net_spec` protobuf's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Union

from caffelite.errors import NetError, Problem, did_you_mean
from caffelite.layers.base import registry
from caffelite.schema.net import LayerParameter, NetParameter


@dataclass(frozen=True)
class Entry:
    """A layer of a net, with the names that it got there."""

    fn: Function
    name: str
    bottom: list[str]
    top: list[str]


Writer = Callable[[Iterable[Entry]], Any]
"""Makes the net's message."""


class Function:
    """One layer of a net in the making: its type, what it reads (`inputs`), its fields (`params`)
    and its `tops`. Raises TypeError where an input is no Top."""

    def __init__(
        self, type_name: str, inputs: tuple[Any, ...], params: dict[str, Any], write: Writer
    ) -> None:
        for i, top in enumerate(inputs):
            if not isinstance(top, Top):
                raise TypeError(f"{type_name} input {i} is not a Top (type is {type(top)})")
        self.type_name, self.inputs, self.write = type_name, inputs, write
        self.params = dict(params)
        self.ntop: int = self.params.pop("ntop", 1)
        self.in_place: bool = self.params.pop("in_place", False)
        if self.in_place and self.ntop > len(inputs):
            raise TypeError(f"{type_name}: in_place needs an input for each top")
        self.tops = tuple(Top(self, n) for n in range(self.ntop))

    def _update(self, params: dict[str, Any]) -> None:
        self.params.update(params)


class Top:
    """A blob of a net in the making: the `n`-th top of the layer `fn`."""

    __slots__ = ("fn", "n")

    def __init__(self, fn: Function, n: int) -> None:
        self.fn, self.n = fn, n

    def to_proto(self) -> Any:
        """The message of the net that ends here; all names are automatic."""
        return self.fn.write(entries([self]))

    def _update(self, params: dict[str, Any]) -> None:
        self.fn._update(params)


Item = Union[Top, Function]


class Factory:
    """`L.Convolution`: called, it makes a layer and gives its top, or `ntop` of them; for ntop=0
    the Function itself."""

    def __init__(self, kind: str, write: Writer | None = None) -> None:
        self.kind, self._write = kind, write or net_of

    def __call__(self, *inputs: Top, **params: Any) -> Any:
        function = Function(self.kind, inputs, params, self._write)
        if function.ntop == 0:
            return function
        return function.tops[0] if function.ntop == 1 else function.tops

    def __repr__(self) -> str:
        return f"<L.{self.kind}>"


class NetSpec:
    """A net in the making: each attribute that is set names a blob, and the layer that makes it."""

    tops: dict[str, Item]
    _write: Writer

    def __init__(self) -> None:
        object.__setattr__(self, "tops", {})

    def __setattr__(self, name: str, top: Item) -> None:
        self.tops[name] = top  # looked at by `to_proto`: until then it may be replaced

    def __getattr__(self, name: str) -> Any:
        if name == "tops" or name not in self.tops:  # "tops": a copy that is still empty
            hint = did_you_mean(str(name), self.__dict__.get("tops", {}))
            raise AttributeError(f"the net has no {name!r}" + (f"; {hint}" if hint else ""))
        return self.tops[name]

    def __delattr__(self, name: str) -> None:
        self.__getattr__(name)
        del self.tops[name]

    __setitem__, __getitem__, __delitem__ = __setattr__, __getattr__, __delattr__

    def __contains__(self, name: object) -> bool:
        return name in self.tops

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.tops]

    def keys(self) -> list[str]:
        """The names, in the order in which they were set."""
        return list(self.tops)

    def vals(self) -> list[Item]:
        """What is named."""
        return list(self.tops.values())

    def update(self, name: str, params: dict[str, Any]) -> None:
        """Set fields of the layer that makes the blob `name`, as the keywords of `L` do."""
        self.__getattr__(name)._update(params)

    def to_proto(self, name: str = "") -> Any:
        """The net's message, its layers in the order in which they can run. Raises TypeError for a
        name that is not a Top's or a layer's."""
        for key, top in self.tops.items():
            if not isinstance(top, (Top, Function)):
                raise TypeError(f"{key} is not a Top (type is {type(top)})")
        net = type(self)._write(entries(self.tops.values(), self.tops))
        if name:
            net.name = name
        return net


def entries(wanted: Iterable[Item], given: dict[str, Item] | None = None) -> Iterator[Entry]:
    """The layers that `wanted` come from, each after all that it reads. `given` names some."""
    names: dict[Item, str] = {item: name for name, item in (given or {}).items()}
    counts: Counter[str] = Counter()
    blobs: dict[Top, str] = {}

    def automatic(kind: str) -> str:
        counts[kind] += 1
        name = f"{kind}{counts[kind]}"
        return automatic(kind) if given and name in given else name

    for fn in _in_order(item if isinstance(item, Function) else item.fn for item in wanted):
        bottom = [blobs[top] for top in fn.inputs]
        for top in fn.tops:
            if fn.in_place:
                blobs[top] = bottom[top.n]
                continue
            blobs[top] = names.get(top) or automatic(fn.type_name)
        # a layer is called after its first top, also where that is written in place
        name = names.get(fn) or (names.get(fn.tops[0]) if fn.tops else None)
        if name is None:
            own = fn.tops and not fn.in_place
            name = blobs[fn.tops[0]] if own else automatic(fn.type_name)
        yield Entry(fn, name, bottom, [blobs[top] for top in fn.tops])


def _in_order(wanted: Iterable[Function]) -> Iterator[Function]:
    """Each layer once, after all that it reads from. Without recursion: nets are deep."""
    seen: set[Function] = set()
    for last in wanted:
        if last in seen:
            continue
        seen.add(last)
        stack = [(last, iter(last.inputs))]
        while stack:
            fn, inputs = stack[-1]
            for top in inputs:
                if top.fn not in seen:
                    seen.add(top.fn)
                    stack.append((top.fn, iter(top.fn.inputs)))
                    break
            else:
                stack.pop()
                yield fn


def own_field(kind: str) -> str | None:
    """The field of LayerParameter with the type's own message, `convolution_param`."""
    cls = registry.get(kind)
    return next((f for f in cls.messages() if not _shared(f)), None) if cls else None


def _shared(name: str) -> bool:
    """Is it a message that many types read? Its fields are given by its own name."""
    return name in ("loss_param", "transform_param")


def unknown_field(kind: str, key: str, known: Iterable[str]) -> NetError:
    """The error for a keyword that is no field."""
    return NetError(Problem(f'{kind} has no field "{key}"', hint=did_you_mean(key, [*known])))


# Caffelite's own messages.


def net_of(found: Iterable[Entry]) -> NetParameter:
    """The net as caffelite's message. Raises NetError for a field that there is not."""
    net = NetParameter()
    net.layer = [_layer(entry) for entry in found]
    return net


NetSpec._write = staticmethod(net_of)


def _layer(entry: Entry) -> LayerParameter:
    kind = entry.fn.type_name
    layer = LayerParameter(name=entry.name, type=kind, bottom=entry.bottom, top=entry.top)
    own = own_field(kind)
    for key, value in entry.fn.params.items():
        target = layer if key in LayerParameter.specs or own is None else layer.get(own)
        if key not in target.specs:
            raise unknown_field(kind, key, [*target.specs, *LayerParameter.specs])
        setattr(target, key, value)
    return layer


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

"""NetSpec, `layers as L` and `params as P`: nets written in Python, as protobuf's messages.

    import caffe
    from caffe import layers as L, params as P

    n = caffe.NetSpec()
    n.data, n.label = L.Data(source="train_lmdb", backend=P.Data.LMDB, batch_size=64, ntop=2)
    n.ip = L.InnerProduct(n.data, num_output=10, weight_filler=dict(type="xavier"))
    n.loss = L.SoftmaxWithLoss(n.ip, n.label)
    open("train.prototxt", "w").write(str(n.to_proto()))

`L` takes any type of layer, known here or not: what is written may be for another Caffe. A keyword
is a field of the type's own message (`num_output`) or else of the layer (`include`); one that ends
in "param" is the layer's. The rest is `caffelite.layers.spec`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np

from caffelite.errors import NetError, Problem, did_you_mean
from caffelite.layers import registry
from caffelite.layers import spec as core
from caffelite.layers.spec import Entry, Factory, Function, Top, entries, own_field, unknown_field
from caffelite.pycaffe.proto import caffe_pb2

__all__ = ["Function", "NetSpec", "Top", "assign_proto", "layers", "params", "to_proto"]


def to_proto(*tops: Top) -> Any:
    """The NetParameter of the layers that make these blobs; all names are automatic."""
    return net_of(entries(tops))


def net_of(found: Iterable[Entry]) -> Any:
    """The net as protobuf's message. Raises NetError for a field that there is not, or a value that
    it cannot have."""
    net = caffe_pb2.NetParameter()
    for entry in found:
        layer = net.layer.add(name=entry.name, type=entry.fn.type_name)
        layer.bottom.extend(entry.bottom)
        layer.top.extend(entry.top)
        own = _own(entry.fn.type_name)
        for key, value in entry.fn.params.items():
            above = key.endswith("param") and key in _fields(layer)
            is_own = own is not None and not above and key in own[1]
            target = getattr(layer, own[0]) if own is not None and is_own else layer
            try:
                assign_proto(target, key, value)
            except NetError as error:
                known = [*(own[1] if own else ()), *_fields(layer)]
                raise _placed(error, entry, key, known) from None
    return net


class NetSpec(core.NetSpec):
    """A net in the making: each attribute that is set names a blob, and the layer that makes it;
    `to_proto()` gives a `caffe_pb2.NetParameter`."""

    _write = staticmethod(net_of)


def assign_proto(proto: Any, name: str, value: Any) -> None:
    """Set a field from Python's values: a dict is a message, a list (or a single value) what a
    repeated field holds. Raises NetError."""
    if name not in _fields(proto):
        raise NetError(f'{proto.DESCRIPTOR.name} has no field "{name}"')
    field, described = getattr(proto, name), _fields(proto)[name]
    try:
        if hasattr(field, "extend"):
            many = list(value) if isinstance(value, (list, tuple, np.ndarray)) else [value]
            for item in many:
                if isinstance(item, dict):
                    assign_all(field.add(), item)
                else:
                    field.append(_scalar(described, item))
        elif isinstance(value, dict):
            field.SetInParent()
            assign_all(field, value)
        elif described.message_type is not None:
            field.CopyFrom(value)
        else:
            setattr(proto, name, _scalar(described, value))
    except (TypeError, ValueError, AttributeError) as error:
        whole = isinstance(value, float) and value.is_integer()
        hint = "in Python 2 a / b of whole numbers was a whole number: a // b" if whole else None
        problem = Problem(f"{name}: {value!r} is no such value: {error}", hint=hint)
        raise NetError(problem) from None


def _scalar(field: Any, value: Any) -> Any:
    """A value as protobuf takes it: of an enum, also its name."""
    if field.enum_type is None or not isinstance(value, str):
        return value
    names = field.enum_type.values_by_name
    if value not in names:
        raise ValueError(f"one of {', '.join(names)} is expected")
    return names[value].number


def assign_all(proto: Any, values: dict[str, Any]) -> None:
    """Set fields from a dict."""
    for name, value in values.items():
        assign_proto(proto, name, value)


def _fields(proto: Any) -> Any:
    return proto.DESCRIPTOR.fields_by_name


@cache
def _own(kind: str) -> tuple[str, frozenset[str]] | None:
    """A type's own field of LayerParameter, and what its message has: that of the layer where it is
    known here, or else the message that is named like the type."""
    known = own_field(kind)
    for field in caffe_pb2.LayerParameter.DESCRIPTOR.fields:
        message = field.message_type
        named = field.name.endswith("_param") and message and message.name == f"{kind}Parameter"
        if field.name == known or (known is None and named):
            return field.name, frozenset(message.fields_by_name)
    return None


def _placed(error: NetError, entry: Entry, key: str, known: list[str]) -> NetError:
    """The error with the layer that it is in."""
    if key not in known:
        return unknown_field(f'layer "{entry.name}": {entry.fn.type_name}', key, known)
    said = error.problems[0]
    place = f'layer "{entry.name}" ({entry.fn.type_name}): '
    return NetError(Problem(place + said.message, hint=said.hint))


class Layers:
    """`L.Convolution`, `L.AnyOther`: what makes layers of this type."""

    def __getattr__(self, name: str) -> Factory:
        if name.startswith("_"):
            raise AttributeError(name)
        return Factory(name, net_of)

    def __dir__(self) -> list[str]:
        return sorted(registry)


class Parameters:
    """`P.Pooling.MAX`: the enums of a message, found by its name without "Parameter"."""

    def __getattr__(self, name: str) -> Any:
        message = getattr(caffe_pb2, f"{name}Parameter", None)
        if message is None:
            hint = did_you_mean(name, dir(self))
            raise AttributeError(f"there is no {name}Parameter" + (f"; {hint}" if hint else ""))
        return message

    def __dir__(self) -> list[str]:
        found = caffe_pb2.DESCRIPTOR.message_types_by_name.items()
        named = [name for name, message in found if message.enum_types]
        return sorted(n[: -len("Parameter")] for n in named if n.endswith("Parameter"))


layers = Layers()
"""Known to scripts as L."""
params = Parameters()
"""Known to scripts as P."""

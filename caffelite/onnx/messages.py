"""ONNX's messages, to write models without the package `onnx`, whose import takes half a second.

Names and numbers are those of onnx.proto (ONNX 1.17), of the fields that are written here or asked
for by `onnx.numpy_helper`; the bytes are the same. `as_onnx` gives a model of the package's own
class.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from caffelite.blob import Array
from caffelite.onnx.extra import require

FLOAT, INT64, BOOL = 1, 7, 9
"""Types of tensors, TensorProto.DataType."""
_TYPES = {"float32": FLOAT, "int64": INT64, "bool": BOOL, "int32": 6, "float64": 11}
_KINDS = {"f": 1, "i": 2, "s": 3, "t": 4, "g": 5, "floats": 6, "ints": 7, "strings": 8}
"""The type of an attribute, AttributeProto.AttributeType, by the field that holds it."""
_OLDEST_IR = {13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10}
"""The IR version that each opset came with."""

_FIELDS = {
    "OperatorSetIdProto": "domain 1 string, version 2 int64",
    "StringStringEntryProto": "key 1 string, value 2 string",
    "TensorProto": "dims 1 int64*, data_type 2 int32, float_data 4 float*, int32_data 5 int32*, "
    "string_data 6 bytes*, int64_data 7 int64*, name 8 string, raw_data 9 bytes, "
    "double_data 10 double*, uint64_data 11 uint64*, doc_string 12 string, "
    "external_data 13 StringStringEntryProto*, data_location 14 int32, segment 3 Segment",
    "Segment": "begin 1 int64, end 2 int64",
    "Dimension": "dim_value 1 int64, dim_param 2 string",
    "TensorShapeProto": "dim 1 Dimension*",
    "Tensor": "elem_type 1 int32, shape 2 TensorShapeProto",
    "TypeProto": "tensor_type 1 Tensor",
    "ValueInfoProto": "name 1 string, type 2 TypeProto, doc_string 3 string",
    "AttributeProto": "name 1 string, f 2 float, i 3 int64, s 4 bytes, t 5 TensorProto, "
    "g 6 GraphProto, floats 7 float*, ints 8 int64*, strings 9 bytes*, type 20 int32",
    "NodeProto": "input 1 string*, output 2 string*, name 3 string, op_type 4 string, "
    "attribute 5 AttributeProto*, domain 7 string",
    "GraphProto": "node 1 NodeProto*, name 2 string, initializer 5 TensorProto*, "
    "input 11 ValueInfoProto*, output 12 ValueInfoProto*, value_info 13 ValueInfoProto*",
    "ModelProto": "ir_version 1 int64, producer_name 2 string, producer_version 3 string, "
    "graph 7 GraphProto, opset_import 8 OperatorSetIdProto*, "
    "metadata_props 14 StringStringEntryProto*",
}
_ONE_OF = {"Dimension": ("dim_value", "dim_param")}
"""Fields of which one is set, also where it is zero or empty."""


@cache
def _classes() -> dict[str, Any]:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="onnx.proto", package="onnx", syntax="proto2")
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        if name in _ONE_OF:
            message.oneof_decl.add(name="value")
        for said in fields.split(", "):
            called, number, kind = said.split()
            field = message.field.add(name=called, number=int(number))
            field.label = kinds.LABEL_REPEATED if kind.endswith("*") else kinds.LABEL_OPTIONAL
            kind = kind.rstrip("*")
            if kind in _FIELDS:
                field.type, field.type_name = kinds.TYPE_MESSAGE, f".onnx.{kind}"
            else:
                field.type = getattr(kinds, f"TYPE_{kind.upper()}")
            if called in _ONE_OF.get(name, ()):
                field.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = {name: pool.FindMessageTypeByName(f"onnx.{name}") for name in _FIELDS}
    return {name: message_factory.GetMessageClass(d) for name, d in found.items()}


def tensor(array: Array, name: str = "") -> Any:
    """An array as a TensorProto, its values in raw_data."""
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    kind = _TYPES[array.dtype.name]
    made = _classes()["TensorProto"](dims=array.shape, data_type=kind, raw_data=little.tobytes())
    if name:
        made.name = name
    return made


def array_of(tensor: Any) -> Array:
    """The values of a TensorProto that `tensor` made."""
    kind = next(name for name, number in _TYPES.items() if number == tensor.data_type)
    values: Array = np.frombuffer(tensor.raw_data, np.dtype(kind).newbyteorder("<"))
    return values.astype(kind, copy=False).reshape(tuple(tensor.dims))


def node(kind: str, inputs: Iterable[str], outputs: Iterable[str], name: str, **attrs: Any) -> Any:
    """A NodeProto."""
    made = _classes()["NodeProto"](op_type=kind, input=inputs, output=outputs, name=name)
    for key in sorted(attrs):
        _set(made.attribute.add(name=key), attrs[key])
    return made


def _set(attribute: Any, value: Any) -> None:
    """Give an attribute its value, and the type that it shows."""
    many = isinstance(value, (list, tuple))
    one = value[0] if many and value else 0 if many else value
    if isinstance(one, str):
        field, value = "s", [v.encode() for v in value] if many else value.encode()
    elif isinstance(one, (int, np.integer)):
        field = "i"
    elif isinstance(one, (float, np.floating)):
        field = "f"
    else:
        field = "g" if hasattr(one, "node") else "t"
    if many:
        field = {"s": "strings", "i": "ints", "f": "floats"}[field]
        getattr(attribute, field).extend(value)
    elif field in "gt":
        getattr(attribute, field).CopyFrom(value)
    else:
        setattr(attribute, field, value)
    attribute.type = _KINDS[field]


def value_info(name: str, kind: int, dims: Sequence[int | str] | None) -> Any:
    """A ValueInfoProto; extents that may vary are names. `dims` None: of any shape."""
    made = _classes()["ValueInfoProto"](name=name)
    made.type.tensor_type.elem_type = kind
    if dims is not None:
        shape = made.type.tensor_type.shape
        shape.SetInParent()
        for dim in dims:
            shape.dim.add(**{"dim_param" if isinstance(dim, str) else "dim_value": dim})
    return made


def graph(
    nodes: Iterable[Any],
    name: str,
    inputs: Iterable[Any],
    outputs: Iterable[Any],
    initializers: Iterable[Any],
) -> Any:
    """A GraphProto."""
    return _classes()["GraphProto"](
        node=nodes, name=name, input=inputs, output=outputs, initializer=initializers
    )


def model(
    graph: Any,
    opset: int,
    ir: int | None,
    producer: str,
    version: str,
    metadata: Mapping[str, str] | None = None,
) -> Any:
    """A ModelProto; `ir` None: the oldest IR version that has the opset."""
    made = _classes()["ModelProto"](
        ir_version=ir or _OLDEST_IR[opset], producer_name=producer, producer_version=version
    )
    made.graph.CopyFrom(graph)
    made.opset_import.add(domain="", version=opset)
    for key, value in (metadata or {}).items():
        made.metadata_props.add(key=key, value=value)
    return made


def as_onnx(model: Any) -> Any:
    """The same model as the package's ModelProto; this one loses its tensors. Raises CaffeliteError
    where `onnx` is not installed."""
    made = require("onnx").ModelProto()
    tensors = list(model.graph.initializer)
    del model.graph.initializer[:]
    made.MergeFromString(model.SerializeToString())
    for each in tensors:  # one by one: all of them may be more than a message may be
        made.graph.initializer.add().MergeFromString(each.SerializeToString())
    return made

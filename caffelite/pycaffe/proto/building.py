"""From caffelite's declarations to protobuf's classes: what `caffe_pb2` holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal import enum_type_wrapper

import caffelite.files  # noqa: F401  (brings the layers' messages)
from caffelite.layers.hinge_loss import HingeNorm
from caffelite.layers.prior_box import CodeType
from caffelite.layers.spp import SPPMethod
from caffelite.schema import legacy
from caffelite.schema.annotated import AnnotatedDatum, AnnotationType, LabelMap
from caffelite.schema.common import BlobProtoVector, LossNormalization, Phase
from caffelite.schema.datum import Datum
from caffelite.schema.legacy_messages import V0PoolMethod, V1LayerType
from caffelite.schema.message import FieldSpec, Message
from caffelite.schema.solver import SolverParameter, SolverState

PACKAGE = "caffe"
ROOTS: tuple[type[Message], ...] = (
    SolverParameter,
    SolverState,
    BlobProtoVector,
    Datum,
    LabelMap,
    AnnotatedDatum,
)
"""From these all other messages are reached."""

_NAMES: dict[type[IntEnum], str] = {
    HingeNorm: "Norm",
    LossNormalization: "NormalizationMode",
    SPPMethod: "PoolMethod",
    V0PoolMethod: "PoolMethod",
    V1LayerType: "LayerType",
}
"""Enums that Caffe calls otherwise."""
_HOMES: dict[type[IntEnum], str] = {
    Phase: "",
    CodeType: "PriorBoxParameter",
    AnnotationType: "AnnotatedDatum",
}
"""The message that an enum is declared in, where that is not each message with such a field."""

_Field = descriptor_pb2.FieldDescriptorProto


def build(module: str) -> dict[str, Any]:
    """The names of a module that protoc would have made: classes, enums, their values, descriptors.
    `module` is where the classes say that they are from."""
    file = described()
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    names: dict[str, Any] = {"DESCRIPTOR": pool.FindFileByName(file.name)}
    for message in file.message_type:
        descriptor = pool.FindMessageTypeByName(f"{PACKAGE}.{message.name}")
        cls = message_factory.GetMessageClass(descriptor)
        cls.__module__ = module
        names[message.name] = cls
        names[f"_{message.name.upper()}"] = descriptor
        for enum in descriptor.enum_types:
            names[f"_{message.name.upper()}_{enum.name.upper()}"] = enum
    for declared in file.enum_type:
        enum = pool.FindEnumTypeByName(f"{PACKAGE}.{declared.name}")
        names[declared.name] = enum_type_wrapper.EnumTypeWrapper(enum)
        names[f"_{declared.name.upper()}"] = enum
        names.update({value.name: value.number for value in enum.values})
    return names


def described() -> descriptor_pb2.FileDescriptorProto:
    """All messages as the file that protoc would read."""
    legacy.declare()
    file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package=PACKAGE, syntax="proto2")
    for cls in _reachable(ROOTS):
        message = file.message_type.add(name=cls.__name__)
        for spec in fields(cls):
            _describe(spec, cls.__name__, message.field.add(name=spec.name, number=spec.number))
        for enum in _enums_in(cls):
            _describe_enum(enum, message.enum_type.add())
    _describe_enum(Phase, file.enum_type.add())
    return file


def fields(cls: type[Message]) -> list[FieldSpec]:
    """The fields that are declared."""
    return [*cls.specs.values()]


def _reachable(roots: Iterable[type[Message]]) -> Iterator[type[Message]]:
    found, todo = set(roots), list(roots)
    while todo:
        cls = todo.pop(0)
        yield cls
        for spec in fields(cls):
            inner = spec.message_type
            if inner is not None and inner not in found:
                found.add(inner)
                todo.append(inner)


def _describe(spec: FieldSpec, owner: str, field: descriptor_pb2.FieldDescriptorProto) -> None:
    field.label = _Field.LABEL_OPTIONAL
    if spec.repeated:
        field.label = _Field.LABEL_REPEATED
    elif spec.required:
        field.label = _Field.LABEL_REQUIRED
    if spec.message_type is not None:
        field.type = _Field.TYPE_MESSAGE
        field.type_name = f".{PACKAGE}.{spec.message_type.__name__}"
    elif spec.enum_type is not None:
        home = _HOMES.get(spec.enum_type, owner)
        field.type = _Field.TYPE_ENUM
        field.type_name = ".".join(["", PACKAGE, *filter(None, [home]), _name(spec.enum_type)])
    else:
        field.type = getattr(_Field, f"TYPE_{str(spec.type).upper()}")
    if spec.default is not None:
        field.default_value = _default(spec)
    if spec.packed:
        field.options.packed = True
    if spec.deprecated:
        field.options.deprecated = True


def _default(spec: FieldSpec) -> str:
    if spec.enum_type is not None:
        return spec.enum_type(spec.default).name
    if isinstance(spec.default, bool):
        return str(spec.default).lower()
    return str(spec.default)


def _enums_in(cls: type[Message]) -> list[type[IntEnum]]:
    """The enums that are declared in a message, in the order of its fields."""
    own = [spec.enum_type for spec in fields(cls) if spec.enum_type not in _HOMES]
    housed = [enum for enum, home in _HOMES.items() if home == cls.__name__]
    return list(dict.fromkeys(enum for enum in [*own, *housed] if enum is not None))


def _describe_enum(enum: type[IntEnum], into: descriptor_pb2.EnumDescriptorProto) -> None:
    into.name = _name(enum)
    for name, value in enum.__members__.items():
        into.value.add(name=name, number=value)


def _name(enum: type[IntEnum]) -> str:
    return _NAMES.get(enum, enum.__name__)

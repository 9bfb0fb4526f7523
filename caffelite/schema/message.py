"""Typed messages, each declared once.

    class FillerParameter(Message):
        type: str = field(1, "string", default="constant")
        std: float = field(6, "float", default=1.0)

A field has a protobuf number, a type (a scalar's name, an `IntEnum` or another Message) and a
default; a number may have bounds (`bounds.py`). The same declaration binds text (`bind.py`), prints
it (`to_block`), reads and writes the wire format (`binary.py`) and makes the help of
`caffelite layers`.

Reading a field that is not set gives its default, as protobuf does: an unset submessage reads as
an empty one, and becomes set when something in it is set.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from operator import attrgetter
from typing import Any, ClassVar, TypeVar, Union, overload

import numpy as np

from caffelite.errors import Span
from caffelite.schema.bounds import FREE, Bounds
from caffelite.schema.same import same
from caffelite.text import Block, Field, Scalar, dump
from caffelite.text.dump import scalar_text
from caffelite.text.tree import NOWHERE

FieldType = Union[str, "type[IntEnum]", "type[Message]"]
# Named here, since inside FieldSpec `type` is a field.
MessageType = Union["type[Message]", None]
EnumType = Union["type[IntEnum]", None]
M = TypeVar("M", bound="Message")

INT_RANGES = {
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
}
_NUMBER = attrgetter("number")
_ZERO = {"float": 0.0, "double": 0.0, "bool": False, "string": "", "bytes": b""}


@dataclass(eq=False)
class FieldSpec:
    """One declared field; as a descriptor it reads and writes the value on a message."""

    number: int
    type: FieldType
    default: Any = None
    repeated: bool = False
    required: bool = False
    packed: bool = False
    deprecated: bool = False
    doc: str = ""
    bounds: Bounds = FREE
    idle: str = ""
    """Of a field that is accepted and changes nothing here: why."""
    rest: str = ""
    """Of a field that a fork repeats: the repeated field that takes its further values."""
    name: str = ""

    def __set_name__(self, owner: Any, name: str) -> None:
        self.name = name

    @cached_property  # asked for at every value of a net
    def message_type(self) -> MessageType:
        t = self.type
        return t if isinstance(t, type) and issubclass(t, Message) else None

    @cached_property
    def enum_type(self) -> EnumType:
        t = self.type
        return t if isinstance(t, type) and issubclass(t, IntEnum) else None

    @property
    def type_name(self) -> str:
        return self.type if isinstance(self.type, str) else self.type.__name__

    @overload
    def __get__(self, obj: None, owner: Any) -> FieldSpec: ...
    @overload
    def __get__(self, obj: Message, owner: Any) -> Any: ...
    def __get__(self, obj: Message | None, owner: Any) -> Any:
        if obj is None:
            return self
        value = obj._values.get(self.name)
        if value is not None:
            return value
        if self.repeated:
            return obj._values.setdefault(self.name, [])
        if self.message_type is not None:
            return obj._values.setdefault(self.name, self.message_type())
        return self.default if self.default is not None else self.implicit_default()

    def implicit_default(self) -> Any:
        """The declared default, or the type's zero where none is declared."""
        if self.default is not None:
            return self.default
        if self.enum_type is not None:
            return next(iter(self.enum_type))
        return _ZERO.get(self.type, 0) if isinstance(self.type, str) else None

    def __set__(self, obj: Message, value: Any) -> None:
        if value is None:
            obj._values.pop(self.name, None)
        elif self.repeated:
            packed = isinstance(value, np.ndarray) and value.ndim == 1 and self.packed
            if isinstance(value, (str, bytes, dict, Message)) or not isinstance(value, Iterable):
                value = [value]
            obj._values[self.name] = value if packed else [self.coerce(v) for v in value]
        else:
            value = self.coerce(value)
            if isinstance(value, Message):
                value._explicit = True
            obj._values[self.name] = value

    def coerce(self, value: Any) -> Any:
        """`value` as this field holds it, from what Python code may give.

        Raises TypeError or ValueError with what was expected."""
        cls, enum = self.message_type, self.enum_type
        if cls is not None:
            if isinstance(value, cls):
                return value
            if isinstance(value, dict):
                return cls(**value)
        elif enum is not None:
            if isinstance(value, str) and value in enum.__members__:
                return enum[value]
            if isinstance(value, (int, np.integer)) and value in enum._value2member_map_:
                return enum(int(value))
        elif self.type == "bool":
            if isinstance(value, (bool, np.bool_)) or value in (0, 1):
                return bool(value)
        elif self.type == "string":
            if isinstance(value, str):
                return value
        elif self.type == "bytes":
            if isinstance(value, (bytes, bytearray)):
                return bytes(value)
        elif self.type in ("float", "double"):
            if isinstance(value, (int, float, np.number)) and not isinstance(value, bool):
                return float(value)
        elif isinstance(value, (int, np.integer)) and not isinstance(value, bool):
            low, high = INT_RANGES[str(self.type)]
            if low <= value <= high:
                return int(value)
        raise ValueError(f"{self.name}: {value!r} is not {self.expectation()}")

    def expectation(self) -> str:
        """What a value must be, for error messages: "a whole number from 0 to 4294967295"."""
        if self.enum_type is not None:
            return "one of " + ", ".join(self.enum_type.__members__)
        if self.message_type is not None:
            return f"{self.type_name} fields in braces, {self.name} {{ ... }}"
        if self.type in INT_RANGES:
            low, high = INT_RANGES[str(self.type)]
            least = low if self.bounds.least is None else int(self.bounds.least)
            most = high if self.bounds.most is None else int(self.bounds.most)
            return f"a whole number from {least} to {most}"
        if self.bounds:
            number = str(self.bounds)
            return number if number.startswith("a ") else f"a number, {number}"
        return {
            "bool": "true or false",
            "string": "text in quotes",
            "bytes": "text in quotes",
        }.get(str(self.type), "a number")


def field(
    number: int,
    type: FieldType,
    *,
    default: Any = None,
    required: bool = False,
    deprecated: bool = False,
    doc: str = "",
    idle: str = "",
    rest: str = "",
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> Any:
    """Declare an optional (or required) field; for a number, what it may be (`Bounds`). `idle`: it
    is accepted and changes nothing, and why. `rest`: where it is given again, the repeated field
    that takes the further values."""
    bounds = _bounds(least, most, above, below)
    doc = doc or (f"accepted, of no effect: {idle}" if idle else "")
    return FieldSpec(
        number, type, default, False, required, False, deprecated, doc, bounds, idle, rest
    )


def repeated(
    number: int,
    type: FieldType,
    *,
    packed: bool = False,
    deprecated: bool = False,
    doc: str = "",
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> Any:
    """Declare a repeated field; it reads as a list. The bounds are each value's."""
    bounds = _bounds(least, most, above, below)
    return FieldSpec(number, type, None, True, False, packed, deprecated, doc, bounds)


def _bounds(*bounds: float | None) -> Bounds:
    return FREE if bounds == (None, None, None, None) else Bounds(*bounds)


class Message:
    """A record of typed fields. Keyword arguments set them: `FillerParameter(type="xavier")`."""

    specs: ClassVar[dict[str, FieldSpec]] = {}
    _required: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.specs = {
            name: spec
            for base in reversed(cls.__mro__)
            for name, spec in vars(base).items()
            if isinstance(spec, FieldSpec)
        }
        cls._required = tuple(name for name, spec in cls.specs.items() if spec.required)

    def __init__(self, **values: Any) -> None:
        self._values: dict[str, Any] = {}
        self._spans: dict[str, list[Span]] = {}
        self._span: Span | None = None
        self._explicit = False
        self._flawed = False
        self._meant: set[str] = set()
        self._foreign: list[Field] = []
        for name, value in values.items():
            if name not in self.specs:
                raise TypeError(f"{type(self).__name__} has no field {name!r}")
            setattr(self, name, value)

    @classmethod
    def add_field(cls, name: str, spec: FieldSpec) -> None:
        """Add a field to a declared message: how a layer brings its own `*_param`."""
        taken = next((s for s in cls.specs.values() if s.number == spec.number), None)
        if taken is not None and taken.name != name:
            raise ValueError(f"{name}: number {spec.number} is {taken.name}'s")
        spec.name = name
        cls.specs[name] = spec
        cls._required += (name,) if spec.required else ()
        setattr(cls, name, spec)

    def has(self, name: str) -> bool:
        """Is the field set (a repeated one: not empty)?"""
        value = self._values.get(name)
        if value is None:
            return False
        if isinstance(value, Message):
            return value._explicit or bool(value._foreign) or value._says()
        return len(value) > 0 if self.specs[name].repeated else True

    def _says(self) -> bool:
        """Is any field set?"""
        return any(map(self.has, self._values))

    def given(self, name: str) -> bool:
        """Is the field set, or did the text at least try to: with a bad value, or misspelt?"""
        return self.has(name) or name in self._spans or name in self._meant

    def meant(self, name: str) -> None:
        """Note that the text meant this field, though it called it something else."""
        self._meant.add(name)

    @property
    def flawed(self) -> bool:
        """Did its text hold a mistake, so that it says less than its author meant?"""
        return self._flawed

    @property
    def foreign(self) -> Sequence[Field]:
        """Fields of forks of Caffe that the text gives and nothing here follows; see
        `caffelite.schema.forks`."""
        return self._foreign

    def keep_foreign(self, item: Field) -> None:
        """Keep a field of a fork as it stands in the text."""
        self._foreign.append(item)

    def stored(self) -> Mapping[str, Any]:
        """What has been set or asked for, as it is kept: not to be changed."""
        return self._values

    def set_fields(self) -> Iterator[tuple[FieldSpec, Any]]:
        """The fields that are set, by number, with their values."""
        specs = self.specs
        named = [specs[name] for name in self._values if self.has(name)]
        named.sort(key=_NUMBER)
        for spec in named:
            yield spec, self._values[spec.name]

    def get(self, name: str) -> Any:
        """The value of the field `name`, or its default."""
        return self.specs[name].__get__(self, type(self))

    def span(self, name: str | None = None, index: int = 0) -> Span | None:
        """Where the field (its `index`-th value), or the message itself, stands in its text."""
        spans = self._spans.get(name, []) if name is not None else []
        return spans[index] if index < len(spans) else self._span

    def places(self, name: str) -> list[Span]:
        """Where the values of the field stand, those that were refused too."""
        return self._spans.get(name, [])

    def copy(self: M) -> M:
        """An independent copy; places in the text are kept."""
        new = type(self)()
        new._values = {name: _copied(value) for name, value in self._values.items()}
        new._spans, new._span, new._explicit = dict(self._spans), self._span, self._explicit
        new._flawed, new._meant = self._flawed, set(self._meant)
        new._foreign = list(self._foreign)
        return new

    def __deepcopy__(self: M, memo: dict[int, Any]) -> M:
        return self.copy()

    def merge(self: M, other: M) -> None:
        """Take over what is set in `other`: repeated fields are appended, messages merged."""
        for spec, value in other.set_fields():
            if spec.repeated:
                setattr(self, spec.name, [*self.get(spec.name), *copy.deepcopy(list(value))])
            elif isinstance(value, Message) and self.has(spec.name):
                self.get(spec.name).merge(value)
            else:
                setattr(self, spec.name, copy.deepcopy(value))

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        mine = {s.name: v for s, v in self.set_fields()}
        theirs = {s.name: v for s, v in other.set_fields()}
        return mine.keys() == theirs.keys() and all(same(v, theirs[k]) for k, v in mine.items())

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return dump(self.to_block())

    def __repr__(self) -> str:
        body = " ".join(str(self).split())
        return f"<{type(self).__name__} {body[:200]}{'...' if len(body) > 200 else ''}>"

    def to_block(self) -> Block:
        """The message as a tree of the text format, fields in the order of their numbers."""
        block = Block()
        for spec, value in self.set_fields():
            for item in value if spec.repeated else [value]:
                block.fields.append(Field(spec.name, _to_tree(spec, item), NOWHERE))
        block.fields += self._foreign
        return block


def _copied(value: Any) -> Any:
    """A value of a field for another message. Numbers, texts and bytes never change."""
    if isinstance(value, Message):
        return value.copy()
    if isinstance(value, list):
        deep = bool(value) and isinstance(value[0], Message)
        return [item.copy() for item in value] if deep else list(value)
    return copy.deepcopy(value) if isinstance(value, np.ndarray) else value


def _to_tree(spec: FieldSpec, value: Any) -> Scalar | Block:
    if isinstance(value, Message):
        return value.to_block()
    if isinstance(value, IntEnum):
        return Scalar("word", value.name, value.name, NOWHERE)
    if spec.type == "bool":
        word = "true" if value else "false"
        return Scalar("word", word, word, NOWHERE)
    if spec.type in ("string", "bytes"):
        raw = value.encode() if isinstance(value, str) else value
        return Scalar("string", raw, scalar_text("string", raw), NOWHERE)
    if spec.type in ("float", "double"):
        return Scalar("float", value, scalar_text("float", value), NOWHERE)
    return Scalar("int", int(value), str(int(value)), NOWHERE)

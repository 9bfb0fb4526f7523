"""From a parsed tree to a typed message, with every mistake of the text found at once."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from itertools import islice
from typing import Any, TypeVar

from caffelite.errors import SHOWN, Problem, SchemaError, Span, closest, did_you_mean
from caffelite.schema.bounds import refusal
from caffelite.schema.message import INT_RANGES, FieldSpec, Message
from caffelite.text import Block, Field, Scalar

M = TypeVar("M", bound=Message)

_BOOLS = {"true": True, "True": True, "t": True, "false": False, "False": False, "f": False}
_FLOAT_WORDS = {"inf": float("inf"), "infinity": float("inf"), "nan": float("nan")}

Hint = Callable[[Message, str], "str | None"]
"""Asked about an unknown field: (the message so far, name) to a suggestion."""

hints: list[Hint] = []

Keep = Callable[[Message, Block, Field], bool]
"""Asked about an unknown field, or one with a word that its enum does not have, before it is
refused: (the message so far, its block, the field) to whether it is kept as a field of a fork."""

keeps: list[Keep] = []


def bind(block: Block, cls: type[M]) -> M:
    """The message that a tree says. Raises SchemaError with all problems of the text."""
    problems: list[Problem] = []
    message = bind_into(block, cls, problems)
    if problems:
        raise SchemaError(*problems)
    return message


def bind_into(block: Block, cls: type[M], problems: list[Problem]) -> M:
    """As `bind`, but appends what is wrong to `problems` and goes on; the message is `flawed`."""
    message = cls()
    message._explicit = True
    message._span = block.span
    before, specs = len(problems), cls.specs
    for item in block.fields:
        spec = specs.get(item.name)
        if spec is None:
            if any(keep(message, block, item) for keep in keeps):
                message.keep_foreign(item)
            else:
                problems.append(_unknown(message, item, suggest=len(problems) < SHOWN))
            continue
        name = item.name
        if spec.rest and name in message._spans:  # a fork gives one value for each axis
            name = spec.rest
            spec = specs[name]
        if item.listed and not spec.repeated and not spec.rest:
            if not any(keep(message, block, item) for keep in keeps):
                refused = f"{item.name} takes one value, not a list"
                problems.append(Problem(refused, item.span, expected=spec.expectation()))
                continue
            if item.name in message._spans:  # a fork has a list here: its first value counts
                message.keep_foreign(item)
                continue
        if item.value is None:
            continue
        if (
            spec.enum_type is not None
            and _other(spec, item)
            and any(keep(message, block, item) for keep in keeps)
        ):
            message.keep_foreign(item)
            continue
        if not spec.repeated and name in message._spans:
            if isinstance(item.value, Block) and any(keep(message, block, item) for keep in keeps):
                message.keep_foreign(item)
                continue
            first = message._spans[item.name][0]
            problems.append(
                Problem(
                    f"{item.name} is given twice",
                    item.span,
                    hint=f"the first is on line {first.line}; remove one of them",
                )
            )
            continue
        value = _value(spec, item, problems)
        if value is None:
            # remembered, so that a field with a bad value does not also count as missing
            message._spans.setdefault(name, []).append(item.span)
            continue
        if spec.repeated:
            message._values.setdefault(name, []).append(value)
        else:
            message._values[name] = value
        place = item.value.span if isinstance(item.value, Scalar) else item.span
        message._spans.setdefault(name, []).append(place)
    for name in cls._required:
        if not message.given(name):
            expected = cls.specs[name].expectation()
            problems.append(Problem(f"{name} is missing", block.span, expected))
    message._flawed = len(problems) > before
    return message


def _other(spec: FieldSpec, item: Field) -> bool:
    """Is it a word that the field's enum does not have?"""
    enum, value = spec.enum_type, item.value
    if enum is None or not isinstance(value, Scalar) or value.kind != "word":
        return False
    return value.value not in enum.__members__


def _unknown(message: Message, item: Field, suggest: bool) -> Problem:
    cls = type(message)
    meant = closest(item.name, cls.specs) if suggest else None
    hint = f'did you mean "{meant}"?' if meant else None
    if meant:
        message.meant(meant)
    for ask in hints if suggest else ():
        hint = hint or ask(message, item.name)
    names = [*islice((n for n, s in cls.specs.items() if not s.deprecated), 13)]
    known = "one of " + ", ".join(names) if len(names) <= 12 else f"a field of {cls.__name__}"
    return Problem(f'{cls.__name__} has no field "{item.name}"', item.span, known, hint)


def _value(spec: FieldSpec, item: Field, problems: list[Problem]) -> Any:
    """The field's value, or None when it is wrong (and said so)."""
    value = item.value
    cls = spec.message_type
    if cls is not None:
        if isinstance(value, Block):
            value.span = item.span  # a block is known by its name, not by its brace
            return bind_into(value, cls, problems)
        found = value.raw if isinstance(value, Scalar) else "nothing"
        span = value.span if isinstance(value, Scalar) else item.span
        problems.append(
            Problem(f"{item.name} is a group of fields, not {found}", span, spec.expectation())
        )
        return None
    if not isinstance(value, Scalar):
        problems.append(
            Problem(f"{item.name} is a single value, not a group", item.span, spec.expectation())
        )
        return None
    enum = spec.enum_type
    if enum is not None:
        return _enum(spec, enum, value, problems)
    result = _SCALARS[str(spec.type)](spec, value)
    number = float(value.value) if result is None and value.kind == "int" else result
    if spec.bounds and number is not None and not spec.bounds.allow(number):
        problems.append(refusal(item.name, _shorten(value.raw), value.span, spec.bounds))
        return None
    if result is None:
        hint = None
        if spec.type == "string" and value.kind == "word":
            hint = f'text is written in quotes: {item.name}: "{value.raw}"'
        elif value.kind == "string" and spec.type not in ("string", "bytes"):
            hint = "numbers and names are written without quotes"
        problems.append(
            Problem(
                f"{item.name} cannot be {_shorten(value.raw)}",
                value.span,
                spec.expectation(),
                hint,
            )
        )
    return result


def _shorten(raw: str) -> str:
    return raw if len(raw) <= 40 else raw[:37] + "..."


def _enum(
    spec: FieldSpec, enum: type[IntEnum], value: Scalar, problems: list[Problem]
) -> IntEnum | None:
    if value.kind == "word" and value.value in enum.__members__:
        return enum[str(value.value)]
    if value.kind == "int" and value.value in enum._value2member_map_:
        return enum(int(value.value))
    hint = did_you_mean(value.raw.strip("\"'"), enum.__members__)
    if value.kind == "string" and hint is None:
        hint = "names like MAX are written without quotes"
    problems.append(
        Problem(
            f"{spec.name} cannot be {_shorten(value.raw)}", value.span, spec.expectation(), hint
        )
    )
    return None


def _int(spec: FieldSpec, value: Scalar) -> int | None:
    low, high = INT_RANGES[str(spec.type)]
    if value.kind == "int" and isinstance(value.value, int) and low <= value.value <= high:
        return value.value
    return None


def _float(spec: FieldSpec, value: Scalar) -> float | None:
    if value.kind in ("int", "float"):
        try:
            return float(value.value)
        except OverflowError:
            return None
    if value.kind == "word":
        return _FLOAT_WORDS.get(str(value.value).lower())
    return None


def _bool(spec: FieldSpec, value: Scalar) -> bool | None:
    if value.kind == "word":
        return _BOOLS.get(str(value.value))
    if value.kind == "int" and value.value in (0, 1):
        return bool(value.value)
    return None


def _string(spec: FieldSpec, value: Scalar) -> str | None:
    if not isinstance(value.value, bytes):
        return None
    try:
        return value.value.decode()
    except UnicodeDecodeError:
        return None


def _bytes(spec: FieldSpec, value: Scalar) -> bytes | None:
    return value.value if isinstance(value.value, bytes) else None


_SCALARS: dict[str, Callable[[FieldSpec, Scalar], Any]] = {
    "int32": _int,
    "int64": _int,
    "uint32": _int,
    "uint64": _int,
    "float": _float,
    "double": _float,
    "bool": _bool,
    "string": _string,
    "bytes": _bytes,
}


def span_of(message: Message, *path: str, index: int = 0) -> Span | None:
    """The place of a nested field: `span_of(layer, "convolution_param", "stride")`, or of the
    nearest thing above it that was written; of a repeated field its `index`-th value."""
    best = message.span()
    for name in path:
        if name in message._spans:
            best = message.span(name, index) or best
        value = message._values.get(name)
        if not isinstance(value, Message):
            break
        message = value
        best = message.span() or best
    return best

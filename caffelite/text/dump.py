"""A tree of blocks → canonical text, as protobuf's own printer writes it."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from caffelite.errors import CaffeliteError
from caffelite.text.parse import MAX_DEPTH
from caffelite.text.tree import Block, Kind

_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "'": "\\'", "\\": "\\\\"}
_SPECIAL = re.compile("[\x00-\x1f\x7f\"'\\\\]")
_SPECIAL_BYTE = re.compile("[\x00-\x1f\x7f-\xff\"'\\\\]")


def dump(block: Block) -> str:
    """One field a line, two blanks of indentation for each block.

    Items of a list come one by one as repeated fields; reading the text back gives the same
    fields and values. Raises CaffeliteError for blocks nested more than 100 deep.
    """
    lines: list[str] = []
    _dump_fields(block, 0, lines)
    return "".join(lines)


def _dump_fields(block: Block, depth: int, lines: list[str]) -> None:
    if depth > MAX_DEPTH:
        raise CaffeliteError(f"blocks nested more than {MAX_DEPTH} deep cannot be written")
    indent = "  " * depth
    for field in block.fields:
        value = field.value
        if isinstance(value, Block):
            lines.append(f"{indent}{field.name} {{\n")
            _dump_fields(value, depth + 1, lines)
            lines.append(f"{indent}}}\n")
        elif value is None:
            lines.append(f"{indent}{field.name}: []\n")
        else:
            lines.append(f"{indent}{field.name}: {scalar_text(value.kind, value.value)}\n")


def scalar_text(kind: Kind, value: Any) -> str:
    """A single value: a word, an integer, a float or a string (bytes or str) in double quotes."""
    if kind == "string":
        return _quoted(value if isinstance(value, bytes) else str(value).encode())
    if kind == "float":
        return _float_text(value)
    return str(int(value)) if kind == "int" else str(value)


def _float_text(value: float | np.floating[Any]) -> str:
    """The shortest digits that read back as the same number, in the value's own precision."""
    number = float(value)
    if not math.isfinite(number):
        return str(number)
    if number == 0:
        return "0" if math.copysign(1, number) > 0 else "-0.0"  # "-0" would be the integer 0
    single = isinstance(value, (np.float32, np.float16))
    for digits in range(6, 9) if single else range(15, 17):
        text = f"{number:.{digits}g}"
        if (np.float32(text) if single else float(text)) == value:
            return text
    return f"{number:.9g}" if single else f"{number:.17g}"


def _quoted(value: bytes) -> str:
    """Text in UTF-8 stays readable; in other bytes, every one outside ASCII is escaped."""
    try:
        text, to_escape = value.decode("utf-8"), _SPECIAL
    except UnicodeDecodeError:
        text, to_escape = value.decode("latin-1"), _SPECIAL_BYTE
    return '"' + to_escape.sub(_escape, text) + '"'


def _escape(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[0]) or f"\\{ord(match[0]):03o}"

"""Messages made at random, of every type that is declared."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from hypothesis import strategies as st

from caffelite.layers import registry
from caffelite.schema.bounds import FREE, Bounds
from caffelite.schema.message import INT_RANGES, FieldSpec, Message

assert all(registry.values())  # they bring their messages


def declared(cls: type[Message] = Message) -> Iterator[type[Message]]:
    for sub in cls.__subclasses__():
        if sub.__module__.startswith("caffelite.") and sub.specs:
            yield sub
        yield from declared(sub)


def short_floats(bounds: Bounds = FREE) -> st.SearchStrategy[float]:
    """float32 numbers about in these bounds, as their shortest decimals."""
    low = bounds.least if bounds.above is None else bounds.above
    high = bounds.most if bounds.below is None else bounds.below
    low, high = (None if x is None else float(np.float32(x)) for x in (low, high))
    numbers = st.floats(low, high, width=32, allow_nan=False)
    return numbers.map(lambda x: float(str(np.float32(x))))


def values(spec: FieldSpec, depth: int) -> st.SearchStrategy[Any]:
    if spec.message_type is not None:
        one: st.SearchStrategy[Any] = messages(spec.message_type, depth - 1)
    elif spec.enum_type is not None:
        one = st.sampled_from(list(spec.enum_type))
    elif spec.type in INT_RANGES:
        low, high = INT_RANGES[str(spec.type)]
        least, most = spec.bounds.least, spec.bounds.most
        one = st.integers(low if least is None else int(least), high if most is None else int(most))
    else:
        one = {
            "float": short_floats(spec.bounds),
            "double": st.floats(),
            "bool": st.booleans(),
            "string": st.text(max_size=5),
            "bytes": st.binary(max_size=5),
        }[str(spec.type)]
    if spec.bounds:
        one = one.filter(spec.bounds.allow)
    if not spec.repeated:
        return one
    many = st.lists(one, min_size=1, max_size=3)
    if spec.packed and spec.type in ("float", "double"):
        dtype = np.float32 if spec.type == "float" else np.float64
        return many.map(lambda items: np.array(items, dtype))
    return many


@st.composite
def messages(draw: st.DrawFn, cls: type[Message], depth: int) -> Message:
    specs = [s for s in cls.specs.values() if depth > 0 or s.message_type is None]
    chosen = draw(st.lists(st.sampled_from(specs), max_size=4, unique=True)) if specs else []
    chosen += [s for s in cls.specs.values() if s.required and s not in chosen]
    return cls(**{spec.name: draw(values(spec, depth)) for spec in chosen})

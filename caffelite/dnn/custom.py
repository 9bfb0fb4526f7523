"""Layers of the user's, as OpenCV has them: a class for a type, registered by its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Any

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.errors import DataError, NetError, Problem
from caffelite.layers.base import ANY, Arrays, Layer, Shapes, registry, show
from caffelite.schema.message import Message
from caffelite.schema.net import LayerParameter

Stored = Mapping[str, Sequence[Any]]
"""Parameters by the name of their layer; each has a `shape`."""


class Registered:
    """The classes, by type. `changes` counts what came and went."""

    def __init__(self) -> None:
        self.classes: dict[str, type] = {}
        self.changes = 0


_known = Registered()


def registerLayer(type: str, layerClass: type) -> None:
    """From now on layers of this type run a class: `__init__(params, blobs)` is given the fields of
    the layer's own message by name, and its parameters; `getMemoryShapes(inputs)` gives the shapes
    of the tops for those of the bottoms; `forward(inputs)` gives the tops. Arrays are float32.

    A net that is there already takes it at its next pass; a type that caffelite does not know must
    be registered before the net is read. Raises DataError for what is no such class."""
    missing = [name for name in ("getMemoryShapes", "forward") if not hasattr(layerClass, name)]
    if not callable(layerClass) or missing:
        raise DataError(
            Problem(
                f'registerLayer("{type}", ...): the class has no {" and no ".join(missing)}',
                expected="a class with __init__(params, blobs), getMemoryShapes(inputs) and "
                "forward(inputs)",
            )
        )
    _known.classes[type] = layerClass
    _known.changes += 1


def unregisterLayer(type: str) -> None:
    """Layers of this type are caffelite's own again, in nets that are read from now on."""
    if _known.classes.pop(type, None) is not None:
        _known.changes += 1


def changes() -> int:
    """Another number whenever a class has come or gone."""
    return _known.changes


def registered() -> frozenset[str]:
    """The types that have a class."""
    return frozenset(_known.classes)


@contextmanager
def in_use(stored: Stored | None = None) -> Iterator[None]:
    """Nets that are planned meanwhile have these layers; `stored` are their parameters."""
    before = {name: registry.get(name) for name in _known.classes}
    try:
        for name, cls in _known.classes.items():
            registry[name] = _layer_class(name, cls, stored or {})
        yield
    finally:
        for name, known in before.items():
            if known is None:
                del registry[name]
            else:
                registry[name] = known


def _layer_class(name: str, user: type, stored: Stored) -> type[Layer]:
    """A type of layer that runs the user's class."""

    class Custom(Layer):
        type = f"{name} of Python"  # engines have nothing for it
        bottoms = (0, ANY)
        tops = (1, ANY)
        repeatable = False  # the class may remember what it likes

        def setup(self, bottom: Shapes) -> None:
            shapes = [tuple(blob.shape) for blob in stored.get(self.spec.name, ())]
            for shape in shapes:
                self.declare(shape)
            # to plan with; each net that runs has one of its own
            self._code = user(params_of(self.spec), [np.zeros(s, np.float32) for s in shapes])

        def open(self) -> None:
            self._code = user(params_of(self.spec), [blob.data for blob in self.params])

        def reshape(self, bottom: Shapes) -> list[Shape]:
            shapes = self._code.getMemoryShapes(list(bottom))
            found = [tuple(int(n) for n in shape) for shape in shapes]
            self._hold("getMemoryShapes", len(found))
            return found

        def prepare(self) -> None:
            # the class may keep what it finds out of the shapes, and it is another object by now
            self._code.getMemoryShapes(list(self.bottom_shapes))

        def forward(self, bottom: Arrays, top: Arrays) -> None:
            made: Sequence[Array] = self._code.forward(tuple(bottom))
            self._hold("forward", len(made))
            for found, into in zip(made, top):
                if np.shape(found) != into.shape:
                    raise NetError(
                        f"{self._called}.forward gives {show(np.shape(found))}, but "
                        f"getMemoryShapes said {show(into.shape)}"
                    )
                into[...] = found

        @property
        def _called(self) -> str:
            return f'layer "{self.spec.name}": {user.__name__}'

        def _hold(self, method: str, count: int) -> None:
            if count != len(self.spec.top):
                raise NetError(
                    f"{self._called}.{method} gives {count}, but the layer has "
                    f"{len(self.spec.top)} tops"
                )

    return Custom


def params_of(spec: LayerParameter) -> dict[str, Any]:
    """The fields that the layer's own messages set, by name, those of messages within them too:
    numbers, 0 or 1 for what is true or false, texts, the names of enum values; a tuple where there
    are several."""
    found: dict[str, Any] = {}
    for group, message in spec.set_fields():
        if group.name.endswith("_param") and isinstance(message, Message):
            _collect(message, found)
    return found


def _collect(message: Message, found: dict[str, Any]) -> None:
    for field, value in message.set_fields():
        values = value if isinstance(value, list) else [value]
        if field.message_type is not None:
            for inner in values:
                _collect(inner, found)
        else:
            plain = [_plain(v) for v in values]
            found[field.name] = plain[0] if len(plain) == 1 else tuple(plain)


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.name
    return int(value) if isinstance(value, bool) else value

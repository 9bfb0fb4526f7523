"""Writer: a graph in the making. Nodes, constants and names that are used once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Union

import numpy as np

from caffelite.blob import Array
from caffelite.onnx import messages
from caffelite.onnx.dims import Dims
from caffelite.onnx.names import unused

Value = Union[str, Array, float, int, Sequence[int]]
"""What a node reads: a tensor by name, or a constant. Floats are float32, ints are int64."""

REDUCE_AXES_IN = 18
"""From this opset on the reductions (but ReduceSum, 13) take their axes as an input."""


class Writer:
    """Collects the nodes of one graph. `parent`: the graph around it, whose names stay taken."""

    def __init__(self, opset: int, parent: Writer | None = None) -> None:
        self.opset, self.parent = opset, parent
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.names: set[str] = parent.names if parent else set()
        self.node_names: set[str] = parent.node_names if parent else set()
        self._constants: dict[Any, str] = {}
        self._held: list[Array] = []

    def fresh(self, name: str) -> str:
        """The name, or with a number where it is taken."""
        unique = unused(name, self.names)
        self.names.add(unique)
        return unique

    def _fresh_node(self, name: str) -> str:
        unique = unused(name, self.node_names)
        self.node_names.add(unique)
        return unique

    def constant(self, value: Any, name: str, key: Any = None) -> str:
        """An initializer's name; one that holds the same `key` (or bytes) is used again."""
        array = _array(value)
        found = key if key is not None else (str(array.dtype), array.shape, array.tobytes())
        if found not in self._constants:
            self._constants[found] = self.fresh(name)
            self._held.append(value)  # keys may be addresses: they must stay taken
            self.initializers.append(messages.tensor(array, self._constants[found]))
        return self._constants[found]

    def node(
        self, kind: str, inputs: Sequence[Value], outputs: Sequence[str], name: str, **attrs: Any
    ) -> None:
        """Add a node; constants among the inputs become initializers."""
        names = [
            value if isinstance(value, str) else self.constant(value, f"{name}/const")
            for value in inputs
        ]
        self.nodes.append(messages.node(kind, names, outputs, self._fresh_node(name), **attrs))

    def graph(self, name: str, inputs: Iterable[Any], outputs: Iterable[Any]) -> Any:
        """The GraphProto."""
        return messages.graph(self.nodes, name, inputs, outputs, self.initializers)


def _array(value: Any) -> Array:
    if isinstance(value, np.ndarray):
        kind = np.float32 if value.dtype.kind == "f" else value.dtype
        return np.asarray(value, kind)
    if isinstance(value, float):
        return np.asarray(value, np.float32)
    if isinstance(value, np.floating):
        return np.asarray(value, np.float32)
    return np.asarray(value, np.int64)


def value_info(name: str, dims: Dims, kind: int = messages.FLOAT) -> Any:
    """A ValueInfoProto; extents that are not numbers are named."""
    return messages.value_info(name, kind, [d if isinstance(d, int) else str(d) for d in dims])

"""Place: what the code that says one layer in ONNX is given, and the registry of that code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Layer
from caffelite.onnx import messages
from caffelite.onnx.dims import Dim, Dims
from caffelite.onnx.out.writer import REDUCE_AXES_IN, Value, Writer

BIG = 2**62
"""As an end: to the end of the axis."""


class Unsayable(Exception):
    """ONNX cannot say this layer; the message says why."""


class Place:
    """One layer, the tensors it reads and makes, and short ways to add nodes for it."""

    def __init__(
        self,
        layer: Layer,
        writer: Writer,
        bottoms: Sequence[str],
        tops: Sequence[str],
        bottom_dims: Sequence[Dims],
        top_dims: Sequence[Dims],
    ) -> None:
        self.layer, self.writer = layer, writer
        self.bottoms, self.tops = list(bottoms), list(tops)
        self.bottom_dims, self.top_dims = list(bottom_dims), list(top_dims)
        self.states: list[tuple[str, Dims, Array]] = []
        """Further inputs of the model that start a memory: name, dims, the value if not given."""
        self.ends: list[tuple[str, Dims]] = []
        """Further outputs of the model: where a memory ends."""

    @property
    def shape(self) -> Shape:
        """The shape of bottom 0 as planned."""
        return self.layer.bottom_shapes[0]

    def op(self, kind: str, *inputs: Value, out: str | None = None, **attrs: Any) -> str:
        """Add a node of one output, and give that output's name. `out` names it."""
        name = self.layer.name if out in self.tops else f"{self.layer.name}/{kind}"
        result = out or self.writer.fresh(f"{self.layer.name}/{kind}")
        self.writer.node(kind, inputs, [result], name, **attrs)
        return result

    def ops(self, kind: str, *inputs: Value, outs: Sequence[str | None], **attrs: Any) -> list[str]:
        """Add a node of several outputs; those that are None get names."""
        names = [out or self.writer.fresh(f"{self.layer.name}/{kind}") for out in outs]
        self.writer.node(kind, inputs, names, f"{self.layer.name}/{kind}", **attrs)
        return names

    def param(self, index: int, shape: Shape | None = None) -> str:
        """The name of a learned parameter, in another shape if asked. Layers that share it, share
        the initializer."""
        data = self.layer.params[index].data
        shape = data.shape if shape is None else shape
        key = ("param", data.__array_interface__["data"][0], data.size, shape)
        return self.writer.constant(data.reshape(shape), f"{self.layer.name}/param{index}", key)

    def cast(self, x: str, kind: type, out: str | None = None) -> str:
        """x as float32 (float), int64 (int) or bool."""
        to = {float: messages.FLOAT, int: messages.INT64, bool: messages.BOOL}[kind]
        return self.op("Cast", x, out=out, to=to)

    def reshape(self, x: str, dims: Sequence[Dim], out: str | None = None) -> str:
        """x in another shape: at most one extent may not be a number."""
        moving = [d for d in dims if not isinstance(d, int)]
        if len(moving) > 1:
            raise Unsayable("two extents of it depend on the batch")
        if moving and 0 in dims:
            raise Unsayable("it is empty")
        return self.op("Reshape", x, [d if isinstance(d, int) else -1 for d in dims], out=out)

    def reduce(
        self, kind: str, x: str, axes: Sequence[int], keep: bool, out: str | None = None
    ) -> str:
        """A sum, mean or maximum over axes; without axes x itself."""
        given = list(axes)
        if not given:
            return self.op("Identity", x, out=out)
        if kind == "ReduceSum" or self.writer.opset >= REDUCE_AXES_IN:
            return self.op(kind, x, given, out=out, keepdims=int(keep))
        return self.op(kind, x, out=out, keepdims=int(keep), axes=given)

    def slice(
        self, x: str, axis: int, start: Value, end: Value, step: int = 1, out: str | None = None
    ) -> str:
        """x[start:end:step] along one axis."""
        first = [start] if isinstance(start, int) else start
        last = [end] if isinstance(end, int) else end
        return self.op("Slice", x, first, last, [axis], [step], out=out)

    def extents(self, x: str, first: int, last: int) -> str:
        """The extents first … last-1 of x while the model runs, as int64."""
        return self.slice(self.op("Shape", x), 0, first, last)

    def affine(self, x: str, factor: float, shift: float, out: str) -> str:
        """factor·x + shift, with no node that does nothing but one."""
        if factor != 1 and shift:
            x = self.op("Mul", x, float(factor))
        elif factor != 1:
            return self.op("Mul", x, float(factor), out=out)
        elif not shift:
            return self.op("Identity", x, out=out)
        return self.op("Add", x, float(shift), out=out)

    def fixed(self, value: Array, out: str) -> str:
        """A constant as a tensor of its own name."""
        array = np.ascontiguousarray(value, np.float32).reshape(value.shape)
        return self.op("Constant", out=out, value=messages.tensor(array))


Say = Callable[[Any, Place], None]
registry: dict[str, Say] = {}
"""How each type of layer is said in ONNX."""


def says(*types: str) -> Callable[[Say], Say]:
    """Register a function for types of layers: it adds the nodes that make all tops of its place
    from the bottoms, or raises Unsayable."""

    def register(function: Say) -> Say:
        for name in types:
            registry[name] = function
        return function

    return register

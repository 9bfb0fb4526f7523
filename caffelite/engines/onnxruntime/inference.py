"""Inference: some blobs of a net, from its inputs, as one ONNX model.

It uses nothing of the net but its layers' parameters, which it copies: no memory of blobs, no
program. Inputs of other shapes need no new model where only the batch differs, or where all layers
work on planes of any size (`planes.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.engines.onnxruntime.faster import faster
from caffelite.engines.onnxruntime.part import fits, ranks_of, with_outputs
from caffelite.engines.onnxruntime.planes import any_size, opened
from caffelite.errors import CaffeliteError
from caffelite.layers.base import Context, Layer
from caffelite.onnx.dims import Dims, Extent, NotDynamic, shapes_at
from caffelite.onnx.export import Exportable, describe
from caffelite.onnx.runtime import Runtime

Place = tuple[int, int]
"""A top: the layer's number, and which of its tops."""
MOST_KNOWN = 1000
"""So many shapes of inputs are remembered."""
MOST_BOUND = 1 << 16
"""Values that are copied in less time than ONNX Runtime takes to make arrays for them."""


class Inference:
    """Gives the tops `places`. `fixed`: for inputs of the planned shapes alone, unless their planes
    may have any size; that other batches go too takes a while to find out. Raises CaffeliteError
    where ONNX cannot say a layer, or ONNX Runtime refuses the model, or a top is an input."""

    def __init__(
        self, net: Exportable, places: Sequence[Place], threads: int, fixed: bool = False
    ) -> None:
        if not all(layer.repeatable for layer in net.layers if not layer.fed):
            raise CaffeliteError("a layer of it remembers what was before")
        self.any_size = any_size(net.layers)
        exported = describe(net, fixed=fixed or self.any_size)
        tops = [exported.tops[layer][top] for layer, top in places]
        if any(name in exported.inputs for name in tops):
            raise CaffeliteError("an input is asked for")
        self._layers: Sequence[Layer] = net.layers
        self._context = Context(net.phase, np.float32)
        self._places, self._tops = list(places), tops
        self._dims: dict[str, Dims] = dict(exported.inputs)
        self._names = list(dict.fromkeys(tops))
        model = faster(with_outputs(exported, self._names), ranks_of(exported, net.layers))
        if self.any_size:
            model = opened(model)
            self._dims = {name: _open(name, dims) for name, dims in self._dims.items()}
        self._runtime = Runtime(model, threads)
        self._reads = {x.name for x in self._runtime.session.get_inputs()}
        self._by_values = _by_values(net.layers)
        self._known: dict[tuple[tuple[str, Shape], ...], list[Shape | None] | None] = {}
        fed = [layer for layer in net.layers if layer.fed]
        planned = [pair for layer in fed for pair in zip(layer.spec.top, layer.top_shapes)]
        self._known[tuple(planned)] = self._of_places([x.top_shapes for x in net.layers])

    def takes(self, inputs: Mapping[str, Shape]) -> bool:
        """Does the net, and does the model, take inputs of these shapes?"""
        return self._shapes(inputs) is not None

    def __call__(self, inputs: Mapping[str, Array]) -> list[Array] | None:
        """The tops, in arrays of their own; None where the model cannot make them."""
        shapes = {name: array.shape for name, array in inputs.items()}
        expected = self._shapes(shapes)
        if expected is None:
            return None
        given = {n: np.ascontiguousarray(a) for n, a in inputs.items() if n in self._reads}
        try:
            made = dict(zip(self._names, self._runtime.session.run(self._names, given)))
        except Exception:  # of ONNX Runtime's own kinds
            made = {}
        found: list[Array] = []
        for name in self._tops if made else ():
            found.append(made[name].copy() if name in self._tops[: len(found)] else made[name])
        if not made or any(s not in (None, a.shape) for s, a in zip(expected, found)):
            self._known[tuple(shapes.items())] = None
            return None
        return found

    def bound(
        self, inputs: Mapping[str, Array], shown: Callable[[Array], Array]
    ) -> Callable[[], tuple[Array, ...]] | None:
        """A call that gives the tops as `shown` shapes them, in arrays of their own, for what these
        arrays hold then: ONNX Runtime reads them where they are, and writes to memory that is set
        aside. It raises ONNX Runtime's errors. None where shapes depend on values, and for large
        tops."""
        expected = self._shapes({name: array.shape for name, array in inputs.items()})
        session = self._runtime.session
        floats = {x.name for x in session.get_outputs() if x.type == "tensor(float)"}
        here = all(a.flags.c_contiguous and a.dtype == np.float32 for a in inputs.values())
        if expected is None or not here or not floats.issuperset(self._tops):
            return None
        memory: dict[str, Array] = {}
        for name, shape in zip(self._tops, expected):
            if shape is None or not 0 < math.prod(shape) <= MOST_BOUND:
                return None
            memory[name] = np.empty(shape, np.float32)
        binding = session.io_binding()
        for name in self._reads:
            binding.bind_cpu_input(name, inputs[name])
        for name, array in memory.items():
            binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        copies = [shown(memory[name]).copy for name in self._tops]

        def run() -> tuple[Array, ...]:
            session.run_with_iobinding(binding)
            return tuple([copy() for copy in copies])

        return run

    def _shapes(self, inputs: Mapping[str, Shape]) -> list[Shape | None] | None:
        """The shapes of the tops for these inputs, None for one that depends on values; None: the
        inputs do not go with the net, or the model."""
        key = tuple(inputs.items())
        if key not in self._known:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[key] = self._find(inputs)
        return self._known[key]

    def _find(self, inputs: Mapping[str, Shape]) -> list[Shape | None] | None:
        extents: dict[str, int] = {}
        if not all(fits(dims, inputs[name], extents) for name, dims in self._dims.items()):
            return None
        try:
            shapes = [tops for _, tops in shapes_at(self._layers, self._context, inputs)]
        except (CaffeliteError, NotDynamic):
            return None
        return self._of_places(shapes)

    def _of_places(self, shapes: Sequence[Sequence[Shape]]) -> list[Shape | None]:
        return [
            None if layer in self._by_values else tuple(shapes[layer][top])
            for layer, top in self._places
        ]


def _by_values(layers: Sequence[Layer]) -> set[int]:
    """The numbers of the layers whose tops' shapes depend on values: their own doing, or of what
    they read."""
    found, blobs = set(), set[str]()
    for number, layer in enumerate(layers):
        if layer.dynamic or blobs & set(layer.spec.bottom):
            found.add(number)
            blobs.update(layer.spec.top)
        else:
            blobs.difference_update(layer.spec.top)
    return found


def _open(name: str, dims: Dims) -> Dims:
    """The dims of planes of any size, and of any number of them."""
    return tuple(d if i == 1 else Extent(1, 0, f"{name}.{i}") for i, d in enumerate(dims))

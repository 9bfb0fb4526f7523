"""Part: some layers of a net as an ONNX model, bound to the arrays that they read and write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.engines.onnxruntime.faster import faster
from caffelite.layers.base import Context, Layer
from caffelite.layers.input import Input, InputParameter
from caffelite.onnx.dims import Dims
from caffelite.onnx.export import Exported, describe
from caffelite.onnx.memory import carried, values
from caffelite.onnx.runtime import Runtime
from caffelite.plan.graph import Node, Version
from caffelite.schema.common import BlobShape, Phase
from caffelite.schema.net import LayerParameter

OUTSIDE = "(outside) "
"""In front of the names of the layers that stand for what comes from outside."""


@dataclass
class Deployed:
    """What the export asks of a net, of some layers and of what they read from outside."""

    name: str
    layers: list[Layer]
    outputs: list[str]
    blobs: list[str] = field(default_factory=list)
    phase: Phase = Phase.TEST

    def __post_init__(self) -> None:
        self.blobs = list(dict.fromkeys(top for layer in self.layers for top in layer.spec.top))


@dataclass(frozen=True)
class Wiring:
    """What a part reads from outside, and what it makes, by the owners of the memory."""

    reads: dict[Version, Version]
    """The versions that come from outside, with their owners."""
    writes: dict[Version, tuple[int, int]]
    """Owner to the layer (its place in the part) and top that writes it last."""


def wire(nodes: Sequence[Node], owner: Mapping[Version, Version]) -> Wiring:
    """What these layers read and make."""
    reads: dict[Version, Version] = {}
    made: set[Version] = set()
    writes: dict[Version, tuple[int, int]] = {}
    for at, node in enumerate(nodes):
        for version in node.bottoms:
            if version not in made:
                reads[version] = owner[version]
        for top, version in enumerate(node.tops):
            made.add(version)
            writes[owner[version]] = at, top
    return Wiring(reads, writes)


class Part:
    """The model of some layers, with `wanted` owners as outputs. Raises CaffeliteError where ONNX
    cannot say a layer, or ONNX Runtime refuses the model."""

    def __init__(
        self,
        name: str,
        nodes: Sequence[Node],
        layers: Sequence[Layer],
        shapes: Mapping[Version, Shape],
        wiring: Wiring,
        wanted: Iterable[Version],
        threads: int,
    ) -> None:
        inputs = [_outside(v, shapes[v]) for v in wiring.reads]
        read = {v for n in nodes for v in n.bottoms}
        unread = [v.name for n in nodes for v in n.tops if v not in read]
        self.wanted = set(wanted)
        self.lost = wiring.writes.keys() - self.wanted
        """What does not come out."""
        exported = describe(Deployed(name, [*inputs, *layers], list(dict.fromkeys(unread))))
        self.inputs = {version: version.name for version in wiring.reads}
        tops = exported.tops[len(inputs) :]
        self._all = {v: exported.dims[tops[at][top]] for v, (at, top) in wiring.writes.items()}
        self.outputs = {
            v: tops[at][top] for v, (at, top) in wiring.writes.items() if v in self.wanted
        }
        self.states = [
            (layer, [f"{layer.name}.{name}" for name in names])
            for layer in layers
            if (names := carried(layer))
        ]
        self.dims = exported.inputs
        ends = [f"{name}_end" for _, names in self.states for name in names]
        model = with_outputs(exported, [*self.outputs.values(), *ends])
        self.session = Runtime(faster(model, ranks_of(exported, [*inputs, *layers])), threads)
        self._binding: Any = None
        self.call: Callable[[], None] | None = None
        """A run, where nothing has to be done before or after it."""
        self._free: dict[Version, str] = {}
        self._held: list[Array] = []

    def lost_shapes(
        self, found: Mapping[Version, Shape], shapes: Mapping[Version, Shape]
    ) -> dict[Version, Shape]:
        """The shapes of what does not come out, as far as they follow from what is `found` and from
        the `shapes` of what it reads."""
        sizes: dict[str, int] = {}
        known = [(self._all[v], shape) for v, shape in found.items()]
        known += [(self.dims[name], shapes[v]) for v, name in self.inputs.items()]
        for dims, shape in known:
            for dim, extent in zip(dims, shape):
                if not isinstance(dim, int):
                    sizes[dim.name] = (extent - dim.b) // dim.a
        lost = {}
        for version in self.lost:
            dims = self._all[version]
            if all(isinstance(d, int) or d.name in sizes for d in dims):
                lost[version] = tuple(
                    d if isinstance(d, int) else d.a * sizes[d.name] + d.b for d in dims
                )
        return lost

    def fits(self, shapes: Mapping[Version, Shape]) -> bool:
        """Does the model run at these shapes of what it reads?"""
        batch: dict[str, int] = {}
        return all(fits(self.dims[name], shapes[v], batch) for v, name in self.inputs.items())

    def bind(self, arrays: Mapping[Version, Array], free: Iterable[Version]) -> None:
        """Let it read and write these arrays, by version and by owner. The `free` owners' shapes
        are known after a run only."""
        self.call = None
        session = self.session.session
        binding = session.io_binding()
        self._order: list[str] = []
        """Outputs in the order in which they are bound, which is how they come back."""
        used = {x.name for x in session.get_inputs()}
        for version, name in self.inputs.items():
            if name in used:
                _bind(binding.bind_input, name, arrays[version])
        self._free = {}
        for owner, name in self.outputs.items():
            if owner in free:
                self._free[owner] = name
            else:
                _bind(binding.bind_output, name, arrays[owner])
                self._order.append(name)
        self._starts: list[Array] = []
        self._ends: list[Array] = []
        for layer, names in self.states:
            for name, value in zip(names, values(layer)):
                start, end = (np.zeros((1, *value.shape), np.float32) for _ in range(2))
                _bind(binding.bind_input, name, start)
                _bind(binding.bind_output, f"{name}_end", end)
                self._order.append(f"{name}_end")
                self._starts.append(start)
                self._ends.append(end)
        self._order += self._free.values()
        self._binding, self._held = binding, list(arrays.values())
        if not (self.states or self._free):
            self.call = partial(session.run_with_iobinding, binding)

    def run(self) -> dict[Version, Array]:
        """One run on the arrays that are bound; gives those of the free owners."""
        if self.states:
            before = [value for layer, _ in self.states for value in values(layer)]
            for start, value in zip(self._starts, before):
                start[0] = value
        for name in self._free.values():  # what the last run made would be taken for its place
            self._binding.bind_output(name, "cpu")
        self.session.session.run_with_iobinding(self._binding)
        if self.states:
            ends = iter(self._ends)
            for layer, _ in self.states:
                for value in values(layer):
                    np.copyto(value, next(ends)[0])
        if not self._free:
            return {}
        found = dict(zip(self._order, self._binding.get_outputs()))
        return {owner: found[name].numpy() for owner, name in self._free.items()}


def _outside(version: Version, shape: Shape) -> Layer:
    """A layer Input that stands for what comes from outside."""
    spec = LayerParameter(
        name=OUTSIDE + version.name,
        type=Input.type,
        top=[version.name],
        input_param=InputParameter(shape=[BlobShape(dim=list(shape))]),
    )
    layer = Input(spec, Context(Phase.TEST, np.float32))
    layer.setup([])
    layer.top_shapes = [shape]
    return layer


def ranks_of(exported: Exported, layers: Sequence[Layer]) -> dict[str, int]:
    """The ranks of what these layers make, by tensor."""
    return {
        name: len(shape)
        for names, layer in zip(exported.tops, layers)
        for name, shape in zip(names, layer.top_shapes)
    }


def with_outputs(exported: Exported, names: Sequence[str]) -> Any:
    """The model with these tensors as its outputs."""
    model = exported.with_all_blobs(names)
    wanted = set(names)
    outputs = [x for x in model.graph.output if x.name in wanted]
    del model.graph.output[:]
    model.graph.output.extend(outputs)
    return model


def _bind(bind: Any, name: str, array: Array) -> None:
    bind(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)


def fits(dims: Dims, shape: Shape, batch: dict[str, int]) -> bool:
    """Can an input of these dims have this shape? `batch`: the extents that are settled."""
    if len(dims) != len(shape):
        return False
    for dim, extent in zip(dims, shape):
        if isinstance(dim, int):
            if dim != extent:
                return False
        elif dim.a * batch.setdefault(dim.name, (extent - dim.b) // dim.a) + dim.b != extent:
            return False
    return True

"""A net as an ONNX model: names kept, every layer said by the code of its type in `out/`.

`export_model` gives the bytes of a model; `build` the model with what is known about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.errors import CaffeliteError, Problem
from caffelite.layers.base import Context, Layer
from caffelite.layers.recurrent import Recurrent
from caffelite.onnx import messages
from caffelite.onnx.dims import Dims, LayerDims, NotDynamic, find_dims, fixed_dims
from caffelite.onnx.extra import require
from caffelite.onnx.fold import Folds, find_folds
from caffelite.onnx.kept import kept
from caffelite.onnx.out.place import Place, Unsayable, registry
from caffelite.onnx.out.writer import Writer, value_info
from caffelite.schema.common import Phase
from caffelite.version import VERSION

OPSETS = range(13, 22)
DEFAULT_OPSET = 17
"""Read by ONNX Runtime since 1.12 and by OpenCV 5."""


@dataclass(frozen=True)
class Preparation:
    """What is done to an input inside of the model: (x − mean)·scale."""

    mean: Array | None = None  # broadcasts against the input without its first axis
    scale: float = 1.0

    def __call__(self, x: Array) -> Array:
        mean = np.float32(0) if self.mean is None else self.mean
        return np.asarray((x - mean) * np.float32(self.scale), np.float32)


class Exportable(Protocol):
    """What is asked of a net: a Net has it all, and so has a part of one."""

    @property
    def name(self) -> str: ...
    @property
    def phase(self) -> Phase: ...
    @property
    def layers(self) -> Sequence[Layer]:
        """In running order, with their parameters; what comes from outside are Input layers."""
        ...

    @property
    def blobs(self) -> Iterable[str]:
        """The names of all blobs."""
        ...

    @property
    def outputs(self) -> Sequence[str]:
        """The blobs that come out."""
        ...


@dataclass
class Exported:
    """A model and how its tensors and the net's blobs belong together."""

    model: Any
    tensors: dict[str, str]
    """Blob (its last version) to tensor; blobs that folding did away with are missing."""
    tops: list[list[str]]
    """Each layer's tops as tensors, all versions of blobs: layers of a folded chain have none."""
    bottoms: list[list[str]]
    """Each layer's bottoms as tensors."""
    dims: dict[str, Dims]
    """By tensor."""
    inputs: dict[str, Dims]
    outputs: dict[str, Dims]
    states: dict[str, Dims]
    """Inputs that may be left out: where a memory starts."""
    preparations: Mapping[str, Preparation]
    batch: dict[str, int] = field(default_factory=dict)
    """Input to the axis that is the batch; empty if all shapes are fixed."""
    notes: list[str] = field(default_factory=list)

    def with_all_blobs(self, more: Iterable[str] = ()) -> Any:
        """The model with every blob, and these further tensors, as outputs."""
        model = type(self.model)()
        model.CopyFrom(self.model)
        have = {x.name for x in [*model.graph.output, *model.graph.input]}
        for tensor in dict.fromkeys([*self.tensors.values(), *more]):
            if tensor not in have:
                model.graph.output.add(name=tensor).type.tensor_type.elem_type = messages.FLOAT
        return model


def deployed(kind: type[Layer]) -> bool:
    """May a net that is put to use have layers of this class?"""
    return kind.deployed and not (kind.loss or kind.source)


def export_model(net: Exportable, all_blobs: bool = False, **options: Any) -> bytes:
    """The bytes of an ONNX model of `net`, a net without losses and data layers in phase TEST.

    With `all_blobs` every blob is an output, by its name. The options are those of `build`."""
    exported = build(net, **options)
    model = exported.with_all_blobs() if all_blobs else exported.model
    return bytes(model.SerializeToString())


def build(
    net: Exportable,
    *,
    opset: int = DEFAULT_OPSET,
    ir: int | None = None,
    fixed: bool = False,
    folding: bool = False,
    preparations: Mapping[str, Preparation] | None = None,
) -> Exported:
    """The ONNX model of a net, not yet verified: the package's ModelProto.

    `fixed`: all shapes as the net has them, else the batch may vary where the net allows it.
    `folding`: BatchNorm, BN, Scale and Bias merged into the convolutions before them.
    `preparations`: by input, what the model does to it first. Raises CaffeliteError with every
    layer that ONNX cannot say."""
    require("onnx")
    exported = describe(
        net, opset=opset, ir=ir, fixed=fixed, folding=folding, preparations=preparations
    )
    return replace(exported, model=messages.as_onnx(exported.model))


def describe(
    net: Exportable,
    *,
    opset: int = DEFAULT_OPSET,
    ir: int | None = None,
    fixed: bool = False,
    folding: bool = False,
    preparations: Mapping[str, Preparation] | None = None,
) -> Exported:
    """As `build`, with a model of caffelite's own class (`messages`), without the package."""
    if opset not in OPSETS:
        raise CaffeliteError(Problem(f"opset {opset}", expected=f"{OPSETS[0]} to {OPSETS[-1]}"))
    return _Export(net, opset, fixed, folding, dict(preparations or {})).run(ir)


class _Export:
    def __init__(
        self,
        net: Exportable,
        opset: int,
        fixed: bool,
        folding: bool,
        prepared: dict[str, Preparation],
    ) -> None:
        self.net, self.opset, self.fixed, self.prepared = net, opset, fixed, prepared
        self.writer = Writer(opset)
        self.specs = [layer.spec for layer in net.layers]
        self.notes: list[str] = []
        self.batch: dict[str, int] = {}
        self.dims: dict[str, Dims] = {}
        self.folds = find_folds(net) if folding else Folds()
        self.inputs: dict[str, Dims] = {}
        self.states: list[tuple[str, Dims, Array]] = []
        self.ends: list[tuple[str, Dims]] = []
        self.tops: list[list[str]] = [[] for _ in net.layers]
        self.bottoms: list[list[str]] = [[] for _ in net.layers]
        self.metadata: dict[str, str] = {}

    def run(self, ir: int | None) -> Exported:
        self._refuse()
        dims = self._all_dims()
        last = self._last_writers()
        self.writer.names.update(self.net.blobs)
        current: dict[str, str] = {}
        problems: list[Problem] = []
        for index, (layer, of) in enumerate(zip(self.net.layers, dims)):
            bottoms = [current[name] for name in layer.spec.bottom]
            self.bottoms[index] = list(bottoms)
            if index in self.folds.passed:
                current[layer.spec.top[0]] = bottoms[0]
                continue
            say, end = self.folds.first.get(index, (registry.get(layer.type), index))
            tops = [self._tensor(name, end, last) for name in self.specs[end].top]
            place = Place(layer, self.writer, bottoms, tops, of.bottoms, of.tops)
            if layer.spec.type == "Input":
                self._inputs(place)
            elif say is not None:
                if (said := kept(layer, bottoms, tops)) is not None:
                    self.metadata[said[0]] = said[1]
                try:
                    say(layer, place)
                except Unsayable as error:
                    problems.append(_cannot(layer, str(error)))
            current.update(zip(layer.spec.top, place.tops))
            self.tops[index] = list(place.tops)
            self.dims.update(zip(place.tops, place.top_dims))
            self.states += place.states
            self.ends += place.ends
        if problems:
            raise CaffeliteError(*problems)
        made = {out for node in self.writer.nodes for out in node.output} | set(self.inputs)
        tensors = {
            blob: name
            for blob, name in current.items()
            if name in made and last[blob] not in self.folds.unseen
        }
        return self._finish(tensors, ir)

    def _refuse(self) -> None:
        """Refuse all layers that cannot be said, at once."""
        problems = []
        for layer in self.net.layers:
            kind = layer.type
            if kind == "Input" or kind in registry:
                continue
            if not deployed(type(layer)):
                problems.append(_cannot(layer, "it is not part of a deploy net"))
            else:
                problems.append(_cannot(layer, "there is no way to say it in ONNX's operators"))
        if self.net.phase != Phase.TEST:
            problems.append(Problem("this net is of phase TRAIN", expected="a net of phase TEST"))
        if problems:
            raise CaffeliteError(*problems)

    def _all_dims(self) -> list[LayerDims]:
        shapes: dict[str, Shape] = {}
        for layer in self.net.layers:
            if layer.spec.type == "Input":
                shapes.update(zip(layer.spec.top, map(tuple, layer.top_shapes)))
        context = Context(self.net.phase, np.float32)
        if not self.fixed and shapes:
            why = ""
            for axes in _batch_axes(shapes, self.net.layers):
                try:
                    dims = find_dims(self.net.layers, context, shapes, axes)
                except NotDynamic as error:
                    why = why or str(error)
                    continue
                self.batch = axes
                return dims
            self.notes.append(f"the shapes are fixed, since the batch cannot vary: {why}")
        try:
            return fixed_dims(self.net.layers, context, shapes)
        except NotDynamic as error:
            raise CaffeliteError(Problem(f"the net cannot be exported: {error}")) from None

    def _last_writers(self) -> dict[str, int]:
        """Blob to the index of the last layer that writes it, whose tensor gets its name."""
        return {n: i for i, spec in enumerate(self.specs) for n in spec.top}

    def _tensor(self, blob: str, index: int, last: dict[str, int]) -> str:
        """The tensor of a blob as this layer writes it: inputs and last versions have its name."""
        name = self.specs[index].name
        if self.specs[index].type == "Input":
            return blob
        if last[blob] != index:
            return self.writer.fresh(f"{blob}/{name}")
        return self.writer.fresh(f"{blob}/{name}") if blob in self.inputs else blob

    def _inputs(self, place: Place) -> None:
        for i, (blob, dims) in enumerate(zip(place.tops, place.top_dims)):
            self.inputs[blob] = dims
            if blob not in self.prepared:
                continue
            how, x = self.prepared[blob], blob
            if how.mean is not None:
                x = place.op("Sub", x, np.asarray(how.mean, np.float32))
            if how.scale != 1:
                x = place.op("Mul", x, float(how.scale))
            place.tops[i] = x
            self.dims[x] = dims

    def _finish(self, tensors: dict[str, str], ir: int | None) -> Exported:
        if not self.net.outputs:
            raise CaffeliteError(Problem("the net has no outputs, so there is nothing to export"))
        outputs: dict[str, Dims] = {}
        for blob in self.net.outputs:
            tensor = tensors[blob]
            if tensor in self.inputs:  # what goes in comes out as it is: under another name
                tensor = tensors[blob] = self.writer.fresh(f"{blob}/out")
                self.writer.node("Identity", [blob], [tensor], tensor)
                self.dims[tensor] = self.inputs[blob]
            outputs[tensor] = self.dims[tensor]
        ends = dict(self.ends)
        states = {name: dims for name, dims, _ in self.states}
        for name, _, start in self.states:
            self.writer.initializers.append(messages.tensor(np.asarray(start, np.float32), name))
        graph = self.writer.graph(
            self.net.name or "net",
            [value_info(*x) for x in [*self.inputs.items(), *states.items()]],
            [value_info(*x) for x in [*outputs.items(), *ends.items()]],
        )
        model = messages.model(graph, self.opset, ir, "caffelite", VERSION, self.metadata)
        return Exported(
            model=model,
            tensors=tensors,
            tops=self.tops,
            bottoms=self.bottoms,
            dims=self.dims,
            inputs=self.inputs,
            outputs=outputs,
            states=states,
            preparations=self.prepared,
            batch=self.batch,
            notes=self.notes,
        )


def _batch_axes(shapes: Mapping[str, Shape], layers: Iterable[Layer]) -> Iterator[dict[str, int]]:
    """What may be the batch, by input: axis 0 of all inputs that have the first one's extent there,
    or of the first one alone; with recurrent layers, and else as a last resort, axis 1."""
    recurrent = [layer for layer in layers if isinstance(layer, Recurrent)]
    static = {layer.spec.bottom[2] for layer in recurrent if layer.static}  # (N, …), not (T, N, …)
    for axis in (1, 0) if recurrent else (0, 1):
        extents = [s[axis] for s in shapes.values() if len(s) > axis]
        axes: dict[str, int] = {}
        for name, shape in shapes.items():
            for i in (0,) if name in static else (axis, 0):
                if len(shape) > i and shape[i] == extents[0]:
                    axes.setdefault(name, i)
        if axes:
            yield axes
            yield dict(list(axes.items())[:1])


def _cannot(layer: Layer, why: str) -> Problem:
    return Problem(
        f'layer "{layer.name}" ({layer.spec.type}) cannot be exported: {why}', layer.spec.span()
    )

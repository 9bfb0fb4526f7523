"""Which extents of a net's blobs follow the batch, or how many rows a layer finds: seen by planning
the net at several sizes.

An extent is a number, or an `Extent` a·N + b. No arrays are made: layers only say their shapes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Union

from caffelite.blob import Shape
from caffelite.errors import CaffeliteError
from caffelite.layers.base import Context, Layer, find
from caffelite.schema.net import LayerParameter


@dataclass(frozen=True)
class Extent:
    """a·N + b, N being the batch, or what else is named."""

    a: int = 1
    b: int = 0
    name: str = "N"

    def __str__(self) -> str:
        factor = self.name if self.a == 1 else f"{self.a}*{self.name}"
        return factor if not self.b else f"{factor}{self.b:+d}"


Dim = Union[int, Extent]
Dims = tuple[Dim, ...]


@dataclass(frozen=True)
class LayerDims:
    """The dims of a layer's bottoms and tops."""

    bottoms: list[Dims]
    tops: list[Dims]


class NotDynamic(Exception):
    """The batch cannot vary; the message says why."""


ROW_AXIS = {
    "BoxGroupOutput": 0,
    "BoxOutput": 0,
    "DetectionOutput": 2,
    "Filter": 0,
    "Proposal": 0,
    "ScaleRoute": 0,
    "YoloDetectionOutput": 2,
    "Yolov3DetectionOutput": 2,
}
"""Types of layers that find rows, and the axis of their tops that counts them."""
SIZES = (1, 3, 5)
"""What is tried; 1 too: layers that leave out an axis of extent 1 differ there."""
ROWS = 2
"""Rows of a layer while something else is tried."""


def shapes_at(
    layers: Sequence[Layer],
    context: Context,
    inputs: Mapping[str, Shape],
    rows: Mapping[int, int] | None = None,
) -> list[tuple[list[Shape], list[Shape]]]:
    """The shapes of every layer's bottoms and tops, with the inputs (by blob) of those shapes, and
    so many rows from layers that find them (by index). Raises NotDynamic where a layer would then
    have parameters of other shapes."""
    known: dict[str, Shape] = {}
    found = []
    for index, planned in enumerate(layers):
        spec = planned.spec
        layer = find(spec)(spec, context)
        bottoms = [known[name] for name in spec.bottom]
        layer.setup(bottoms)
        if [d.shape for d in layer.declared] != [d.shape for d in planned.declared]:
            raise NotDynamic(f'layer "{spec.name}": the shapes of its parameters depend on it')
        layer.bottom_shapes = bottoms
        tops = [tuple(s) for s in layer.reshape(bottoms)][: len(spec.top)]
        if spec.type == "Input":
            tops = [inputs.get(name, shape) for name, shape in zip(spec.top, tops)]
        if rows and index in rows:
            axis = ROW_AXIS[layer.type]
            tops = [(*s[:axis], rows[index], *s[axis + 1 :]) for s in tops]
        known.update(zip(spec.top, tops))
        found.append((bottoms, tops))
    return found


def find_dims(
    layers: Sequence[Layer],
    context: Context,
    inputs: Mapping[str, Shape],
    axes: Mapping[str, int],
) -> list[LayerDims]:
    """Every layer's dims when the axes `axes` (by input) are N together; without any the inputs'
    shapes are fixed. Raises NotDynamic."""
    finders = [i for i, layer in enumerate(layers) if layer.type in ROW_AXIS]

    def shapes(n: int | None, rows: Mapping[int, int]) -> list[tuple[list[Shape], list[Shape]]]:
        sized = dict(inputs)
        if n is not None:
            for name, axis in axes.items():
                sized[name] = (*inputs[name][:axis], n, *inputs[name][axis + 1 :])
        try:
            return shapes_at(layers, context, sized, rows)
        except CaffeliteError as error:
            raise NotDynamic(error.problems[0].message) from None

    usual = dict.fromkeys(finders, ROWS)
    base = shapes(None, usual)
    trials = {"N": [shapes(n, usual) for n in SIZES]} if axes else {}
    for i in finders:
        # an Input's own shape may not go with other batches, so the batch is as planned
        trials[f"{layers[i].name}_rows"] = [shapes(None, {**usual, i: n}) for n in SIZES]
    return [
        LayerDims(
            *(
                _merged(
                    layer.spec,
                    base[at][part],
                    {name: [t[at][part] for t in of] for name, of in trials.items()},
                )
                for part in (0, 1)
            )
        )
        for at, layer in enumerate(layers)
    ]


def fixed_dims(
    layers: Sequence[Layer], context: Context, inputs: Mapping[str, Shape]
) -> list[LayerDims]:
    """Dims that are all numbers, but for rows that layers find. Raises NotDynamic where a layer
    cannot read those."""
    if any(layer.type in ROW_AXIS for layer in layers):
        return find_dims(layers, context, inputs, {})
    return [LayerDims([*x.bottom_shapes], [tuple(s) for s in x.top_shapes]) for x in layers]


def _merged(
    spec: LayerParameter, base: Sequence[Shape], trials: Mapping[str, Sequence[Sequence[Shape]]]
) -> list[Dims]:
    """The dims of several blobs from their shapes, and those at each size of what may vary."""
    merged = []
    for i, shape in enumerate(base):
        tried = {name: [blobs[i] for blobs in of] for name, of in trials.items()}
        if any(len(other) != len(shape) for of in tried.values() for other in of):
            raise NotDynamic(f'layer "{spec.name}": its number of axes depends on the batch')
        dims = []
        for axis, extent in enumerate(shape):
            varying = {
                name: found
                for name, of in tried.items()
                if len(set(found := [other[axis] for other in of])) > 1
            }
            dims.append(_extent(spec, varying, extent, f"{spec.name}_{i}_{axis}"))
        merged.append(tuple(dims))
    return merged


def _extent(
    spec: LayerParameter, varying: Mapping[str, Sequence[int]], extent: int, name: str
) -> Dim:
    if not varying:
        return extent
    if len(varying) > 1:
        return Extent(name=name)
    ((of, (e0, e1, e2)),) = varying.items()
    n0, n1, n2 = SIZES
    a, rest = divmod(e1 - e0, n1 - n0)
    b = e0 - a * n0
    if rest or a * n2 + b != e2:
        raise NotDynamic(f'layer "{spec.name}": an extent of its is no multiple of the batch')
    return Extent(a, b, of)

"""Which extents of a net's blobs follow the batch: found by planning it at several sizes.

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
    """a·N + b, N being the batch."""

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


def shapes_at(
    layers: Sequence[Layer], context: Context, inputs: Mapping[str, Shape]
) -> list[tuple[list[Shape], list[Shape]]]:
    """The shapes of every layer's bottoms and tops, with the inputs (by blob) of those shapes.
    Raises NotDynamic where a layer would then have parameters of other shapes."""
    known: dict[str, Shape] = {}
    found = []
    for planned in layers:
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
        known.update(zip(spec.top, tops))
        found.append((bottoms, tops))
    return found


def find_dims(
    layers: Sequence[Layer],
    context: Context,
    inputs: Mapping[str, Shape],
    axes: Mapping[str, int],
) -> list[LayerDims]:
    """Every layer's dims when the axes `axes` (by input) are N together. Raises NotDynamic."""
    sizes = [1, 3, 5]  # 1 too: layers that leave out an axis of extent 1 differ there
    trials = []
    for n in sizes:
        trial = {
            name: tuple(n if i == axes.get(name) else extent for i, extent in enumerate(shape))
            for name, shape in inputs.items()
        }
        try:
            trials.append(shapes_at(layers, context, trial))
        except CaffeliteError as error:
            raise NotDynamic(error.problems[0].message) from None
    return [
        LayerDims(*(_merged(spec, sizes, [t[part] for t in at]) for part in (0, 1)))
        for spec, *at in zip([layer.spec for layer in layers], *trials)
    ]


def fixed_dims(shapes: Sequence[tuple[list[Shape], list[Shape]]]) -> list[LayerDims]:
    """Dims that are all numbers."""
    return [LayerDims([*bottoms], [*tops]) for bottoms, tops in shapes]


def _merged(
    spec: LayerParameter, sizes: Sequence[int], shapes: Sequence[Sequence[Shape]]
) -> list[Dims]:
    """The dims of several blobs from their shapes at each size."""
    merged = []
    for blob in zip(*shapes):
        if len({len(shape) for shape in blob}) > 1:
            raise NotDynamic(f'layer "{spec.name}": its number of axes depends on the batch')
        merged.append(tuple(_extent(spec, sizes, extents) for extents in zip(*blob)))
    return merged


def _extent(spec: LayerParameter, sizes: Sequence[int], extents: Sequence[int]) -> Dim:
    (n0, n1, n2), (e0, e1, e2) = sizes, extents
    if e0 == e1 == e2:
        return e0
    a, rest = divmod(e1 - e0, n1 - n0)
    b = e0 - a * n0
    if rest or a * n2 + b != e2:
        raise NotDynamic(f'layer "{spec.name}": an extent of its is no multiple of the batch')
    return Extent(a, b)

"""Chain: one node as several layers, one after the other; the last one's top has the output's name.

Steps that would change nothing (a Permute in order, a Reshape to the same shape) are left out.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.onnx.into.reader import Node, Unsayable, number

MOST_RUNS = 64
"""Into so many parts a blob is cut."""


@dataclass
class _Step:
    kind: str
    text: str
    bottoms: list[str]
    params: Sequence[Any]


class Chain:
    """`blob` and `shape` are what has come of the node's input so far."""

    def __init__(self, node: Node, index: int = 0, blob: str = "", shape: Shape = ()) -> None:
        self.node = node
        self._blob = blob or node.bottom(index)
        self.shape = tuple(shape) if blob else node.shape(index)
        self._last: _Step | None = None

    @property
    def blob(self) -> str:
        """What has come so far, as a blob that others may read too."""
        if self._last is not None:
            step, self._last = self._last, None
            self._blob = self.node.part(step.kind, step.text, step.bottoms, step.params)
        return self._blob

    def branch(self) -> Chain:
        """A second chain from here on."""
        return Chain(self.node, blob=self.blob, shape=self.shape)

    def then(
        self,
        kind: str,
        text: str = "",
        shape: Shape | None = None,
        params: Sequence[Any] = (),
        with_: Sequence[str] = (),
    ) -> Chain:
        """Add a layer, which reads the blobs `with_` too, and whose top has that shape."""
        step = _Step(kind, text, [self.blob, *with_], params)
        self._last = step
        self.shape = self.shape if shape is None else tuple(shape)
        return self

    def end(self) -> None:
        """What has come so far is the node's output 0."""
        if self._last is None:
            self.node.reader.blobs[self.node.outputs[0]] = self._blob
        else:
            step = self._last
            self.node.make(step.kind, step.text, step.bottoms, step.params)

    # Steps.

    def reshape(self, shape: Sequence[int]) -> Chain:
        """The same values in another shape; where the first extent stays, it may vary."""
        if tuple(shape) == self.shape:
            return self
        return self.then("Reshape", reshape_text(self.shape, tuple(shape)), tuple(shape))

    def permute(self, order: Sequence[int]) -> Chain:
        """The axes in another order."""
        if list(order) == list(range(len(self.shape))):
            return self
        text = "permute_param { " + " ".join(f"order: {i}" for i in order) + " }"
        return self.then("Permute", text, tuple(self.shape[i] for i in order))

    def power(self, power: float = 1, scale: float = 1, shift: float = 0) -> Chain:
        """(shift + scale·x)^power."""
        given = (("power", power, 1), ("scale", scale, 1), ("shift", shift, 0))
        text = " ".join(f"{name}: {number(v)}" for name, v, usual in given if v != usual)
        return self.then("Power", f"power_param {{ {text} }}") if text else self

    def reduce(self, operation: str, axis: int) -> Chain:
        """SUM, MEAN, ASUM or SUMSQ over the axes from `axis` on."""
        text = f"reduction_param {{ operation: {operation} axis: {axis} }}"
        return self.then("Reduction", text, self.shape[:axis])

    def along(self, axis: int, matrix: Array) -> Chain:
        """A matrix (new, old) times every line of values along an axis."""
        rank = len(self.shape)
        last = [i for i in range(rank) if i != axis] + [axis]
        self.permute(last)
        text = f"num_output: {len(matrix)} axis: {rank - 1} bias_term: false"
        shape = (*self.shape[:-1], len(matrix))
        self.then("InnerProduct", f"inner_product_param {{ {text} }}", shape, [matrix])
        return self.permute([int(i) for i in np.argsort(last)])

    def pick(self, axis: int, places: Sequence[int], named: bool = False) -> Chain:
        """The values at these places along an axis; what is not picked is not read. `named`: let
        the top have the output's name. Raises Unsayable for very many places apart."""
        size = self.shape[axis]
        if list(places) == list(range(size)):
            return self
        if list(places) == list(range(size))[::-1]:
            return self.then("Reverse", f"reverse_param {{ axis: {axis} }}")
        runs, reader, name = _runs(places), self.node.reader, self.node.outputs[0]
        if len(runs) > MOST_RUNS:
            raise Unsayable(f"it picks {len(places)} places one by one")
        wanted = name if named else reader.fresh_blob(f"{name}/cut{axis}")
        points = sorted({p for run in runs for p in run} - {0, size})
        tops = {}
        for first, end in itertools.pairwise([0, *points, size]):
            alone = runs == [(first, end)]
            tops[first, end] = wanted if alone else reader.fresh_blob(f"{wanted}/from{first}")
        text = " ".join(f"slice_point: {p}" for p in points)
        if points:
            slices = f"slice_param {{ axis: {axis} {text} }}"
            reader.layer("Slice", [self.blob], slices, [*tops.values()])
        else:  # the whole, several times
            tops = {(0, size): self.blob}
        parts = [t for run in runs for at, t in tops.items() if run[0] <= at[0] and at[1] <= run[1]]
        reader.unread += [t for t in tops.values() if points and t not in parts]
        if parts != [wanted]:
            reader.layer("Concat", parts, f"concat_param {{ axis: {axis} }}", wanted)
        self._blob = wanted
        self.shape = (*self.shape[:axis], len(places), *self.shape[axis + 1 :])
        return self

    def expanded(self, shape: Shape) -> Chain:
        """Repeated to a larger shape: a Tile along each axis of one value that is not the same."""
        self.reshape((1,) * (len(shape) - len(self.shape)) + self.shape)
        for axis, (size, new) in enumerate(zip(self.shape, shape)):
            if size != new:
                longer = (*self.shape[:axis], new, *self.shape[axis + 1 :])
                self.then("Tile", f"tile_param {{ axis: {axis} tiles: {new // size} }}", longer)
        return self

    def scaled(self, values: Array, multiply: bool) -> Chain:
        """Times, or plus, a constant that lies on some of the axes."""
        shape, values = self.shape, np.asarray(values)
        values = values.reshape((1,) * (len(shape) - values.ndim) + values.shape)
        axes = [i for i, n in enumerate(values.shape) if n != 1]
        if not axes:
            number_ = float(values.reshape(()))
            return self.power(scale=number_) if multiply else self.power(shift=number_)
        first, last = axes[0], axes[-1] + 1
        full = [1] * first + list(shape[first:last]) + [1] * (len(shape) - last)
        kind, field = ("Scale", "scale_param") if multiply else ("Bias", "bias_param")
        text = f"{field} {{ axis: {first} num_axes: {last - first} }}"
        return self.then(
            kind, text, params=[np.broadcast_to(values, full).reshape(shape[first:last])]
        )


def _runs(places: Sequence[int]) -> list[tuple[int, int]]:
    """Places as runs of neighbours: first, behind the last."""
    runs: list[tuple[int, int]] = []
    for place in places:
        if runs and runs[-1][1] == place:
            runs[-1] = runs[-1][0], place + 1
        else:
            runs.append((place, place + 1))
    return runs


def reshape_text(old: Shape, new: Shape) -> str:
    """A Reshape; the extents that stay at the front are copied, so that they may vary."""
    dims = list(new)
    for i, (a, b) in enumerate(zip(old, new)):
        if a != b:
            break
        dims[i] = 0
    return "reshape_param { shape { " + " ".join(f"dim: {n}" for n in dims) + " } }"


def positive(axis: int, rank: int) -> int:
    """An axis counted from the front."""
    return axis + rank if axis < 0 else axis

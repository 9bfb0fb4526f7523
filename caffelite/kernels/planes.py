"""Planes rearranged so that pooling runs over long contiguous stretches of memory.

A window of stride s reads every s-th row and column. So the padded plane is dealt out into s x s
*phases*: phase (a, b) holds the rows a, a + s, a + 2s, … and the columns b, b + s, …. The input
that tap (i, j) of output (y, x) reads is then at (y + i // s, x + j // s) of a phase. With all
phases laid out `width` columns wide, tap (i, j) of *all* outputs of *all* planes is one contiguous
stretch, shifted by (i // s) * width + j // s. A few outputs beyond the right and lower edge are
computed in vain; that costs far less than short strided loops.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from caffelite.kernels import parallel
from caffelite.kernels.tuned import Tuned
from caffelite.kernels.window import Shape, Window
from caffelite.kernels.workspace import Array, Workspace

# The flat outputs of one step stay within this many bytes, so that they stay cached.
STEP_BYTES = 1 << 18

# Fewer additions than this are done before another thread has woken.
PARALLEL_WORK: Tuned = 1 << 20

Part = tuple[slice, slice]
"""Some images and some channels."""


class Tap(NamedTuple):
    """A position in the window: its number row by row, its phase, its shift there."""

    number: int
    phase: tuple[int, int]
    shift: int


class Phases:
    """How the planes of one geometry are dealt out and gathered up again."""

    def __init__(self, window: Window, spatial: Shape, outputs: Shape) -> None:
        rows, columns = (
            [_Deal.of(*axis, phase) for phase in range(axis[2])]
            for axis in zip(spatial, outputs, window.stride, window.pad, window.span, strict=True)
        )
        self.rows, self.columns = rows, columns
        self.outputs = outputs
        self.height, self.width = rows[0].length, columns[0].length
        self.covers = all(
            sum(deal.taken for deal in axis) == size
            for axis, size in zip((rows, columns), spatial, strict=True)
        )
        self.taps = [
            Tap(
                i * window.kernel[1] + j,
                (y % window.stride[0], x % window.stride[1]),
                y // window.stride[0] * self.width + x // window.stride[1],
            )
            for i, y in enumerate(range(0, window.span[0], window.dilation[0]))
            for j, x in enumerate(range(0, window.span[1], window.dilation[1]))
        ]
        self.slack = self.taps[-1].shift
        self._opened = {tap.phase for tap in self.taps if tap.shift == 0}

    def run(
        self,
        function: Callable[[Part], Any],
        x: Array,
        scratch: int | None = None,
        arrays: int = 1,
    ) -> None:
        """Call function(part) for all `steps` of x, in threads where there is enough to do. With
        `scratch` a part's phases and so many `arrays` of flat outputs fit in so many bytes."""
        large = self._size(x) * len(self.taps) > PARALLEL_WORK
        step = STEP_BYTES
        if scratch is not None:
            step = min(step, scratch // (len(self.rows) * len(self.columns) + arrays))
        parallel.run(function, list(self.steps(x, step)), large)

    def steps(self, x: Array, step: int | None = None) -> Iterator[Part]:
        """Cut (images, channels) into parts whose flat outputs fit in `step` bytes, STEP_BYTES if
        it is not given."""
        images, channels = x.shape[:2]
        planes = max(1, (step or STEP_BYTES) // (self.height * self.width * x.itemsize))
        together, part = max(1, planes // max(1, channels)), min(planes, channels)
        for first in range(0, images, together):
            for channel in range(0, channels, max(1, part)):
                yield slice(first, first + together), slice(channel, channel + part)

    def load(self, x: Array, fill: float, name: str, workspace: Workspace) -> Array:
        """Deal out planes x (n, c, H, W): (stride, stride, flat), with `fill` in the pads."""
        phases = self.empty(x, name, workspace)
        phases[..., self._size(x) :] = fill
        for row, column, phase in self._views(phases, x):
            if row.partial or column.partial:
                phase.fill(fill)
            phase[:, :, row.place, column.place] = x[:, :, row.inputs, column.inputs]
        return phases

    def empty(self, x: Array, name: str, workspace: Workspace) -> Array:
        """Phases for planes x, uninitialised."""
        shape = (len(self.rows), len(self.columns), self._size(x) + self.slack)
        return workspace.array(name, shape, x.dtype)

    def open(self, x: Array, name: str, workspace: Workspace) -> Array:
        """Phases for sums: all 0 but those that a tap of shift 0, the first to come, writes."""
        phases = self.empty(x, name, workspace)
        phases[..., self._size(x) :] = 0
        for a in range(len(self.rows)):
            for b in range(len(self.columns)):
                if (a, b) not in self._opened:
                    phases[a, b] = 0
        return phases

    def store(self, phases: Array, x: Array) -> None:
        """Gather up phases into the planes x; inputs that no window sees become 0."""
        if not self.covers:
            x.fill(0)
        for row, column, phase in self._views(phases, x):
            x[:, :, row.inputs, column.inputs] = phase[:, :, row.place, column.place]

    def read(self, phases: Array, tap: Tap) -> Array:
        """The stretch of inputs that a tap reads, one for each flat output."""
        phase: Array = phases[tap.phase]
        return phase[tap.shift : phase.size - self.slack + tap.shift]

    def flat(self, out: Array, name: str, workspace: Workspace) -> Array:
        """Outputs (n, c, *outputs) as flat outputs; those in vain are 0."""
        flat = workspace.array(name, (self._size(out),), out.dtype)
        shaped = self.shaped(flat, out)
        shaped[:, :, self.outputs[0] :] = 0
        shaped[:, :, :, self.outputs[1] :] = 0
        self.wanted(flat, out)[...] = out
        return flat

    def wanted(self, flat: Array, out: Array) -> Array:
        """View flat outputs as (n, c, *outputs), without those computed in vain."""
        return self.shaped(flat, out)[:, :, : self.outputs[0], : self.outputs[1]]

    def shaped(self, flat: Array, x: Array) -> Array:
        return flat.reshape(*x.shape[:2], self.height, self.width)

    def _size(self, x: Array) -> int:
        return math.prod(x.shape[:2]) * self.height * self.width

    def _views(self, phases: Array, x: Array) -> Iterator[tuple[_Deal, _Deal, Array]]:
        size = self._size(x)
        for a, row in enumerate(self.rows):
            for b, column in enumerate(self.columns):
                yield row, column, self.shaped(phases[a, b, :size], x)


class _Deal(NamedTuple):
    """Along one axis: which inputs a phase takes, and where in the phase they go."""

    inputs: slice
    place: slice
    taken: int
    length: int

    @property
    def partial(self) -> bool:
        """Does the pad have a part in it?"""
        return self.taken < self.length

    @staticmethod
    def of(size: int, outputs: int, stride: int, pad: int, span: int, phase: int) -> _Deal:
        """Entry q of a phase is input q * stride + phase - pad."""
        length = outputs + (span - 1) // stride
        origin = phase - pad
        first = max(0, -(origin // stride))
        last = min(length, (size - 1 - origin) // stride + 1)
        if last <= first:
            return _Deal(slice(0, 0), slice(0, 0), 0, length)
        low = first * stride + origin
        inputs = slice(low, low + (last - first - 1) * stride + 1, stride)
        return _Deal(inputs, slice(first, last), last - first, length)


@lru_cache(maxsize=256)
def phases_of(window: Window, spatial: Shape, outputs: Shape) -> Phases:
    """The Phases of a geometry, made once."""
    return Phases(window, spatial, outputs)


def is_whole_plane(window: Window, spatial: Shape) -> bool:
    """One window that covers the plane exactly?"""
    return window.span == tuple(spatial) and not any(window.pad) and max(window.dilation) == 1

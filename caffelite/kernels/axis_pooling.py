"""Pooling by maximum along one axis after the other, for passes that need not know which input
it was.

The maximum of a window is that of its rows' maxima, so rows are compared first, whole, and of what
is left the columns: kernel height + kernel width comparisons and not their product, and scratch for
the rows' maxima alone. (`max_pool_forward` deals planes out into phases, which has longer loops and
is faster for small planes, but takes scratch of several times that.)

x is (N, C, H, W), out is (N, C, *outputs).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from caffelite.kernels import parallel
from caffelite.kernels.tuned import Tuned
from caffelite.kernels.window import Window
from caffelite.kernels.workspace import Array, shared_workspace

LARGE: Tuned = 1 << 18
"""Fewer values than this are done before another thread has woken."""


def max_pool_by_axes(x: Array, out: Array, window: Window, scratch: int) -> None:
    """Write out = the maximum of each window, with so many bytes of scratch for each thread or
    little more. A NaN in a window is its maximum."""
    planes, results = x.reshape(-1, *x.shape[2:]), out.reshape(-1, *out.shape[2:])
    rows = (results.shape[1], planes.shape[2])
    rows_of, columns_of = (
        _taps(planes.shape[axis + 1], results.shape[axis + 1], window, axis) for axis in (0, 1)
    )

    def part(at: slice) -> None:
        best = shared_workspace().array("best", (len(planes[at]), *rows), x.dtype)
        _fold(planes[at], best, 1, rows_of)
        _fold(best, results[at], 2, columns_of)

    step = max(1, scratch // max(1, rows[0] * rows[1] * x.itemsize))
    parallel.run(part, parallel.slices(len(planes), step), x.size > LARGE)


def _taps(size: int, outputs: int, window: Window, axis: int) -> list[tuple[slice, slice]]:
    """For each tap along an axis: the inputs, and the outputs that read them. Those that all
    outputs read come first."""
    stride, pad = window.stride[axis], window.pad[axis]
    found = []
    for tap in range(0, window.span[axis], window.dilation[axis]):
        first = max(0, -((tap - pad) // stride))
        end = min(outputs, (size - 1 + pad - tap) // stride + 1)
        if first < end:
            start = first * stride - pad + tap
            inputs = slice(start, start + (end - first - 1) * stride + 1, stride)
            found.append((inputs, slice(first, end)))
    return sorted(found, key=lambda both: both[1] != slice(0, outputs))


def _fold(x: Array, out: Array, axis: int, taps: list[tuple[slice, slice]]) -> None:
    """Write the maximum over the taps of an axis."""
    lead: tuple[Any, ...] = (slice(None),) * axis
    whole = slice(0, out.shape[axis])
    (first, read), *others = taps
    if read != whole:
        out.fill(-np.inf)
        others = taps
    elif others and others[0][1] == whole:
        np.maximum(x[(*lead, first)], x[(*lead, others.pop(0)[0])], out=out)
    else:
        np.copyto(out, x[(*lead, first)])
    for inputs, outputs in others:
        place = out[(*lead, outputs)]
        np.maximum(place, x[(*lead, inputs)], out=place)

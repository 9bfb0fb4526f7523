"""Operations on each element of large arrays: part by part, so that what one operation writes is
still cached when the next one reads it, and by several threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from caffelite.kernels import parallel
from caffelite.kernels.workspace import Array

PART = 1 << 15
"""Values of one part: some arrays of that size stay cached."""
LARGE = 1 << 17
"""Arrays of fewer values are gone through at once: a second thread would come too late."""


def over(function: Callable[..., Any], *arrays: Array) -> None:
    """Call function(parts of the arrays) until all parts of these arrays, of one shape, are done.

    Parts are flat where all arrays are C-contiguous, and stretches of the first axis else."""
    first = arrays[0]
    if first.size <= LARGE:
        function(*arrays)
        return
    if all(a.flags.c_contiguous for a in arrays):
        arrays = tuple(a.reshape(-1) for a in arrays)
    step = max(1, PART * len(arrays[0]) // first.size)

    def part(at: slice) -> None:
        function(*(a[at] for a in arrays))

    parallel.run(part, parallel.slices(len(arrays[0]), step))


def over_planes(function: Callable[..., Any], channels: int, *arrays: Array) -> None:
    """Call function(slice of channels, parts) for parts of arrays (N, C, places): all images and
    places of some channels, or single images where that is too much."""
    images, _, places = arrays[0].shape
    step = max(1, PART // max(1, places))
    large = arrays[0].size > LARGE
    parts = [(n, c) for n in parallel.slices(images, 1) for c in parallel.slices(channels, step)]
    if not large:
        parts = [(slice(None), slice(0, channels))]

    def part(at: tuple[slice, slice]) -> None:
        function(at[1], *(a[at] for a in arrays))

    parallel.run(part, parts, large)

"""The geometry of a sliding window: kernel, stride, pad and dilation along each spatial axis."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from caffelite.kernels.tuned import Tuned

Shape = tuple[int, ...]

# Columns of one tile stay within this many bytes, so that they are multiplied while still cached.
COLUMN_BYTES = 4 << 20
# Images are gathered until a run of outputs is about this long: short runs copy slowly, and the
# matrices of small images are too narrow for BLAS.
RUN_LENGTH: Tuned = 256


@dataclass(frozen=True)
class Window:
    """A window with one entry per spatial axis: (kernel, stride, pad, dilation).

    Output o covers the inputs ``o * stride - pad + tap * dilation`` for tap = 0 … kernel - 1.
    """

    kernel: Shape
    stride: Shape
    pad: Shape
    dilation: Shape

    @staticmethod
    def of(kernel: Shape, stride: int = 1, pad: int = 0, dilation: int = 1) -> Window:
        """A window that is the same along every axis but for its kernel."""
        rank = len(kernel)
        return Window(kernel, (stride,) * rank, (pad,) * rank, (dilation,) * rank)

    @property
    def taps(self) -> int:
        """Positions in one window, over all axes."""
        return math.prod(self.kernel)

    @property
    def span(self) -> Shape:
        """Extent of one window in input positions: dilation * (kernel - 1) + 1."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    @property
    def is_pointwise(self) -> bool:
        """True for 1x1, stride 1, no pad: the columns are then the image itself."""
        return self.taps == 1 and all(s == 1 for s in self.stride) and not any(self.pad)

    def output_shape(self, spatial: Shape) -> Shape:
        """Spatial shape of a convolution's output: (size + 2 pad - span) // stride + 1."""
        axes = zip(spatial, self.pad, self.span, self.stride, strict=True)
        return tuple((size + 2 * pad - span) // stride + 1 for size, pad, span, stride in axes)

    def input_shape(self, spatial: Shape) -> Shape:
        """Spatial shape of a deconvolution's output: stride * (size - 1) + span - 2 pad."""
        axes = zip(spatial, self.pad, self.span, self.stride, strict=True)
        return tuple(stride * (size - 1) + span - 2 * pad for size, pad, span, stride in axes)

    def reach(self, outputs: Shape, start: Shape | None = None) -> list[tuple[int, int]]:
        """Input range [low, high) per axis under a box of outputs; may go beyond the image."""
        start = start or (0,) * len(outputs)
        axes = zip(start, outputs, self.stride, self.pad, self.span, strict=True)
        return [
            (first * stride - pad, (first + count - 1) * stride - pad + span)
            for first, count, stride, pad, span in axes
        ]


class Tile(NamedTuple):
    """Some images and a box of their output positions, worked on with one matrix product."""

    first: int
    images: int
    start: Shape
    outputs: Shape

    @property
    def columns(self) -> int:
        return self.images * math.prod(self.outputs)

    @property
    def image_slice(self) -> slice:
        return slice(self.first, self.first + self.images)

    @property
    def box(self) -> tuple[slice, ...]:
        return tuple(slice(s, s + o) for s, o in zip(self.start, self.outputs, strict=True))


def even(total: int, most: int) -> int:
    """The part size that cuts `total` into as few parts as `most` allows, all about as large."""
    return -(-total // -(-total // max(1, min(most, total)))) if total else 1


def tiles(
    images: int, outputs: Shape, bytes_per_column: int, run: int, budget: int | None = None
) -> Iterator[Tile]:
    """Cut a batch into tiles whose columns fit in `budget` bytes (but at least one column each).

    `run` is the length that one image gives to a run of outputs. Images whose runs are short are
    gathered several to a tile; an image too large for one is cut along its first
    spatial axis, then along the next.
    """
    room = max(1, (COLUMN_BYTES if budget is None else budget) // max(1, bytes_per_column))
    together = min(room // max(1, math.prod(outputs)), RUN_LENGTH // max(1, run))
    count = even(images, together)
    part = list(outputs)
    for axis in range(len(outputs)):
        part[axis] = even(outputs[axis], room // max(1, count * math.prod(part[axis + 1 :])))
        if part[axis] > 1:
            break
    for first in range(0, images, count):
        for start in itertools.product(
            *(range(0, size, step) for size, step in zip(outputs, part, strict=True))
        ):
            axes = zip(outputs, part, start, strict=True)
            yield Tile(
                first,
                min(count, images - first),
                start,
                tuple(min(step, size - low) for size, step, low in axes),
            )

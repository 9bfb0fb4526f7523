"""Pooling of planes by maximum and by mean, forward and backward.

x is (N, C, H, W), out is (N, C, *outputs); see `planes` for how the memory is gone through.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import DTypeLike

from caffelite.kernels.axis_pooling import max_pool_by_axes
from caffelite.kernels.planes import Part, is_whole_plane, phases_of
from caffelite.kernels.tuned import Tuned
from caffelite.kernels.window import Shape, Window
from caffelite.kernels.workspace import Array, shared_workspace

WIDE: Tuned = 48
"""From such a width on pooling by axes is faster than by phases, where it will do."""
SHORT: Tuned = 1 << 17
"""With fewer bytes of scratch than this for each array of phases pooling by axes is faster."""
ROWS = 1 << 17
"""Bytes of the rows' maxima of a part, when pooling by axes."""


def pool_output_shape(spatial: Shape, window: Window, ceil: bool = True) -> Shape:
    """Caffe's pooled shape: round((size + 2 pad - kernel) / stride) + 1, up (`ceil`) or down.

    Where any axis has a pad, a last window that would start beyond image and left pad is dropped,
    on every axis. Without pads it is not: it then covers nothing, and the layer has to refuse it.
    """
    outputs = []
    for size, kernel, stride, pad in zip(
        spatial, window.kernel, window.stride, window.pad, strict=True
    ):
        free = size + 2 * pad - kernel
        pooled = (-(-free // stride) if ceil else free // stride) + 1
        if any(window.pad) and (pooled - 1) * stride >= size + pad:
            pooled -= 1
        outputs.append(pooled)
    return tuple(outputs)


def tap_type(window: Window) -> DTypeLike:
    """The smallest type that numbers the window's taps: what `max_pool_forward` writes."""
    return np.uint8 if window.taps <= 256 else np.int32


def max_pool_forward(
    x: Array,
    out: Array,
    taps: Array | None,
    window: Window,
    scratch: int | None = None,
) -> None:
    """Write out = the maximum of each window, and in `taps` (of `tap_type`) which tap it was.

    Taps are numbered row by row; of equal values the first counts. A NaN in a window is its
    maximum. Without a backward pass to come, `taps` may be None, and `scratch` then bounds the
    bytes that each thread takes for it.
    """
    if is_whole_plane(window, x.shape[2:]):
        flat = x.reshape(*x.shape[:2], window.taps)
        np.max(flat, axis=2, out=out[:, :, 0, 0])
        if taps is not None:
            taps[:, :, 0, 0] = flat.argmax(axis=2)
        return
    short = scratch is not None and scratch < SHORT * (math.prod(window.stride) + 1)
    if taps is None and max(window.stride) > 1 and (short or x.shape[3] >= WIDE):
        max_pool_by_axes(x, out, window, ROWS if scratch is None else min(ROWS, scratch))
        return
    phases = phases_of(window, x.shape[2:], out.shape[2:])

    def reduce(part: Part) -> None:
        workspace = shared_workspace()
        inputs = phases.load(x[part], -np.inf, "phases", workspace)
        first, *others = phases.taps
        best = workspace.array("best", phases.read(inputs, first).shape, x.dtype)
        np.copyto(best, phases.read(inputs, first))
        if taps is None:
            for tap in others:
                np.maximum(best, phases.read(inputs, tap), out=best)
        else:
            winner = workspace.array("winner", best.shape, taps.dtype)
            candidate = workspace.array("candidate", best.shape, taps.dtype)
            better = workspace.array("better", best.shape, np.bool_)
            flags = better.view(np.uint8)
            winner.fill(0)
            for tap in others:
                value = phases.read(inputs, tap)
                np.greater(value, best, out=better)
                np.maximum(best, value, out=best)
                # Numbers grow, so that the largest "better * number" is the last improvement.
                np.multiply(flags, taps.dtype.type(tap.number), out=candidate, dtype=taps.dtype)
                np.maximum(winner, candidate, out=winner)
            taps[part] = phases.wanted(winner, taps[part])
        out[part] = phases.wanted(best, out[part])

    phases.run(reduce, x, scratch)


def max_pool_backward(
    dout: Array,
    taps: Array,
    dx: Array,
    window: Window,
) -> None:
    """Write dx: each window's gradient goes to the tap that was its maximum."""
    if is_whole_plane(window, dx.shape[2:]):
        dx.fill(0)
        images, channels, row, column = _whole_plane_index(taps, window)
        dx[images, channels, row, column] = dout[:, :, 0, 0]
        return
    phases = phases_of(window, dx.shape[2:], dout.shape[2:])

    def spread(part: Part) -> None:
        workspace = shared_workspace()
        gradient = phases.flat(dout[part], "gradient", workspace)
        winner = phases.flat(taps[part], "winner", workspace)
        chosen = workspace.array("better", winner.shape, np.bool_)
        share = workspace.array("share", gradient.shape, dx.dtype)
        total = phases.open(dx[part], "phases", workspace)
        for tap in phases.taps:
            to = phases.read(total, tap)
            np.equal(winner, tap.number, out=chosen)
            if tap.shift == 0:
                np.multiply(gradient, chosen, out=to)
            else:
                np.multiply(gradient, chosen, out=share)
                np.add(to, share, out=to)
        phases.store(total, dx[part])

    phases.run(spread, dx)


def max_pool_mask(taps: Array, mask: Array, window: Window, spatial: Shape) -> None:
    """Write mask = h * W + w of each maximum in its plane, from the taps."""
    width = spatial[1]
    row, column = np.divmod(np.arange(window.taps), window.kernel[1])
    offset = (row * window.dilation[0] * width + column * window.dilation[1]).astype(mask.dtype)
    rows, columns = (
        (np.arange(count) * stride - pad).astype(mask.dtype)
        for count, stride, pad in zip(mask.shape[2:], window.stride, window.pad, strict=True)
    )
    for taken, part in zip(taps, mask, strict=True):
        np.take(offset, taken, out=part, mode="clip")
        np.add(part, rows[:, None] * width + columns, out=part)


def ave_pool_forward(x: Array, out: Array, window: Window) -> None:
    """Write out = the sum of each window divided by its `window_sizes`."""
    if is_whole_plane(window, x.shape[2:]):
        np.mean(x.reshape(*x.shape[:2], window.taps), axis=2, out=out[:, :, 0, 0])
        return
    phases = phases_of(window, x.shape[2:], out.shape[2:])
    sizes = window_sizes(window, x.shape[2:], out.shape[2:], out.dtype)

    def reduce(part: Part) -> None:
        workspace = shared_workspace()
        inputs = phases.load(x[part], 0, "phases", workspace)
        first, *others = phases.taps
        total = workspace.array("best", phases.read(inputs, first).shape, x.dtype)
        np.copyto(total, phases.read(inputs, first))
        for tap in others:
            np.add(total, phases.read(inputs, tap), out=total)
        np.divide(phases.wanted(total, out[part]), sizes, out=out[part])

    phases.run(reduce, x)


def ave_pool_backward(dout: Array, dx: Array, window: Window) -> None:
    """Write dx: each window's gradient, divided by its size, goes to all its inputs."""
    sizes = window_sizes(window, dx.shape[2:], dout.shape[2:], dx.dtype)
    if is_whole_plane(window, dx.shape[2:]):
        np.divide(dout, sizes, out=dx)
        return
    phases = phases_of(window, dx.shape[2:], dout.shape[2:])

    def spread(part: Part) -> None:
        workspace = shared_workspace()
        share = phases.flat(dout[part], "gradient", workspace)
        wanted = phases.wanted(share, dout[part])
        np.divide(wanted, sizes, out=wanted)
        total = phases.open(dx[part], "phases", workspace)
        for tap in phases.taps:
            to = phases.read(total, tap)
            if tap.shift == 0:
                np.copyto(to, share)
            else:
                np.add(to, share, out=to)
        phases.store(total, dx[part])

    phases.run(spread, dx)


def window_sizes(window: Window, spatial: Shape, outputs: Shape, dtype: DTypeLike) -> Array:
    """What Caffe divides an average by: the window's extent within the *padded* image.

    Per axis min(start + kernel, size + pad) - start, with start = output * stride - pad; so pads
    count, but what sticks out beyond the right or lower pad does not.
    """
    extents = []
    axes = zip(spatial, outputs, window.kernel, window.stride, window.pad, strict=True)
    for size, count, kernel, stride, pad in axes:
        start = np.arange(count) * stride - pad
        extents.append(np.minimum(start + kernel, size + pad) - start)
    return (extents[0][:, None] * extents[1]).astype(dtype)


def _whole_plane_index(taps: Array, window: Window) -> tuple[Array, ...]:
    """Where in (N, C, H, W) the maximum of each whole plane is."""
    images, channels = np.ogrid[: taps.shape[0], : taps.shape[1]]
    row, column = np.divmod(taps[:, :, 0, 0].astype(np.intp), window.kernel[1])
    return images, channels, row, column

"""Depthwise convolution: each channel has one filter of its own.

There is nothing to multiply matrices for, so a window's taps are added up one by one, each over all
outputs of several planes at once. The planes lie in memory as for pooling, see `planes`.

Shapes: x (N, C, H, W), weights (C, 1, kernel height, kernel width), bias (C,), out (N, C, outputs).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from caffelite.kernels.planes import Part, phases_of
from caffelite.kernels.window import Window
from caffelite.kernels.workspace import Array, Workspace, rectify, shared_workspace


def is_depthwise(x: Array, weights: Array, group: int) -> bool:
    """One channel and one filter in each group, on planes?"""
    return x.ndim == 4 and weights.shape[:2] == (group, 1) and x.shape[1] == group


def depthwise_forward(
    x: Array,
    weights: Array,
    bias: Array | None,
    out: Array,
    window: Window,
    relu: bool,
    scratch: int | None = None,
) -> None:
    """Write out = W X + b, and what is below 0 as 0 where `relu`. `scratch` bounds the bytes that
    each thread takes for it."""
    phases = phases_of(window, x.shape[2:], out.shape[2:])
    factors = weights.reshape(len(weights), -1)

    def part(place: Part) -> None:
        workspace = shared_workspace()
        inputs = phases.load(x[place], 0, "phases", workspace)
        planes = (*x[place].shape[:2], phases.height * phases.width)
        total = workspace.array("best", planes, x.dtype)
        product = workspace.array("share", planes, x.dtype)
        for tap in phases.taps:
            seen = phases.read(inputs, tap).reshape(planes)
            factor = factors[place[1], tap.number, None]
            if tap.number:
                np.multiply(seen, factor, out=product)
                np.add(total, product, out=total)
            else:
                np.multiply(seen, factor, out=total)
        if bias is not None:
            np.add(total, bias[place[1], None], out=total)
        if relu:
            rectify(total, workspace)
        np.copyto(out[place], phases.wanted(total, out[place]))

    phases.run(part, x, scratch, arrays=2)


def depthwise_backward_data(dout: Array, weights: Array, dx: Array, window: Window) -> None:
    """Write dx: each gradient times the filter goes to the inputs under it."""
    phases = phases_of(window, dx.shape[2:], dout.shape[2:])
    factors = weights.reshape(len(weights), -1)

    def part(place: Part) -> None:
        workspace = shared_workspace()
        planes = (*dx[place].shape[:2], phases.height * phases.width)
        gradient = phases.flat(dout[place], "gradient", workspace).reshape(planes)
        share = workspace.array("share", planes, dx.dtype)
        total = phases.open(dx[place], "phases", workspace)
        for tap in phases.taps:
            to = phases.read(total, tap).reshape(planes)
            factor = factors[place[1], tap.number, None]
            if tap.shift:
                np.multiply(gradient, factor, out=share)
                np.add(to, share, out=to)
            else:
                np.multiply(gradient, factor, out=to)
        phases.store(total, dx[place])

    phases.run(part, dx)


def depthwise_backward_weights(
    x: Array, dout: Array, window: Window, write: Callable[[Array], None], workspace: Workspace
) -> None:
    """Have the gradient towards the weights, (C, taps), written: for each channel and tap the sum
    of dout times what the tap sees."""
    phases = phases_of(window, x.shape[2:], dout.shape[2:])
    sums = workspace.array("lanes", (len(x), x.shape[1], window.taps), x.dtype)

    def part(place: Part) -> None:
        own = shared_workspace()
        inputs = phases.load(x[place], 0, "phases", own)
        planes = (*x[place].shape[:2], phases.height * phases.width)
        gradient = phases.flat(dout[place], "gradient", own).reshape(planes)
        for tap in phases.taps:
            seen = phases.read(inputs, tap).reshape(planes)
            np.einsum("ncp,ncp->nc", gradient, seen, out=sums[place][:, :, tap.number])

    phases.run(part, x)
    write(np.add.reduce(sums, 0))

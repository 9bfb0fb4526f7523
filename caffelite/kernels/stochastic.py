"""Stochastic pooling: one value of each window, drawn in proportion to its size.

x is (N, C, H, W), out is (N, C, *outputs). Values are meant to be non-negative (after a ReLU).
Source: Zeiler and Fergus, Stochastic Pooling for Regularization of Deep Convolutional Neural
Networks, 2013.
"""

from __future__ import annotations

import numpy as np

from caffelite.kernels.planes import Phases, phases_of
from caffelite.kernels.window import Window
from caffelite.kernels.workspace import Array, Workspace, in_frame, shared_workspace


@in_frame
def stochastic_pool_forward(
    x: Array,
    uniform: Array,
    out: Array,
    taps: Array,
    window: Window,
    workspace: Workspace | None = None,
) -> None:
    """Draw a value of each window, and note in `taps` (of `tap_type`) which.

    `uniform` holds a number in [0, 1) for each output. The drawn tap is the first whose running sum
    of values reaches uniform * total. The gradient is that of maximum pooling with these taps.
    """
    workspace = workspace or shared_workspace()
    phases = phases_of(window, x.shape[2:], out.shape[2:])
    for part in phases.steps(x):
        inputs = phases.load(x[part], 0, "phases", workspace)
        threshold = phases.flat(uniform[part], "threshold", workspace)
        np.multiply(threshold, _total(phases, inputs, workspace), out=threshold)
        running = workspace.array("running", threshold.shape, x.dtype)
        drawn = workspace.array("drawn", threshold.shape, x.dtype)
        number = workspace.array("number", threshold.shape, taps.dtype)
        waiting = workspace.array("waiting", threshold.shape, np.bool_)
        short = workspace.array("short", threshold.shape, np.bool_)
        running.fill(0)
        waiting.fill(True)
        for tap in phases.taps:
            value = phases.read(inputs, tap)
            np.copyto(drawn, value, where=waiting)
            np.copyto(number, taps.dtype.type(tap.number), where=waiting)
            np.add(running, value, out=running)
            np.less(running, threshold, out=short)
            np.logical_and(waiting, short, out=waiting)
        out[part] = phases.wanted(drawn, out[part])
        taps[part] = phases.wanted(number, taps[part])


@in_frame
def stochastic_pool_test(
    x: Array, out: Array, window: Window, workspace: Workspace | None = None
) -> None:
    """Write the expected draw, sum of squares / sum, of each window; 0 where the sum is not > 0."""
    workspace = workspace or shared_workspace()
    phases = phases_of(window, x.shape[2:], out.shape[2:])
    for part in phases.steps(x):
        inputs = phases.load(x[part], 0, "phases", workspace)
        expected = _expected(phases, inputs, _total(phases, inputs, workspace), workspace)
        out[part] = phases.wanted(expected, out[part])


@in_frame
def stochastic_pool_test_backward(
    x: Array, dout: Array, dx: Array, window: Window, workspace: Workspace | None = None
) -> None:
    """Write dx for y = sum x^2 / sum x: dy / dx_i = (2 x_i - y) / sum x; 0 where y is 0 by rule."""
    workspace = workspace or shared_workspace()
    phases = phases_of(window, x.shape[2:], dout.shape[2:])
    for part in phases.steps(x):
        inputs = phases.load(x[part], 0, "phases", workspace)
        total = _total(phases, inputs, workspace)
        expected = _expected(phases, inputs, total, workspace)
        share = phases.flat(dout[part], "share", workspace)
        np.divide(share, total, out=share, where=total > 0)
        np.multiply(share, total > 0, out=share)
        slope = workspace.array("slope", share.shape, dx.dtype)
        gradient = phases.empty(dx[part], "gradient", workspace)
        gradient.fill(0)
        for tap in phases.taps:
            np.multiply(phases.read(inputs, tap), 2, out=slope)
            np.subtract(slope, expected, out=slope)
            np.multiply(slope, share, out=slope)
            to = phases.read(gradient, tap)
            np.add(to, slope, out=to)
        phases.store(gradient, dx[part])


def _total(phases: Phases, inputs: Array, workspace: Workspace) -> Array:
    """The sum of each window."""
    first, *others = (phases.read(inputs, tap) for tap in phases.taps)
    total = workspace.array("total", first.shape, inputs.dtype)
    np.copyto(total, first)
    for value in others:
        np.add(total, value, out=total)
    return total


def _expected(phases: Phases, inputs: Array, total: Array, workspace: Workspace) -> Array:
    """The sum of squares of each window, divided by its total; 0 where that is not > 0."""
    square = workspace.array("square", total.shape, inputs.dtype)
    expected = workspace.array("expected", total.shape, inputs.dtype)
    expected.fill(0)
    for tap in phases.taps:
        value = phases.read(inputs, tap)
        np.multiply(value, value, out=square)
        np.add(expected, square, out=expected)
    positive = total > 0
    np.divide(expected, total, out=expected, where=positive)
    np.multiply(expected, positive, out=expected)
    return expected

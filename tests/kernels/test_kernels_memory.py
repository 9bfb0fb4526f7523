"""Scratch memory stays small, however large the arrays are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from caffelite import kernels
from caffelite.kernels import Window, Workspace, normalising, parallel
from caffelite.kernels import workspace as workspaces

Call = Callable[[], Any]


def zeros(*shape: int) -> Any:
    return np.zeros(shape, np.float32)


def convolution(which: str, x: Any, weights: Any, window: Window, group: int = 1) -> Call:
    out = zeros(len(x), len(weights), *window.output_shape(x.shape[2:]))
    if which == "forward":
        return lambda: kernels.conv_forward(x, weights, None, out, window, group)
    if which == "data":
        return lambda: kernels.conv_backward_data(out, weights, x, window, group)
    return lambda: kernels.conv_backward_weights(x, out, weights, window, group)


def convolutions(
    x: Any, filters: Any, window: Window, *most: int, group: int = 1
) -> dict[str, tuple[Call, int]]:
    """All three, and how many thousand bytes each of them may need."""
    ways = ("forward", "data", "weights")
    calls = (convolution(way, x, filters, window, group) for way in ways)
    return dict(zip(ways, zip(calls, most, strict=True), strict=True))


def pooling() -> dict[str, tuple[Call, int]]:
    x, out, window = zeros(8, 64, 49, 49), zeros(8, 64, 24, 24), Window.of((3, 3), 2)
    taps = np.zeros(out.shape, np.uint8)
    return {
        "max": (lambda: kernels.max_pool_forward(x, out, taps, window), 950),
        "max back": (lambda: kernels.max_pool_backward(out, taps, x, window), 1070),
        "max alone": (lambda: kernels.max_pool_forward(x, out, None, window), 140),
        "mean": (lambda: kernels.ave_pool_forward(x, out, window), 830),
        "mean back": (lambda: kernels.ave_pool_backward(out, x, window), 830),
    }


def normalisation() -> dict[str, tuple[Call, int]]:
    x, c = zeros(16, 64, 2048), np.ones(64, np.float32)
    sums = zeros(2, 64)
    forward = normalising.Forward(x, x.copy(), x.copy(), x.copy())
    backward = normalising.Backward(x, x, x.copy(), x, x.copy(), x.copy())
    return {
        "forward": (lambda: forward.run(c.copy(), c.copy(), 1e-5, c, c), 42),
        "backward": (lambda: backward.run(c, True, c, sums), 720),
    }


def lrn() -> dict[str, tuple[Call, int]]:
    x, out = zeros(2, 64, 96, 96), zeros(2, 64, 96, 96)
    scale, dx = np.ones_like(x), np.empty_like(x)
    return {
        "forward": (lambda: kernels.lrn_forward(x, out, None, 5, 1.0, 0.75, 1.0), 500),
        "backward": (
            lambda: kernels.lrn_backward(x, out, scale, out, dx, 5, 1.0, 0.75),
            750,
        ),
    }


def sums() -> dict[str, tuple[Call, int]]:
    a, b, out = zeros(1024, 8), zeros(8, 2048), zeros(1024, 2048)
    dout, dbias = zeros(8, 64, 64, 64), zeros(64)
    return {
        "product": (lambda: kernels.product(a, b, out), 0),
        "product, fresh": (lambda: kernels.add_product(a, b, out, fresh=True), 0),
        "product, added": (lambda: kernels.add_product(a, b, out), 1100),
        "bias": (lambda: kernels.conv_backward_bias(dout, dbias), 3),
    }


def problems() -> dict[str, tuple[Call, int]]:
    """Calls, each with how much it may need."""
    large, filters = zeros(1, 16, 160, 160), zeros(8, 16, 3, 3)
    step, each = Window.of((3, 3), 2, 1), Window.of((3, 3), 1, 1)
    small, smaller = zeros(512, 16, 7, 7), zeros(256, 16, 8, 8)
    planes, depth = zeros(8, 64, 48, 48), zeros(64, 1, 3, 3)
    many, heavy = zeros(128, 64, 6, 6), zeros(120, 64, 6, 6)
    wider, heaviest = Window.of((6, 6), 1, 2), zeros(560, 64, 6, 6)
    sizes = {  # in thousands of bytes
        "columns": convolutions(large, filters, step, 5400, 5400, 5430),
        "rows": convolutions(large, filters, each, 4200, 4200, 4240),
        "small": convolutions(small, filters, step, 1000, 1000, 1100),
        "rows of small": convolutions(smaller, filters, each, 600, 380, 630),
        "depth": convolutions(planes, depth, each, 800, 800, 550, group=64),
        "heavier": {
            "weights": (convolution("weights", many[:40], heaviest, wider), 20000),
        },
        "heavy": convolutions(many, heavy, wider, 4400, 10500, 13200),
        "pooling": pooling(),
        "normalising": normalisation(),
        "lrn": lrn(),
        "sums": sums(),
    }
    return {f"{name}, {way}": call for name, ways in sizes.items() for way, call in ways.items()}


def needs(call: Call) -> int:
    """The bytes of scratch that a call takes, in one thread."""
    workspace, kept = Workspace(), workspaces._per_thread.workspace
    workspaces._per_thread.workspace = workspace
    parallel.set_threads(1)
    try:
        call()
    finally:
        workspaces._per_thread.workspace = kept
        parallel.set_threads(None)
    return workspace.nbytes


@pytest.mark.parametrize("name", problems())
def test_scratch_stays_small(name: str) -> None:
    call, most = problems()[name]
    used = needs(call)
    assert used <= 1000 * most
    assert used >= 800 * most - 1000, "a limit far above tells nothing: lower it"

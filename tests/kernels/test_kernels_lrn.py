"""Local response normalisation against its formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from caffelite import kernels

from . import naive

ALPHA = 0.7


def forward(x: Any, size: int, beta: float, k: float) -> tuple[Any, Any]:
    out, scale = np.empty_like(x), np.empty_like(x)
    kernels.lrn_forward(x, out, scale, size, ALPHA, beta, k)
    return out, scale


@pytest.mark.parametrize("beta", [0.75, 0.5, 1.3])
@pytest.mark.parametrize(("channels", "size"), [(6, 5), (6, 3), (4, 1), (2, 7), (1, 3)])
def test_forward_and_gradient(channels: int, size: int, beta: float) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, channels, 3, 2))
    out, scale = forward(x, size, beta, 1.5)
    np.testing.assert_allclose(out, naive.lrn(x, size, ALPHA, beta, 1.5), rtol=1e-12)
    dout, direction = rng.standard_normal((2, *x.shape))
    dx = np.empty_like(x)
    kernels.lrn_backward(x, out, scale, dout, dx, size, ALPHA, beta)
    ahead, behind = (
        naive.lrn(x + step * direction, size, ALPHA, beta, 1.5) for step in (1e-6, -1e-6)
    )
    slope = np.vdot(ahead - behind, dout) / 2e-6
    assert np.isclose(np.vdot(dx, direction), slope, rtol=1e-6)


def test_float32_and_non_contiguous() -> None:
    x = np.random.default_rng(0).standard_normal((2, 8, 4, 4))
    exact, _ = forward(x, 5, 0.75, 1.0)
    found, scale = forward(np.asfortranarray(x.astype(np.float32)), 5, 0.75, 1.0)
    assert found.dtype == scale.dtype == np.float32
    np.testing.assert_allclose(found, exact, rtol=1e-5)


def test_a_large_neighbour_leaves_no_trace() -> None:
    """Running sums would: a value that was added and taken away again leaves its rounding error."""
    x = np.ones((1, 12, 1, 1), np.float32)
    x[0, 0] = 3e4
    _, scale = forward(x, 3, 0.75, 1.0)
    np.testing.assert_allclose(scale[0, 3:11, 0, 0], 1 + ALPHA, rtol=1e-6)

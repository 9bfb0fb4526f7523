"""Pooling against plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from caffelite import kernels
from caffelite.kernels import Window
from caffelite.kernels.axis_pooling import max_pool_by_axes

from . import naive

W = Window
ONE = (1, 1)
# spatial, window, ceil
GEOMETRIES: dict[str, tuple[tuple[int, int], Window, bool]] = {
    "2/2": ((6, 8), W((2, 2), (2, 2), (0, 0), ONE), True),
    "2/2, odd size": ((5, 7), W((2, 2), (2, 2), (0, 0), ONE), True),
    "3/2 ceil": ((8, 7), W((3, 3), (2, 2), (0, 0), ONE), True),
    "3/2 floor": ((8, 7), W((3, 3), (2, 2), (0, 0), ONE), False),
    "3/1 pad": ((4, 5), W((3, 3), (1, 1), (1, 1), ONE), True),
    "3/2 pad": ((6, 7), W((3, 3), (2, 2), (1, 1), ONE), True),
    "gaps": ((9, 9), W((2, 2), (3, 3), (0, 0), ONE), False),
    "rectangular": ((6, 9), W((1, 3), (2, 1), (0, 2), ONE), True),
    "pad on one axis": ((5, 5), W((3, 2), (2, 2), (2, 0), ONE), True),
    "whole plane": ((3, 4), W((3, 4), (1, 1), (0, 0), ONE), True),
    "left over": ((10, 11), W((2, 2), (3, 3), (0, 0), ONE), False),
    "a phase of pads alone": ((5, 6), W((5, 5), (5, 6), (2, 2), ONE), False),
    "many taps": ((18, 17), W((18, 17), (1, 1), (0, 0), ONE), True),
}


class Problem:
    def __init__(self, geometry: Any, dtype: Any = np.float64, low: float = -1.0) -> None:
        spatial, self.window, ceil = geometry
        rng = np.random.default_rng(0)
        self.x = rng.uniform(low, 1, (3, 2, *spatial)).astype(dtype)
        self.outputs = kernels.pool_output_shape(spatial, self.window, ceil)
        self.shape = (3, 2, *self.outputs)
        self.dout = rng.standard_normal(self.shape).astype(dtype)

    def max(self) -> tuple[Any, Any]:
        out = np.full(self.shape, np.nan, self.x.dtype)
        taps = np.empty(self.shape, kernels.tap_type(self.window))
        kernels.max_pool_forward(self.x, out, taps, self.window)
        return out, taps

    def mask(self, taps: Any) -> Any:
        mask = np.empty(self.shape, self.x.dtype)
        kernels.max_pool_mask(taps, mask, self.window, self.x.shape[2:])
        return mask

    def max_back(self, taps: Any) -> Any:
        dx = np.full(self.x.shape, np.nan, self.x.dtype)
        kernels.max_pool_backward(self.dout, taps, dx, self.window)
        return dx

    def scattered(self, mask: Any) -> Any:
        """The outputs' gradients, each added at its h * W + w."""
        dx = np.zeros((*self.x.shape[:2], self.x[0, 0].size))
        for n, c, *at in np.ndindex(*self.shape):
            dx[n, c, int(mask[(n, c, *at)])] += self.dout[(n, c, *at)]
        return dx.reshape(self.x.shape)

    def ave(self) -> Any:
        out = np.full(self.shape, np.nan, self.x.dtype)
        kernels.ave_pool_forward(self.x, out, self.window)
        return out

    def ave_back(self) -> Any:
        dx = np.full(self.x.shape, np.nan, self.x.dtype)
        kernels.ave_pool_backward(self.dout, dx, self.window)
        return dx


@pytest.fixture(params=GEOMETRIES.values(), ids=GEOMETRIES.keys())
def geometry(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_maximum_and_its_place(geometry: Any) -> None:
    problem = Problem(geometry)
    out, taps = problem.max()
    expected, mask = naive.max_pool(problem.x, problem.window, problem.outputs)
    assert np.array_equal(out, expected)
    assert np.array_equal(problem.mask(taps), mask)
    np.testing.assert_allclose(problem.max_back(taps), problem.scattered(mask))


def test_maximum_without_a_mask(geometry: Any) -> None:
    problem = Problem(geometry)
    out = np.full(problem.shape, np.nan)
    kernels.max_pool_forward(problem.x, out, None, problem.window)
    assert np.array_equal(out, problem.max()[0])


def test_taps_are_numbered_in_the_smallest_type() -> None:
    for kernel, kind in (((16, 16), np.uint8), ((257, 1), np.int32), ((1, 300), np.int32)):
        window = Window.of(kernel)
        assert kernels.tap_type(window) is kind
        x = np.zeros((1, 1, *kernel))
        x[..., -1, -1] = 1
        taps = np.empty((1, 1, 1, 1), kind)
        kernels.max_pool_forward(x, np.empty((1, 1, 1, 1)), taps, window)
        assert taps.item() == window.taps - 1


def test_the_first_of_equal_values_counts(geometry: Any) -> None:
    problem = Problem(geometry)
    problem.x = np.round(problem.x)
    out, taps = problem.max()
    expected, mask = naive.max_pool(problem.x, problem.window, problem.outputs)
    assert np.array_equal(out, expected)
    assert np.array_equal(problem.mask(taps), mask)


@pytest.mark.parametrize(
    "window",
    [W((3, 2), (2, 1), (1, 0), (1, 3)), W((2, 3), (1, 2), (0, 2), (3, 1))],
    ids=["gaps between columns", "gaps between rows"],
)
def test_maximum_of_windows_with_gaps(window: Window) -> None:
    problem = Problem(((7, 8), window, True))
    problem.outputs = window.output_shape((7, 8))
    problem.shape = (3, 2, *problem.outputs)
    problem.dout = np.random.default_rng(2).standard_normal(problem.shape)
    out, taps = problem.max()
    expected, mask = naive.max_pool(problem.x, window, problem.outputs)
    assert np.array_equal(out, expected)
    assert np.array_equal(problem.mask(taps), mask)
    np.testing.assert_allclose(problem.max_back(taps), problem.scattered(mask))


def test_a_nan_is_not_lost() -> None:
    problem = Problem(GEOMETRIES["2/2"])
    for at in ((0, 0), (1, 1)):
        problem.x[0, 0][at] = np.nan
        assert np.isnan(problem.max()[0][0, 0, 0, 0])
        problem.x[0, 0][at] = 0


def test_average_divides_by_the_padded_window(geometry: Any) -> None:
    problem = Problem(geometry)
    expected = naive.ave_pool(problem.x, problem.window, problem.outputs)
    np.testing.assert_allclose(problem.ave(), expected, atol=1e-14)


def test_average_gradient_is_the_adjoint(geometry: Any) -> None:
    problem = Problem(geometry)
    back = problem.ave_back()
    problem.x = np.random.default_rng(1).standard_normal(problem.x.shape)
    forward = naive.ave_pool(problem.x, problem.window, problem.outputs)
    assert np.isclose(np.vdot(problem.x, back), np.vdot(forward, problem.dout))


def test_float32_and_non_contiguous_inputs(geometry: Any) -> None:
    double, single = Problem(geometry), Problem(geometry, np.float32)
    for name in ("x", "dout"):
        setattr(single, name, np.repeat(getattr(single, name), 2, axis=0)[::2].copy(order="F"))
    found = [single.max()[0], single.max_back(single.max()[1]), single.ave(), single.ave_back()]
    exact = [double.max()[0], double.max_back(double.max()[1]), double.ave(), double.ave_back()]
    for a, b in zip(found, exact, strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("size", [1, 3000, 1 << 20])
def test_steps_do_not_show(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem(GEOMETRIES["3/2 pad"])
    plain = (*problem.max(), problem.ave(), problem.ave_back())
    monkeypatch.setattr(kernels.planes, "STEP_BYTES", size)
    for found, expected in zip(
        (*problem.max(), problem.ave(), problem.ave_back()), plain, strict=True
    ):
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("name", ["2/2", "2/2, odd size", "3/2 ceil", "gaps"])
def test_stochastic_draws_in_proportion(name: str) -> None:
    problem = Problem(GEOMETRIES[name], low=0.0)
    x, window = problem.x, problem.window
    rng = np.random.default_rng(3)
    uniform = rng.random(problem.shape)
    out = np.empty(problem.shape)
    taps = np.empty(problem.shape, kernels.tap_type(window))
    kernels.stochastic_pool_forward(x, uniform, out, taps, window)
    for n, c, *at in np.ndindex(*problem.shape):
        values, places = [], []
        for h, w in naive.positions(window, tuple(at)):
            if naive.inside((h, w), x.shape[2:]):
                values.append(x[n, c, h, w])
                places.append(h * x.shape[3] + w)
        spot = int(np.searchsorted(np.cumsum(values), uniform[(n, c, *at)] * np.sum(values)))
        assert out[(n, c, *at)] == values[spot]
        assert problem.mask(taps)[(n, c, *at)] == places[spot]
    mask = problem.mask(taps)
    np.testing.assert_allclose(problem.max_back(taps), problem.scattered(mask))


def test_stochastic_test_phase_of_what_sums_to_less_than_0() -> None:
    problem = Problem(GEOMETRIES["2/2"], low=0.1)
    problem.x[0, 1] *= -1
    out, dx = np.empty(problem.shape), np.empty(problem.x.shape)
    kernels.stochastic_pool_test(problem.x, out, problem.window)
    kernels.stochastic_pool_test_backward(problem.x, problem.dout, dx, problem.window)
    for values in (out, dx):
        assert not values[0, 1].any() and (values[1] != 0).all()


def test_stochastic_test_phase_is_the_expected_draw() -> None:
    problem = Problem(GEOMETRIES["3/2 ceil"], low=0.0)
    problem.x[0, 0] = 0
    out = np.empty(problem.shape)
    kernels.stochastic_pool_test(problem.x, out, problem.window)
    assert not out[0, 0].any()
    part = problem.x[1, 1, 6:, 2:5]
    assert np.isclose(out[1, 1, 3, 1], (part**2).sum() / part.sum())


@pytest.mark.parametrize("scale", [1.0, 0.02])
def test_stochastic_test_phase_gradient(scale: float) -> None:
    problem = Problem(GEOMETRIES["3/2 ceil"], low=0.1)
    problem.x *= scale
    dx = np.empty_like(problem.x)
    kernels.stochastic_pool_test_backward(problem.x, problem.dout, dx, problem.window)
    direction = np.random.default_rng(4).standard_normal(problem.x.shape)
    outs = np.empty((2, *problem.shape))
    for out, step in zip(outs, (1e-6, -1e-6), strict=True):
        kernels.stochastic_pool_test(problem.x + step * direction, out, problem.window)
    slope = np.vdot(outs[0] - outs[1], problem.dout) / 2e-6
    assert np.isclose(np.vdot(dx, direction), slope, rtol=1e-6)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pad", "up", "down"),
    [
        (8, 3, 2, 0, 4, 3),  # the last window hangs over the edge
        (7, 3, 2, 0, 3, 3),
        (28, 2, 2, 0, 14, 14),
        (4, 3, 2, 1, 3, 2),
        (3, 2, 2, 1, 2, 2),  # a third would start at 3, in the right pad
        (5, 5, 1, 0, 1, 1),
        (112, 3, 2, 1, 57, 56),
    ],
)
def test_output_size(size: int, kernel: int, stride: int, pad: int, up: int, down: int) -> None:
    window = Window((kernel,), (stride,), (pad,), (1,))
    assert kernels.pool_output_shape((size,), window) == (up,)
    assert kernels.pool_output_shape((size,), window, ceil=False) == (down,)


def test_a_pad_on_one_axis_drops_the_last_window_on_the_other() -> None:
    assert kernels.pool_output_shape((6, 9), W((1, 3), (2, 1), (0, 0), ONE)) == (4, 7)
    assert kernels.pool_output_shape((6, 9), W((1, 3), (2, 1), (0, 1), ONE)) == (3, 9)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.data())
def test_any_geometry(data: Any) -> None:
    def axes(low: int, high: int) -> tuple[int, int]:
        return data.draw(st.integers(low, high)), data.draw(st.integers(low, high))

    kernel, stride, spatial = axes(1, 4), axes(1, 4), axes(1, 8)
    pad = tuple(data.draw(st.integers(0, k - 1)) for k in kernel)
    window = Window(kernel, stride, pad, ONE)
    assume(all(k <= s + 2 * p for k, s, p in zip(kernel, spatial, pad, strict=True)))
    problem = Problem((spatial, window, data.draw(st.booleans())))
    # A window wholly outside the image has no maximum; the layer refuses it.
    assume(all((o - 1) * s - p < n for o, s, p, n in zip(problem.outputs, stride, pad, spatial)))
    out, taps = problem.max()
    expected, mask = naive.max_pool(problem.x, window, problem.outputs)
    assert np.array_equal(out, expected)
    assert np.array_equal(problem.mask(taps), mask)
    np.testing.assert_allclose(
        problem.ave(), naive.ave_pool(problem.x, window, problem.outputs), atol=1e-14
    )


@pytest.mark.parametrize("scratch", [1, 100, 1 << 20])
@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
def test_one_axis_after_the_other_finds_the_same_maxima(geometry: Any, scratch: int) -> None:
    problem = Problem(geometry)
    problem.x[0, 0, 2, 3] = np.nan
    by_phases = np.empty((*problem.x.shape[:2], *problem.outputs))
    by_axes = by_phases.copy()
    kernels.max_pool_forward(problem.x, by_phases, None, problem.window)
    max_pool_by_axes(problem.x, by_axes, problem.window, scratch)
    np.testing.assert_array_equal(by_axes, by_phases)


def test_wide_planes_and_little_scratch_give_the_same_maxima() -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 9, 70))
    window = W((3, 3), (2, 2), (0, 0), ONE)
    shape = (2, 3, *kernels.pool_output_shape((9, 70), window))
    plain, taps, short = np.empty(shape), np.empty(shape, np.uint8), np.empty(shape)
    kernels.max_pool_forward(x, plain, taps, window)  # by phases: the taps are asked for
    kernels.max_pool_forward(x, short, None, window, scratch=1000)
    np.testing.assert_array_equal(short, plain)

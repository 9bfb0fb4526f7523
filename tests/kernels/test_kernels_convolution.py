"""Convolution, im2col and their adjoints against plain loops."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from caffelite import kernels
from caffelite.kernels import Window, Workspace, convolution, parallel
from caffelite.kernels import workspace as workspaces
from caffelite.kernels.rows import row_tiles

from . import naive

W = Window
# images, channels, spatial, filters, window, group
GEOMETRIES: dict[str, tuple[int, int, tuple[int, ...], int, Window, int]] = {
    "plain": (2, 3, (6, 7), 4, W((3, 3), (1, 1), (0, 0), (1, 1)), 1),
    "pad": (3, 2, (5, 6), 3, W((3, 3), (1, 1), (1, 1), (1, 1)), 1),
    "stride": (2, 2, (8, 7), 3, W((3, 3), (2, 2), (1, 1), (1, 1)), 1),
    "stride above kernel": (2, 2, (9, 10), 3, W((2, 2), (3, 4), (0, 0), (1, 1)), 1),
    "dilation": (2, 2, (9, 9), 3, W((3, 3), (1, 1), (2, 2), (2, 2)), 1),
    "dilation and stride": (1, 2, (11, 10), 3, W((3, 2), (2, 3), (2, 1), (2, 3)), 1),
    "rectangular": (2, 2, (6, 9), 3, W((1, 5), (2, 1), (0, 2), (1, 1)), 1),
    "pad beyond kernel": (2, 2, (4, 4), 3, W((2, 2), (1, 1), (3, 3), (1, 1)), 1),
    "pad of a whole kernel": (2, 2, (4, 4), 3, W((2, 2), (1, 1), (2, 2), (1, 1)), 1),
    "pad beyond one axis": (2, 2, (4, 4), 3, W((2, 2), (1, 1), (3, 0), (1, 1)), 1),
    "kernel of the whole image": (3, 2, (4, 5), 3, W((4, 5), (1, 1), (0, 0), (1, 1)), 1),
    "groups": (2, 4, (5, 5), 6, W((3, 3), (1, 1), (1, 1), (1, 1)), 2),
    "depthwise": (2, 4, (6, 6), 4, W((3, 3), (1, 1), (1, 1), (1, 1)), 4),
    "depthwise, stride": (2, 4, (7, 7), 4, W((3, 3), (2, 2), (1, 1), (1, 1)), 4),
    "depthwise, few outputs": (1, 4, (6, 6), 4, W((5, 5), (1, 1), (0, 0), (1, 1)), 4),
    "many weights, groups": (1, 6, (4, 4), 8, W((4, 3), (1, 1), (0, 0), (1, 1)), 2),
    "depthwise, left over": (2, 3, (10, 11), 3, W((2, 2), (3, 3), (0, 0), (1, 1)), 3),
    "depthwise, pads alone": (2, 3, (5, 6), 3, W((5, 5), (5, 6), (2, 2), (1, 1)), 3),
    "depthwise, two filters": (2, 3, (6, 6), 6, W((3, 3), (2, 1), (1, 1), (1, 1)), 3),
    "1x1": (3, 4, (5, 4), 3, W((1, 1), (1, 1), (0, 0), (1, 1)), 1),
    "1x1, stride": (2, 4, (5, 6), 4, W((1, 1), (2, 3), (0, 0), (1, 1)), 2),
    "1x1, stride 2": (2, 4, (5, 6), 3, W((1, 1), (2, 2), (0, 0), (1, 1)), 1),
    "1x1, pad on one axis": (2, 3, (3, 4), 2, W((1, 1), (1, 1), (0, 1), (1, 1)), 1),
    "1x1, pad": (2, 3, (3, 3), 2, W((1, 1), (1, 1), (1, 1), (1, 1)), 1),
    "one of each": (1, 1, (4, 4), 1, W((3, 3), (1, 1), (0, 0), (1, 1)), 1),
    "many filters": (2, 1, (6, 6), 8, W((3, 3), (1, 1), (0, 0), (1, 1)), 1),
    "1-D": (3, 2, (9,), 3, W((4,), (2,), (1,), (1,)), 1),
    "3-D": (2, 2, (4, 5, 4), 3, W((2, 3, 2), (1, 2, 1), (1, 1, 0), (1, 1, 2)), 1),
    "rows of many images": (13, 3, (6, 16), 4, W((3, 2), (1, 1), (1, 0), (1, 1)), 1),
    "rows of one, groups": (1, 4, (9, 193), 4, W((2, 3), (2, 1), (1, 1), (1, 1)), 2),
    "rows of many channels": (1, 8, (5, 192), 3, W((3, 3), (1, 1), (1, 1), (1, 1)), 1),
    "no spatial axis": (3, 4, (), 2, W((), (), (), ()), 1),
}


class Problem:
    """Arrays of one geometry and the expected answers."""

    def __init__(self, geometry: Any, dtype: Any = np.float64) -> None:
        images, channels, spatial, filters, self.window, self.group = geometry
        rng = np.random.default_rng(0)
        shape = (filters, channels // self.group, *self.window.kernel)
        self.x = rng.standard_normal((images, channels, *spatial)).astype(dtype)
        self.weights = rng.standard_normal(shape).astype(dtype)
        self.bias = rng.standard_normal(filters).astype(dtype)
        outputs = self.window.output_shape(spatial)
        self.dout = rng.standard_normal((images, filters, *outputs)).astype(dtype)

    def expected(self) -> Any:
        x, weights, bias = (a.astype(float) for a in (self.x, self.weights, self.bias))
        return naive.convolution(x, weights, bias, self.window, self.group)

    def forward(self, **options: Any) -> Any:
        out = np.full_like(self.dout, np.nan)
        args = (self.x, self.weights, self.bias, out, self.window, self.group)
        kernels.conv_forward(*args, **options)
        return out

    def data(self, **options: Any) -> Any:
        dx = np.full(self.x.shape, np.nan, self.x.dtype)
        args = (self.dout, self.weights, dx, self.window, self.group)
        kernels.conv_backward_data(*args, **options)
        return dx

    def weight(self, **options: Any) -> Any:
        dweights = np.zeros(self.weights.shape, self.weights.dtype)
        args = (self.x, self.dout, dweights, self.window, self.group)
        kernels.conv_backward_weights(*args, **options)
        return dweights

    def all(self, **options: Any) -> list[Any]:
        return [self.forward(**options), self.data(**options), self.weight(**options)]


@pytest.fixture(params=GEOMETRIES.values(), ids=GEOMETRIES.keys())
def problem(request: pytest.FixtureRequest) -> Problem:
    return Problem(request.param)


def test_forward_is_the_definition(problem: Problem) -> None:
    np.testing.assert_allclose(problem.forward(), problem.expected(), atol=1e-12)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_both_ways_to_lay_out_an_image_are_tried(name: str) -> None:
    problem = Problem(GEOMETRIES[name])
    outputs = problem.dout.shape[2:]
    assert bool(row_tiles(problem.x, problem.window, outputs, None)) == name.startswith("rows")
    assert GEOMETRIES["rows of many channels"][1] >= convolution.MANY  # its weights too


def test_gradients_are_the_adjoints(problem: Problem) -> None:
    """<conv(x; w), dout> is linear in x and in w, and the gradients are its coefficients."""
    problem.bias[:] = 0
    value = np.vdot(problem.expected(), problem.dout)
    assert np.isclose(np.vdot(problem.x, problem.data()), value)
    assert np.isclose(np.vdot(problem.weights, problem.weight()), value)
    # In a random direction too, for which x and w were not made.
    rng = np.random.default_rng(1)
    at, dx, dweights = problem.x, problem.data(), problem.weight()
    problem.x = rng.standard_normal(at.shape)
    assert np.isclose(np.vdot(problem.x, dx), np.vdot(problem.expected(), problem.dout))
    problem.x, problem.weights = at, rng.standard_normal(problem.weights.shape)
    assert np.isclose(np.vdot(problem.weights, dweights), np.vdot(problem.expected(), problem.dout))


@pytest.mark.parametrize("budget", [1, 300, 2000, 1 << 30])
def test_the_size_of_tiles_does_not_matter(problem: Problem, budget: int) -> None:
    for found, plain in zip(problem.all(budget=budget), problem.all(), strict=True):
        np.testing.assert_allclose(found, plain, atol=1e-12)


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES.keys())
def test_float32_stays_float32(geometry: Any) -> None:
    single, double = Problem(geometry, np.float32), Problem(geometry)
    for found, exact in zip(single.all(), double.all(), strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, exact, atol=2e-6 * max(10, np.abs(exact).max()))


def test_non_contiguous_inputs(problem: Problem) -> None:
    plain = problem.all()
    for name in ("x", "weights", "dout"):
        array = getattr(problem, name)
        setattr(problem, name, np.repeat(array, 2, axis=0)[::2].copy(order="F"))
    for found, expected in zip(problem.all(), plain, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_inputs_are_left_alone(problem: Problem) -> None:
    kept = [a.copy() for a in (problem.x, problem.weights, problem.bias, problem.dout)]
    problem.all()
    now = (problem.x, problem.weights, problem.bias, problem.dout)
    assert all(np.array_equal(a, b) for a, b in zip(kept, now, strict=True))


@pytest.fixture
def workspace(monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A new workspace for the kernels of this thread, which does all the work."""
    new = Workspace()
    monkeypatch.setattr(workspaces._per_thread, "workspace", new)
    parallel.set_threads(1)
    return new


@pytest.fixture(autouse=True)
def threads_as_chosen() -> Iterator[None]:
    yield
    parallel.set_threads(None)


def test_scratch_is_reused_between_geometries(workspace: Workspace) -> None:
    problems = [Problem(geometry) for geometry in GEOMETRIES.values()]
    alone = [problem.all() for problem in problems]
    held = workspace.nbytes
    for problem, expected in zip(problems, alone, strict=True):
        for found, answer in zip(problem.all(), expected, strict=True):
            np.testing.assert_array_equal(found, answer)
    assert workspace.nbytes == held


def test_columns_stay_small_for_large_images(workspace: Workspace) -> None:
    x = np.zeros((1, 16, 160, 160), np.float32)
    weights = np.zeros((8, 16, 3, 3), np.float32)
    out = np.zeros((1, 8, 160, 160), np.float32)
    window = Window.of((3, 3), pad=1)
    kernels.conv_forward(x, weights, None, out, window)
    kernels.conv_backward_data(out, weights, x, window)
    kernels.conv_backward_weights(x, out, weights, window)
    whole = 16 * 9 * 160 * 160 * 4
    assert workspace.nbytes < whole / 2 < 8e6


def test_weight_and_bias_gradients_accumulate() -> None:
    problem = Problem(GEOMETRIES["plain"])
    once = problem.weight()
    twice = once.copy()
    args = (problem.x, problem.dout, twice, problem.window, problem.group)
    kernels.conv_backward_weights(*args)
    np.testing.assert_allclose(twice, 2 * once)
    dbias = np.ones(4)
    kernels.conv_backward_bias(problem.dout, dbias)
    np.testing.assert_allclose(dbias, 1 + problem.dout.sum(axis=(0, 2, 3)))


@pytest.mark.parametrize("kernel", [1, 3])
def test_no_images_are_no_mistake(kernel: int) -> None:
    x, out = np.zeros((0, 2, 9, 9)), np.zeros((0, 4, 9, 9))
    weights, window = np.ones((4, 2, kernel, kernel)), Window.of((kernel, kernel), pad=kernel // 2)
    kernels.conv_forward(x, weights, None, out, window)
    kernels.conv_backward_data(out, weights, x, window)
    gradient = np.ones_like(weights)
    kernels.conv_backward_weights(x, out, gradient, window)
    assert (gradient == 1).all()
    dbias = np.ones(4)
    kernels.conv_backward_bias(out, dbias)
    assert (dbias == 1).all()


@pytest.mark.parametrize("stride", [1, 2])
def test_tiles_that_add_to_the_same_places_are_not_side_by_side(
    stride: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All tiles of an image are one part; where each writes places of its own, they are several."""
    run, parts = parallel.run, []

    def watched(function: Any, work: Any, large: bool) -> None:
        parts.append([{tile.first for tile in part} for part in work])
        run(function, work, large)

    monkeypatch.setattr(convolution.parallel, "run", watched)
    dx, dout = np.zeros((3, 2, 9, 9)), np.zeros((3, 9, *[9 if stride == 1 else 4] * 2))
    kernel = 1 if stride == 1 else 3
    weights, window = np.ones((9, 2, kernel, kernel)), Window.of((kernel, kernel), stride)
    kernels.conv_backward_data(dout, weights, dx, window, budget=8 * 2 * kernel**2 * 4 * 3)
    (found,) = parts
    assert found == [{0}, {1}, {2}] if stride == 2 else len(found) > 3


def test_add_bias() -> None:
    out = np.zeros((2, 3, 2, 2))
    kernels.add_bias(out, np.array([1.0, 2.0, 3.0]))
    assert np.array_equal(out[1, :, 1, 0], [1, 2, 3])


def test_im2col_is_the_definition(problem: Problem) -> None:
    expected = naive.columns(problem.x, problem.window)
    out = np.full(expected.shape, np.nan)
    kernels.im2col(problem.x, problem.window, out)
    assert np.array_equal(out, expected)


def test_col2im_is_the_adjoint_of_im2col(problem: Problem) -> None:
    columns = naive.columns(problem.x, problem.window)
    other = np.random.default_rng(2).standard_normal(columns.shape)
    back = np.full(problem.x.shape, np.nan)
    kernels.col2im(other, problem.window, back)
    assert np.isclose(np.vdot(columns, other), np.vdot(problem.x, back))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.data())
def test_any_geometry(data: Any) -> None:
    """The definition holds and the gradients are adjoint for whatever window fits."""
    rank = data.draw(st.integers(1, 3))

    def axes(low: int, high: int) -> tuple[int, ...]:
        return tuple(data.draw(st.integers(low, high)) for _ in range(rank))

    window = Window(axes(1, 3), axes(1, 3), axes(0, 2), axes(1, 2))
    spatial = axes(1, 6)
    assume(min(window.output_shape(spatial)) > 0)
    group = data.draw(st.integers(1, 2))
    images, inputs, outputs = (data.draw(st.integers(1, 3)) for _ in range(3))
    problem = Problem((images, inputs * group, spatial, outputs * group, window, group))
    budget = data.draw(st.sampled_from([None, 64, 500]))
    np.testing.assert_allclose(problem.forward(budget=budget), problem.expected(), atol=1e-12)
    problem.bias[:] = 0
    value = np.vdot(problem.expected(), problem.dout)
    assert np.isclose(np.vdot(problem.x, problem.data(budget=budget)), value)
    assert np.isclose(np.vdot(problem.weights, problem.weight(budget=budget)), value)


def test_deconvolution_shape_undoes_the_convolution_shape() -> None:
    for kernel, stride, pad, dilation in itertools.product((1, 2, 4), (1, 2, 3), (0, 1), (1, 2)):
        window = Window((kernel,), (stride,), (pad,), (dilation,))
        for size in range(1, 6):
            large = window.input_shape((size,))
            if large[0] > 0:
                assert window.output_shape(large) == (size,)


def test_relu_while_the_tile_is_hot(problem: Problem) -> None:
    expected = np.maximum(problem.expected(), 0)
    np.testing.assert_allclose(problem.forward(relu=True), expected, atol=1e-12)


@pytest.mark.parametrize("relu", [False, True])
def test_a_factor_for_each_filter(problem: Problem, relu: bool) -> None:
    """It goes into the weights or into what comes of them, whichever are fewer."""
    factor = np.random.default_rng(3).standard_normal(len(problem.weights))
    kept = problem.weights.copy()
    found = problem.forward(factor=factor, relu=relu)
    assert np.array_equal(problem.weights, kept)
    problem.weights = kept * factor.reshape(-1, *[1] * (kept.ndim - 1))
    expected = problem.expected()
    np.testing.assert_allclose(found, np.maximum(expected, 0) if relu else expected, atol=1e-12)


def test_both_places_of_a_factor_are_tried() -> None:
    fewer = {(p := Problem(it)).weights.size > p.dout.size for it in GEOMETRIES.values()}
    assert fewer == {False, True}


def test_a_fresh_gradient_is_written(problem: Problem) -> None:
    dweights, dbias = np.full_like(problem.weights, np.nan), np.full_like(problem.bias, np.nan)
    args = (problem.x, problem.dout, dweights, problem.window, problem.group)
    kernels.conv_backward_weights(*args, fresh=True)
    kernels.conv_backward_bias(problem.dout, dbias, fresh=True)
    np.testing.assert_allclose(dweights, problem.weight(), atol=1e-12)
    axes = (0, *range(2, problem.dout.ndim))
    np.testing.assert_allclose(dbias, problem.dout.sum(axis=axes), atol=1e-12)

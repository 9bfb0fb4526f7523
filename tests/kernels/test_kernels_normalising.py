"""Normalising, scaling and rectifying in one go, against the formulas one after the other."""

from __future__ import annotations

import itertools
import tracemalloc
from typing import Any

import numpy as np
import pytest

from caffelite.kernels.normalising import Backward, Forward

EPS = 0.3
SHAPES = {
    "many samples": (5, 3, 4),
    "few samples": (3, 4, 2),
    "one channel": (6, 1, 3),
    "one of each": (1, 1, 1),
}


class Problem:
    """Values, statistics and factors, and what the formulas make of them."""

    def __init__(self, shape: tuple[int, int, int], dtype: Any = np.float64) -> None:
        rng = np.random.default_rng(0)
        self.shape, channels = shape, shape[1]
        self.x, self.top, self.before = (rng.standard_normal((3, *shape)) + 0.5).astype(dtype)
        self.mean, self.scale, self.bias = rng.standard_normal((3, channels)).astype(dtype)
        self.deviation = rng.uniform(1, 2, channels).astype(dtype)

    def empty(self, wanted: bool = True) -> Any:
        return np.full(self.shape, np.nan, self.x.dtype) if wanted else None

    def normal(self, how: str) -> Any:
        """n; the batch's mean and variance."""
        axes = (0, 2)
        if how == "batch":
            variance = self.x.var(axes)
            mean = self.x.mean(axes)
            return wide(1 / np.sqrt(variance + EPS)) * (self.x - wide(mean)), mean, variance
        if how == "stored":
            return (self.x - wide(self.mean)) / wide(self.deviation), None, None
        return self.x, None, None

    def forward(self, how: str, writes: str, scale: bool, bias: bool) -> list[Any]:
        """n, y, z and the statistics, as far as they are written."""
        n, y, z = (self.empty(name in writes) for name in "nyz")
        mean = None if how == "none" else self.mean.copy()
        deviation = self.deviation.copy()
        factors = (self.scale if scale else None), (self.bias if bias else None)
        eps = EPS if how == "batch" else None
        variance = Forward(self.x, n, y, z).run(mean, deviation, eps, *factors)
        statistics = [mean, deviation, variance] if how == "batch" else []
        return [a for a in (n, y, z) if a is not None] + statistics

    def expected(self, how: str, writes: str, scale: bool, bias: bool) -> list[Any]:
        n, mean, variance = self.normal(how)
        y = n * (wide(self.scale) if scale else 1) + (wide(self.bias) if bias else 0)
        found = [{"n": n, "y": y, "z": np.maximum(y, 0)}[name] for name in writes]
        return [*found, mean, np.sqrt(variance + EPS), variance] if how == "batch" else found

    def backward(self, how: str, relu: bool, scale: bool, sums: bool, writes: str) -> list[Any]:
        """The gradients behind the rectifier, the scaling and all, and the two sums."""
        total = np.full((2, self.shape[1]), np.nan, self.x.dtype) if sums else None
        z = np.maximum(self.x, 0) if relu else None
        r, scaled, bottom = self.empty(relu), self.empty("s" in writes), self.empty("d" in writes)
        before = self.before if sums or how == "batch" else None
        run = Backward(self.top, z, r, before, scaled, bottom)
        deviation = None if how == "none" else self.deviation
        run.run(deviation, how == "batch", self.scale if scale else None, total)
        return [a for a in (r, scaled, bottom, total) if a is not None]

    def gradients(self, how: str, relu: bool, scale: bool, sums: bool, writes: str) -> list[Any]:
        g = self.top * (self.x > 0) if relu else self.top
        n, scaled = self.before, g * (wide(self.scale) if scale else 1)
        dx = scaled
        if how == "batch":
            size = n[:, 0].size
            share = scaled.sum((0, 2)) / size, (scaled * n).sum((0, 2)) / size
            dx = dx - wide(share[0]) - n * wide(share[1])
        if how != "none":
            dx = dx / wide(self.deviation)
        found = [g] if relu else []
        found += [{"s": scaled, "d": dx}[name] for name in writes]
        return [*found, np.stack([g.sum((0, 2)), (g * n).sum((0, 2))])] if sums else found


def wide(values: Any) -> Any:
    return values[:, None]


FORWARD = [
    (how, writes, scale, bias)
    for how, writes, scale, bias in itertools.product(
        ("batch", "stored", "none"),
        ("n", "ny", "nyz", "nz", "y", "yz", "z"),
        (False, True),
        (False, True),
    )
    if (scale or bias) == ("y" in writes) and (how != "none" or "n" not in writes)
]
BACKWARD = [
    (how, relu, scale, sums, writes)
    for how, relu, scale, sums, writes in itertools.product(
        ("batch", "stored", "none"), (False, True), (False, True), (False, True), ("sd", "s", "d")
    )
    if (scale or (writes == "d" and not sums)) and (how != "none" or writes == "d")
]


def near(found: list[Any], expected: list[Any]) -> None:
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("case", FORWARD, ids=str)
def test_forward_is_its_formulas(case: Any, shape: Any) -> None:
    problem = Problem(shape)
    near(problem.forward(*case), problem.expected(*case))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("case", BACKWARD, ids=str)
def test_backward_is_its_formulas(case: Any, shape: Any) -> None:
    problem = Problem(shape)
    near(problem.backward(*case), problem.gradients(*case))


@pytest.mark.parametrize("how", ["batch", "stored", "none"])
def test_float32_stays_float32(how: str) -> None:
    single, double = Problem((5, 3, 4), np.float32), Problem((5, 3, 4))
    for cases, method in ((FORWARD, Problem.forward), (BACKWARD, Problem.backward)):
        for case in (case for case in cases if case[0] == how):
            for found, exact in zip(method(single, *case), method(double, *case), strict=True):
                assert found.dtype == np.float32
                np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-5)


def test_nothing_large_is_allocated() -> None:
    """What is hidden has no array; nothing is put in its place."""
    x = np.ones((8, 16, 1024), np.float32)
    ones, z = np.ones(16, np.float32), np.empty_like(x)
    for scale in (None, ones):
        run = Forward(x, None, None if scale is None else x.copy(), z)
        run.run(ones, ones, None, scale, None)  # scratch is there now
        tracemalloc.start()
        try:
            run.run(ones, ones, None, scale, None)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < x.nbytes / 4


def test_the_rectifier_alone() -> None:
    problem = Problem((5, 3, 4))
    z, r = np.maximum(problem.x, 0), problem.empty()
    Backward(problem.top, z, r, None, None, None).run(None, False, None, None)
    assert np.array_equal(r, problem.top * (problem.x > 0))
    y = problem.empty()
    Forward(problem.x, None, None, y).run(None, problem.deviation, None, None, None)
    assert np.array_equal(y, np.maximum(problem.x, 0))


def test_a_gradient_that_goes_through_as_it_is_may_lie_where_it_came() -> None:
    """Nothing is normalised or scaled: what leaves the rectifier is what goes on."""
    problem = Problem((5, 3, 4))
    z, r = np.maximum(problem.x, 0), problem.empty()
    Backward(problem.top, z, r, None, None, r).run(None, False, None, None)
    assert np.array_equal(r, problem.top * (problem.x > 0))

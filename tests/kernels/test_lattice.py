"""The lattice's filter is near a Gaussian, and its transpose is one."""

from __future__ import annotations

import numpy as np
import pytest

from caffelite.kernels.lattice import Lattice


@pytest.mark.parametrize("d, near", [(1, 0.004), (2, 0.015)])
def test_a_filter_divided_by_that_of_ones_is_near_a_gaussian(d: int, near: float) -> None:
    rng = np.random.default_rng(d)
    points, values = rng.uniform(0, 4, (500, d)), rng.uniform(0, 1, (2, 500))
    found = Lattice(points)
    weights = np.exp(-0.5 * ((points[:, None] - points[None]) ** 2).sum(-1))
    expected = values @ weights / weights.sum(1)
    y = found.filter(values) / found.filter(np.ones(500))
    assert np.abs(y - expected).max() < near
    assert np.abs(values.mean() - expected).max() > near  # it is no mean of all


def test_the_weights_of_corners_are_shares() -> None:
    found = Lattice(np.random.default_rng(0).uniform(-9, 9, (300, 5)))
    assert found._weights.min() >= 0
    np.testing.assert_allclose(found._weights.sum(1), 1)
    assert found._corner.max() == found.size - 1


def test_transposed_is_transposed() -> None:
    rng = np.random.default_rng(1)
    found = Lattice(rng.uniform(0, 3, (60, 3)))
    a, b = rng.standard_normal((2, 60))
    assert found.filter(a) @ b == pytest.approx(a @ found.filter(b, transposed=True))
    every = found.filter(np.eye(60))
    np.testing.assert_allclose(found.filter(np.eye(60), transposed=True), every.T, atol=1e-12)


def test_two_points_far_apart_do_not_meet() -> None:
    found = Lattice(np.array([[0.0, 0.0], [50.0, 50.0]]))
    y = found.filter(np.array([1.0, 0.0]))
    assert y[0] > 0.2 and y[1] == 0


def test_numbers_stay_of_their_type() -> None:
    points = np.random.default_rng(2).uniform(0, 3, (40, 2)).astype(np.float32)
    y = Lattice(points).filter(np.ones((3, 40), np.float32))
    assert y.dtype == np.float32 and y.shape == (3, 40)


def test_points_that_no_numbering_can_tell_apart_are_refused() -> None:
    with pytest.raises(OverflowError, match="too far apart"):
        Lattice(np.array([[0.0] * 5, [1e15] * 5]))

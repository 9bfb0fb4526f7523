"""Eltwise: who gets the gradient of a maximum that several bottoms share."""

from __future__ import annotations

import numpy as np
import pytest

from caffelite.layers.cases import Case
from caffelite.testing import Bench


@pytest.mark.parametrize(
    ("values", "winner"),
    [
        ([5, 5], 1),  # of the first two, the second
        ([5, 5, 5], 1),
        ([5, 4, 5], 0),  # of the others, the first that has the value
        ([4, 5, 5], 1),
        ([3, 4, 5, 5], 2),
    ],
)
def test_ties_of_max_go_where_caffe_sends_them(values: list[float], winner: int) -> None:
    inputs = {f"x{i}": [float(v)] for i, v in enumerate(values)}
    bench = Bench(Case('type: "Eltwise" eltwise_param { operation: MAX }', inputs)).run()
    assert bench.top[0] == max(values)
    expected = [bench.top_diff[0] if i == winner else 0 for i in range(len(values))]
    for diff, value in zip(bench.bottom_diff, expected):
        assert np.array_equal(diff, np.broadcast_to(value, (1,)))


def test_a_product_with_zeros_has_a_gradient() -> None:
    """Dividing y by x would give NaN here; the other factors are multiplied instead."""
    case = Case(
        'type: "Eltwise" eltwise_param { operation: PROD }',
        {"a": [0.0, 0.0], "b": [3.0, 0.0], "c": [4.0, 5.0]},
    )
    bench = Bench(case).run()
    dy = bench.top_diff[0]
    np.testing.assert_array_equal(bench.bottom_diff[0], dy * [12, 0])
    np.testing.assert_array_equal(bench.bottom_diff[1], dy * [0, 0])
    np.testing.assert_array_equal(bench.bottom_diff[2], dy * [0, 0])

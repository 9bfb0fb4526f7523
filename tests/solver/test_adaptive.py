"""A rate of its own for each parameter, worked out by hand."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from caffelite.errors import SolverError
from caffelite.schema.solver import SolverParameter
from caffelite.solver.adaptive import check_adaptive, own_rate
from caffelite.solver.rules import RULES
from caffelite.solver.update import Update

W, G = np.array([3.0, 4.0]), np.array([0.0, 2.0])  # norms 5 and 2


@pytest.mark.parametrize(
    "param, rate",
    [
        # 0.5 · (0.01 · 5/2)
        (SolverParameter(larc=True, larc_eta=0.01), 0.0125),
        (SolverParameter(larc=True, larc_eta=0.01, momentum=0.9), 0.00125),
        (SolverParameter(larc=True, larc_policy="clip", larc_eta=0.01), 0.025),
        (SolverParameter(larc=True, larc_policy="clip", larc_eta=1.0), 0.5),
        # 0.5 · 0.01 · 5/(2 + 0.4·5)
        (SolverParameter(local_lr_auto=True, local_gw_ratio=0.01, weight_decay=0.4), 0.00625),
    ],
)
def test_values(param: SolverParameter, rate: float) -> None:
    assert own_rate(param, 0.5, W, G) == pytest.approx(rate)


def test_small_parameters_have_their_rate_too() -> None:
    param = SolverParameter(larc=True, larc_eta=0.01)
    assert own_rate(param, 0.5, W / 100, G / 100) == pytest.approx(0.0125)


def test_no_gradient_leaves_the_rate() -> None:
    assert own_rate(SolverParameter(larc=True), 0.5, W, np.zeros(2)) == 0.5
    assert own_rate(SolverParameter(local_lr_auto=True), 0.5, np.zeros(2), G) == 0.5


def test_an_update_uses_them() -> None:
    """iter_size halves the gradient first; a frozen parameter stays."""
    param = SolverParameter(larc=True, larc_eta=0.01, iter_size=2)
    data, diff = np.array([3.0, 4.0, 7.0, 7.0]), np.array([0.0, 4.0, 1.0, 1.0])
    arena = SimpleNamespace(
        data=data,
        diff=diff,
        params=[
            SimpleNamespace(lr_mult=9.0, decay_mult=1.0),
            SimpleNamespace(lr_mult=0.0, decay_mult=1.0),
        ],
        slices=[slice(0, 2), slice(2, 4)],
    )
    rule = RULES["SGD"](param, partial(np.array, dtype=np.float64), np)
    Update(param, rule, arena).apply(0.5, 0)
    np.testing.assert_allclose(data, [3.0, 4.0 - 0.0125 * 2, 7.0, 7.0])


@pytest.mark.parametrize(
    "param, word",
    [
        (SolverParameter(larc=True, local_lr_auto=True), "both set"),
        (SolverParameter(larc=True, larc_policy="x"), 'larc_policy "x"'),
    ],
)
def test_refusals(param: SolverParameter, word: str) -> None:
    with pytest.raises(SolverError, match=word):
        check_adaptive(param)

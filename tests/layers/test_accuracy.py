"""Accuracy: what is refused, and scores that are not numbers."""

import numpy as np
import pytest

from caffelite.errors import NetError
from caffelite.layers.cases import Case
from caffelite.testing import Bench


def test_top_k_must_leave_a_question() -> None:
    case = Case('type: "Accuracy" accuracy_param { top_k: 3 }', {"x": np.eye(2), "label": [0, 1]})
    with pytest.raises(NetError, match="top_k is 3, but there are 2 classes"):
        Bench(case)


def test_a_net_that_computes_nan_is_never_right() -> None:
    bench = Bench(Case('type: "Accuracy"', {"x": np.full((4, 3), np.nan), "label": [0, 1, 2, 0]}))
    bench.forward()
    assert bench.top[0] == 0

"""BatchNorm: the statistics that it keeps."""

import numpy as np
import pytest

from caffelite.errors import NetError
from caffelite.layers.cases import Case
from caffelite.schema.common import Phase
from caffelite.testing import Bench

X = [[1.0, 4.0], [3.0, -4.0]]  # means 2 and 0, unbiased variances 2 and 32


def test_a_training_pass_updates_the_stored_statistics() -> None:
    text = 'type: "BatchNorm" batch_norm_param { moving_average_fraction: 0.5 }'
    bench = Bench(Case(text, {"x": X}, params=[[8.0, 0.0], [4.0, 4.0], [2.0]]))
    bench.forward()
    mean, variance, factor = (p.data for p in bench.layer.params)
    np.testing.assert_allclose(mean, [0.5 * 8 + 2, 0])
    np.testing.assert_allclose(variance, [0.5 * 4 + 2, 0.5 * 4 + 32])
    np.testing.assert_allclose(factor, [0.5 * 2 + 1])


@pytest.mark.parametrize(
    ("phase", "param"), [(Phase.TEST, ""), (Phase.TRAIN, "use_global_stats: true")]
)
def test_stored_statistics_are_used_unchanged(phase: Phase, param: str) -> None:
    text = f'type: "BatchNorm" batch_norm_param {{ eps: 0 {param} }}'
    bench = Bench(Case(text, {"x": X}, phase=phase, params=[[2.0, 2.0], [8.0, 2.0], [2.0]]))
    bench.forward()
    np.testing.assert_allclose(bench.top[0], [[0.0, 3.0], [1.0, -5.0]])
    assert [p.data.tolist() for p in bench.layer.params] == [[2.0, 2.0], [8.0, 2.0], [2.0]]


def test_one_value_a_channel_has_no_unbiased_variance() -> None:
    bench = Bench(Case('type: "BatchNorm"', {"x": [[5.0]]}, params=[[0.0], [0.0], [0.0]]))
    bench.forward()
    assert [p.data.tolist() for p in bench.layer.params] == [[5.0], [0.0], [1.0]]


def test_the_statistics_are_not_learned() -> None:
    assert Bench(Case('type: "BatchNorm"', {"x": X})).layer.learns == [False] * 3


def test_a_learning_rate_for_statistics_is_refused() -> None:
    with pytest.raises(NetError, match="lr_mult of parameter 1 is 1, but statistics"):
        Bench(Case('type: "BatchNorm" param { lr_mult: 0 } param { lr_mult: 1 }', {"x": X}))


def test_other_channels_are_refused() -> None:
    bench = Bench(Case('type: "BatchNorm"', {"x": X}))
    with pytest.raises(NetError, match="statistics are of 2 channels"):
        bench.reshape([np.zeros((2, 3))])

"""Dropout and DropConnect: what chance must keep to."""

from __future__ import annotations

import math

import numpy as np
import pytest

import caffelite
from caffelite.errors import CaffeliteError
from caffelite.files import parse_net
from caffelite.layers.cases import Case
from caffelite.schema.common import Phase
from caffelite.testing import Bench


def dropout(ratio: float, *shape: int, dtype: type = np.float64) -> Bench:
    text = f'type: "Dropout" dropout_param {{ dropout_ratio: {ratio} }}'
    return Bench(Case(text, {"x": np.ones(shape)}), dtype)


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.8])
def test_dropout_drops_its_share_and_scales_the_rest(ratio: float) -> None:
    bench = dropout(ratio, 100, 400).run()
    kept = bench.top[0] != 0
    assert bench.top[0][kept] == pytest.approx(1 / (1 - ratio))
    # the share of 40000 has a standard error of √(p(1 - p)/n)
    assert abs(kept.mean() - (1 - ratio)) < 5 * math.sqrt(ratio * (1 - ratio) / 40_000)


def test_dropout_drops_elements_independently() -> None:
    kept = dropout(0.5, 200, 200).run().top[0] != 0
    for axis in (0, 1):
        # each line of 200 keeps 100 on average, sd √50 = 7.1; a whole line is never alike
        assert np.all(np.abs(kept.sum(axis=axis) - 100) < 5 * 7.1)
    pairs = kept[:, 1:] & kept[:, :-1]
    assert abs(pairs.mean() - 0.25) < 0.015


def test_dropout_drops_the_same_in_every_type_of_net() -> None:
    single = dropout(0.5, 50, 50, dtype=np.float32).run()
    double = dropout(0.5, 50, 50).run()
    assert np.array_equal(single.top[0], double.top[0])


def test_dropout_draws_anew_in_every_pass() -> None:
    bench = dropout(0.5, 10, 10)
    passes = []
    for _ in range(3):
        bench.layer.forward(bench.bottom, bench.top)
        passes.append(bench.top[0].copy())
    assert not np.array_equal(passes[0], passes[1])
    assert not np.array_equal(passes[1], passes[2])


def test_the_gradient_passes_where_the_value_did() -> None:
    bench = dropout(0.5, 20, 20).run()
    np.testing.assert_allclose(bench.bottom_diff[0], bench.top_diff[0] * bench.top[0])


def drop_connect(ratio: float, samples: int = 1, phase: Phase = Phase.TRAIN) -> Bench:
    """Inputs 1, 2, 4, 8, so that an output tells which weights, all 1, were kept."""
    text = f'type: "DropConnect" dropconnect_param {{ num_output: 500 dropout_ratio: {ratio} }}'
    inputs = {"x": np.tile([1.0, 2.0, 4.0, 8.0], (samples, 1))}
    return Bench(Case(text, inputs, params=[1.0, 0.0], phase=phase))


def kept_weights(bench: Bench, ratio: float) -> np.ndarray:
    """samples x outputs x inputs, true where the weight was kept."""
    code = np.rint(bench.top[0] * (1 - ratio)).astype(int)
    return (code[:, :, None] >> np.arange(4)) & 1 == 1


def test_drop_connect_drops_its_share_of_the_weights() -> None:
    kept = kept_weights(drop_connect(0.25, samples=20).run(), 0.25)
    # 40000 weights: standard error √(0.25·0.75/40000) = 0.0022; 10000 of each input: 0.0043
    assert abs(kept.mean() - 0.75) < 5 * 0.0022
    assert np.all(np.abs(kept.mean(axis=(0, 1)) - 0.75) < 5 * 0.0043)


def test_drop_connect_drops_other_weights_for_each_sample() -> None:
    first, second = kept_weights(drop_connect(0.5, samples=2).run(), 0.5)
    # independent masks agree in half of 2000 places, standard error 0.011
    assert abs((first == second).mean() - 0.5) < 5 * 0.011


def test_drop_connect_averages_to_its_test_phase() -> None:
    # Σ of 1 + 2 + 4 + 8 = 15; variance of one output at p = ½: 1 + 4 + 16 + 64 = 85
    assert np.all(drop_connect(0.5, phase=Phase.TEST).run().top[0] == 15)
    train = drop_connect(0.5, samples=40).run().top[0]
    assert abs(train.mean() - 15) < 5 * math.sqrt(85 / train.size)


def test_drop_connect_never_drops_biases() -> None:
    text = 'type: "DropConnect" dropconnect_param { num_output: 50 dropout_ratio: 0.5 }'
    bench = Bench(Case(text, {"x": np.ones((3, 4))}, params=[0.0, 7.0])).run()
    assert np.all(bench.top[0] == 7)


SPATIAL = """layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ dim: [{}] }} }} }}
  layer {{ name: "d" bottom: "x" top: "y" {} }}"""
ENET = (
    'type: "Python" python_param { module: "spatial_dropout" layer: "SpatialDropoutLayer" '
    'param_str: "%s" }'
)


def spatial(layer: str, phase: int, dims: str = "20, 30, 2, 2") -> caffelite.Net:
    net = caffelite.Net(parse_net(SPATIAL.format(dims, layer), "a.net"), phase, seed=0)
    net.blobs["x"].data[...] = 1
    net.forward()
    return net


def test_whole_channels_are_dropped() -> None:
    layer = 'type: "SpatialDropout" dropout_param { dropout_ratio: 0.25 }'
    y = spatial(layer, caffelite.TRAIN).blobs["y"].data.reshape(600, 4)
    assert (y == y[:, :1]).all()
    np.testing.assert_allclose(np.unique(y), [0, 4 / 3], rtol=1e-6)
    assert 0.15 < (y[:, 0] == 0).mean() < 0.35
    assert (spatial(layer, caffelite.TEST).blobs["y"].data == 1).all()


def test_enets_layer_goes_by_its_own_phase() -> None:
    dropped = spatial(ENET % "{'phase': 'TRAIN', 'p': '0.5'}", caffelite.TEST).blobs["y"].data
    assert set(np.unique(dropped)) == {0, 2}
    kept = spatial(ENET % "{'phase': 'TEST', 'p': 0.5}", caffelite.TRAIN).blobs["y"].data
    assert (kept == 2).all()


@pytest.mark.parametrize(
    "said", ["", "{'p': 0.5}", "{'p': 1, 'phase': 'TRAIN'}", "__import__", "[1]"]
)
def test_what_enets_layer_must_be_told(said: str) -> None:
    with pytest.raises(CaffeliteError, match="does not say how much is dropped"):
        spatial(ENET % said, caffelite.TEST)


def test_channels_are_needed() -> None:
    with pytest.raises(CaffeliteError, match="N x C"):
        spatial('type: "SpatialDropout"', caffelite.TEST, "3")

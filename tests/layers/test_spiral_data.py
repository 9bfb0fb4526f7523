"""SpiralData: whose points, in what order, and going on after a snapshot."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from caffelite import Net
from caffelite.errors import DataError, NetError
from caffelite.files import parse_net
from caffelite.schema.common import Phase
from caffelite.streams import Streams


def spiral(
    fields: str = "", name: str = "s", tops: str = 'top: "data" top: "label"', **kw: Any
) -> Net:
    text = f'layer {{ name: "{name}" type: "SpiralData" {tops} spiral_data_param {{ {fields} }} }}'
    return Net(parse_net(text), **{"phase": Phase.TRAIN, "seed": 3, **kw})


def epoch(net: Net, batches: int) -> tuple[np.ndarray, np.ndarray]:
    found = [[a.copy() for a in net.forward().values()] for _ in range(batches)]
    return np.concatenate([f[0] for f in found]), np.concatenate([f[1] for f in found])


def test_points_lie_on_their_arms_up_to_the_noise() -> None:
    layer = spiral("classes: 4 samples_per_class: 50 noise: 0.1").layers[0]
    for arm in range(4):
        x, y = layer.points[layer.labels == arm].astype(np.float64).T
        r = np.hypot(x, y)
        np.testing.assert_allclose(r, np.linspace(0, 1, 50), atol=1e-6)
        t = math.tau / 4 * (arm + 1.5 * r)
        off = np.angle(np.exp(1j * (np.arctan2(x, y) - t)))[1:]
        assert 0.06 < off.std() < 0.14


def test_every_point_once_an_epoch_in_a_new_order_with_its_label() -> None:
    net = spiral()
    layer = net.layers[0]
    assert (layer.epoch_size, layer.batch_size) == (300, 20)
    everything = sorted(zip(*layer.points.T.tolist(), layer.labels.tolist()))
    first, second = epoch(net, 15), epoch(net, 15)
    for points, labels in (first, second):
        assert sorted(zip(*points.T.tolist(), labels.tolist())) == everything
    assert not np.array_equal(first[0], second[0])


def test_the_last_short_batch_is_filled_from_the_next_epoch() -> None:
    net = spiral("samples_per_class: 3 batch_size: 4 shuffle: false noise: 0")
    labels = epoch(net, 5)[1].tolist()
    assert labels == ([0, 0, 0, 1, 1, 1, 2, 2, 2] * 3)[:20]


def test_a_batch_may_be_larger_than_the_set() -> None:
    net = spiral("classes: 2 samples_per_class: 2 batch_size: 10 shuffle: false noise: 0")
    assert epoch(net, 1)[1].tolist() == [0, 0, 1, 1, 0, 0, 1, 1, 0, 0]


def test_the_test_phase_sees_the_points_of_training_unless_told_otherwise() -> None:
    streams = Streams(8)
    train = spiral(streams=streams, prefix="train/").layers[0]
    test = spiral(streams=streams, prefix="test0/", phase=Phase.TEST)
    np.testing.assert_array_equal(train.points, test.layers[0].points)
    assert not np.array_equal(epoch(test, 1)[0], train.points[:20])
    other = spiral("seed: 5", streams=streams, phase=Phase.TEST).layers[0]
    assert not np.array_equal(train.points, other.points)
    np.testing.assert_array_equal(other.points, spiral("seed: 5", "t", seed=4).layers[0].points)
    renamed = spiral(name="t", streams=streams).layers[0]
    assert not np.array_equal(train.points, renamed.points)


def test_a_seed_repeats_a_run() -> None:
    np.testing.assert_array_equal(epoch(spiral(), 20)[0], epoch(spiral(), 20)[0])
    assert not np.array_equal(epoch(spiral(), 20)[0], epoch(spiral(seed=4), 20)[0])


@pytest.mark.parametrize("used", [0, 1, 15, 22])
@pytest.mark.parametrize("fields", ["", "seed: 4", "batch_size: 7"])
def test_a_resumed_run_goes_on_with_the_next_points(fields: str, used: int) -> None:
    net = spiral(fields)
    for _ in range(used):
        net.forward()
    state = json.loads(json.dumps(net.layers[0].state()))
    again = spiral(fields, seed=99)
    epoch(again, 3)
    again.layers[0].restore(state)
    for a, b in zip(epoch(net, 20), epoch(again, 20)):
        np.testing.assert_array_equal(a, b)


def test_a_snapshot_of_more_points_is_refused() -> None:
    net = spiral()
    epoch(net, 15)
    with pytest.raises(DataError, match="300"):
        spiral("classes: 2").layers[0].restore(net.layers[0].state())


def test_labels_may_be_left_out() -> None:
    assert list(spiral(tops='top: "data"').forward()) == ["data"]


@pytest.mark.parametrize(
    "fields", ["classes: 0", "samples_per_class: 0", "batch_size: 0", "noise: -1"]
)
def test_senseless_sizes_are_refused_with_their_place(fields: str) -> None:
    with pytest.raises(NetError, match=fields.split(":")[0]) as caught:
        spiral(fields)
    assert fields in str(caught.value)

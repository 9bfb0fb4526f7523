"""Every source of chance has its own stream, all from one seed."""

from __future__ import annotations

import json

import numpy as np

from caffelite.streams import Streams


def test_a_stream_depends_on_seed_and_name_alone() -> None:
    one, other = Streams(7), Streams(7)
    other.get("another").random(5)
    assert one.get("a").random() == other.get("a").random()
    values = {Streams(seed).get(name).random() for seed in (7, 8) for name in ("a", "b")}
    assert len(values) == 4


def test_a_stream_goes_on_where_it_was() -> None:
    streams = Streams(1)
    assert streams.get("a") is streams.get("a")
    first = streams.get("a").random()
    assert streams.get("a").random() != first
    assert streams.fresh("a").random() == first


def test_without_a_seed_one_is_taken_and_told() -> None:
    for none in (None, -1):
        streams = Streams(none)
        assert streams.seed >= 0
        assert streams.get("a").random() == Streams(streams.seed).get("a").random()
    assert Streams().seed != Streams().seed


def test_the_state_survives_json_and_continues() -> None:
    streams = Streams(3)
    held = streams.get("a")
    held.normal(size=5)
    state = json.loads(json.dumps(streams.state()))
    expected = held.normal(size=3)

    other = Streams(99)
    theirs = other.get("a")  # a layer holds its generator from before
    other.get("b").random()
    other.restore(state)
    assert other.seed == 3
    np.testing.assert_array_equal(theirs.normal(size=3), expected)
    assert other.get("b").random() == Streams(3).get("b").random()

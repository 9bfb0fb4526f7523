"""A net of one data layer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from caffelite import Net
from caffelite.files import parse_net
from caffelite.layers.base import Layer
from caffelite.schema.common import Phase


def net_of(
    text: str, folder: Path | str = "", phase: Phase = Phase.TRAIN, seed: int = 1, **kwargs: Any
) -> Net:
    """`type: "Data" data_param { … }` as a net with tops "data" and "label"."""
    tops = kwargs.pop("tops", ("data", "label"))
    named = "".join(f' top: "{top}"' for top in tops)
    param = parse_net(f'layer {{ name: "d"{named} {text} }}', "some.net")
    return Net(param, phase=phase, folder=str(folder), seed=seed, **kwargs)


def layer_of(net: Net) -> Layer:
    return net.layers[0]


def batches(net: Net, count: int) -> list[dict[str, np.ndarray]]:
    """Copies of the next batches."""
    return [{k: v.copy() for k, v in net.forward().items()} for _ in range(count)]


def assert_same(found: list[dict[str, np.ndarray]], expected: list[dict[str, np.ndarray]]) -> None:
    assert len(found) == len(expected)
    for a, b in zip(found, expected):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def assert_resumes(text: str, folder: Path | str = "", phase: Phase = Phase.TRAIN) -> None:
    """What follows a snapshot is what would have followed without one, also with another seed."""
    net = net_of(text, folder, phase)
    start = layer_of(net).state()
    first = batches(net, 5)
    state = json.loads(json.dumps(layer_of(net).state()))
    expected = batches(net, 7)
    layer_of(net).restore(start)
    assert_same(batches(net, 5), first)
    again = net_of(text, folder, phase, seed=77)
    batches(again, 2)
    layer_of(again).restore(state)
    assert_same(batches(again, 7), expected)
    fresh = net_of(text, folder, phase, seed=77)
    layer_of(fresh).restore(state)
    assert_same(batches(fresh, 7), expected)

"""naibaf7's layers for segments: MalisLoss, Affinity, ConnectedComponent, a weighted distance."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import caffelite
from caffelite.errors import NetError
from caffelite.files import parse_net

RNG = np.random.default_rng(11)


def net_of(layer: str, shapes: dict[str, tuple[int, ...]]) -> caffelite.Net:
    text = "force_backward: true " + " ".join(
        f'input: "{name}" input_shape {{ {" ".join(f"dim: {n}" for n in shape)} }}'
        for name, shape in shapes.items()
    )
    bottoms = " ".join(f'bottom: "{name}"' for name in shapes)
    text += f' layer {{ name: "l" {bottoms} top: "y" {layer} }}'
    return caffelite.Net(parse_net(text, "f.net"), caffelite.TRAIN, dtype=np.float64)


def maximin(affinities: np.ndarray, steps: list[tuple[int, int, int]]) -> np.ndarray:
    """For any two places (planes, rows, columns) the best path's lowest affinity; -1: no path."""
    places = affinities.shape[1:]
    best = np.full((affinities[0].size,) * 2, -1.0)
    for e, step in enumerate(steps):
        for at in np.ndindex(*places):
            end = tuple(np.add(at, step))
            if all(0 <= p < n for p, n in zip(end, places)):
                i, j = np.ravel_multi_index(at, places), np.ravel_multi_index(end, places)
                best[i, j] = best[j, i] = max(best[i, j], affinities[(e, *at)])
    for k in range(len(best)):
        best = np.maximum(best, np.minimum(best[:, k : k + 1], best[k : k + 1]))
    return best


@pytest.mark.parametrize("given", [True, False])
def test_each_pair_counts_by_its_best_path(given: bool) -> None:
    shape = (2, 4 if given else 3, 2, 3, 3)
    steps = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, -1, 2)][: shape[1]]
    a, t = RNG.uniform(size=(2, *shape))
    segments = RNG.integers(0, 3, (2, 2, *shape[2:]))
    values = {"a": a, "t": t, "s": segments, "e": np.array(steps)}
    values = values if given else dict(list(values.items())[:3])
    net = net_of('type: "MalisLoss"', {name: np.shape(value) for name, value in values.items()})
    for name, value in values.items():
        net.blobs[name].data[...] = value
    expected = 0.0
    for n in range(2):
        for s, mixed, same in (
            (segments[n, 0], np.maximum, False),
            (segments[n, 1], np.minimum, True),
        ):
            best, labels = maximin(mixed(a[n], t[n]), steps), s.ravel()
            pairs = [
                best[i, j]
                for i, j in itertools.combinations(range(labels.size), 2)
                if labels[i] and labels[j] and (labels[i] == labels[j]) == same
            ]
            costs = [0 if p < 0 else (1 - p) ** 2 if same else p**2 for p in pairs]
            expected += sum(costs) / len(pairs) / 4
    assert float(net.forward()["y"]) == pytest.approx(expected)


def test_an_image_of_one_segment_has_no_pairs_apart() -> None:
    net = net_of('type: "MalisLoss"', {"a": (1, 1, 3), "t": (1, 1, 3), "s": (1, 1, 3)})
    net.blobs["a"].data[...] = 0.5
    net.blobs["t"].data[...] = 1
    net.blobs["s"].data[...] = 7
    assert float(net.forward()["y"]) == pytest.approx(0.5**2 / 2)
    net.blobs["s"].data[...] = 0
    assert float(net.forward()["y"]) == 0
    net.backward()
    assert not net.blobs["a"].diff.any()


def test_shapes_that_are_refused() -> None:
    with pytest.raises(NetError, match="E from 1 to 3 unless edges are given"):
        net_of('type: "MalisLoss"', {"a": (1, 4, 3), "t": (1, 4, 3), "s": (1, 1, 3)})
    with pytest.raises(NetError, match="expected 1 x 1 x 3"):
        net_of('type: "MalisLoss"', {"a": (1, 2, 3), "t": (1, 2, 3), "s": (1, 3, 3)})
    with pytest.raises(NetError, match="6 values: 3 for each edge"):
        shapes = {"a": (1, 2, 3), "t": (1, 2, 3), "s": (1, 1, 3), "e": (2, 2)}
        net_of('type: "MalisLoss"', shapes)
    with pytest.raises(NetError, match="and its offset 2"):
        net_of('type: "Affinity" affinity_param { offset: 2 }', {"x": (1, 2, 3, 3)})
    with pytest.raises(NetError, match="a top for each bottom"):
        net_of('type: "Affinity"', {"x": (1, 2, 3, 3), "z": (1, 2, 3, 3)})
    with pytest.raises(NetError, match="expected N x C x H x W"):
        net_of('type: "ConnectedComponent"', {"x": (3, 3)})
    with pytest.raises(NetError, match="a factor for each value"):
        net_of('type: "EuclideanLoss"', {"a": (2, 3), "b": (2, 3), "w": (2,)})


def test_components_wind_their_way() -> None:
    rows = ["1111", "0001", "1101", "1001", "1111"]
    net = net_of('type: "ConnectedComponent"', {"x": (1, 1, 5, 4)})
    net.blobs["x"].data[...] = [[int(c) for c in row] for row in rows]
    found = net.forward()["y"][0, 0]
    assert set(np.unique(found)) == {0, 2}
    net.blobs["x"].data[0, 0, 4, 2] = 0
    found = net.forward()["y"][0, 0]
    assert found[0, 0] == 2 and found[4, 0] == 3 and found[4, 3] == 2


def test_a_third_bottom_weighs() -> None:
    net = net_of('type: "EuclideanLoss"', {"a": (2, 3), "b": (2, 3), "w": (2, 3)})
    assert net.layers[-1].type == "WeightedEuclideanLoss"

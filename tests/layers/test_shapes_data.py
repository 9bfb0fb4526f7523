"""ShapesData: what is drawn, where the boxes are, and going on after a snapshot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from caffelite import Net
from caffelite.errors import DataError, NetError
from caffelite.files import parse_net
from caffelite.layers.shapes_data import _colour
from caffelite.schema.common import Phase


def shapes(fields: str = "", **kw: Any) -> Net:
    text = (
        'layer { name: "s" type: "ShapesData" top: "data" top: "objects" '
        f"shapes_data_param {{ {fields} }} }}"
    )
    return Net(parse_net(text), **{"phase": Phase.TRAIN, "seed": 3, **kw})


def batch(net: Net) -> tuple[np.ndarray, np.ndarray]:
    net.forward()
    return net.blobs["data"].data.copy(), net.blobs["objects"].data[0, 0].copy()


def test_a_box_is_filled_by_its_shape_and_all_else_is_ground() -> None:
    data, rows = batch(shapes("batch_size: 40 noise: 0 size: 64"))
    rows = rows[rows[:, 0] >= 0]
    assert set(rows[:, 1]) == {1, 2, 3}
    # what a shape covers of its box: all, π/4, 1/2
    share = {1: 1, 2: np.pi / 4, 3: 0.5}
    ground = np.ones((40, 64, 64), bool)
    for image, kind, _, *corners, difficult in rows:
        x1, y1, x2, y2 = np.rint(np.array(corners) * 64).astype(int)
        inside = data[int(image), :, y1:y2, x1:x2]
        colours, counts = np.unique(inside.reshape(3, -1), axis=1, return_counts=True)
        assert colours.shape[1] == (1 if kind == 1 else 2)
        middle = inside[:, (y2 - y1) // 2, (x2 - x1) // 2]
        covered = counts[(colours == middle[:, None]).all(0)].sum() / inside[0].size
        assert covered == pytest.approx(share[int(kind)], abs=0.06)
        assert 12 <= x2 - x1 <= 40 and 12 <= y2 - y1 <= 40 and difficult == 0
        ground[int(image), y1:y2, x1:x2] = False
        assert kind != 2 or x2 - x1 == y2 - y1  # discs are round
    for image, mask in zip(data, ground):
        assert len(np.unique(image[:, mask], axis=1).T) == 1


def test_a_colour_can_be_told_from_the_ground() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        ground = rng.random(3)
        colour = _colour(rng, ground)
        assert np.abs(colour - ground).max() >= 0.25
        assert colour.min() >= 0 and colour.max() <= 1


def test_objects_are_numbered_and_the_rows_left_are_empty() -> None:
    _, rows = batch(shapes("batch_size: 8 objects: 4 size: 16"))
    assert rows.shape == (32, 8)
    used = int((rows[:, 0] >= 0).sum())
    assert 8 <= used < 32 and (rows[used:] == -1).all()
    for image in range(8):
        numbers = rows[rows[:, 0] == image, 2]
        assert numbers.tolist() == list(range(len(numbers))) != []


def test_an_epoch_is_the_same_again() -> None:
    net = shapes("samples: 6 batch_size: 4 size: 16")
    first, second, third = (batch(net)[0] for _ in range(3))
    assert np.array_equal(np.concatenate([first, second, third])[6:], [*first, *second[:2]])
    assert not np.array_equal(first[0], first[1])


def test_whose_images_they_are() -> None:
    def image(fields: str = "", **kw: Any) -> np.ndarray:
        return batch(shapes("size: 16 " + fields, **kw))[0]

    assert np.array_equal(image(), image(phase=Phase.TEST))
    assert not np.array_equal(image(), image(seed=4))
    assert np.array_equal(image("seed: 1"), image("seed: 1", seed=4))


def test_a_run_goes_on_with_the_next_image() -> None:
    fields = "samples: 10 batch_size: 3 size: 16"
    net = shapes(fields)
    batch(net)
    state = net.layers[0].state()
    expected = batch(net)
    other = shapes(fields, seed=9)
    other.layers[0].restore(state)
    assert all(map(np.array_equal, batch(other), expected))
    with pytest.raises(DataError, match="after 3 images of an epoch, but there are only 2"):
        shapes("samples: 2 size: 16").layers[0].restore(state)


def test_refused() -> None:
    with pytest.raises(NetError, match="a batch is too large"):
        shapes("batch_size: 100000 size: 1024")

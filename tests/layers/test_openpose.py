"""OpenPose's ImResize and Nms: scales of an image, and peaks of maps."""

from __future__ import annotations

import numpy as np
import pytest

import caffelite
from caffelite.errors import NetError
from caffelite.files import parse_net


def net_of(shape: tuple[int, ...], layers: str) -> caffelite.Net:
    dims = " ".join(f"dim: {n}" for n in shape)
    return caffelite.Net(
        parse_net(f'input: "x" input_shape {{ {dims} }} {layers}', "m.net"),
        caffelite.TEST,
        dtype=np.float64,
    )


def resize(fields: str) -> str:
    return (
        f'layer {{ name: "r" type: "ImResize" bottom: "x" top: "y" imresize_param {{ {fields} }} }}'
    )


def nms(fields: str, bottom: str = "x") -> str:
    return (
        f'layer {{ name: "n" type: "Nms" bottom: "{bottom}" top: "peaks" '
        f"nms_param {{ {fields} }} }}"
    )


def test_a_line_stays_a_line_away_from_the_border() -> None:
    net = net_of((1, 1, 9, 9), resize("factor: 8"))
    net.blobs["x"].data[...] = np.arange(9.0)
    y = net.forward()["y"]
    assert y.shape == (1, 1, 72, 72)
    at = (np.arange(72) + 0.5) / 8 - 0.5
    inner = (at > 1) & (at < 7)
    np.testing.assert_allclose(y[0, 0, :, inner].T, np.broadcast_to(at[inner], (72, inner.sum())))


def test_samples_are_one_image_at_several_scales() -> None:
    """Of maps of 20 x 10 the first sample takes all, the second 16 x 8, the third 12 x 6."""
    net = net_of((3, 1, 20, 10), resize("factor: 2 scale_gap: 0.2"))
    x = net.blobs["x"].data
    x[...] = 1e6  # what is outside is not looked at
    for value, (sample, down, right) in zip((1.0, 2, 6), ((0, 0, 0), (1, 2, 1), (2, 4, 2))):
        x[sample, 0, down : 20 - down, right : 10 - right] = value
    np.testing.assert_allclose(net.forward()["y"], np.full((1, 1, 40, 20), 3.0))


@pytest.mark.parametrize("fields", ["start_scale: 1.5", "scale_gap: 1.2", "scale_gap: -0.5"])
def test_scales_that_do_not_fit(fields: str) -> None:
    with pytest.raises(NetError, match=r"sample [01] of 2 takes"):
        net_of((2, 1, 8, 8), resize(fields))


def test_shapes_that_are_refused() -> None:
    with pytest.raises(NetError, match="would become 0 x 0"):
        net_of((1, 1, 4, 4), resize("factor: 0.1"))
    with pytest.raises(NetError, match="expected N x C x H x W"):
        net_of((1, 4), resize("factor: 2"))
    with pytest.raises(NetError, match="num_parts, 15, maps or more"):
        net_of((1, 14, 4, 4), nms(""))


def test_peaks_of_blobs_are_found_where_they_are() -> None:
    net = net_of(
        (1, 2, 12, 16), resize("factor: 8") + nms("num_parts: 2 max_peaks: 3 threshold: 0.3", "y")
    )
    rows, columns = np.mgrid[:12, :16]
    centres = [[(4.2, 10.3)], [(3.1, 4.2), (8.3, 10.9)]]
    for part, places in enumerate(centres):
        for y, x in places:
            net.blobs["x"].data[0, part] += np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 4)
    found = net.forward()["peaks"][0]
    for part, places in enumerate(centres):
        assert found[part, 0, 0] == len(places)
        for row, (y, x) in zip(found[part, 1:], places):
            np.testing.assert_allclose(row[:2], [8 * x + 3.5, 8 * y + 3.5], atol=1)
            assert row[2] == pytest.approx(1, abs=0.05)
        assert not found[part, 1 + len(places) :].any()


def test_peaks_that_are_none() -> None:
    net = net_of((1, 1, 6, 6), nms("num_parts: 1 threshold: 0.5"))
    x = net.blobs["x"].data[0, 0]
    x[1, 1] = 0.5  # not above the threshold
    x[1, 3:5] = 0.9  # two alike
    x[5, 0] = 0.9  # at the border
    assert not net.forward()["peaks"].any()
    x[3, 2] = 0.7
    x[4, 3] = 0.8  # higher, and around it aslant
    peaks = net.forward()["peaks"][0, 0]
    assert peaks[0, 0] == 1 and peaks[1, 2] == 0.8 and not peaks[2:].any()


def test_a_maximum_is_the_first_of_equal_ones_and_needs_maps() -> None:
    text = """layer { name: "x" type: "Input" top: "x" input_param { shape { dim: [%s] } } }
      layer { name: "m" type: "Maximum" bottom: "x" top: "y" }"""
    found = caffelite.Net(parse_net(text % "1, 1, 2, 3", "a.net"), caffelite.TEST)
    found.blobs["x"].data[...] = [[[[0, 7, 1], [7, 2, 7]]]]
    found.forward()
    assert found.blobs["y"].data.ravel().tolist() == [1, 0, 7]
    with pytest.raises(NetError, match="N x C x H x W"):
        caffelite.Net(parse_net(text % "1, 3", "a.net"), caffelite.TEST)

"""Tiling and Mish, and rates that NVCaffe's BatchNorm passes over."""

from __future__ import annotations

import numpy as np
import pytest

import caffelite
from caffelite.errors import NetError
from caffelite.files import parse_net

INPUT = 'input: "x" input_shape { dim: 2 dim: 8 dim: 3 dim: 2 } '


def test_tiles_lie_where_their_cells_were() -> None:
    net = caffelite.Net(
        parse_net(
            INPUT + 'layer { name: "t" type: "Tiling" bottom: "x" top: "y" tiling_param '
            "{ tile_dim: 2 } }"
        ),
        caffelite.TEST,
    )
    x = net.blobs["x"].data
    x[...] = np.arange(x.size).reshape(x.shape)
    y = net.forward()["y"]
    for (n, c, row, column), value in np.ndenumerate(y):
        channel = 4 * c + 2 * (row % 2) + column % 2
        assert value == x[n, channel, row // 2, column // 2]


@pytest.mark.parametrize("fields", ["", "tiling_param { tile_dim: 3 }"])
def test_tiles_that_do_not_fit(fields: str) -> None:
    text = INPUT + f'layer {{ name: "t" type: "Tiling" bottom: "x" top: "y" {fields} }}'
    with pytest.raises(NetError, match="C a multiple of 9" if fields else "tile_dim is missing"):
        caffelite.Net(parse_net(text), caffelite.TEST)


@pytest.mark.parametrize("scaled", [True, False])
def test_rates_of_statistics_are_passed_over_in_nvcaffe_alone(scaled: bool) -> None:
    fields = "scale_filler { value: 1 }" if scaled else ""
    text = (
        INPUT + 'layer { name: "b" type: "BatchNorm" bottom: "x" top: "y" param { lr_mult: 1 } '
        f"batch_norm_param {{ {fields} }} }}"
    )
    if scaled:
        net = caffelite.Net(parse_net(text), caffelite.TRAIN)
        assert [layer.type for layer in net.layers][1:] == ["ScaledBatchNorm"]
    else:
        with pytest.raises(NetError, match="lr_mult of parameter 0 is 1, but statistics"):
            caffelite.Net(parse_net(text), caffelite.TRAIN)

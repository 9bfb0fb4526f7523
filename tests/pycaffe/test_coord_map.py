"""caffe.coord_map: maps between the places of blobs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from caffelite.pycaffe.coord_map import (
    AxisMismatchException,
    UndefinedMapException,
    compose,
    coord_map,
    coord_map_from_to,
    crop,
    inverse,
)


class Top:
    """A blob of a net in the making, as NetSpec's tops are."""

    def __init__(self, kind: str, *inputs: Top, **params: Any) -> None:
        self.fn = SimpleNamespace(type_name=kind, inputs=inputs, params=params)


def data() -> Top:
    return Top("Input")


def conv(bottom: Top, size: Any = 3, **params: Any) -> Top:
    return Top("Convolution", bottom, kernel_size=size, **params)


def close(found: Any, axis: int | None, scale: Any, shift: Any) -> bool:
    return found[0] == axis and np.allclose(found[1], scale) and np.allclose(found[2], shift)


def test_a_window_in_the_middle_keeps_its_places() -> None:
    x = data()
    assert close(coord_map_from_to(conv(x, 3, pad=1), x), 1, 1, 0)
    assert close(coord_map_from_to(conv(x, 3), x), 1, 1, 1)
    assert close(coord_map_from_to(x, conv(x, 3)), 1, 1, -1)


def test_half_and_back() -> None:
    x = data()
    half = Top("Pooling", conv(x, 3, pad=1), kernel_size=2, stride=2)
    back = Top("Deconvolution", half, convolution_param={"kernel_size": 4, "stride": 2})
    axis, scale, shift = coord_map_from_to(back, x)
    assert (axis, scale, shift) == (1, 1, -1)
    nested = Top("Pooling", x, pooling_param={"kernel_size": 2, "stride": 2})
    assert close(coord_map_from_to(nested, x), 1, 2, 0.5)


def test_layers_that_change_no_places_count_for_nothing() -> None:
    x = data()
    y = Top("Eltwise", Top("ReLU", x), Top("LRN", Top("Scale", x)))
    assert close(coord_map_from_to(y, x), None, 1, 0)
    assert close(coord_map_from_to(x, Top("Dropout", y)), None, 1, 0)


def test_axes_of_their_own_and_dilation() -> None:
    x = data()
    flat = conv(x, [3, 5], pad=[1, 0])
    assert close(coord_map_from_to(flat, x), 1, 1, [0, 2])
    assert close(coord_map_from_to(conv(x, 3, dilation=2), x), 1, 1, 2)
    volume = conv(x, 3, axis=2)
    assert close(coord_map_from_to(volume, x), 2, 1, 1)
    with pytest.raises(AxisMismatchException):
        coord_map_from_to(conv(volume, 3, pad=1), x)


def test_crops_count_and_their_second_bottom_does_not() -> None:
    x = data()
    y = Top("Crop", conv(x, 3, pad=4), data(), crop_param={"axis": 2, "offset": [3]})
    assert close(coord_map_from_to(x, y), 1, 1, 0)
    assert close(coord_map_from_to(Top("Crop", x, data()), x), 1, 1, 0)


def test_maps_follow_each_other_and_turn_round() -> None:
    assert compose((1, 2, 3), (None, 5, 7)) == (1, 10, 17)
    assert inverse((1, 2, 3)) == (1, 0.5, -1.5)


def test_what_is_not_known_is_said() -> None:
    x = data()
    with pytest.raises(RuntimeError, match="Could not compute map between tops"):
        coord_map_from_to(x, data())
    with pytest.raises(RuntimeError, match="Could not compute map"):
        coord_map_from_to(Top("InnerProduct", x), x)
    with pytest.raises(UndefinedMapException, match="Flatten"):
        coord_map(Top("Flatten", x).fn)
    with pytest.raises(AssertionError, match="legacy _h/_w"):
        coord_map_from_to(Top("Pooling", x, kernel_h=3, kernel_w=3), x)


def test_what_cannot_be_cropped_is_refused() -> None:
    x = data()
    with pytest.raises(AssertionError, match="scale mismatch"):
        crop(x, Top("Pooling", x, kernel_size=2, stride=2))
    with pytest.raises(AssertionError, match="negative offset"):
        crop(conv(x, 3, pad=0), x)
    with pytest.raises(AssertionError, match="noninteger offset"):
        crop(x, conv(x, 4))

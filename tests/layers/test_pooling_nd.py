"""Pooling over any number of axes, as naibaf7's fork has it."""

from __future__ import annotations

import numpy as np
import pytest

import caffelite
from caffelite.errors import CaffeliteError, Source
from caffelite.files import parse_net
from caffelite.layers.base import layer_class
from caffelite.schema.bind import bind
from caffelite.schema.net import LayerParameter
from caffelite.text import parse


def layer(text: str) -> LayerParameter:
    return bind(parse(Source("a.net", text)), LayerParameter)


def net(shape: tuple[int, ...], pooling: str, kind: str = "Pooling") -> caffelite.Net:
    dims = " ".join(f"dim: {n}" for n in shape)
    return caffelite.Net(
        parse_net(
            f'layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ {dims} }} }} }}\n'
            f'layer {{ name: "p" type: "{kind}" bottom: "x" top: "y"\n'
            f"pooling_param {{ {pooling} }} }}",
            "a.net",
        ),
        caffelite.TEST,
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kernel_size: 2", "Pooling"),
        ("kernel_size: 2 kernel_size: 3", "Pooling"),
        ("kernel_size: 2 kernel_size: 3 dilation: 1", "Pooling"),
        ("kernel_size: 2 kernel_size: 3 kernel_size: 2", "PoolingND"),
        ("kernel_size: 2 stride: [1, 2, 2]", "PoolingND"),
        ("kernel_size: 2 dilation: 1", "PoolingND"),
        ("kernel_size: 2 dilation: 1 dilation: 1", "Pooling"),
        ("kernel_size: 2 dilation: 1 dilation: 2", "PoolingND"),
        ("pool: AVE kernel_size: 2 dilation: 1", "Pooling"),
        ("global_pooling: true dilation: 1", "Pooling"),
    ],
)
def test_the_class(text: str, expected: str) -> None:
    found = layer_class(layer(f'name: "p" type: "Pooling" pooling_param {{ {text} }}'))
    assert found is not None
    assert found.type == expected


def test_two_values_are_height_and_width() -> None:
    again = net((1, 1, 7, 9), "kernel_size: 2 kernel_size: 3 stride: 1 stride: 2 pad: 0 pad: 1")
    sides = net((1, 1, 7, 9), "kernel_h: 2 kernel_w: 3 stride_h: 1 stride_w: 2 pad_h: 0 pad_w: 1")
    x = np.random.default_rng(1).standard_normal((1, 1, 7, 9)).astype(np.float32)
    results = []
    for each in (again, sides):
        each.blobs["x"].data[...] = x
        each.forward()
        results.append(each.blobs["y"].data.copy())
    np.testing.assert_array_equal(*results)


def test_planes_are_pooled_as_by_pooling() -> None:
    x = np.random.default_rng(2).standard_normal((2, 3, 8, 7)).astype(np.float32)
    results = []
    for dilation in ("", "dilation: 1"):
        each = net(x.shape, f"kernel_size: 3 stride: 2 pad: 1 {dilation}")
        each.blobs["x"].data[...] = x
        each.forward()
        results.append(each.blobs["y"].data.copy())
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize(
    ("shape", "text", "kind", "said"),
    [
        (
            (1, 1, 5, 5),
            "pool: AVE kernel_size: 2 dilation: 2",
            "Pooling",
            "AVE is not for windows of these kinds",
        ),
        ((1, 1, 5, 5), "kernel_size: [2, 2, 2]", "Pooling", "given 3 times, but there are 2"),
        ((1, 1), "kernel_size: 2 dilation: 1", "Pooling", "N x C x D1"),
        ((1, 1, 5, 5), "kernel_size: 3 dilation: 3", "Pooling", "a window of 7 x 7"),
        ((1, 1, 5, 5), "kernel_size: 2 pad: 2 dilation: 2", "Pooling", "not below the kernel"),
        ((1, 1, 4, 4), "kernel_size: 1 stride: 5 dilation: 2", "Pooling", "would start at 5"),
        ((1, 1, 5, 5), "kernel_size: 2 kernel_size: 0", "Pooling", "kernel_size cannot be 0"),
        ((1, 1, 5, 5, 5), "kernel_size: 2 kernel_depth: 2 dilation: 2", "Pooling3D", "PoolingND"),
        ((1, 1, 5, 5), "kernel_size: 2 kernel_h: 2 dilation: 2", "Pooling", "both kernel_size"),
        ((1, 1, 5, 5), "global_pooling: true dilation: 2", "Pooling", "has no window"),
    ],
)
def test_refusals(shape: tuple[int, ...], text: str, kind: str, said: str) -> None:
    with pytest.raises(CaffeliteError, match=r"a\.net:[23]:") as caught:
        net(shape, text, kind)
    assert said in str(caught.value)


def test_merge_crop_in_words() -> None:
    found = layer(
        'name: "m" type: "MergeCrop" mergecrop_param { forward: true forward: false backward: 1 }'
    )
    assert found.mergecrop_param.forward == [True, False]
    assert found.mergecrop_param.backward == [True]


def test_a_window_of_three_axes_is_written_and_read_again() -> None:
    found = layer(
        'name: "p" type: "Pooling" pooling_param { kernel_size: [1, 2, 3] pad: 0 pad: 1 }'
    )
    again = layer(str(found))
    for each in (found, again, found.copy()):
        assert each.pooling_param.kernel_size == 1
        assert each.pooling_param.kernel_sizes == [2, 3]
        assert each.pooling_param.pads == [1]

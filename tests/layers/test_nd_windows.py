"""NdConvolution and NdPooling: shapes in the text are windows, and wrong ones are refused."""

from __future__ import annotations

import numpy as np
import pytest

from caffelite import TEST, Net
from caffelite.errors import CaffeliteError
from caffelite.files import parse_net

X = 'layer { name: "x" type: "Input" top: "x" input_param { shape { %s } } } '


def net(shape: tuple[int, ...], layer: str) -> Net:
    dims = " ".join(f"dim: {n}" for n in shape)
    text = X % dims + f'layer {{ name: "y" bottom: "x" top: "y" {layer} }}'
    return Net(parse_net(text, "n.net"), TEST)


def test_a_convolution_over_frames_is_convolution3d() -> None:
    shape, fill = (2, 3, 4, 6, 5), 'weight_filler { type: "gaussian" }'
    nd = net(
        shape,
        'type: "NdConvolution" convolution_param { num_output: 2 kernel_shape { dim: 3 dim: 2 '
        "dim: 2 } stride_shape { dim: 2 dim: 1 dim: 1 } pad_shape { dim: 1 dim: 0 dim: 0 } "
        f"{fill} }}",
    )
    frames = net(
        shape,
        'type: "Convolution3D" convolution_param { num_output: 2 kernel_size: 2 kernel_depth: 3 '
        f"temporal_stride: 2 temporal_pad: 1 {fill} }}",
    )
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    for one in (nd, frames):
        one.blobs["x"].data[...] = x
        for param, other in zip(one.params["y"], nd.params["y"]):
            param.data[...] = other.data
        one.forward()
    assert nd.blobs["y"].data.any()
    np.testing.assert_allclose(nd.blobs["y"].data, frames.blobs["y"].data, atol=1e-5)


def test_the_maximum_may_be_over_the_whole() -> None:
    one = net((1, 2, 2, 2, 2), 'type: "NdPooling" pooling_param { global_pooling: true }')
    one.blobs["x"].data[...] = np.arange(16).reshape(1, 2, 2, 2, 2)
    one.forward()
    assert one.blobs["y"].data.reshape(-1).tolist() == [7, 15]


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ('type: "NdConvolution" convolution_param { num_output: 1 }', "kernel_shape is missing"),
        (
            'type: "NdConvolution" convolution_param { num_output: 1 kernel_shape { dim: 3 } }',
            "kernel_shape is 3",
        ),
        (
            'type: "NdPooling" pooling_param { kernel_shape { dim: 1 dim: 0 } }',
            "kernel_shape is 1 x 0",
        ),
        (
            'type: "NdPooling" pooling_param { kernel_shape { dim: 1 dim: 1 } stride_shape { } }',
            "stride_shape is empty",
        ),
        (
            'type: "NdPooling" pooling_param { pool: STOCHASTIC kernel_shape { dim: 1 dim: 1 } }',
            "STOCHASTIC is not for windows of these kinds",
        ),
        (
            'type: "Convolution" convolution_param { num_output: 1 kernel_size: 1 '
            "pad_shape { dim: 1 dim: 1 } }",
            "pad_shape is for NdConvolution and NdPooling",
        ),
        (
            'type: "Pooling" pooling_param { kernel_size: 1 kernel_shape { dim: 1 dim: 1 } }',
            "kernel_shape is for NdConvolution and NdPooling",
        ),
    ],
)
def test_wrong_shapes_are_refused(layer: str, said: str) -> None:
    with pytest.raises(CaffeliteError, match=said):
        net((1, 1, 4, 4), layer)

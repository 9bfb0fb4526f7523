"""Windows that cannot be: refused when the net is built, at the field that is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from caffelite.errors import CaffeliteError, NetError
from caffelite.layers.cases import Case, random
from caffelite.testing import Bench

IMAGE = (2, 4, 6, 5)


def refusal(text: str, *shapes: tuple[int, ...], tops: int = 1) -> tuple[str, str]:
    """The message, and the text before its caret: the field's name."""
    inputs = {f"x{i}": random(*shape) for i, shape in enumerate(shapes or [IMAGE])}
    with pytest.raises(CaffeliteError) as caught:
        Bench(Case(text, inputs, tops=[f"y{i}" for i in range(tops)]))
    (problem,) = caught.value.problems
    span = problem.span
    assert span is not None
    if isinstance(caught.value, NetError):  # what is out of bounds is refused before
        assert 'layer "layer"' in problem.message
    return problem.message, span.source.lines[span.line - 1][: span.col - 1]


CONVOLUTIONS = {
    "num_output: 2": ("kernel_size is missing", ""),
    "kernel_size: 3": ("num_output is missing", ""),
    "num_output: 0 kernel_size: 3": ("num_output cannot be 0", "num_output"),
    "num_output: 2 kernel_size: 0": ("kernel_size cannot be 0", "kernel_size"),
    "num_output: 2 kernel_h: 0 kernel_w: 2": ("kernel_h cannot be 0", "kernel_h"),
    "num_output: 2 kernel_size: 3 stride: 0": ("stride cannot be 0", "stride"),
    "num_output: 2 kernel_size: 3 dilation: 0": ("dilation cannot be 0", "dilation"),
    "num_output: 2 kernel_size: 3 kernel_h: 3": ("both kernel_size and kernel_h", "kernel_h"),
    "num_output: 2 kernel_w: 3": ("kernel_w is given, but kernel_h is not", "kernel_w"),
    "num_output: 2 kernel_size: 3 stride_h: 2": ("stride_w is not", "stride_h"),
    "num_output: 2 kernel_size: 1 kernel_size: 2 kernel_size: 3": (
        "3 times, but there are 2",
        "kernel_size",
    ),
    "num_output: 2 kernel_size: 3 group: 0": ("group cannot be 0", "group"),
    "num_output: 6 kernel_size: 3 group: 3": ("3 groups do not divide the 4 channels", "group"),
    "num_output: 3 kernel_size: 3 group: 2": ("2 groups do not divide the 3 outputs", "group"),
    "num_output: 2 kernel_size: 3 axis: 4": ("axis 4 is out of range", "axis"),
    "num_output: 2 kernel_h: 3 kernel_w: 3 axis: 2": ("2 spatial axes", "kernel_h"),
}


@pytest.mark.parametrize("params", CONVOLUTIONS)
@pytest.mark.parametrize("layer", ["Convolution", "Deconvolution"])
def test_convolution(layer: str, params: str) -> None:
    message, place = CONVOLUTIONS[params]
    found, at = refusal(f'type: "{layer}" convolution_param {{ {params} }}')
    assert message in found
    assert not place or at.endswith(f" {place}: ")


@pytest.mark.parametrize("layer", ["Convolution", "Im2col"])
def test_a_window_larger_than_the_padded_input(layer: str) -> None:
    found, at = refusal(
        f'type: "{layer}" convolution_param {{ num_output: 2 kernel_size: 3 dilation: 3 }}'
    )
    assert "7 x 7" in found
    assert "6 x 5" in found
    assert at.endswith(" kernel_size: ")


def test_a_deconvolution_whose_pad_leaves_nothing() -> None:
    found, _ = refusal(
        'type: "Deconvolution" convolution_param { num_output: 2 kernel_size: 1 pad: 3 }'
    )
    assert "0 x -1" in found


def test_bottoms_of_different_shapes_or_more_than_tops() -> None:
    text = 'type: "Convolution" convolution_param { num_output: 2 kernel_size: 3 }'
    assert "2 x 4 x 5 x 5" in refusal(text, IMAGE, (2, 4, 5, 5), tops=2)[0]
    assert "2 bottoms but 1 tops" in refusal(text, IMAGE, IMAGE)[0]


def test_other_channels_after_the_filters_were_made() -> None:
    text = 'type: "Convolution" convolution_param { num_output: 2 kernel_size: 3 }'
    bench = Bench(Case(text, {"x": random(*IMAGE)}))
    with pytest.raises(NetError, match="4 channels"):
        bench.reshape([np.zeros((2, 3, 6, 5))])


POOLINGS = {
    "stride: 2": ("kernel_size is missing", ""),
    "kernel_size: 0": ("kernel_size cannot be 0", "kernel_size"),
    "kernel_size: 2 stride: 0": ("stride cannot be 0", "stride"),
    "kernel_h: 2 kernel_w: 2 stride_h: 1 stride_w: 0": ("stride_w cannot be 0", "stride_w"),
    "kernel_size: 2 kernel_h: 2 kernel_w: 2": ("both kernel_size and kernel_h", "kernel_h"),
    "kernel_h: 2": ("kernel_h is given, but kernel_w is not", "kernel_h"),
    "kernel_size: 2 pad: 1 pad_h: 1 pad_w: 1": ("both pad and pad_h", "pad_h"),
    "kernel_size: 2 pad: 2": ("a pad of 2 is not below the kernel of 2", "pad"),
    "kernel_h: 3 kernel_w: 1 pad_h: 1 pad_w: 1": ("not below the kernel of 1", "pad_w"),
    "global_pooling: true kernel_size: 2": ("both given", "kernel_size"),
    "global_pooling: true stride: 2": ("pad 0 and stride 1", "global_pooling"),
    "kernel_size: 7": ("a window of 7 x 7 does not go with the bottom's 6 x 5", "kernel_size"),
    "kernel_size: 1 stride: 3": ("start at 6, outside of a plane of 6 x 5", "stride"),
    "pool: STOCHASTIC kernel_size: 2 pad: 1": ("STOCHASTIC pooling has no pad", "pad"),
    "kernel_size: 2 round_mode: CEIL ceil_mode: false": ("contradict", "ceil_mode"),
}


@pytest.mark.parametrize("params", POOLINGS)
def test_pooling(params: str) -> None:
    message, place = POOLINGS[params]
    found, at = refusal(f'type: "Pooling" pooling_param {{ {params} }}')
    assert message in found
    assert not place or at.endswith(f" {place}: ")


def test_pooling_wants_planes_and_a_mask_for_maxima_only() -> None:
    assert "2 x 3" in refusal('type: "Pooling" pooling_param { kernel_size: 2 }', (2, 3))[0]
    text = 'type: "Pooling" pooling_param { pool: AVE kernel_size: 2 }'
    assert "mask" in refusal(text, IMAGE, tops=2)[0]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ("", "pyramid_height is missing"),
        ("pyramid_height: 4", "too small for 4 x 4 bins"),
        ("pyramid_height: 2 pool: STOCHASTIC", "STOCHASTIC pooling has no pad"),
    ],
)
def test_spp(params: str, message: str) -> None:
    assert message in refusal(f'type: "SPP" spp_param {{ {params} }}')[0]


def test_lrn_wants_a_middle() -> None:
    found, at = refusal('type: "LRN" lrn_param { local_size: 4 }')
    assert "local_size is 4" in found
    assert at.endswith(" local_size: ")


def test_global_pooling_follows_the_plane() -> None:
    text = 'type: "Pooling" pooling_param { pool: AVE global_pooling: true }'
    bench = Bench(Case(text, {"x": random(*IMAGE)}))
    x = np.random.default_rng(0).random((1, 4, 3, 9))
    bench.reshape([x])
    bench.forward()
    np.testing.assert_allclose(bench.top[0], x.mean(axis=(2, 3), keepdims=True))


def test_stochastic_pooling_draws_in_proportion_to_the_values() -> None:
    text = 'type: "Pooling" pooling_param { pool: STOCHASTIC kernel_size: 2 stride: 2 }'
    bench = Bench(Case(text, {"x": random(1, 1, 2, 2)}))
    bench.reshape([np.tile(np.array([[1.0, 2.0], [0.0, 5.0]]), (1, 1, 50, 50))])
    bench.forward()
    values, counts = np.unique(bench.top[0], return_counts=True)
    assert values.tolist() == [1, 2, 5]
    np.testing.assert_allclose(counts / 2500, [1 / 8, 2 / 8, 5 / 8], atol=0.04)


def test_spp_pools_as_caffe_does_only() -> None:
    text = 'type: "SPP" spp_param { pyramid_height: 1 pool: AVE_EXC_PAD }'
    message, before = refusal(text)
    assert "AVE_EXC_PAD" in message and before.endswith("pool: ")

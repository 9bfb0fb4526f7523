"""Shapes of stand-in data that the file does not say, from the layers that read them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from caffelite.errors import CaffeliteError
from caffelite.files import parse_net
from caffelite.layers.base import Context
from caffelite.plan.build import plan_net
from caffelite.plan.graph import included, state_for
from caffelite.report.standin import stand_in
from caffelite.schema.common import Phase


def shapes(text: str, **stated: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Of the tops of stand-in data, in a net that can be planned with them."""
    net = parse_net(text)
    state = state_for(net, Phase.TRAIN)
    found = stand_in(net, [state], stated)
    plan_net(found, state, Context(Phase.TRAIN))
    return {
        top: tuple(shape.dim)
        for spec in found.layer
        if spec.type == "DummyData"
        for top, shape in zip(spec.top, spec.get("dummy_data_param").shape)
        if included(spec, state)
    }


def data(*tops: str, said: str = "crop_size: 8") -> str:
    names = " ".join(f'top: "{top}"' for top in tops)
    return (
        f'layer {{ name: "d" type: "Data" {names} data_param {{ source: "nowhere" batch_size: 4 }} '
        f"transform_param {{ {said} }} }}\n"
    )


def layer(kind: str, bottoms: Sequence[str], tops: Sequence[str], rest: str = "") -> str:
    ends = " ".join([*(f'bottom: "{b}"' for b in bottoms), *(f'top: "{t}"' for t in tops)])
    return f'layer {{ name: "{tops[0]}" type: "{kind}" {ends} {rest} }}\n'


CONV = layer("Convolution", ["data"], ["c"], "convolution_param { num_output: 5 kernel_size: 1 }")


def test_labels_of_pixels_are_a_map() -> None:
    net = data("data", "label") + CONV + layer("SoftmaxWithLoss", ["c", "label"], ["loss"])
    assert shapes(net)["label"] == (4, 1, 8, 8)


def test_what_is_held_against_numbers_is_as_large() -> None:
    net = data("data", "label") + CONV + layer("EuclideanLoss", ["c", "label"], ["loss"])
    assert shapes(net)["label"] == (4, 5, 8, 8)


def test_a_label_is_led_back_through_slice_and_pooling() -> None:
    """5 channels for the product, of parts that begin at 0 and 5; half as large as the label."""
    net = (
        data("data", "label")
        + CONV
        + layer("Slice", ["label"], ["a", "b"], "slice_param { slice_point: 5 }")
        + layer("Pooling", ["b"], ["p"], "pooling_param { kernel_size: 2 stride: 2 }")
        + layer("Eltwise", ["c", "a"], ["e"], "eltwise_param { operation: PROD }")
        + layer("EuclideanLoss", ["e", "c"], ["loss"])
    )
    assert shapes(net)["label"] == (4, 10, 8, 8)


def test_the_last_part_of_a_slice_takes_what_it_needs() -> None:
    parts = "slice_param { slice_point: 5 slice_point: 8 }"
    net = (
        data("data", "label")
        + CONV
        + layer("Slice", ["label"], ["a", "w", "b"], parts)
        + layer("EuclideanLoss", ["c", "b"], ["loss"])
    )
    assert shapes(net)["label"] == (4, 13, 8, 8)


def test_the_last_part_of_a_slice_is_one_column_where_it_is_a_class() -> None:
    """A class is not a score for each class, even where there are as many as would fit."""
    parts = "slice_param { slice_point: 1 slice_point: 2 }"
    net = data("data") + data("labels", said="").replace('"d"', '"e"')
    net += layer("Slice", ["labels"], ["a", "b", "c"], parts)
    net += layer("InnerProduct", ["data"], ["ip"], "inner_product_param { num_output: 2 }")
    net += "".join(layer("SoftmaxWithLoss", ["ip", top], [f"loss_{top}"]) for top in "cab")
    assert shapes(net)["labels"] == (4, 3)


def test_channels_that_a_slice_of_images_asks_for() -> None:
    net = data("data") + layer("Slice", ["data"], ["a", "b"], "slice_param { slice_point: 3 }")
    assert shapes(net)["data"] == (4, 6, 8, 8)


def test_a_reshaped_label_holds_as_many_values() -> None:
    reshape = "reshape_param { shape { dim: 0 dim: 1 dim: 6 } }"
    net = data("data", "label") + layer("Reshape", ["label"], ["l"], reshape)
    assert shapes(net)["label"] == (4, 6)


def test_what_is_said_stays() -> None:
    """The loss asks for another batch, and for other sides, than the file says."""
    net = data("data", "label") + data("other", "x", said="crop_size: 4").replace('"d"', '"e"')
    net += layer("EuclideanLoss", ["data", "other"], ["loss"])
    with pytest.raises(CaffeliteError, match='bottom "data" is 4 x 3 x 8 x 8'):
        shapes(net)


def test_a_stated_shape_stays() -> None:
    net = data("data", "label") + CONV + layer("EuclideanLoss", ["c", "label"], ["loss"])
    with pytest.raises(CaffeliteError, match="equally many"):
        shapes(net, label=(4, 2))


UNPOOL = (
    layer("Pooling", ["data"], ["p"], "pooling_param { pool: MAX kernel_size: 2 stride: 2 }")
    + layer("Pooling", ["p"], ["q", "mask"], "pooling_param { pool: MAX kernel_size: 2 stride: 2 }")
    + 'layer { name: "u" type: "Upsample" bottom: "q" bottom: "mask" top: "u" '
    "upsample_param { %s } }"
)


def test_images_are_as_large_as_upsampling_asks() -> None:
    net = data("data", said="") + UNPOOL % "upsample_h: 5 upsample_w: 7"
    assert shapes(net)["data"] == (4, 3, 10, 14)


def test_padded_upsampling_is_segnets() -> None:
    net = data("data", said="") + UNPOOL % "scale: 2 pad_out_h: true"
    assert shapes(net)["data"] == (4, 3, 360, 480)
    with pytest.raises(CaffeliteError, match="does not say how large"):
        shapes(data("data", said="") + UNPOOL % "scale: 2")


def test_images_are_as_large_as_in_the_other_phase() -> None:
    net = data("data", said="").replace("name:", "include { phase: TRAIN } name:")
    net += (
        'layer { name: "t" type: "DummyData" top: "data" include { phase: TEST } dummy_data_param '
        "{ shape { dim: [1, 3, 20, 30] } } }"
    )
    assert shapes(net + CONV)["data"] == (4, 3, 20, 30)


def test_a_flow_has_two_channels_of_the_images_size() -> None:
    net = data("data", said="") + (
        'layer { name: "f" type: "FloData" top: "flow" image_data_param { batch_size: 4 } }'
    )
    assert shapes(net, data=(4, 3, 6, 8))["flow"] == (4, 2, 6, 8)
    with pytest.raises(CaffeliteError) as caught:
        shapes(net)
    assert len(caught.value.problems) == 1  # the flow is not asked for


def test_a_second_image_is_as_large_as_the_first() -> None:
    """It is behind the first, and read by a convolution; then by a sum that asks for less."""
    conv = "convolution_param { num_output: 5 kernel_size: 1 stride: 2 }"
    net = data("data", "more", "label") + CONV + layer("Convolution", ["more"], ["m"], conv)
    assert shapes(net)["more"] == (4, 3, 8, 8)
    half = layer("Convolution", ["data"], ["h"], conv)
    flat = layer("Pooling", ["more"], ["p"], "pooling_param { kernel_size: 1 stride: 1 }")
    both = layer("Convolution", ["p"], ["q"], conv.replace("stride: 2", "")) + layer(
        "Eltwise", ["h", "q"], ["e"]
    )
    found = shapes(data("data", "more", said="") + half + flat + both, data=(4, 3, 8, 8))
    assert found["more"] == (4, 3, 4, 4)


def test_regions_have_five_numbers_whatever_their_name() -> None:
    pool = "roi_pooling_param { pooled_h: 2 pooled_w: 2 }"
    net = data("data", "boxes") + layer("ROIPooling", ["data", "boxes"], ["p"], pool)
    assert shapes(net)["boxes"] == (4, 5)

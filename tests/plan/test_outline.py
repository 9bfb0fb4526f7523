"""Nets whose data is not here: what is wrong whatever the data, and what the text says of it."""

from __future__ import annotations

import numpy as np
import pytest

from caffelite.errors import NetError
from caffelite.files import parse_net
from caffelite.layers.base import Context
from caffelite.plan.build import Plan
from caffelite.plan.graph import build_graph, state_for
from caffelite.plan.outline import assumed, outline_net
from caffelite.schema.common import Phase


def data(more: str = "") -> str:
    return (
        'layer { name: "d" type: "Data" top: "data" top: "label" '
        f'data_param {{ source: "nowhere" batch_size: 4 }} transform_param {{ {more} }} }}\n'
    )


def dense(bottom: str, top: str, more: str = "") -> str:
    return (
        f'layer {{ name: "{top}" type: "InnerProduct" bottom: "{bottom}" top: "{top}" '
        f"inner_product_param {{ num_output: 3 {more} }} }}\n"
    )


def reshape(top: str, dims: str) -> str:
    dims = " ".join(f"dim: {n}" for n in dims.split())
    return (
        f'layer {{ name: "{top}" type: "Reshape" bottom: "data" top: "{top}" '
        f"reshape_param {{ shape {{ {dims} }} }} }}\n"
    )


def outline(text: str) -> Plan:
    net = parse_net(text, "f.net")
    return outline_net(net, state_for(net, Phase.TRAIN), Context(Phase.TRAIN, np.dtype("f4")))


def shape(plan: Plan, name: str) -> tuple[int, ...]:
    return plan.shapes[plan.graph.blobs[name]]


def refused(text: str) -> list[str]:
    with pytest.raises(NetError) as caught:
        outline(text)
    return [problem.message for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("sample", "more", "expected"),
    [
        ((1, 28, 28), "", (1, 28, 28)),
        ((1, 28, 28), "crop_size: 20", (1, 20, 20)),
        ((2, 28, 28), "crop_size: 20", (2, 20, 20)),
        ((10,), "crop_size: 20", (3, 20, 20)),
        ((1, 28, 28), "resize_param { height: 30 width: 40 }", (1, 30, 40)),
        ((1, 28, 28), "resize_param { height: 30 width: 40 } crop_h: 9 crop_w: 8", (1, 9, 8)),
        ((1, 28, 28), "crop_h: 9 crop_w: 8", (1, 9, 8)),
        ((1, 28, 28), "resize_param { height: 30 }", (1, 28, 28)),
        ((10,), "resize_param { height: 30 width: 40 } crop_size: 20", (3, 20, 20)),
    ],
)
def test_the_text_says_how_large_a_sample_is(
    sample: tuple[int, ...], more: str, expected: tuple[int, ...]
) -> None:
    net = parse_net(data(more), "f.net")
    plan = outline_net(net, state_for(net, Phase.TRAIN), Context(Phase.TRAIN, np.dtype("f4")))
    assert assumed(sample, plan.graph.nodes[0]) == [(4, *expected), (4,)]


BOXES = """
layer { name: "d" type: "AnnotatedData" top: "data" top: "label" data_param { source: "nowhere"
  batch_size: 4 } transform_param { resize_param { height: 8 width: 8 } } }
layer { name: "loc" type: "Convolution" bottom: "data" top: "loc"
  convolution_param { num_output: 8 kernel_size: 8 } }
layer { name: "conf" type: "Convolution" bottom: "data" top: "conf"
  convolution_param { num_output: %d kernel_size: 8 } }
layer { name: "prior" type: "PriorBox" bottom: "loc" bottom: "data" top: "prior"
  prior_box_param { min_size: 2 max_size: 4 } }
layer { name: "loss" type: "MultiBoxLoss" bottom: "loc" bottom: "conf" bottom: "prior"
  bottom: "label" top: "loss" multibox_loss_param { num_classes: 3 } }
"""


def test_boxes_that_are_not_here_are_rows_of_eight() -> None:
    plan = outline(BOXES % 6)
    assert shape(plan, "label") == (1, 1, 1, 8) and shape(plan, "data") == (4, 1, 8, 8)
    labels = BOXES[: BOXES.index('layer { name: "loc"')] + dense("data", "score")
    loss = 'layer { name: "l" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "l" }'
    outline(labels + loss)  # its records may have labels instead: that is open


def test_only_what_makes_batches_has_stand_ins() -> None:
    for text, count in (
        (data(), 2),
        (data().replace("batch_size: 4", ""), 0),
        (data().replace('type: "Data"', 'type: "Split"').replace("top", 'bottom: "b" top', 1), 0),
    ):
        net = parse_net(text, "f.net")
        node = build_graph(net, state_for(net, Phase.TRAIN), []).nodes[0]
        assert len(assumed((1, 28, 28), node) or ()) == count


def test_new_sides_count_together_and_a_crop_after_them() -> None:
    text = (
        'layer { name: "d" type: "ImageData" top: "data" top: "label" image_data_param '
        '{ source: "nowhere" batch_size: 4 new_height: 30 new_width: 40 } %s }'
    )
    assert shape(outline(text % ""), "data") == (4, 1, 30, 40)
    assert shape(outline(text % "transform_param { crop_size: 9 }"), "data") == (4, 1, 9, 9)


def test_texts_and_images_in_batches_that_are_not_said() -> None:
    text = (
        'layer { name: "d" type: "TextData" top: "x" top: "c" top: "y" text_data_param '
        '{ source: "nowhere" batch_size: 4 seq_len: 7 } }'
    )
    assert [shape(outline(text), name) for name in "xcy"] == [(7, 4)] * 3
    text = (
        'layer { name: "d" type: "ImageData" top: "data" top: "label" image_data_param '
        '{ source: "nowhere" new_height: 30 new_width: 40 } }'
    )
    plan = outline(text)
    assert (shape(plan, "data"), shape(plan, "label")) == ((1, 1, 30, 40), (1,))


@pytest.mark.parametrize(
    ("sample", "count"),
    [
        ((1, 28, 28), 784),  # MNIST's digits
        ((3, 32, 32), 3072),  # CIFAR's pictures
        ((3, 227, 227), 154587),  # what CaffeNet takes
        ((2, 56, 56), 6272),  # MNIST's pairs
        ((10,), 10),
        ((2,), 2),
    ],
)
def test_a_net_that_some_data_suits_is_planned_with_it(sample: tuple[int, ...], count: int) -> None:
    plan = outline(data() + reshape("y", f"4 {count}") + dense("y", "z"))
    assert shape(plan, "data") == (4, *sample)
    assert [*plan.absent] == [0]


def test_what_is_wrong_with_all_data_is_refused_once() -> None:
    text = data() + dense("data", "y") + dense("y", "z", "axis: 5")
    (message,) = refused(text)
    assert "axis" in message


def test_what_only_the_data_can_say_is_no_mistake() -> None:
    plan = outline(data() + reshape("y", "4 7919"))
    assert [node.spec.name for node in plan.graph.nodes] == ["d"]


TWO = reshape("y", "4 -1 1024")
"""Two of the shapes fit, of other channels."""


def test_what_is_wrong_with_all_data_that_comes_so_far_is_refused() -> None:
    (message,) = refused(data() + TWO + dense("y", "z", "axis: 5"))
    assert message.startswith('layer "z"')
    found = refused(data() + TWO + dense("y", "z", "axis: 5") + dense("data", "w", "axis: 9"))
    assert {message[:9] for message in found} == {'layer "w"', 'layer "z"'}


def test_what_is_wrong_with_one_shape_alone_is_open() -> None:
    plan = outline(data() + reshape("y", "4 784") + dense("y", "z", "axis: 5"))
    assert [node.spec.name for node in plan.graph.nodes] == ["d"]


def test_large_nets_are_tried_with_two_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    text = data() + reshape("y", "4 6272")
    assert len(outline(text).graph.nodes) == 2
    monkeypatch.setattr("caffelite.plan.outline.LARGE", 2)
    assert len(outline(text).graph.nodes) == 2
    monkeypatch.setattr("caffelite.plan.outline.LARGE", 1)
    assert len(outline(text).graph.nodes) == 1
    assert len(outline(data() + reshape("y", "4 3072")).graph.nodes) == 2


def test_a_mistake_of_a_layer_whose_data_is_not_here_is_one() -> None:
    text = (
        'layer { name: "d" type: "WindowData" top: "data" top: "label" '
        'window_data_param { source: "nowhere" batch_size: 4 } }'
    )
    (message,) = refused(text + dense("data", "y"))
    assert "has no crop_size" in message

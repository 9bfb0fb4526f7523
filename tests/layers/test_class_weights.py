"""Losses whose classes have weights, and boxes whose sides the text lists: what is refused."""

from __future__ import annotations

import pytest

from caffelite import Net
from caffelite.errors import CaffeliteError
from caffelite.files import parse_net

X = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }'
T = 'layer { name: "t" type: "Input" top: "t" input_param { shape { dim: 2 } } }'
IMAGE = "input_param { shape { dim: 1 dim: 3 dim: 4 dim: 4 } }"


def loss(type_: str, fields: str) -> Net:
    text = f'layer {{ name: "l" type: "{type_}" bottom: "x" bottom: "t" top: "l" {fields} }}'
    return Net(parse_net(X + T + text), 0)


WEIGHTS = "weight_by_label_freqs: true class_weighting: [1, 2, 3]"


def test_the_weighted_loss_is_chosen_by_its_fields() -> None:
    net = loss("SoftmaxWithLoss", f"loss_param {{ {WEIGHTS} }}")
    assert net.layer_dict["l"].__class__.__name__ == "ClassWeightedSoftmaxWithLoss"
    net = loss("SoftmaxWithLoss", "loss_param { class_weighting: [1, 2, 3] }")
    assert net.layer_dict["l"].__class__.__name__ == "SoftmaxWithLoss"


@pytest.mark.parametrize(
    ("type_", "fields", "words"),
    [
        ("SoftmaxWithLoss", WEIGHTS.replace(", 3", ""), "2 class_weighting for 3 classes"),
        ("FocalLoss", WEIGHTS, "3 class_weighting are for SoftmaxWithLoss"),
        ("ClassWeightedSoftmaxWithLoss", "class_weighting: [1, 2, 3]", "freqs is not set"),
    ],
)
def test_what_does_not_go_together_is_refused(type_: str, fields: str, words: str) -> None:
    with pytest.raises(CaffeliteError, match=words):
        loss(type_, f"loss_param {{ {fields} }}")


@pytest.mark.parametrize(
    ("type_", "fields", "words"),
    [
        ("PriorBox", "min_size: 2 width: 3", "width is for PriorBoxClustered"),
        ("PriorBoxClustered", "width: 3", "height is missing"),
        ("PriorBoxClustered", "width: 3 height: [2, 3]", "1 width for 2 height"),
        ("PriorBoxClustered", "width: 3 height: 2 min_size: 3", "min_size is for PriorBox"),
    ],
)
def test_sides_that_do_not_fit_are_refused(type_: str, fields: str, words: str) -> None:
    inputs = f'layer {{ name: "i" type: "Input" top: "x" top: "i" {IMAGE} }}'
    boxes = f'bottom: "x" bottom: "i" top: "p" prior_box_param {{ {fields} }}'
    with pytest.raises(CaffeliteError, match=words):
        Net(parse_net(f'{inputs} layer {{ name: "p" type: "{type_}" {boxes} }}'), 1)

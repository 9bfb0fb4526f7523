"""PriorBox: boxes about several places of a cell."""

from __future__ import annotations

import pytest

from caffelite import TEST, Net
from caffelite.errors import NetError
from caffelite.files import parse_net

NET = """input: "x" input_shape { dim: 1 dim: 1 dim: 2 dim: 3 }
input: "image" input_shape { dim: 1 dim: 3 dim: 20 dim: 30 }
layer { name: "p" type: "PriorBox" bottom: "x" bottom: "image" top: "p"
  prior_box_param { min_size: 4 %s } }"""


def test_the_second_row_is_at_the_edge() -> None:
    net = Net(parse_net(NET % "denser_prior_boxes: true"), TEST)
    boxes = net.forward()["p"][0, 0].reshape(2, 3, 2, 4)
    centres = (boxes[..., :2] + boxes[..., 2:]) / 2
    assert centres[1, 2, 0].tolist() == pytest.approx([25 / 30, 15 / 20])
    assert centres[1, 2, 1].tolist() == pytest.approx([25 / 30, 20 / 20])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("offset_h: 1", "1 offset_h and 0 offset_w"),
        ("offset_w: 1 offset_w: 2 offset_h: 3", "1 offset_h and 2 offset_w"),
        ("offset_w: 1 offset_h: 2 offset: 0.5", "both offset_h and offset are given"),
        ("offset_w: 1 offset_h: 2 denser_prior_boxes: true", "and denser_prior_boxes are given"),
    ],
)
def test_what_is_refused(fields: str, said: str) -> None:
    with pytest.raises(NetError, match=said):
        Net(parse_net(NET % fields), TEST)

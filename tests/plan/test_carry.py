"""The shapes that blobs have between two layers, when only a part of the net has been reshaped."""

from __future__ import annotations

from caffelite.files import parse_net
from caffelite.layers.base import Context
from caffelite.plan.build import plan_net
from caffelite.plan.graph import state_for
from caffelite.plan.shapes import carry
from caffelite.schema.common import Phase

TEXT = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 6 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 4 } }
layer { name: "act" type: "ReLU" bottom: "y" top: "y" }
layer { name: "fold" type: "Reshape" bottom: "y" top: "y"
        reshape_param { shape { dim: 0 dim: 2 dim: 2 } } }
layer { name: "late" type: "ReLU" bottom: "y" top: "z" }
"""


def test_what_is_rewritten_later_has_the_shape_of_now() -> None:
    net = parse_net(TEXT, "f.net")
    plan = plan_net(net, state_for(net, Phase.TEST), Context(Phase.TEST))
    blobs, shapes = plan.graph.blobs, dict(plan.shapes)
    assert shapes[blobs["y"]] == (2, 2, 2)
    asked = list(carry(blobs.values(), shapes, 1))  # up to "ip"
    assert sorted(asked) == [2, 3]  # not "late", whose blob is not there at all
    assert shapes[blobs["y"]] == (2, 4) and shapes[blobs["z"]] == (2, 2, 2)


def test_after_the_last_layer_nothing_is_carried() -> None:
    net = parse_net(TEXT, "f.net")
    plan = plan_net(net, state_for(net, Phase.TEST), Context(Phase.TEST))
    shapes = dict(plan.shapes)
    assert not list(carry(plan.graph.blobs.values(), shapes, 4)) and shapes == plan.shapes

"""Which versions of a blob share memory in place."""

from __future__ import annotations

import numpy as np
import pytest

from caffelite.files import parse_net
from caffelite.layers.base import Context
from caffelite.plan.build import Plan, plan_net
from caffelite.plan.graph import state_for
from caffelite.plan.sharing import owners
from caffelite.schema.common import Phase

INPUT = """force_backward: true
layer { name: "in" type: "Input" top: "in" input_param { shape { dim: 2 dim: 3 } } }
"""


def layer(name: str, kind: str, bottom: str, top: str, more: str = "") -> str:
    ends = f'bottom: "{bottom}" top: "{top}"'
    return f'layer {{ name: "{name}" type: "{kind}" {ends} {more} }}\n'


def plan(text: str) -> Plan:
    net = parse_net(INPUT + text, "f.net")
    state = state_for(net, Phase.TRAIN)
    return plan_net(net, state, Context(Phase.TRAIN, np.dtype(np.float32)))


def sharers(text: str) -> list[str]:
    """The layers whose top lies in the memory of an earlier version."""
    owner = owners(plan(text))
    assert all(owner[o] is o for o in owner.values())
    return [v.maker.spec.name for v, o in owner.items() if o is not v]


POWER = layer("y", "Power", "in", "y", "power_param { scale: 2 }")
BACK = "power_param { power: 2 }"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (POWER + layer("r", "ReLU", "y", "y"), ["r"]),
        (POWER + layer("p", "Power", "y", "y") + layer("r", "ReLU", "y", "y"), ["p", "r"]),
        (POWER + layer("r", "ReLU", "y", "z"), []),
        # a layer that cannot work in place, or whose backward pass reads the old values
        (POWER + layer("r", "AbsVal", "y", "y"), []),
        (POWER + layer("r", "Power", "y", "y", BACK), []),
        # the backward pass of the layer before reads its top
        (layer("y", "TanH", "in", "y") + layer("r", "ReLU", "y", "y"), []),
        # somebody else reads the old values
        (POWER + layer("z", "AbsVal", "y", "z") + layer("r", "ReLU", "y", "y"), []),
        # a loss needs its gradient
        (POWER + layer("r", "ReLU", "y", "y", "loss_weight: 2"), []),
        (
            layer("y", "Power", "in", "y", "power_param { scale: 2 } loss_weight: 2")
            + layer("r", "ReLU", "y", "y"),
            [],
        ),
    ],
)
def test_memory_is_shared_where_nobody_misses_the_old_values(
    text: str, expected: list[str]
) -> None:
    assert sharers(text) == expected


def test_what_only_the_backward_pass_reads_does_not_matter_without_one() -> None:
    text = layer("y", "TanH", "in", "y") + layer("r", "ReLU", "y", "y")
    net = parse_net(INPUT.replace("true", "false") + text, "f.net")
    state = state_for(net, Phase.TEST)
    planned = plan_net(net, state, Context(Phase.TEST, np.dtype(np.float32)))
    owner = owners(planned)
    assert [v.maker.spec.name for v, o in owner.items() if o is not v] == ["r"]

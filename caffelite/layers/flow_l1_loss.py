"""FlowL1Loss: the distance of two flows, place by place."""

from __future__ import annotations

from typing import ClassVar

from caffelite.layers.base import param_of, register
from caffelite.layers.cases import Case, random
from caffelite.layers.flow_loss import FlowLoss
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage

NAN = float("nan")


class L1LossParameter(LayerMessage, field="l1_loss_param", number=3001):
    """How the distance is measured."""

    l2_per_location: bool = field(
        1, "bool", default=False, doc="the length of the vector of all channels at each place"
    )
    l2_prescale_by_channels: bool = field(
        2, "bool", default=False, doc="with it: the mean over channels in the root, not the sum"
    )
    normalize_by_num_entries: bool = field(
        3, "bool", default=False, doc="divided by the places that are numbers, not by samples"
    )
    epsilon: float = field(4, "float", default=1e-2, least=0, doc="added in the root")
    plateau: float = field(3001, "float", default=0, least=0, doc="distances below it count as 0")


@register
class FlowL1Loss(FlowLoss):
    """L = 1/N · Σ |d| over all values, with d = a − b, or d = a if there is one bottom. With
    `l2_per_location` L = 1/N · Σ √(w·Σ_c d² + `epsilon`) over all places, where w is 1, or 1/C with
    `l2_prescale_by_channels`. N is the number of samples; with `normalize_by_num_entries` that of
    values which are numbers, divided by C. Where d is not a number it counts as 0. A layer of type
    "L1Loss" with an `l1_loss_param` is this one.

    Gradients: ∂L/∂a = sign(d)/N, or w·d/√(w·Σ_c d² + `epsilon`)/N; 0 where d is 0, or not a number,
    or below the `plateau`; ∂L/∂b = −∂L/∂a.
    Shapes: a and b (N, C, …), L ().
    Source: Dosovitskiy et al. 2015, FlowNet (lmb-freiburg). l1_loss_param is 151 in FlowNet 2's
    fork; plateau is 3001 in both. The fork's slope at d = 0 is −1.
    """

    extension = 'FlowNet\'s forks, l1_loss_param = 3001; type "L1Loss" there'
    param: L1LossParameter = param_of(L1LossParameter)
    cases: ClassVar[tuple[Case, ...]] = (
        Case(
            'type: "FlowL1Loss" l1_loss_param { l2_per_location: true epsilon: 0 }',
            # the lengths are 5 and 13, for one sample
            {"a": [[[[3.0, 6.0]], [[4.0, 0.0]]]], "b": [[[[0.0, 1.0]], [[0.0, 12.0]]]]},
            {"loss": 18.0},
        ),
        Case(
            'type: "FlowL1Loss" l1_loss_param { l2_per_location: true epsilon: 3.5 '
            "l2_prescale_by_channels: true plateau: 2 }",
            # (3² + 4²)/2 + 3.5 = 16; (1² + 1²)/2 is below 2², so that 0 + 3.5 remains
            {"a": [[[3.0, 1.0], [4.0, -1.0]]]},
            {"loss": 4 + 3.5**0.5},
        ),
        Case(
            'type: "FlowL1Loss" l1_loss_param { normalize_by_num_entries: true plateau: 1.5 }',
            # 3 numbers in 2 channels; of them 1 is below the plateau
            {"a": [[[2.0, 1.0], [-4.0, NAN]]]},
            {"loss": (2 + 4) / (3 / 2)},
            gradient=False,  # one value is not a number
        ),
        Case('type: "FlowL1Loss"', {"a": random(2, 2, 3, low=1, high=2), "b": random(2, 2, 3)}),
        Case(
            'type: "FlowL1Loss" l1_loss_param { l2_per_location: true } loss_weight: 2',
            {"a": random(2, 2, 3, 2), "b": random(2, 2, 3, 2)},
        ),
    )

    def settings(self, channels: int) -> None:
        p = self.param
        self.by_entries = p.normalize_by_num_entries
        if p.l2_per_location:
            self.p, self.q, self.f = 2.0, 0.5, p.epsilon
            self.least_sum = p.plateau**2
            self.w = 1 / max(1, channels) if p.l2_prescale_by_channels else 1.0
        else:
            self.least = p.plateau

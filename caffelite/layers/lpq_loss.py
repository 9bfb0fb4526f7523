"""LpqLoss: a power of a sum of powers."""

from __future__ import annotations

from typing import ClassVar

from caffelite.layers.base import Shapes, param_of, register
from caffelite.layers.cases import Case, random
from caffelite.layers.flow_loss import FlowLoss
from caffelite.schema.message import field, repeated
from caffelite.schema.net import LayerMessage


class LpqLossParameter(LayerMessage, field="lpq_loss_param", number=158):
    """The exponents."""

    pq_episode_starts_at_iter: list[int] = repeated(
        4010, "uint32", doc="0: p and q hold from the first iteration on"
    )
    p: list[float] = repeated(4011, "float", above=0, doc="exponent of each channel; one value")
    q: list[float] = repeated(4012, "float", above=0, doc="exponent of the sum; one value")
    p_epsilon: float = field(4013, "float", default=0, least=0, doc="added to each |d|")
    q_epsilon: float = field(4014, "float", default=1e-2, least=0, doc="added to each sum")
    l2_prescale_by_channels: bool = field(
        4016, "bool", default=False, doc="the mean over channels, not the sum"
    )
    normalize_by_num_entries: bool = field(
        4017, "bool", default=False, doc="divided by the places that are numbers, not by samples"
    )


@register
class LpqLoss(FlowLoss):
    """L = 1/N · Σ (w·Σ_c (|d| + `p_epsilon`)^p + `q_epsilon`)^q over all places, with d = a − b, or
    d = a if there is one bottom; w is 1, or 1/C with `l2_prescale_by_channels`. N is the number of
    samples; with `normalize_by_num_entries` that of values which are numbers, divided by C. Where d
    is not a number it counts as 0. Exponents that change with the iteration are refused.

    Gradients: ∂L/∂a = p·q·w·sign(d)·(|d| + `p_epsilon`)^(p−1)·(w·Σ_c … + `q_epsilon`)^(q−1)/N, 0
    where d is 0 or not a number; ∂L/∂b = −∂L/∂a.
    Shapes: a and b (N, C, …), L ().
    Source: Ilg et al. 2017, FlowNet 2 (lmb-freiburg/flownet2); PWC-Net learns with p = 1, q = 0.4.
    """

    extension = "FlowNet 2 (lmb-freiburg), lpq_loss_param = 158"
    param: LpqLossParameter = param_of(LpqLossParameter)
    cases: ClassVar[tuple[Case, ...]] = (
        Case(
            'type: "LpqLoss" lpq_loss_param { p: 1 q: 0.5 q_epsilon: 1 }',
            # 3 + 5 + 1 and 8 + 7 + 1
            {"a": [[[[3.0, 8.0]], [[5.0, 0.0]]]], "b": [[[[0.0, 0.0]], [[0.0, 7.0]]]]},
            {"loss": 3.0 + 4.0},
        ),
        Case(
            'type: "LpqLoss" lpq_loss_param { p: 2 q: 2 p_epsilon: 1 q_epsilon: 0 '
            "pq_episode_starts_at_iter: 0 l2_prescale_by_channels: true "
            "normalize_by_num_entries: true }",
            # (1 + 1)² and (3 + 1)² have a mean of 10; 2 numbers in 2 channels
            {"a": [[[1.0], [-3.0]]]},
            {"loss": 100.0},
        ),
        Case(
            'type: "LpqLoss" lpq_loss_param { p: 1 q: 0.4 }',
            {"a": random(2, 2, 3, low=1, high=2), "b": random(2, 2, 3)},
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        for name in ("p", "q"):
            values = p.get(name)
            if len(values) != 1:
                self.fail(
                    f"{len(values)} values of {name}",
                    "lpq_loss_param",
                    *([name] if values else []),
                    expected="one, for all iterations",
                )
        if list(p.pq_episode_starts_at_iter) not in ([], [0]):
            self.fail(
                "p and q begin to hold later",
                "lpq_loss_param",
                "pq_episode_starts_at_iter",
                expected="0, or none",
            )
        super().setup(bottom)

    def settings(self, channels: int) -> None:
        p = self.param
        self.p, self.q, self.e, self.f = p.p[0], p.q[0], p.p_epsilon, p.q_epsilon
        self.by_entries = p.normalize_by_num_entries
        self.w = 1 / max(1, channels) if p.l2_prescale_by_channels else 1.0

"""AdamW: Adam with a weight decay of its own. Beyond Caffe."""

from __future__ import annotations

from caffelite.solver.rules.adam import Adam
from caffelite.solver.rules.base import register_rule


@register_rule("AdamW")
class AdamW(Adam):
    """W ← W − η·λ·decay_mult·W − η·(Adam's step for g alone), both with the W from before.

    With Adam, `weight_decay` λ is part of the gradient and so is divided by √v: weights whose
    gradients are large are decayed less. Here it is not part of g (nor of what `clip_gradients`
    measures, which it never is). The paper writes η_t·λ for the decay with η_t the schedule
    alone: its λ is base_lr·weight_decay here. With `regularization_type: "L1"` sign(W) stands
    for W.

    Fields and history: Adam's.
    Source: Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2.
    """

    decoupled_decay = True

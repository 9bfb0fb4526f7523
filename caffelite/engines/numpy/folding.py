"""Folding: a Convolution and the stored BatchNorm, the Scale or the ReLU behind it, as one.

    s·((W∗x + b − μ) / σ) + β  =  f·(W∗x) + (f·(b − μ) + β),  f = s / σ

where nobody can see what lies between: it is rewritten in place, or lies in memory that blobs
share and only the next layer reads it. So it is in inference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from caffelite.blob import Array
from caffelite.engines.numpy.chains import hidden, links_at
from caffelite.engines.numpy.inference import lean
from caffelite.layers.batch_norm import BatchNorm
from caffelite.layers.convolution import Convolution
from caffelite.layers.relu import ReLU
from caffelite.layers.scale import Scale
from caffelite.run.program import Forward, Program
from caffelite.run.session import Bound

if TYPE_CHECKING:
    from caffelite.engines.numpy.session import NumpySession

LEAST, SHARE = 3 << 18, 10
"""Where the top lasts no longer than the pass needs it memory counts: a tile's columns may take a
tenth of what such tops share, but so many bytes at least. (Smaller tiles are slower, and each
thread has one.)"""


def folded_at(program: Program, at: int, session: NumpySession) -> tuple[int, Bound] | None:
    """How many steps from `at` on are folded into one, and what runs them."""
    first = program[at]
    if not isinstance(first, Forward) or len(first.tops) != 1:
        return None
    convolution = session.layers[first.node.index]
    if getattr(convolution.forward, "__func__", None) is not Convolution.forward:
        return None
    if cast(Convolution, convolution).channel_axis != 1 or len(first.bottoms) != 1:
        return None
    links = links_at(program, at + 1, session) if at + 1 < len(program) else []
    if links and (not isinstance(links[0], Forward) or links[0].bottoms != first.tops):
        links = []
    layers = {type(layer): layer for layer in (session.layers[s.node.index] for s in links)}
    norm, scale = cast(Any, layers.get(BatchNorm)), cast(Any, layers.get(Scale))
    if norm is not None and not norm.stored:
        links, layers, norm, scale = [], {}, None, None
    array = session.memory.array
    *between, last = (step.tops[0] for step in (first, *links))
    x, y, short = array(first.bottoms[0]), array(last), lean(last, session)
    if not links and not short:
        return None
    seen = [v for v in between if array(v) is not y and not hidden(v, session)]
    if seen or np.may_share_memory(x, y):
        return None
    budget = max(LEAST, session.memory.shared // SHARE) if short else None
    run = _Folded(cast(Convolution, convolution), norm, scale, ReLU in layers, x, y, budget)
    return 1 + len(links), run


class _Folded:
    def __init__(
        self,
        convolution: Convolution,
        norm: BatchNorm | None,
        scale: Scale | None,
        relu: bool,
        x: Array,
        y: Array,
        budget: int | None,
    ) -> None:
        self.convolution, self.norm, self.scale = convolution, norm, scale
        self.relu, self.x, self.y, self.budget = relu, x, y, budget

    def __call__(self) -> None:
        it = self.convolution
        plain = self.norm is None and self.scale is None
        factor, bias = (None, it.bias) if plain else self._line()
        it.kernels.conv_forward(
            self.x,
            it.params[0].data,
            bias,
            self.y,
            it.window,
            it.group,
            self.budget,
            relu=self.relu,
            factor=factor,
        )

    def _line(self) -> tuple[Array, Array]:
        """f and what is added."""
        norm, scale, bias = self.norm, self.scale, self.convolution.bias
        factor = np.ones(self.y.shape[1], self.y.dtype)
        shift = np.zeros_like(factor) if bias is None else bias
        if norm is not None:
            mean, variance = norm.statistics()
            np.sqrt(variance + norm.param.eps, norm.deviation[:, 0])
            factor = factor / norm.deviation[:, 0]
            shift = (shift - mean) * factor
        if scale is not None:
            s = scale.params[0].data
            factor, shift = factor * s, shift * s
            if scale.param.bias_term:
                shift = shift + scale.params[1].data
        return factor, shift

"""Folding: a Convolution and the stored BatchNorm, the Scale and the ReLU behind it, as one.

    s·((W∗x + b − μ) / σ) + β  =  f·(W∗x) + (f·(b − μ) + β),  f = s / σ

where nobody can see what lies between: it is rewritten in place, or lies in memory that blobs
share and only the next layer reads it. So it is in inference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from caffelite.blob import Array
from caffelite.engines.numpy.chains import hidden, links_at
from caffelite.layers.batch_norm import BatchNorm
from caffelite.layers.convolution import Convolution
from caffelite.layers.relu import ReLU
from caffelite.layers.scale import Scale
from caffelite.run.program import Forward, Program
from caffelite.run.session import Bound

if TYPE_CHECKING:
    from caffelite.engines.numpy.session import NumpySession


def folded_at(program: Program, at: int, session: NumpySession) -> tuple[int, Bound] | None:
    """How many steps from `at` on are folded into one, and what runs them."""
    first = program[at]
    if not isinstance(first, Forward) or len(first.tops) != 1 or at + 1 == len(program):
        return None
    convolution = session.layers[first.node.index]
    if getattr(convolution.forward, "__func__", None) is not Convolution.forward:
        return None
    links = links_at(program, at + 1, session)
    layers = {type(layer): layer for layer in (session.layers[s.node.index] for s in links)}
    norm, scale = cast(Any, layers.get(BatchNorm)), cast(Any, layers.get(Scale))
    if (norm is None and scale is None) or (norm is not None and not norm.stored):
        return None
    if links[0].bottoms != first.tops or cast(Convolution, convolution).channel_axis != 1:
        return None
    array = session.memory.array
    x, y = array(first.bottoms[0]), array(links[-1].tops[0])
    between = [first.tops[0], *(link.tops[0] for link in links[:-1])]
    seen = [v for v in between if array(v) is not y and not hidden(v, session)]
    if seen or np.may_share_memory(x, y):
        return None
    run = _Folded(cast(Convolution, convolution), norm, scale, ReLU in layers, x, y)
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
    ) -> None:
        self.convolution, self.norm, self.scale = convolution, norm, scale
        self.relu, self.x, self.y = relu, x, y

    def __call__(self) -> None:
        factor, bias = self._line()
        it = self.convolution
        it.kernels.conv_forward(
            self.x,
            it.params[0].data,
            bias,
            self.y,
            it.window,
            it.group,
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

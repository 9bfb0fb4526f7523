"""Folding: a Convolution and the stored BatchNorm, the Scale or the ReLU behind it, as one.

    s·((W∗x + b − μ) / σ) + β  =  f·(W∗x) + (f·(b − μ) + β),  f = s / σ

where nobody can see what lies between: it is rewritten in place, or lies in memory that blobs
share and only the next layer reads it. So it is in inference.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from caffelite.blob import Array
from caffelite.engines.numpy.chains import hidden, links_at
from caffelite.engines.numpy.inference import lean
from caffelite.engines.numpy.scratch import budget
from caffelite.kernels import depthwise
from caffelite.kernels.rows import row_tiles
from caffelite.layers.batch_norm import BatchNorm
from caffelite.layers.convolution import Convolution
from caffelite.layers.relu import ReLU
from caffelite.layers.scale import Scale
from caffelite.run.program import Forward, Program
from caffelite.run.session import Bound

if TYPE_CHECKING:
    from caffelite.engines.numpy.session import NumpySession

MOST, TENTH = 3 << 18, 10
"""More bytes of columns, or more than a tenth of what blobs share, are not worth their memory: as
much again is what BLAS takes for a tile."""


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
    run = _Folded(cast(Convolution, convolution), norm, scale, ReLU in layers, x, y)
    if short:
        most = max(MOST, session.memory.shared // TENTH)
        columns = _columns(run.convolution, x, y, budget([first, *links], session) * 15 // 16)
        run.budget = most if columns is None else min(most, columns)
    return 1 + len(links), run


def _columns(it: Convolution, x: Array, y: Array, scratch: int) -> int | None:
    """How much of a tile's scratch its columns may take (None: there are none). Where they are laid
    out by rows, the product lies beside them, else it is written where it belongs, and the rest is
    for the padded input."""
    outputs, channels, *kernel = it.params[0].shape
    if it.window.is_pointwise:
        return None
    if depthwise.is_depthwise(x, it.params[0].data, it.group):
        return scratch
    if row_tiles(x[:, :channels], it.window, y.shape[2:], None):
        copied = channels * (math.prod(kernel[1:]) + 1)
        return scratch * copied // (copied + outputs // it.group)
    padded = 2 * math.prod(it.window.stride) if any(it.window.pad) or len(x) > 1 else 1
    return scratch * it.window.taps // (it.window.taps + padded)


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
        self.budget: int | None = None
        """Bytes of a tile's columns."""

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

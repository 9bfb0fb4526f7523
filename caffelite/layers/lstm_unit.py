"""LSTMUnit: one step of a long short-term memory, without its matrices."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, register, show
from caffelite.layers.cases import Case, random


def activate(gates: Array) -> None:
    """The gate inputs (…, 4H) to i, f, o (sigmoids) and g (a tanh), in place."""
    three = gates.shape[-1] // 4 * 3
    ifo, g = gates[..., :three], gates[..., three:]
    # σ(x) = (1 + tanh(x/2))/2 cannot overflow
    np.multiply(ifo, 0.5, ifo)
    np.tanh(ifo, ifo)
    np.add(ifo, 1, ifo)
    np.multiply(ifo, 0.5, ifo)
    np.tanh(g, g)


def step(gates: Array, cont: Array, before: Array, c: Array, tanh_c: Array, h: Array) -> None:
    """From gates (N, 4H), cont (N, 1) and c_{t−1} to c_t, tanh c_t and h_t."""
    i, f, o, g = np.split(gates, 4, axis=-1)
    np.multiply(f, before, c)
    np.multiply(c, cont, c)
    np.add(c, i * g, c)
    np.tanh(c, tanh_c)
    np.multiply(o, tanh_c, h)


def step_back(
    gates: Array, cont: Array, before: Array, tanh_c: Array, dh: Array, dc: Array, into: Array
) -> Array:
    """From ∂L/∂h_t and what comes to c_t from elsewhere: writes the gate inputs' gradient to
    `into`, gives ∂L/∂c_{t−1}."""
    i, f, o, g = np.split(gates, 4, axis=-1)
    di, df, do, dg = np.split(into, 4, axis=-1)
    dc = dc + dh * o * (1 - tanh_c * tanh_c)
    np.multiply(dc * g, i * (1 - i), di)
    np.multiply(dc * cont * before, f * (1 - f), df)
    np.multiply(dh * tanh_c, o * (1 - o), do)
    np.multiply(dc * i, 1 - g * g, dg)
    previous: Array = dc * cont * f
    return previous


@register
class LSTMUnit(Layer):
    """With the gate inputs i′, f′, o′, g′ side by side in the second bottom:
    i = σ(i′), f = σ(f′), o = σ(o′), g = tanh(g′);
    c_t = cont·f·c_{t−1} + i·g;  h_t = o·tanh(c_t).

    Gradients, with c̄ = ∂L/∂c_t + ∂L/∂h_t·o·(1 − tanh²c_t):
    ∂L/∂c_{t−1} = c̄·cont·f;  ∂L/∂i′ = c̄·g·i(1 − i);  ∂L/∂f′ = c̄·cont·c_{t−1}·f(1 − f);
    ∂L/∂o′ = ∂L/∂h_t·tanh(c_t)·o(1 − o);  ∂L/∂g′ = c̄·i·(1 − g²). None for cont.
    Shapes: c_{t−1} (1, N, H), gate inputs (1, N, 4H), cont (1, N), 0 where a sequence starts, else
    1; tops c_t and h_t (1, N, H).
    Source: Hochreiter & Schmidhuber 1997; Donahue et al. 2015; Caffe's lstm_unit_layer.
    """

    bottoms = (3, 3)
    tops = (2, 2)
    backward_reads = ("bottom",)
    cases = (
        Case(
            'type: "LSTMUnit"',
            # N = 2, H = 1: σ(0) = 1/2, σ(ln 3) = 3/4, tanh(ln 2) = 3/5, and a start at sample 1
            {
                "c_prev": [[[2.0], [2.0]]],
                "gates": [
                    [[0.0, math.log(3), math.log(3), math.log(2)], [0.0, 0.0, 0.0, math.log(2)]]
                ],
                "cont": [[1.0, 0.0]],
            },
            {
                "c": [[[1.8], [0.3]]],
                "h": [[[0.75 * math.tanh(1.8)], [0.5 * math.tanh(0.3)]]],
            },
        ),
        Case(
            'type: "LSTMUnit"',
            {
                "c_prev": random(1, 3, 2),
                "gates": random(1, 3, 8, low=-2, high=2),
                "cont": [[1.0, 0.0, 1.0]],
            },
            tops=["c", "h"],
        ),
    )

    def propagates(self, index: int) -> bool:
        return index != 2

    def reshape(self, bottom: Shapes) -> list[Shape]:
        cell, gates, cont = bottom
        four = (*cell[:2], *(4 * h for h in cell[2:]))
        wanted = [
            ("1 x N x H", len(cell) == 3 and cell[0] == 1),
            (show(four), gates == four),
            (f"{show(cell[:2])}", cont == cell[:2]),
        ]
        for name, shape, (expected, right) in zip(self.spec.bottom, bottom, wanted):
            if not right:
                self.fail(f'bottom "{name}" is {show(shape)}', "bottom", expected=expected)
        return [cell, cell]

    def prepare(self) -> None:
        self._gates = np.empty(self.bottom_shapes[1][1:], self.dtype)
        self._tanh = np.empty(self.bottom_shapes[0][1:], self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        before, gates, cont = (b[0] for b in bottom)
        c, h = (t[0] for t in top)
        self._gates[...] = gates
        activate(self._gates)
        step(self._gates, cont[:, None], before, c, self._tanh, h)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        before, _, cont = (b[0] for b in bottom)
        dc, dh = (d[0] for d in top_diff)
        dcell, dgates = bottom_diff[:2]
        into = np.empty_like(self._gates) if dgates is None else dgates[0]
        previous = step_back(self._gates, cont[:, None], before, self._tanh, dh, dc, into)
        if dcell is not None:
            dcell[0] = previous

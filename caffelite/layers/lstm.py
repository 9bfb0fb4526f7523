"""LSTM: long short-term memory."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Array
from caffelite.layers.base import register
from caffelite.layers.cases import Case, random
from caffelite.layers.lstm_unit import activate, step, step_back
from caffelite.layers.recurrent import Recurrent

_CONT = [[0.0, 0.0], [1.0, 1.0], [1.0, 0.0]]


@register
class LSTM(Recurrent):
    """For t = 1 … T, with h_0 and c_0 the last state of the forward pass before (0 at first):
    z_t = W_xc·x_t + b_c + W_hc·(cont_t·h_{t−1}) (+ W_xc_static·x_static);
    (i, f, o, g) = (σ, σ, σ, tanh)(z_t);  c_t = cont_t·f·c_{t−1} + i·g;  h_t = o·tanh(c_t).

    Gradients: those of LSTMUnit, from the last step to the first, with ∂L/∂h_{t−1} gaining
    cont_t·W_hcᵀ·∂L/∂z_t; then ∂L/∂W_xc = Σ_t ∂L/∂z_t·x_tᵀ, ∂L/∂b_c = Σ_t ∂L/∂z_t,
    ∂L/∂W_hc = Σ_t ∂L/∂z_t·(cont_t·h_{t−1})ᵀ, ∂L/∂x_t = W_xcᵀ·∂L/∂z_t. Nothing flows back into
    the forward pass before. With `expose_hidden` gradients pass through the exposed state (Caffe
    drops them).

    Shapes: x (T, N, …), cont (T, N), x_static (N, …); top h (T, N, H). With `expose_hidden`, h_0
    and c_0 (1, N, H) come in, h_T and c_T (1, N, H) go out. Parameters: W_xc (4H, D), b_c (4H,),
    W_xc_static (4H, D_static) if there is a static input, W_hc (4H, H); the rows are those of
    i, f, o, g in this order.
    Source: Hochreiter & Schmidhuber 1997; Donahue et al. 2015; Caffe's lstm_layer.
    """

    bottoms = (2, 5)
    tops = (1, 3)
    gates = 4
    hidden = ("h", "c")
    cases = (
        Case(
            'type: "LSTM" recurrent_param { num_output: 1 }',
            # gate inputs at both steps 0, 0, ln 3, ln 2: i = 1/2, f = 1/2, o = 3/4, g = 3/5,
            # so c_1 = 0.3 and c_2 = 0.5·0.3 + 0.3
            {"x": [[[1.0]], [[1.0]]], "cont": [[0.0], [1.0]]},
            {"h": [[[0.75 * math.tanh(0.3)]], [[0.75 * math.tanh(0.45)]]]},
            params=[
                [[0.0], [0.0], [0.0], [math.log(2)]],
                [0.0, 0.0, math.log(3), 0.0],
                [[0.0]] * 4,
            ],
        ),
        Case(
            'type: "LSTM" recurrent_param { num_output: 3 }',
            {"x": random(3, 2, 2, 2), "cont": _CONT},
        ),
        Case(
            'type: "LSTM" recurrent_param { num_output: 2 }',
            {"x": random(3, 2, 2), "cont": _CONT, "x_static": random(2, 3)},
        ),
        Case(
            'type: "LSTM" recurrent_param { num_output: 2 expose_hidden: true }',
            {
                "x": random(2, 2, 3),
                "cont": [[1.0, 0.0], [1.0, 1.0]],
                "x_static": random(2, 1, 2),
                "h_0": random(1, 2, 2),
                "c_0": random(1, 2, 2),
            },
            tops=["h", "h_T", "c_T"],
        ),
    )

    def declare_own(self, size: int) -> None:
        self.declare((4 * size, size), self.param.weight_filler)

    def prepare(self) -> None:
        super().prepare()
        t, n, h = self.t, self.n, self.h
        self._before = np.empty((t, n, h), self.dtype)  # cont_t·h_{t−1}
        self._cell = np.empty((t + 1, n, h), self.dtype)  # c_0 … c_T
        self._tanh = np.empty((t, n, h), self.dtype)
        self._recurrent = np.empty((n, 4 * h), self.dtype)

    def walk(self, cont: Array, start: list[Array], top: Array) -> list[Array]:
        weight = self.params[self.own].data.T
        h, self._cell[0] = start
        for t in range(self.t):
            np.multiply(h, cont[t], self._before[t])
            np.dot(self._before[t], weight, self._recurrent)
            np.add(self.z[t], self._recurrent, self.z[t])
            activate(self.z[t])
            step(self.z[t], cont[t], self._cell[t], self._cell[t + 1], self._tanh[t], top[t])
            h = top[t]
        return [h, self._cell[self.t]]

    def walk_back(self, cont: Array, top: Array, top_diff: Array, end: list[Array]) -> list[Array]:
        weight = self.params[self.own].data
        dh, dc = end
        for t in reversed(range(self.t)):
            np.add(dh, top_diff[t], dh)
            dc = step_back(self.z[t], cont[t], self._cell[t], self._tanh[t], dh, dc, self.dz[t])
            np.dot(self.dz[t], weight, dh)
            np.multiply(dh, cont[t], dh)
        dz = self.dz.reshape(-1, 4 * self.h)
        self.learn(self.own, dz.T, self._before.reshape(-1, self.h))
        return [dh, dc]

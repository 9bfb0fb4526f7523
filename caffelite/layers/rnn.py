"""RNN: the plain recurrent layer."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Array
from caffelite.layers.base import register
from caffelite.layers.cases import Case, random
from caffelite.layers.recurrent import Recurrent

_CONT = [[0.0, 0.0], [1.0, 1.0], [1.0, 0.0]]


@register
class RNN(Recurrent):
    """For t = 1 … T, with h_0 the last state of the forward pass before (0 at first):
    h_t = tanh(W_xh·x_t + b_h + W_hh·(cont_t·h_{t−1}) (+ W_xh_static·x_static));
    o_t = tanh(W_ho·h_t + b_o).

    Gradients, with ō_t = ∂L/∂o_t·(1 − o_t²) and z̄_t = ∂L/∂h_t·(1 − h_t²), from the last step to
    the first: ∂L/∂h_t = W_hoᵀ·ō_t + cont_{t+1}·W_hhᵀ·z̄_{t+1}; then ∂L/∂W_ho = Σ_t ō_t·h_tᵀ,
    ∂L/∂b_o = Σ_t ō_t, ∂L/∂W_hh = Σ_t z̄_t·(cont_t·h_{t−1})ᵀ, ∂L/∂W_xh = Σ_t z̄_t·x_tᵀ,
    ∂L/∂b_h = Σ_t z̄_t, ∂L/∂x_t = W_xhᵀ·z̄_t. Nothing flows back into the forward pass before. With
    `expose_hidden` gradients pass through the exposed state (Caffe drops them).

    Shapes: x (T, N, …), cont (T, N), x_static (N, …); top o (T, N, H). With `expose_hidden`, h_0
    (1, N, H) comes in, h_T (1, N, H) goes out. Parameters: W_xh (H, D), b_h (H,), W_xh_static
    (H, D_static) if there is a static input, W_hh (H, H), W_ho (H, H), b_o (H,).
    Source: Elman 1990; Donahue et al. 2015; Caffe's rnn_layer.
    """

    bottoms = (2, 4)
    tops = (1, 2)
    backward_reads = ("bottom", "top")
    cases = (
        Case(
            'type: "RNN" recurrent_param { num_output: 1 }',
            # h_1 = tanh(ln 2) = 3/5; h_2 = tanh(ln 2 + 5·3/5 - 3) = 3/5; o = tanh(2h)
            {"x": [[[1.0]], [[1.0]]], "cont": [[0.0], [1.0]]},
            {"o": [[[math.tanh(1.2)]], [[math.tanh(1.2)]]]},
            params=[[[math.log(2)]], [0.0], [[0.0]], [[2.0]], [0.0]],
        ),
        Case(
            'type: "RNN" recurrent_param { num_output: 1 }',
            # the hidden states are 3/5, then tanh(0 + 5·3/5), then tanh(0) at a new start
            {"x": [[[1.0]], [[0.0]], [[0.0]]], "cont": [[0.0], [1.0], [0.0]]},
            {"o": [[[math.tanh(0.6)]], [[math.tanh(math.tanh(3.0))]], [[0.0]]]},
            params=[[[math.log(2)]], [0.0], [[5.0]], [[1.0]], [0.0]],
        ),
        Case(
            'type: "RNN" recurrent_param { num_output: 3 }',
            {"x": random(3, 2, 2), "cont": _CONT, "x_static": random(2, 2)},
        ),
        Case(
            'type: "RNN" recurrent_param { num_output: 2 expose_hidden: true }',
            {"x": random(2, 2, 3), "cont": [[1.0, 0.0], [1.0, 1.0]], "h_0": random(1, 2, 2)},
            tops=["o", "h_T"],
        ),
    )

    def declare_own(self, size: int) -> None:
        self.declare((size, size), self.param.weight_filler)
        self.declare((size, size), self.param.weight_filler)
        self.declare((size,), self.param.bias_filler)

    def prepare(self) -> None:
        super().prepare()
        shape = (self.t, self.n, self.h)
        self._before = np.empty(shape, self.dtype)  # cont_t·h_{t−1}
        self._dout = np.empty(shape, self.dtype)
        self._dhidden = np.empty(shape, self.dtype)
        self._recurrent = np.empty((self.n, self.h), self.dtype)

    def walk(self, cont: Array, start: list[Array], top: Array) -> list[Array]:
        hidden, w_hh = self.z, self.params[self.own].data.T
        w_ho, b_o = self.params[self.own + 1].data, self.params[self.own + 2].data
        (h,) = start
        for t in range(self.t):
            np.multiply(h, cont[t], self._before[t])
            np.dot(self._before[t], w_hh, self._recurrent)
            np.add(hidden[t], self._recurrent, hidden[t])
            h = np.tanh(hidden[t], hidden[t])
        out = top.reshape(-1, self.h)
        np.dot(hidden.reshape(-1, self.h), w_ho.T, out)
        np.add(out, b_o, out)
        np.tanh(out, out)
        return [h]

    def walk_back(self, cont: Array, top: Array, top_diff: Array, end: list[Array]) -> list[Array]:
        w_hh, w_ho, b_o = self.params[self.own :]
        hidden, dz, dout = self.z, self.dz, self._dout
        np.multiply(top, top, dout)
        np.subtract(1, dout, dout)
        np.multiply(dout, top_diff, dout)
        flat_dout, flat_hidden = dout.reshape(-1, self.h), hidden.reshape(-1, self.h)
        np.dot(flat_dout, w_ho.data, self._dhidden.reshape(-1, self.h))
        (dh,) = end
        for t in reversed(range(self.t)):
            np.add(dh, self._dhidden[t], dh)
            np.multiply(hidden[t], hidden[t], dz[t])
            np.subtract(1, dz[t], dz[t])
            np.multiply(dz[t], dh, dz[t])
            np.dot(dz[t], w_hh.data, dh)
            np.multiply(dh, cont[t], dh)
        flat_dz, flat_before = dz.reshape(-1, self.h), self._before.reshape(-1, self.h)
        self.learn(self.own, flat_dz.T, flat_before)
        self.learn(self.own + 1, flat_dout.T, flat_hidden)
        if self.learns[self.own + 2]:
            b_o.diff.__iadd__(np.add.reduce(flat_dout, 0))
        return [dh]

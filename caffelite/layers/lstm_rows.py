"""Lstm: long short-term memory over rows, as junhyukoh's fork and CTPN have it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, registry, show
from caffelite.layers.cases import Case, random
from caffelite.layers.lstm_unit import activate, step, step_back
from caffelite.schema.common import FillerParameter
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage, LayerParameter

PARAM = "lstm_param"


class LSTMParameter(LayerMessage, field=PARAM, number=1201):
    """The size of a memory and its sequences."""

    num_output: int = field(1, "uint32", least=1, doc="hidden units H, also the outputs")
    clipping_threshold: float = field(
        2, "float", default=0.0, doc="gradients of the gates' inputs stay within ±it; 0: no limit"
    )
    weight_filler: FillerParameter = field(3, FillerParameter, doc="first values of the matrices")
    bias_filler: FillerParameter = field(4, FillerParameter, doc="first values of the bias")
    batch_size: int = field(5, "uint32", default=1, least=1, doc="sequences N, side by side")


@register
class Lstm(Layer):
    """Rows t·N + n are step t of sequence n. With cont = 0 where a sequence starts, else 1:
    z_t = W_x·x_t + b + cont·W_h·h_{t−1};  (i, f, o, g) = (σ, σ, σ, tanh)(z_t);
    c_t = cont·f·c_{t−1} + i·g;  h_t = o·tanh(c_t). Without a second bottom all start at the first
    step; with it, cont, h_0 and c_0 are the last state of the forward pass before.

    Gradients: as LSTM; those of z are kept within ±`clipping_threshold`, if that is above 0.
    Shapes: x (T·N, …), cont of T·N values; h (T·N, H). As in CTPN's fork x may be (T, N, D), where
    `batch_size` is not given, and h is (T, N, H). Parameters: W_x (4H, D), W_h (4H, H), b (4H,);
    the rows are those of i, f, o, g in this order. With recurrent_param it is LSTM, as in MyCaffe.
    Source: Hochreiter & Schmidhuber 1997; junhyukoh/caffe-lstm; Tian et al. 2016, CTPN.
    """

    bottoms = (1, 2)
    backward_reads = ("bottom", "top")
    extension = f"junhyukoh/caffe-lstm, there {PARAM} = 201; CTPN, there 140"
    param: LSTMParameter = param_of(LSTMParameter)
    cases = (
        Case(
            f'type: "Lstm" {PARAM} {{ num_output: 1 }}',
            # as LSTM's case: i = 1/2, f = 1/2, o = 3/4, g = 3/5
            {"x": [[1.0], [1.0]]},
            {"h": [[0.75 * math.tanh(0.3)], [0.75 * math.tanh(0.45)]]},
            params=[
                [[0.0], [0.0], [0.0], [math.log(2)]],
                [[0.0]] * 4,
                [0.0, 0.0, math.log(3), 0.0],
            ],
        ),
        Case(f'type: "Lstm" {PARAM} {{ num_output: 3 batch_size: 2 }}', {"x": random(6, 2, 2)}),
        Case(
            f'type: "Lstm" {PARAM} {{ num_output: 1 }}',
            # as the first, twice side by side
            {"x": [[[1.0], [1.0]], [[1.0], [1.0]]]},
            {"h": [[[0.75 * math.tanh(0.3)]] * 2, [[0.75 * math.tanh(0.45)]] * 2]},
            params=[
                [[0.0], [0.0], [0.0], [math.log(2)]],
                [[0.0]] * 4,
                [0.0, 0.0, math.log(3), 0.0],
            ],
        ),
        Case(
            f'type: "Lstm" {PARAM} {{ num_output: 2 batch_size: 2 }}',
            {"x": random(6, 3), "cont": [0.0, 0.0, 1.0, 1.0, 1.0, 0.0]},
            tops=["h"],
        ),
    )

    def propagates(self, index: int) -> bool:
        return index == 0

    @classmethod
    def chosen(cls, spec: LayerParameter) -> type[Layer]:
        """MyCaffe calls Caffe's LSTM so; it has recurrent_param."""
        own = spec.has(PARAM) or not spec.has("recurrent_param")
        return cls if own else registry["LSTM"]

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        self.need(PARAM, "num_output", expected="the number of hidden units, num_output: 128")
        self.repeatable = len(bottom) == 1  # else a pass goes on from the last one
        steps, batch = self._sequences(bottom[0])
        self._inputs, size = math.prod(bottom[0]) // max(1, steps * batch), p.num_output
        self.declare((4 * size, self._inputs), p.weight_filler)
        self.declare((4 * size, size), p.weight_filler)
        self.declare((4 * size,), p.bias_filler)
        self._carried: list[Array] = []

    def _sequences(self, shape: Shape) -> tuple[int, int]:
        """How many steps and sequences there are."""
        if len(shape) == 3 and not self.param.has("batch_size"):
            return shape[0], shape[1]
        batch = self.param.batch_size
        return (shape[0] if shape else 0) // batch, batch

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self.need_values(bottom)
        x = bottom[0]
        steps, batch = self._sequences(x)
        if len(x) < 2 or math.prod(x) != steps * batch * self._inputs:
            self.fail(
                f'bottom "{self.spec.bottom[0]}" is {show(x)}',
                "bottom",
                expected=f"rows of {self._inputs} values, a multiple of batch_size, {batch}",
            )
        if len(bottom) > 1 and math.prod(bottom[1]) != steps * batch:
            self.fail(
                f'bottom "{self.spec.bottom[1]}" is {show(bottom[1])}',
                "bottom",
                index=1,
                expected=f"one value for each of {steps * batch} rows",
            )
        whole = len(x) == 3 and not self.param.has("batch_size")
        return [(*(x[:2] if whole else x[:1]), self.param.num_output)]

    def prepare(self) -> None:
        (t, n), h = self._sequences(self.bottom_shapes[0]), self.param.num_output
        self._z, self._dz = (np.empty((t, n, 4 * h), self.dtype) for _ in range(2))
        self._before, self._tanh = (np.empty((t, n, h), self.dtype) for _ in range(2))
        self._cell = np.empty((t + 1, n, h), self.dtype)
        if [c.shape for c in self._carried] != [(n, h)] * 2:
            self._carried = [np.zeros((n, h), self.dtype) for _ in range(2)]

    def state(self) -> dict[str, Any]:
        if self.repeatable:
            return {}
        return {name: c.tolist() for name, c in zip("hc", self._carried)}

    def restore(self, state: dict[str, Any]) -> None:
        if not self.repeatable and "h" in state and "c" in state:
            self._carried = [np.array(state[name], self.dtype) for name in "hc"]

    def _cont(self, bottom: Arrays) -> Array:
        steps, n, _ = self._z.shape
        if len(bottom) > 1:
            known: Array = (bottom[1].reshape(steps, n, 1) != 0).astype(self.dtype)
            return known
        cont = np.ones((steps, n, 1), self.dtype)
        cont[:1] = 0
        return cont

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        w_x, w_h, bias = (p.data for p in self.params)
        x, y = bottom[0].reshape(-1, self._inputs), top[0].reshape(self._before.shape)
        self._z[...] = (np.dot(x, w_x.T) + bias).reshape(self._z.shape)
        cont = self._cont(bottom)
        h, self._cell[0] = self._carried
        for t in range(len(y)):
            np.multiply(h, cont[t], self._before[t])
            self._z[t] += np.dot(self._before[t], w_h.T)
            activate(self._z[t])
            step(self._z[t], cont[t], self._cell[t], self._cell[t + 1], self._tanh[t], y[t])
            h = y[t]
        if not self.repeatable:
            self._carried = [h.copy(), self._cell[-1].copy()]

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        w_x, w_h, _ = (p.data for p in self.params)
        cont, dy, limit = self._cont(bottom), top_diff[0], self.param.clipping_threshold
        dy = dy.reshape(self._before.shape)
        dh, dc = (np.zeros_like(dy[0]) for _ in range(2))
        for t in reversed(range(len(dy))):
            dh = dh + dy[t]
            dc = step_back(self._z[t], cont[t], self._cell[t], self._tanh[t], dh, dc, self._dz[t])
            if limit > 0:
                np.clip(self._dz[t], -limit, limit, self._dz[t])
            dh = np.dot(self._dz[t], w_h) * cont[t]
        dz = self._dz.reshape(-1, w_x.shape[0])
        rows = bottom[0].reshape(-1, self._inputs), self._before.reshape(len(dz), -1)
        for i, x in enumerate(rows):
            if self.learns[i]:
                self.params[i].diff.__iadd__(np.dot(dz.T, x))
        if self.learns[2]:
            self.params[2].diff.__iadd__(dz.sum(0))
        if bottom_diff[0] is not None:
            bottom_diff[0][...] = np.dot(dz, w_x).reshape(bottom_diff[0].shape)

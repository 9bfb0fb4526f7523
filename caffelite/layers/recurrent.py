"""Recurrent: what LSTM and RNN have in common."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, show
from caffelite.schema.common import FillerParameter
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class RecurrentParameter(LayerMessage, field="recurrent_param", number=146):
    """The size and the start of a recurrent layer."""

    num_output: int = field(1, "uint32", default=0, least=1, doc="hidden units H, also the outputs")
    weight_filler: FillerParameter = field(2, FillerParameter, doc="first values of the matrices")
    bias_filler: FillerParameter = field(3, FillerParameter, doc="first values of the biases")
    debug_info: bool = field(4, "bool", default=False, idle="the layer has no net inside")
    expose_hidden: bool = field(
        5, "bool", default=False, doc="take and give the hidden state as bottoms and tops?"
    )


class Recurrent(Layer):
    """A layer that walks T steps over N sequences side by side.

    The input part of all steps, z_t = W_x·x_t + b (+ W_s·x_static), is one matrix product; a
    subclass turns it into outputs step by step (`walk`) and back (`walk_back`).

    Bottoms: x (T, N, …); cont (T, N), 0 where a sequence starts at that step, else 1; then
    x_static (N, …), if given; then, with `expose_hidden`, the hidden state to start from, each
    blob (1, N, H). Tops: the outputs (T, N, H); with `expose_hidden`, the last hidden state.
    Without `expose_hidden` the last hidden state of a forward pass is the start of the next one
    (where cont is 1); a snapshot keeps it.
    """

    gates: ClassVar[int] = 1
    """How many values the input part has for each hidden unit."""
    hidden: ClassVar[tuple[str, ...]] = ("h",)
    """The blobs of the hidden state."""

    backward_reads: tuple[str, ...] = ("bottom",)
    param: RecurrentParameter = param_of(RecurrentParameter)

    def walk(self, cont: Array, start: list[Array], top: Array) -> list[Array]:
        """From `self.z` (T, N, gates·H) and the hidden state before the first step to the
        outputs; gives the last hidden state."""
        raise NotImplementedError

    def walk_back(self, cont: Array, top: Array, top_diff: Array, end: list[Array]) -> list[Array]:
        """Write `self.dz`, add to the subclass's own parameters; from the gradients at the last
        hidden state to those at the first."""
        raise NotImplementedError

    def declare_own(self, size: int) -> None:
        """Declare the parameters that come after those of the input part."""
        raise NotImplementedError

    def propagates(self, index: int) -> bool:
        return index != 1

    def setup(self, bottom: Shapes) -> None:
        p, k = self.param, len(self.hidden)
        example = "recurrent_param { num_output: 128 }"
        self.need(
            "recurrent_param", "num_output", expected=f"the number of hidden units, {example}"
        )
        self.exposed = k if p.expose_hidden else 0
        self.repeatable = bool(self.exposed)  # else a pass goes on from the last one
        self.static = len(bottom) > 2 + self.exposed
        least, state = 2 + self.exposed, ", then " + ", ".join(self.hidden) if self.exposed else ""
        for what, found, wanted, order in (
            ("bottom", len(bottom), (least, least + 1), "x, cont, x_static if any"),
            ("top", len(self.spec.top), (1 + self.exposed,), "the outputs"),
        ):
            if found not in wanted:
                self.fail(
                    f"{found} {what}s, {'with' if self.exposed else 'without'} expose_hidden",
                    what,
                    expected=f"{' or '.join(map(str, wanted))}: {order}{state}",
                )
        self._check(bottom)
        size = p.num_output
        self.inputs = math.prod(bottom[0][2:])
        self.declare((self.gates * size, self.inputs), p.weight_filler)
        self.declare((self.gates * size,), p.bias_filler)
        if self.static:
            self.static_inputs = math.prod(bottom[2][1:])
            self.declare((self.gates * size, self.static_inputs), p.weight_filler)
        self.own = len(self.declared)
        self.declare_own(size)
        self._carried: list[Array] = []

    def _check(self, bottom: Shapes) -> None:
        x, cont = bottom[:2]
        wanted = [("T x N x ...", len(x) >= 2), (show(x[:2]), cont == x[:2])]
        if self.static:
            static = bottom[2]
            wanted.append((f"{x[1]} x ...", len(static) >= 1 and static[0] == x[1]))
        state = (1, x[1] if len(x) > 1 else 0, self.param.num_output)
        wanted += [(show(state), shape == state) for shape in bottom[len(wanted) :]]
        for name, shape, (expected, right) in zip(self.spec.bottom, bottom, wanted):
            if not right:
                self.fail(f'bottom "{name}" is {show(shape)}', "bottom", expected=expected)

    def multiply_adds(self, bottom: Shapes, top: Shapes) -> int:
        """The matrices work at every step of every sequence: T · N · Σ |W|."""
        matrices = [d.shape for d in self.declared if len(d.shape) > 1]
        return math.prod(bottom[0][:2]) * sum(map(math.prod, matrices))

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self._check(bottom)
        sizes = [(0, math.prod(bottom[0][2:]), self.inputs)]
        if self.static:
            sizes.append((2, math.prod(bottom[2][1:]), self.static_inputs))
        for i, found, wanted in sizes:
            if found != wanted:
                self.fail(
                    f'bottom "{self.spec.bottom[i]}" is {show(bottom[i])}, but the weights are '
                    f"for {wanted} inputs",
                    "bottom",
                )
        t, n, h = *bottom[0][:2], self.param.num_output
        return [(t, n, h), *([(1, n, h)] * self.exposed)]

    def prepare(self) -> None:
        self.t, self.n, self.h = self.top_shapes[0]
        self.z = np.empty((self.t, self.n, self.gates * self.h), self.dtype)
        self.dz = np.empty_like(self.z)
        self._steps = [np.empty_like(p.data) for p in self.params]
        shape = (self.n, self.h)
        if [c.shape for c in self._carried] != [shape] * len(self.hidden):
            self.reset()

    def learn(self, index: int, a: Array, b: Array) -> None:
        """Add a·b to the gradient of a matrix."""
        if self.learns[index]:
            self.params[index].diff.__iadd__(np.dot(a, b, self._steps[index]))

    def reset(self) -> None:
        """Forget the hidden state carried over from the last forward pass."""
        self._carried = [np.zeros((self.n, self.h), self.dtype) for _ in self.hidden]

    def state(self) -> dict[str, Any]:
        if self.exposed:
            return {}
        return {name: c.tolist() for name, c in zip(self.hidden, self._carried)}

    def restore(self, state: dict[str, Any]) -> None:
        if not self.exposed and all(name in state for name in self.hidden):
            carried = [np.array(state[name], self.dtype) for name in self.hidden]
            if [c.shape for c in carried] == [c.shape for c in self._carried] or not self._carried:
                self._carried = carried  # else of another batch size: it starts anew

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        rows, z = self.t * self.n, self.z.reshape(-1, self.gates * self.h)
        np.dot(bottom[0].reshape(rows, self.inputs), self.params[0].data.T, z)
        np.add(z, self.params[1].data, z)
        if self.static:
            x_static = bottom[2].reshape(self.n, self.static_inputs)
            np.add(self.z, np.dot(x_static, self.params[2].data.T), self.z)
        start = [b[0] for b in bottom[2 + self.static :]] if self.exposed else self._carried
        end = self.walk(bottom[1][:, :, None], start, top[0])
        if self.exposed:
            for blob, last in zip(top[1:], end):
                blob[0] = last
        else:
            self._carried = [last.copy() for last in end]

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if self.exposed:
            end = [d[0].copy() for d in top_diff[1:]]
        else:  # truncated: nothing comes back from the next forward pass
            end = [np.zeros((self.n, self.h), self.dtype) for _ in self.hidden]
        start = self.walk_back(bottom[1][:, :, None], top[0], top_diff[0], end)

        rows = self.t * self.n
        dz = self.dz.reshape(rows, self.gates * self.h)
        x = bottom[0].reshape(rows, self.inputs)
        self.learn(0, dz.T, x)
        if self.learns[1]:
            self.params[1].diff.__iadd__(np.add.reduce(dz, 0))
        dx = bottom_diff[0]
        if dx is not None:
            np.dot(dz, self.params[0].data, dx.reshape(rows, self.inputs))
        if self.static:
            x_static = bottom[2].reshape(self.n, self.static_inputs)
            over_time = np.add.reduce(self.dz, 0)
            self.learn(2, over_time.T, x_static)
            dstatic = bottom_diff[2]
            if dstatic is not None:
                np.dot(over_time, self.params[2].data, dstatic.reshape(self.n, self.static_inputs))
        if self.exposed:
            for blob, first in zip(bottom_diff[2 + self.static :], start):
                if blob is not None:
                    blob[0] = first

"""Steps: a recurrent node written out, one step after the other, in layers that Caffe has.

For cells that no layer of Caffe is: GRU, RNN, and LSTM with peepholes, other activations, a clip,
coupled gates or sequences of several lengths. All steps share their matrices by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.onnx.into.reader import Reader, Unsayable, number

SUM = "eltwise_param { operation: SUM }"
LESS = "eltwise_param { operation: SUM coeff: 1 coeff: -1 }"
PRODUCT = "eltwise_param { operation: PROD }"


@dataclass(frozen=True)
class Activation:
    """A function by name, with its alpha and beta where the node gives them."""

    name: str
    alpha: float | None = None
    beta: float | None = None

    def values(self, alpha: float, beta: float = 0.0) -> tuple[float, float]:
        """alpha and beta; those that are not given are these."""
        return (
            alpha if self.alpha is None else self.alpha,
            beta if self.beta is None else self.beta,
        )


@dataclass
class Run:
    """One direction of one node: what it reads, and the layers it becomes."""

    reader: Reader
    base: str
    """In front of the names of its blobs."""
    x: str
    steps: int
    batch: int
    weights: Array
    """(G·H, D), gate after gate."""
    recurrent: Array
    """(G·H, H)."""
    bias: tuple[Array, Array]
    """(G·H,) each: of the input, and of the hidden state."""
    activations: Sequence[Activation]
    starts: dict[str, str]
    """By "h" and "c" the blobs (1, N, H) that it starts from; zeros where there is none."""
    backwards: bool = False
    clip: float = 0.0
    peepholes: Array | None = None
    """(3H,): of the input, output and forget gates."""
    coupled: bool = False
    lengths: Array | None = None
    """(N,), where they differ."""

    @property
    def hidden(self) -> int:
        """H."""
        return int(self.recurrent.shape[1])

    def part(self, kind: str, text: str, *bottoms: str, params: Sequence[Any] = ()) -> str:
        """A layer; its blob."""
        top = self.reader.fresh_blob(f"{self.base}/{kind.lower()}")
        return self.reader.layer(kind, bottoms, text, top, params)

    def cut(self, x: str, axis: int, sizes: Sequence[int]) -> list[str]:
        """x in parts along an axis."""
        if len(sizes) == 1:
            return [x]
        tops = [self.reader.fresh_blob(f"{self.base}/part{i}") for i in range(len(sizes))]
        points = " ".join(f"slice_point: {p}" for p in np.cumsum(sizes)[:-1])
        self.reader.layer("Slice", [x], f"slice_param {{ axis: {axis} {points} }}", tops)
        return tops

    def product(self, x: str, what: str, weight: Array, bias: Array | None) -> str:
        """W·x + b along the last axis, W and b being the same wherever `what` is."""
        names = [f"{self.base}/{what}"] + ([f"{self.base}/{what}_b"] if bias is not None else [])
        shared = " ".join(f'param {{ name: "{_quoted(n)}" }}' for n in names)
        term = "" if bias is not None else "bias_term: false"
        text = f"{shared} inner_product_param {{ num_output: {len(weight)} axis: 2 {term} }}"
        return self.part(
            "InnerProduct", text, x, params=[weight] if bias is None else [weight, bias]
        )

    def zeros(self, like: str) -> str:
        """(1, N, H) zeros, made of one step's input: so the batch may vary."""
        rest = len(self.recurrent) - self.hidden
        first, *others = self.cut(like, 2, [self.hidden, *([rest] if rest else [])])
        self.reader.unread += others
        return self.part("Power", "power_param { scale: 0 }", first)

    def act(self, which: int, x: str) -> str:
        """Activation number `which` of x."""
        if self.clip:
            limits = f"min: {number(-self.clip)} max: {number(self.clip)}"
            x = self.part("Clip", f"clip_param {{ {limits} }}", x)
        return self._activated(self.activations[which], x)

    def _activated(self, how: Activation, x: str) -> str:
        def line(x: str, scale: float, shift: float = 0.0) -> str:
            text = f"scale: {number(scale)} shift: {number(shift)}"
            return self.part("Power", f"power_param {{ {text} }}", x)

        name = how.name.lower()
        if name == "tanh":
            return self.part("TanH", "", x)
        if name == "sigmoid":
            return self.part("Sigmoid", "", x)
        if name == "relu":
            return self.part("ReLU", "", x)
        if name == "softplus":
            return self.part("BNLL", "", x)
        if name == "affine":
            return line(x, *how.values(1.0))
        if name == "leakyrelu":
            slope = number(how.values(0.01)[0])
            return self.part("ReLU", f"relu_param {{ negative_slope: {slope} }}", x)
        if name == "elu":
            return self.part("ELU", f"elu_param {{ alpha: {number(how.values(1.0)[0])} }}", x)
        if name == "scaledtanh":
            outer, inner = how.values(1.0, 1.0)
            return line(self.part("TanH", "", line(x, inner)), outer)
        if name == "hardsigmoid":
            return self.part("Clip", "clip_param { min: 0 max: 1 }", line(x, *how.values(0.2, 0.5)))
        raise Unsayable(f"Caffe has no layer for its activation {how.name}")

    # The walk.

    def walk(self, cell: Cell) -> tuple[str, dict[str, str]]:
        """All steps: the hidden states (T, N, H), and by name the last state (1, N, H)."""
        first = self.product(self.x, "x", self.weights, self.bias[0])
        inputs = self.cut(first, 0, [1] * self.steps)
        state = dict(self.starts)
        for name in cell.state:
            if name not in state:
                state[name] = self.zeros(inputs[0])
        hiddens = [""] * self.steps
        order = range(self.steps)
        for t in reversed(order) if self.backwards else order:
            after = cell.step(self, inputs[t], state)
            hiddens[t] = after["h"]
            if self.lengths is not None:
                mask = self._mask(t)
                hiddens[t] = self.part("Eltwise", PRODUCT, mask, after["h"])
                after = {name: self._chosen(mask, state[name], after[name]) for name in after}
            state = after
        whole = hiddens[0]
        if self.steps > 1:
            whole = self.part("Concat", "concat_param { axis: 0 }", *hiddens)
        return whole, state

    def _mask(self, t: int) -> str:
        """1 for the sequences that have step t, 0 for others: (1, N, H)."""
        assert self.lengths is not None
        shape: Shape = (1, self.batch, self.hidden)
        value = np.broadcast_to((t < self.lengths)[None, :, None], shape)
        dims = " ".join(f"dim: {n}" for n in shape)
        return self.part("Parameter", f"parameter_param {{ shape {{ {dims} }} }}", params=[value])

    def _chosen(self, mask: str, before: str, after: str) -> str:
        """`after` where the mask is 1, else `before`."""
        moved = self.part("Eltwise", PRODUCT, mask, self.part("Eltwise", LESS, after, before))
        return self.part("Eltwise", SUM, before, moved)


@dataclass(frozen=True)
class Cell:
    """What one step makes of its part of the input and the state before."""

    state: tuple[str, ...]
    step: Callable[[Run, str, dict[str, str]], dict[str, str]]


def _rnn(run: Run, x: str, state: dict[str, str]) -> dict[str, str]:
    """h = f(W·x + R·h + b)."""
    z = run.part("Eltwise", SUM, x, run.product(state["h"], "h", run.recurrent, run.bias[1]))
    return {"h": run.act(0, z)}


def _gru(run: Run, x: str, state: dict[str, str]) -> dict[str, str]:
    """(z, r) = f(W·x + R·h + b); n = g(W·x + R·(r·h) + b); h = n + z·(h − n)."""
    h, size = state["h"], run.hidden
    x_zr, x_n = run.cut(x, 2, [2 * size, size])
    gates, new = run.recurrent[: 2 * size], run.recurrent[2 * size :]
    b_gates, b_new = run.bias[1][: 2 * size], run.bias[1][2 * size :]
    y = run.part("Eltwise", SUM, x_zr, run.product(h, "h", gates, b_gates))
    z, r = run.cut(run.act(0, y), 2, [size, size])
    inner = run.part("Eltwise", PRODUCT, r, h)
    return _mixed(run, z, h, x_n, run.product(inner, "n", new, b_new))


def _gru_reset_after(run: Run, x: str, state: dict[str, str]) -> dict[str, str]:
    """As GRU, with n = g(W·x + b + r·(R·h + b_h))."""
    h, size = state["h"], run.hidden
    x_zr, x_n = run.cut(x, 2, [2 * size, size])
    h_zr, h_n = run.cut(run.product(h, "h", run.recurrent, run.bias[1]), 2, [2 * size, size])
    z, r = run.cut(run.act(0, run.part("Eltwise", SUM, x_zr, h_zr)), 2, [size, size])
    return _mixed(run, z, h, x_n, run.part("Eltwise", PRODUCT, r, h_n))


def _mixed(run: Run, z: str, h: str, x_n: str, h_n: str) -> dict[str, str]:
    n = run.act(1, run.part("Eltwise", SUM, x_n, h_n))
    kept = run.part("Eltwise", PRODUCT, z, run.part("Eltwise", LESS, h, n))
    return {"h": run.part("Eltwise", SUM, n, kept)}


def _lstm(run: Run, x: str, state: dict[str, str]) -> dict[str, str]:
    """(i, o, f) = f(z), n = g(z), c = f·c + i·n, h = o·h(c); peepholes add p·c to i and f, and p
    times the new c to o; coupled gates have f = 1 − i."""
    size, c = run.hidden, state["c"]
    z = run.part("Eltwise", SUM, x, run.product(state["h"], "h", run.recurrent, run.bias[1]))
    i, o, f, n = run.cut(z, 2, [size] * 4)
    looks = [None] * 3 if run.peepholes is None else run.peepholes.reshape(3, size)
    i = run.act(0, _peeped(run, i, c, "i", looks[0]))
    if run.coupled:
        run.reader.unread.append(f)
        f = run.part("Power", "power_param { scale: -1 shift: 1 }", i)
    else:
        f = run.act(0, _peeped(run, f, c, "f", looks[2]))
    added = run.part("Eltwise", PRODUCT, i, run.act(1, n))
    c = run.part("Eltwise", SUM, run.part("Eltwise", PRODUCT, f, c), added)
    o = run.act(0, _peeped(run, o, c, "o", looks[1]))
    return {"h": run.part("Eltwise", PRODUCT, o, run._activated(run.activations[2], c)), "c": c}


def _peeped(run: Run, gate: str, c: str, what: str, weight: Array | None) -> str:
    if weight is None:
        return gate
    name = _quoted(f"{run.base}/peephole_{what}")
    text = f'param {{ name: "{name}" }} scale_param {{ axis: 2 }}'
    return run.part("Eltwise", SUM, gate, run.part("Scale", text, c, params=[weight]))


def _quoted(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"')


RNN = Cell(("h",), _rnn)
GRU = Cell(("h",), _gru)
GRU_RESET_AFTER = Cell(("h",), _gru_reset_after)
LSTM = Cell(("h", "c"), _lstm)

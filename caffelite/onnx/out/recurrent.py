"""LSTM and RNN: a few steps one after the other, many as a Scan.

Caffe carries the hidden state from pass to pass; an ONNX model has no memory. So the state becomes
further inputs and outputs of the model, `LAYER.h`, `LAYER.c` and `LAYER.h_end`, `LAYER.c_end`: feed
back what came out to go on where the last run ended. An input that is not given is zeros.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from caffelite.onnx import messages
from caffelite.onnx.out.place import Place, says
from caffelite.onnx.out.writer import Writer

UNROLLED = 4
"""Up to so many steps are written one after the other."""


def _step(at: Place, z: str, cont: str, state: list[str]) -> list[str]:
    """One step: from the input part (N, gates·H), cont (N, 1) and the state (N, H) to the next
    state."""
    layer = at.layer
    own: int = layer.own  # type: ignore[attr-defined]
    before = at.op("Mul", state[0], cont)
    z = at.op("Add", z, at.op("Gemm", before, at.param(own), transB=1))
    if layer.type == "RNN":
        return [at.op("Tanh", z)]
    size = layer.params[own].shape[1]
    i, f, o, g = at.ops("Split", z, [size] * 4, outs=[None] * 4, axis=1)
    i, f, o = (at.op("Sigmoid", part) for part in (i, f, o))
    kept = at.op("Mul", at.op("Mul", f, state[1]), cont)
    cell = at.op("Add", kept, at.op("Mul", i, at.op("Tanh", g)))
    return [at.op("Mul", o, at.op("Tanh", cell)), cell]


@says("LSTM", "RNN")
def recurrent(layer: Any, at: Place) -> None:
    steps, hidden = at.bottom_dims[0][0], layer.param.num_output
    z = _input_part(layer, at)
    cont = at.op("Unsqueeze", at.bottoms[1], np.array([2]))
    state = _start(layer, at, z)
    if isinstance(steps, int) and steps <= UNROLLED:
        outs = []
        for t in range(steps):
            moment = [at.op("Gather", x, np.array(t), axis=0) for x in (z, cont)]
            state = _step(at, moment[0], moment[1], state)
            outs.append(at.op("Unsqueeze", state[0], np.array([0])))
        hiddens = at.op("Concat", *outs, axis=0)
    else:
        *state, hiddens = _scan(at, z, cont, state)
    if layer.type == "RNN":
        weight = at.writer.constant(
            layer.params[layer.own + 1].data.T, f"{layer.name}/param{layer.own + 1}t"
        )
        score = at.op("Add", at.op("MatMul", hiddens, weight), at.param(layer.own + 2))
        at.op("Tanh", score, out=at.tops[0])
    else:
        at.op("Identity", hiddens, out=at.tops[0])
    if layer.exposed:
        for top, last in zip(at.tops[1:], state):
            at.op("Unsqueeze", last, np.array([0]), out=top)
    else:
        for name, last in zip(layer.hidden, state):
            end = at.op("Unsqueeze", last, np.array([0]), out=f"{layer.name}.{name}_end")
            at.ends.append((end, (1, at.bottom_dims[0][1], hidden)))


def _input_part(layer: Any, at: Place) -> str:
    """W_x·x_t + b (+ W_s·x_static) of all steps, (T, N, gates·H)."""
    dims = at.bottom_dims[0]
    x = at.bottoms[0]
    if len(dims) != 3:
        x = at.reshape(x, (*dims[:2], layer.inputs))
    weight = at.writer.constant(layer.params[0].data.T, f"{layer.name}/param0t")
    z = at.op("Add", at.op("MatMul", x, weight), at.param(1))
    if layer.static:
        x_static = at.op("Flatten", at.bottoms[2], axis=1)
        z = at.op("Add", z, at.op("Gemm", x_static, at.param(2), transB=1))
    return z


def _start(layer: Any, at: Place, z: str) -> list[str]:
    """The hidden state before the first step, each (N, H)."""
    if layer.exposed:
        return [at.op("Squeeze", x, np.array([0])) for x in at.bottoms[2 + layer.static :]]
    size = layer.param.num_output
    samples = at.op("Concat", at.extents(z, 1, 2), [size], axis=0)
    state = []
    for name in layer.hidden:
        given = f"{layer.name}.{name}"
        dims = (1, at.bottom_dims[0][1], size)
        # (1, 1, H) where N may vary, so that it goes with any
        start = [n if isinstance(n, int) else 1 for n in dims]
        at.states.append((given, dims, np.zeros(start, np.float32)))
        state.append(at.op("Expand", at.op("Squeeze", given, np.array([0])), samples))
    return state


def _scan(at: Place, z: str, cont: str, state: list[str]) -> list[str]:
    """All steps by a Scan: the last state, then the hidden values of every step."""
    outer = at.writer
    body = Writer(outer.opset, outer)
    inner = Place(at.layer, body, [], [], [], [])
    names = [body.fresh(f"{at.layer.name}/state{i}") for i in range(len(state))]
    z_t, cont_t = (body.fresh(f"{at.layer.name}/{what}") for what in ("z_t", "cont_t"))
    after = _step(inner, z_t, cont_t, names)
    hidden = inner.op("Identity", after[0])

    def untyped(name: str) -> Any:
        return messages.value_info(name, messages.FLOAT, None)

    graph = body.graph(
        f"{at.layer.name}/step",
        map(untyped, [*names, z_t, cont_t]),
        map(untyped, [*after, hidden]),
    )
    outs: list[str | None] = [None] * (len(state) + 1)
    return at.ops("Scan", *state, z, cont, outs=outs, body=graph, num_scan_inputs=2)

"""LSTM, RNN and Lstm: a few steps one after the other, many as a Scan.

Caffe carries the hidden state from pass to pass; an ONNX model has no memory. So the state becomes
further inputs and outputs of the model, `LAYER.h`, `LAYER.c` and `LAYER.h_end`, `LAYER.c_end`: feed
back what came out to go on where the last run ended. An input that is not given is zeros.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from caffelite.onnx import messages
from caffelite.onnx.dims import Dim, Extent
from caffelite.onnx.memory import carried
from caffelite.onnx.out.place import Place, says
from caffelite.onnx.out.writer import Writer

UNROLLED = 64
"""Up to so many steps are written one after the other: that is what OpenCV 5 reads, too."""


def _step(at: Place, z: str, cont: str, state: list[str]) -> list[str]:
    """One step: from the input part (N, gates·H), cont (N, 1) and the state (N, H) to the next
    state."""
    layer, own = at.layer, _own(at.layer)
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


def _own(layer: Any) -> int:
    """The number of the parameter that the hidden state is multiplied by."""
    return 1 if layer.type == "Lstm" else int(layer.own)


def _walk(at: Place, z: str, cont: str, state: list[str], steps: Dim) -> tuple[str, list[str]]:
    """All steps: the hidden values (T, N, H), and the last state."""
    if isinstance(steps, int) and steps <= UNROLLED:
        outs = []
        for t in range(steps):
            moment = [at.op("Gather", x, np.array(t), axis=0) for x in (z, cont)]
            state = _step(at, moment[0], moment[1], state)
            outs.append(at.op("Unsqueeze", state[0], np.array([0])))
        return at.op("Concat", *outs, axis=0), state
    *state, hiddens = _scan(at, z, cont, state)
    return hiddens, state


@says("LSTM", "RNN")
def recurrent(layer: Any, at: Place) -> None:
    z = _input_part(layer, at)
    cont = at.op("Unsqueeze", at.bottoms[1], np.array([2]))
    if layer.exposed:
        state = [at.op("Squeeze", x, np.array([0])) for x in at.bottoms[2 + layer.static :]]
    else:
        state = _given(at, z, at.bottom_dims[0][1])
    hiddens, state = _walk(at, z, cont, state, at.bottom_dims[0][0])
    if layer.type == "RNN":
        weight = at.writer.constant(
            layer.params[layer.own + 1].data.T, f"{layer.name}/param{layer.own + 1}t"
        )
        score = at.op("Add", at.op("MatMul", hiddens, weight), at.param(layer.own + 2))
        at.op("Tanh", score, out=at.tops[0])
    else:
        at.op("Identity", hiddens, out=at.tops[0])
    for top, last in zip(at.tops[1:], state):
        at.op("Unsqueeze", last, np.array([0]), out=top)
    _carry_on(at, state, at.bottom_dims[0][1])


@says("Lstm")
def lstm_of_rows(layer: Any, at: Place) -> None:
    """Rows that are one sequence after the other; without marks all start at the first step."""
    dims, size = at.bottom_dims[0], layer.param.num_output
    whole = len(dims) == 3 and not layer.param.has("batch_size")
    batch: Dim = dims[1] if whole else layer.param.batch_size
    rows = dims[0]
    steps: Dim = rows
    if not whole and batch != 1:
        own = Extent(name=f"{layer.name}_steps")
        steps = rows // layer.param.batch_size if isinstance(rows, int) else own
    x = at.op("Reshape", at.bottoms[0], [-1, layer._inputs])
    z = at.op("Gemm", x, at.param(0), at.param(2), transB=1)
    if isinstance(batch, int):
        z = at.op("Reshape", z, [-1, batch, 4 * size])
    else:
        extents = at.op("Concat", at.extents(at.bottoms[0], 0, 2), [4 * size], axis=0)
        z = at.op("Reshape", z, extents)
    lead = at.op("Concat", at.extents(z, 0, 2), [1], axis=0)
    if layer.repeatable:
        cont = at.op("Expand", 1.0, lead)
        zeros = at.op("Expand", 0.0, at.op("Concat", at.extents(z, 1, 2), [size], axis=0))
        state = [zeros, zeros]
    else:
        known = at.cast(at.op("Not", at.op("Equal", at.bottoms[1], 0.0)), float)
        cont = at.op("Reshape", known, lead)
        state = _given(at, z, batch)
    hiddens, state = _walk(at, z, cont, state, steps)
    at.reshape(hiddens, at.top_dims[0], at.tops[0])
    _carry_on(at, state, batch)


def _given(at: Place, z: str, batch: Dim) -> list[str]:
    """The state before the first step, each (N, H): further inputs of the model."""
    size: int = at.layer.param.num_output  # type: ignore[attr-defined]
    samples = at.op("Concat", at.extents(z, 1, 2), [size], axis=0)
    state = []
    for name in carried(at.layer):
        given, dims = f"{at.layer.name}.{name}", (1, batch, size)
        # (1, 1, H) where N may vary, so that it goes with any
        start = [n if isinstance(n, int) else 1 for n in dims]
        at.states.append((given, dims, np.zeros(start, np.float32)))
        state.append(at.op("Expand", at.op("Squeeze", given, np.array([0])), samples))
    return state


def _carry_on(at: Place, state: list[str], batch: Dim) -> None:
    """The state after the last step, as further outputs of the model."""
    size: int = at.layer.param.num_output  # type: ignore[attr-defined]
    for name, last in zip(carried(at.layer), state):
        end = at.op("Unsqueeze", last, np.array([0]), out=f"{at.layer.name}.{name}_end")
        at.ends.append((end, (1, batch, size)))


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

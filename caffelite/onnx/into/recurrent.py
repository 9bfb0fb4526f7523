"""LSTM, GRU and RNN, in either direction or both.

An LSTM that is Caffe's becomes its layer, backwards between two layers Reverse. All others are
written out step by step (`steps`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from caffelite.blob import Array
from caffelite.onnx.into.reader import Node, Unsayable, reads
from caffelite.onnx.into.steps import GRU, GRU_RESET_AFTER, LSTM, RNN, Activation, Cell, Run

MOST_STEPS = 200
"""So many steps are written out."""
ALPHA = ("Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh", "HardSigmoid", "Elu")
BETA = ("Affine", "ScaledTanh", "HardSigmoid")
"""Activations that take a value from activation_alpha, from activation_beta."""


@reads("LSTM")
def lstm(node: Node) -> None:
    _recurrent(node, LSTM, ["Sigmoid", "Tanh", "Tanh"])


@reads("GRU")
def gru(node: Node) -> None:
    after = bool(node.attr("linear_before_reset", 0))
    _recurrent(node, GRU_RESET_AFTER if after else GRU, ["Sigmoid", "Tanh"])


@reads("RNN")
def rnn(node: Node) -> None:
    _recurrent(node, RNN, ["Tanh"])


@dataclass
class _Done:
    """What came of one direction: (T, N, H), and (1, N, H) of each part of the state."""

    hiddens: str
    ends: dict[str, str]


def _recurrent(node: Node, cell: Cell, usual: list[str]) -> None:
    if node.attr("layout", 0):
        raise Unsayable("its batch comes first (layout)")
    ways = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}
    done = [
        _direction(node, cell, usual, k, backwards)
        for k, backwards in enumerate(ways[node.attr("direction", "forward")])
    ]
    _joined(node, cell, done)


def _direction(node: Node, cell: Cell, usual: list[str], k: int, backwards: bool) -> _Done:
    reader, (steps, batch, _) = node.reader, node.shape()
    base = next(name for name in node.outputs if name) + ("/back" if backwards else "")
    recurrent = node.value(2, "matrix")[k]
    both = node.value(3, "bias")[k] if node.has(3) else np.zeros(2 * len(recurrent))
    lengths = node.value(4, "lengths") if node.has(4) else None
    run = Run(
        reader,
        base,
        node.bottom(),
        steps,
        batch,
        node.value(1, "matrix")[k],
        recurrent,
        (both[: len(recurrent)], both[len(recurrent) :]),
        _activations(node, usual, k),
        _starts(node, cell, k),
        backwards,
        float(node.attr("clip", 0.0)),
        node.value(7, "peepholes")[k] if node.has(7) else None,
        bool(node.attr("input_forget", 0)),
        lengths if lengths is not None and (lengths != steps).any() else None,
    )
    if cell is LSTM and _is_caffes(run):
        return _lstm_layer(run, exposed=bool(run.starts) or any(node.outputs[1:]))
    if steps > MOST_STEPS:
        raise Unsayable(
            f"its {steps} steps would be written out one by one; the most are {MOST_STEPS}"
        )
    whole, ends = run.walk(cell)
    return _Done(whole, ends)


def _activations(node: Node, usual: list[str], k: int) -> list[Activation]:
    """Those of direction k. The lists of alphas and betas have values only for the activations
    that take one, in their order."""
    names = [a.decode() for a in node.attrs.get("activations", [])]
    alphas, betas = (iter(node.attrs.get(f"activation_{w}", [])) for w in ("alpha", "beta"))
    if not names:
        return [Activation(name) for name in usual]
    found = [
        Activation(
            name,
            next(alphas, None) if name in ALPHA else None,
            next(betas, None) if name in BETA else None,
        )
        for name in names
    ]
    return found[k * len(usual) : (k + 1) * len(usual)]


def _starts(node: Node, cell: Cell, k: int) -> dict[str, str]:
    """The blobs of the state that direction k starts from; those that are zeros are left out."""
    found: dict[str, str] = {}
    for name, index in zip(cell.state, (5, 6)):
        if not node.has(index):
            continue
        if node.reader.is_constant(node.inputs[index]):
            value = node.value(index, "start")[k : k + 1]
            if value.any():
                found[name] = _constant(node, f"{node.inputs[index]}/{k}", value)
            continue
        blob, ways = node.bottom(index), node.shape(index)[0]
        if ways > 1:
            tops = [node.reader.fresh_blob(f"{blob}/{k}of{i}") for i in range(ways)]
            node.reader.layer("Slice", [blob], "slice_param { axis: 0 }", tops)
            node.reader.unread += [t for i, t in enumerate(tops) if i != k]
            blob = tops[k]
        found[name] = blob
    return found


def _constant(node: Node, name: str, value: Any) -> str:
    """A Parameter layer that holds a value."""
    dims = " ".join(f"dim: {n}" for n in value.shape)
    text = f"parameter_param {{ shape {{ {dims} }} }}"
    return node.reader.layer("Parameter", [], text, node.reader.fresh_blob(name), [value])


def _is_caffes(run: Run) -> bool:
    plain = [a.name for a in run.activations] == ["Sigmoid", "Tanh", "Tanh"]
    more = run.clip or run.coupled or run.lengths is not None
    peeps = run.peepholes is not None and run.peepholes.any()
    return plain and not more and not peeps


def _gates(weights: Array, hidden: int) -> Array:
    """From ONNX's order of the gates (i, o, f, c) to Caffe's (i, f, o, g)."""
    i, o, f, c = weights.reshape(4, hidden, *weights.shape[1:])
    return np.concatenate([i, f, o, c])


def _lstm_layer(run: Run, exposed: bool) -> _Done:
    """Caffe's LSTM. Its `cont` is made of the input, so that the batch may vary: 0 at the first
    step, where a pass starts anew, unless the state is a blob."""
    x = run.part("Reverse", "reverse_param { axis: 0 }", run.x) if run.backwards else run.x
    marks = np.ones(run.steps)
    marks[0] = exposed
    nothing = run.part("Reduction", "reduction_param { axis: 2 coeff: 0 }", x)
    cont = run.part("Bias", "bias_param { axis: 0 }", nothing, params=[marks])
    bottoms, tops = [x, cont], [run.reader.fresh_blob(f"{run.base}/steps")]
    ends: dict[str, str] = {}
    if exposed:
        zeros = _zeros(run, x) if len(run.starts) < 2 else ""
        bottoms += [run.starts.get(name) or zeros for name in "hc"]
        ends = {name: run.reader.fresh_blob(f"{run.base}/end_{name}") for name in "hc"}
        tops += ends.values()
    size = run.hidden
    params = [_gates(w, size) for w in (run.weights, run.bias[0] + run.bias[1], run.recurrent)]
    expose = "expose_hidden: true" if exposed else ""
    text = f"recurrent_param {{ num_output: {size} {expose} }}"
    run.reader.layer("LSTM", bottoms, text, tops, params)
    hiddens = tops[0]
    if run.backwards:
        hiddens = run.part("Reverse", "reverse_param { axis: 0 }", hiddens)
    return _Done(hiddens, ends)


def _zeros(run: Run, x: str) -> str:
    """(1, N, H) zeros, for as many sequences as there are."""
    first = x
    if run.steps > 1:
        first, rest = run.cut(x, 0, [1, run.steps - 1])
        run.reader.unread.append(rest)
    text = f"inner_product_param {{ num_output: {run.hidden} axis: 2 bias_term: false }}"
    weight = np.zeros((run.hidden, run.weights.shape[1]))
    return run.part("InnerProduct", text, first, params=[weight])


def _joined(node: Node, cell: Cell, done: list[_Done]) -> None:
    """The node's outputs: (T, directions, N, H), then (directions, N, H) of the last state."""
    reader, outputs = node.reader, [*node.outputs, "", "", ""]
    unread = []
    if outputs[0]:
        lain = "reshape_param { shape { dim: 1 } axis: 1 num_axes: 0 }"
        alone = len(done) == 1
        tops = [
            reader.layer(
                "Reshape",
                [d.hiddens],
                lain,
                outputs[0] if alone else reader.fresh_blob(f"{d.hiddens}/lain"),
            )
            for d in done
        ]
        if not alone:
            reader.layer("Concat", tops, "concat_param { axis: 1 }", outputs[0])
        reader.blobs[outputs[0]] = outputs[0]
    else:
        unread += [d.hiddens for d in done]
    for name, output in zip(cell.state, outputs[1:]):
        ends = [d.ends[name] for d in done if name in d.ends]
        if not output:
            unread += ends
        elif len(ends) == 1:
            reader.blobs[output] = ends[0]
        else:
            reader.layer("Concat", ends, "concat_param { axis: 0 }", output)
            reader.blobs[output] = output
    read = {bottom for layer in reader.layers for bottom in layer.bottom}
    reader.unread += [blob for blob in unread if blob not in read]

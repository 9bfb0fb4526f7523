"""LSTM as Caffe's layer of that name. GRU and RNN are refused, with the reason."""

from __future__ import annotations

from typing import Any

import numpy as np

from caffelite.blob import Array
from caffelite.onnx.into.chain import reshape_text
from caffelite.onnx.into.reader import Node, Unsayable, reads

USUAL = ["Sigmoid", "Tanh", "Tanh"]


def _check(node: Node) -> None:
    """Refuse what Caffe's LSTM does not do."""
    activations = [a.decode() for a in node.attrs.get("activations", [])] or USUAL
    reasons = [
        (node.attr("direction", "forward") != "forward", "it runs backwards through the steps"),
        (activations != USUAL, f"its activations are {', '.join(activations)}"),
        ("clip" in node.attrs, "it clips values (clip)"),
        (bool(node.attr("input_forget", 0)), "its gates are coupled (input_forget)"),
        (bool(node.attr("layout", 0)), "the batch comes first (layout)"),
        (node.has(7) and bool(node.value(7, "peephole").any()), "it has peepholes"),
    ]
    for is_so, why in reasons:
        if is_so:
            raise Unsayable(f"{why}; Caffe's LSTM does not")
    steps = node.shape()[0]
    if node.has(4) and (node.value(4, "lengths") != steps).any():
        raise Unsayable("its sequences are of different lengths")


def _gates(weights: Array, hidden: int) -> Array:
    """From ONNX's order of the gates (i, o, f, c) to Caffe's (i, f, o, g)."""
    i, o, f, c = weights.reshape(4, hidden, *weights.shape[1:])
    return np.concatenate([i, f, o, c])


@reads("LSTM")
def lstm(node: Node) -> None:
    _check(node)
    reader, (steps, batch, _) = node.reader, node.shape()
    inputs, recurrent = node.value(1, "matrix")[0], node.value(2, "matrix")[0]
    hidden = recurrent.shape[1]
    both = node.value(3, "bias")[0] if node.has(3) else np.zeros(8 * hidden)
    bias = both[: 4 * hidden] + both[4 * hidden :]
    params = [_gates(inputs, hidden), _gates(bias, hidden), _gates(recurrent, hidden)]
    outputs = [*node.outputs, "", ""][:3]
    starts = [node.has(i) for i in (5, 6)]
    exposed = any(starts) or any(outputs[1:])
    marks = np.ones((steps, batch))
    marks[0] = exposed  # without a state that is given or read, each pass starts anew
    base = next(name for name in outputs if name)
    bottoms = [node.bottom(), _constant(node, f"{base}/cont", marks)]
    if exposed:
        for i, given in zip((5, 6), starts):
            zeros = np.zeros((1, batch, hidden))
            bottoms.append(node.bottom(i) if given else _constant(node, f"{base}/start", zeros))
    tops = [reader.fresh_blob(f"{base}/steps")]
    if exposed:
        tops += [name or reader.fresh_blob(f"{base}/end") for name in outputs[1:]]
        if tops[2] == tops[1]:
            tops[2] += "_c"
    expose = "expose_hidden: true" if exposed else ""
    text = f"recurrent_param {{ num_output: {hidden} {expose} }}"
    reader.layer("LSTM", bottoms, text, tops, params)
    reader.blobs.update({name: name for name in outputs[1:] if name})
    unread = [t for t in tops[1:] if t not in outputs]
    if outputs[0]:
        text = reshape_text((steps, batch, hidden), node.out_shape())
        reader.blobs[outputs[0]] = reader.layer("Reshape", tops[:1], text, outputs[0])
    else:
        unread.append(tops[0])
    reader.unread += unread


def _constant(node: Node, name: str, value: Any) -> str:
    """A Parameter layer that holds a value."""
    dims = " ".join(f"dim: {n}" for n in value.shape)
    text = f"parameter_param {{ shape {{ {dims} }} }}"
    return node.reader.layer("Parameter", [], text, node.reader.fresh_blob(name), [value])


@reads("GRU")
def gru(node: Node) -> None:
    raise Unsayable("Caffe has LSTM and RNN, but no GRU")


@reads("RNN")
def rnn(node: Node) -> None:
    raise Unsayable("Caffe's RNN has a product and a tanh between the hidden state and the output")

"""Channels filled up to the blocks in which ONNX Runtime orders them, on x86.

A convolution of 10 channels leaves its planes in blocks of 16, 6 of which are nothing; what follows
and is no convolution must have them in the plain order, which costs as much as the convolution. So
filters of zeros make the channels 16, up to the next convolution, whose filters get zeros for them:
the values are the same, and all stays in blocks.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from caffelite.blob import Array
from caffelite.onnx import messages

BLOCK = 16
LEAST = 8
"""Fewer channels would more than double."""
_BETWEEN = ("PRelu", "Relu", "LeakyRelu", "MaxPool")
"""Operators that give zeros for zeros, each channel by itself."""


def fill(model: Any) -> None:
    """Change the model; its outputs stay as they are."""
    graph = model.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    uses = Counter(name for node in graph.node for name in node.input)
    readers: dict[str, list[Any]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            readers[name].append(node)
    outputs = {value.name for value in graph.output}

    def own(node: Any, index: int) -> bool:
        """Is this input a constant that nothing else reads?"""
        name = node.input[index]
        return name in tensors and uses[name] == 1

    def grow(name: str, axis: int, by: int) -> None:
        values: Array = messages.array_of(tensors[name])
        wider = [(0, by if i == axis else 0) for i in range(values.ndim)]
        tensors[name].CopyFrom(messages.tensor(np.pad(values, wider), name))

    for node in graph.node:
        if not _plain(node) or not all(own(node, i) for i in range(1, len(node.input))):
            continue
        channels = tensors[node.input[1]].dims[0]
        chain = _chain(node, readers, outputs)
        if channels < LEAST or not channels % BLOCK or not chain or not own(chain[-1], 1):
            continue
        slopes = [between for between in chain if between.op_type == "PRelu"]
        if not all(own(prelu, 1) for prelu in slopes):
            continue
        more = -channels % BLOCK
        for name in node.input[1:]:
            grow(name, 0, more)
        for prelu in slopes:  # one slope for all needs no more
            if tensors[prelu.input[1]].dims[0] == channels:
                grow(prelu.input[1], 0, more)
        grow(chain[-1].input[1], 1, more)


def _chain(node: Any, readers: Mapping[str, list[Any]], outputs: set[str]) -> list[Any]:
    """What alone reads the node's output, and what reads that, up to a convolution; nothing where
    it is not so."""
    chain: list[Any] = []
    while not (chain and _plain(node)):
        follow = readers.get(node.output[0], [])
        if len(follow) != 1 or len(node.output) != 1 or node.output[0] in outputs:
            return []
        node = follow[0]
        if node.op_type not in _BETWEEN and not _plain(node):
            return []
        chain.append(node)
    return chain


def _plain(node: Any) -> bool:
    """Is it a convolution without groups?"""
    groups = [a.i for a in node.attribute if a.name == "group"]
    return node.op_type == "Conv" and groups in ([], [1])

"""`debug_info: true`: the mean absolute value of every blob and parameter, in Caffe's words.

Printed for iterations whose loss is displayed, as in Caffe, of the last of `iter_size` passes;
backward lines follow the forward ones once both passes are through. `[Update]` lines are those of
earlier releases of Caffe: each parameter before the update, and the mean absolute change that the
update makes, momentum and penalty included. What layers compute in place is shown as the last of
them left it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from caffelite.blob import Array
from caffelite.net import Net
from caffelite.run.program import DIFF


def lines(net: Net) -> Iterator[str]:
    """What Caffe prints of an iteration, after its backward pass."""
    look, blobs, nodes, layers = net.executor.look_at, net.blobs, net.plan.graph.nodes, net.layers
    for name in net.inputs:
        yield f"    [Forward] Input {name} data: {_size(blobs[name].data):g}"
    for node in nodes:
        at = f"    [Forward] Layer {node.spec.name}"
        for top in node.tops:
            yield f"{at}, top blob {top.name} data: {_size(blobs[top.name].data):g}"
        for i, blob in enumerate(layers[node.index].params):
            yield f"{at}, param blob {_called(net, node.index, i)} data: {_size(blob.data):g}"
    for node in reversed(nodes):
        need, at = net.plan.needs[node.index], f"    [Backward] Layer {node.spec.name}"
        if not need.backward:
            continue
        for needed, bottom in zip(need.bottoms, node.bottoms):
            if needed:
                yield f"{at}, bottom blob {bottom.name} diff: {_size(look(bottom, DIFF)):g}"
        for i, (learns, blob) in enumerate(zip(need.learns, layers[node.index].params)):
            if learns:
                yield f"{at}, param blob {i} diff: {_size(blob.diff):g}"
    one = [float(np.abs(part).sum()) for part in (net.arena.data, net.arena.diff)]
    two = [float(np.linalg.norm(part)) for part in (net.arena.data, net.arena.diff)]
    yield (
        f"    [Backward] All net params (data, diff): L1 norm = ({one[0]:g}, {one[1]:g}); "
        f"L2 norm = ({two[0]:g}, {two[1]:g})"
    )


def update_lines(net: Net, before: Array) -> Iterator[str]:
    """What an update has done; `before` is a copy of the arena's data from before it."""
    change = np.abs(net.arena.data - before)
    for param, place in zip(net.arena.params, net.arena.slices):
        yield (
            f"    [Update] Layer {param.layer.name}, param {param.name or param.index} "
            f"data: {_size(before[place]):g}; diff: {_size(change[place]):g}"
        )


def _called(net: Net, layer: int, index: int) -> str | int:
    """A parameter's name for sharing, if it has one, or its number."""
    return net.plan.uses[layer][index].param.name or index


def _size(values: Array) -> float:
    return float(np.abs(values).mean()) if values.size else 0.0

"""`debug_info: true`: the mean absolute value of every blob and parameter, in Caffe's words.

Backward lines follow the forward ones once an iteration is through both passes; what the update
rule makes of the gradients (Caffe's `[Update]` lines) is not printed.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from caffelite.blob import Array
from caffelite.net import Net


def lines(net: Net) -> Iterator[str]:
    """What Caffe prints of an iteration, after its backward pass."""
    names = list(net.layer_dict)
    for name in names:
        for top in net.top_names[name]:
            size = _size(net.blobs[top].data)
            yield f"    [Forward] Layer {name}, top blob {top} data: {size:g}"
        for i, blob in enumerate(net.layer_dict[name].params):
            yield f"    [Forward] Layer {name}, param blob {i} data: {_size(blob.data):g}"
    for name in reversed(names):
        need = net.plan.needs[names.index(name)] if len(net.plan.needs) == len(names) else None
        if need is None or not need.backward:
            continue
        for wanted, bottom in zip(need.bottoms, net.bottom_names[name]):
            if wanted:
                size = _size(net.blobs[bottom].diff)
                yield f"    [Backward] Layer {name}, bottom blob {bottom} diff: {size:g}"
        for i, (learns, blob) in enumerate(zip(need.learns, net.layer_dict[name].params)):
            if learns:
                yield f"    [Backward] Layer {name}, param blob {i} diff: {_size(blob.diff):g}"
    learned = [blob for name in names for blob in net.layer_dict[name].params]
    data, diff = ([getattr(blob, part) for blob in learned] for part in ("data", "diff"))
    one = [sum(float(np.abs(a).sum()) for a in arrays) for arrays in (data, diff)]
    two = [sum(float(np.square(a).sum()) for a in arrays) ** 0.5 for arrays in (data, diff)]
    yield (
        f"    [Backward] All net params (data, diff): L1 norm = ({one[0]:g}, {one[1]:g}); "
        f"L2 norm = ({two[0]:g}, {two[1]:g})"
    )


def _size(values: Array) -> float:
    return float(np.abs(values).mean()) if values.size else 0.0

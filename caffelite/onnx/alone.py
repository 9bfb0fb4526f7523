"""One layer by itself, on arrays that may be of other shapes than its net's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from caffelite.blob import Array
from caffelite.layers.base import Layer, find
from caffelite.streams import Streams


def forward_alone(layer: Layer, bottoms: Sequence[Array]) -> list[Array]:
    """The tops that a copy of the layer, with its parameters, makes of these bottoms."""
    own = find(layer.spec)(layer.spec, layer.context)
    own.setup([b.shape for b in bottoms])
    worker = own.started(layer.params, [False] * len(layer.params), Streams(0))
    worker.bottom_shapes = [b.shape for b in bottoms]
    worker.top_shapes = [tuple(s) for s in worker.reshape(worker.bottom_shapes)]
    worker.prepare()
    if worker.dynamic:
        worker.top_shapes = [tuple(s) for s in worker.reshape_to(bottoms)]
        worker.prepare()
    tops = [np.zeros(shape, layer.context.dtype) for shape in worker.top_shapes]
    worker.forward(bottoms, tops)
    return tops

"""Running a net over its data: how much data there is, and the means of the outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from caffelite.blob import Array
from caffelite.layers.source import SourceLayer
from caffelite.net import Net
from caffelite.plan.build import Plan
from caffelite.solver.monitor import Output


@dataclass(frozen=True)
class DataSize:
    """How much data a net's first data layer of known size has."""

    layer: str
    size: int
    batch: int

    @property
    def batches(self) -> int:
        """As many batches as cover the data once."""
        return -(-self.size // self.batch)


def data_size(net: Net | Plan) -> DataSize | None:
    """The size of the net's data, where any layer knows it."""
    for layer in net.layers:
        if isinstance(layer, SourceLayer) and layer.epoch_size and layer.batch_size:
            return DataSize(layer.name, layer.epoch_size, layer.batch_size)
    return None


def outputs_of(net: Net) -> list[Output]:
    """The net's outputs as they stand."""
    weights = net.blob_loss_weights
    return [Output(name, net.blobs[name].data, weights[name]) for name in net.outputs]


def mean_outputs(
    net: Net,
    count: int,
    each: Callable[[int, list[Output]], None] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> tuple[list[Output], float]:
    """Run `count` batches; the mean of every output, and of the loss. `each` is told of every
    batch: its number and outputs. When `stopped` says so there are fewer, but one at least."""
    sums: dict[str, Array] = {}
    loss, done = 0.0, 0
    for batch in range(count):
        if done and stopped():
            break
        loss += net.forward_loss()
        outputs = outputs_of(net)
        if each is not None:
            each(batch, outputs)
        for output in outputs:
            total = sums.setdefault(output.name, np.zeros(output.values.shape))
            sums[output.name] = total + output.values
        done += 1
    weights = net.blob_loss_weights
    means = [Output(name, total / done, weights[name]) for name, total in sums.items()]
    return means, loss / max(1, done)

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
from caffelite.solver.precision import Scoring

AS_IT_IS = Scoring()
"""The mean average precision alone, in the version that a solver file has if it says nothing."""


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


def tallied(plan: Net | Plan) -> list[str]:
    """The net's outputs whose rows are detections, to be scored over all batches of a test."""
    graph = plan.plan.graph if isinstance(plan, Net) else plan.graph
    makers = {name: graph.blobs[name].maker for name in graph.outputs}
    return [n for n, maker in makers.items() if plan.layers[maker.index].tallies]


def outputs_of(net: Net) -> list[Output]:
    """The net's outputs as they stand, without those that are scored over all batches."""
    weights, rows = net.blob_loss_weights, tallied(net)
    names = [name for name in net.outputs if name not in rows]
    return [Output(name, net.blobs[name].data, weights[name]) for name in names]


def mean_outputs(
    net: Net,
    count: int,
    each: Callable[[int, list[Output]], None] | None = None,
    stopped: Callable[[], bool] = lambda: False,
    scoring: Scoring = AS_IT_IS,
) -> tuple[list[Output], float]:
    """Run `count` batches; the mean of every output, and of the loss; of judged detections the
    scores that `scoring` asks for. `each` is called after every batch, with its number and outputs.
    When `stopped` says so there are fewer, but one at least."""
    sums: dict[str, Array] = {}
    rows: dict[str, list[Array]] = {name: [] for name in tallied(net)}
    loss, done = 0.0, 0
    for batch in range(count):
        if done and stopped():
            break
        loss += net.forward_loss()
        outputs = outputs_of(net)
        for name, parts in rows.items():
            parts.append(net.blobs[name].data.reshape(-1, 5).copy())
        if each is not None:
            each(batch, outputs)
        for output in outputs:
            total = sums.setdefault(output.name, np.zeros(output.values.shape))
            sums[output.name] = total + output.values
        done += 1
    weights = net.blob_loss_weights
    means = [Output(name, total / done, weights[name]) for name, total in sums.items()]
    for name, parts in rows.items():
        scores = scoring.scores(name, np.concatenate(parts)) if parts else {}
        means += [Output(score, np.asarray(value)) for score, value in scores.items()]
    return means, loss / max(1, done)

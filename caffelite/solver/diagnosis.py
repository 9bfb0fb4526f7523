"""Why a run cannot go on: the first place in the net where a value is not finite, forward or
backward, and the cause that the evidence supports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from caffelite.blob import Array
from caffelite.errors import Problem
from caffelite.layers.base import Layer
from caffelite.net import Net
from caffelite.run.program import DIFF
from caffelite.schema.solver import SolverParameter

HUGE = 1e15
"""Values beyond it come of parameters that have run away, or of bad data."""


@dataclass(frozen=True)
class Evidence:
    """What is known of the run when a value is not finite."""

    iteration: int
    rate: float
    param: SolverParameter
    norms: Sequence[float] = ()
    """The norms of the gradient in the iterations before, the last one last."""

    def of_update(self) -> str:
        """The cause where updates made it."""
        rate, decay = self.rate, self.param.weight_decay
        if rate < 0:
            return f"the learning rate is negative, {rate:g}: every update climbs"
        if decay < 0:
            return f"weight_decay is negative, {decay:g}: parameters grow without end"
        if not self.norms:
            return (
                "no update has been made: the fillers or the weights that it started from are wrong"
            )
        norms = ", ".join(f"{norm:.3g}" for norm in self.norms)
        return (
            f"the last updates made it: the learning rate ({rate:g}) is too high; "
            f"the norm of the gradient before: {norms}"
        )


def diagnose(net: Net, loss: float, evidence: Evidence) -> Problem:
    """Where the numbers went bad first, in the order of the forward pass."""
    said = f"iteration {evidence.iteration}: the loss is {loss}"
    for name, layer in net.layer_dict.items():
        for i, blob in enumerate(layer.params):
            if not _finite([blob.data]):
                where = f'parameter {i} of layer "{name}" holds values that are not finite'
                return Problem(f"{said}; {where}", hint=evidence.of_update())
        for top in net.top_names[name]:
            values = net.blobs[top].data
            if not _finite([values]):
                where = f'the first bad blob is "{top}" of layer "{name}" ({layer.type})'
                hint = _of_source(values) if layer.source else _of_layer(net, layer, evidence)
                return Problem(f"{said}; {where}, in the forward pass", hint=hint)
    return Problem(said, hint=evidence.of_update())


def diagnose_gradient(net: Net, evidence: Evidence) -> Problem:
    """Where a gradient went bad first, in the order of the backward pass; the loss is finite."""
    said = f"iteration {evidence.iteration}: the loss is finite, the gradient is not"
    for node in reversed(net.plan.graph.nodes):
        need, layer = net.plan.needs[node.index], net.layers[node.index]
        for needed, version in zip(need.bottoms, node.bottoms):
            if needed and not _finite([net.executor.look_at(version, DIFF)]):
                blob = f'the gradient of its bottom "{version.name}"'
                return _backward(said, layer, blob, net, evidence)
        for i, (learns, param) in enumerate(zip(need.learns, layer.params)):
            if learns and not _finite([param.diff]):
                return _backward(said, layer, f"the gradient of parameter {i}", net, evidence)
    return Problem(said, hint=evidence.of_update())


def _backward(said: str, layer: Layer, blob: str, net: Net, evidence: Evidence) -> Problem:
    return Problem(
        f'{said}; the first bad value is {blob} of layer "{layer.name}" ({layer.type}), in the '
        "backward pass",
        hint=_of_layer(net, layer, evidence, "its backward pass"),
    )


def _of_source(values: Array) -> str:
    """The cause where data came in so."""
    hint = "the data holds values that are not finite: look into its source"
    if values.ndim:
        bad = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
        hint += f"; the first is sample {int(bad.argmax())} of this batch"
    return hint


def _of_layer(net: Net, layer: Layer, evidence: Evidence, what: str = "it") -> str:
    """The cause where a layer made it."""
    bottoms = [net.blobs[name].data for name in net.bottom_names[layer.name]]
    values = [v for v in (*bottoms, *(blob.data for blob in layer.params)) if v.size]
    if not _finite(values):
        return evidence.of_update()
    reason = layer.why_not_finite(bottoms)
    if reason:
        return reason
    high = max((float(np.abs(v).max()) for v in values), default=0.0)
    if high > HUGE:
        return f"{what} is given values as large as {high:.3g}; {evidence.of_update()}"
    low = min((float(v.min()) for v in values), default=0.0)
    return (
        f"{what} is given finite values, from {low:.3g} to {high:.3g}: a log of 0, a root of less, "
        "or a division by 0"
    )


def _finite(arrays: Iterable[Array]) -> bool:
    return all(bool(np.isfinite(array).all()) for array in arrays)

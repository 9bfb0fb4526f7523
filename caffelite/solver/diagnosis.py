"""Why a loss is not finite: the first place in the net where a value is not, and the cause that
the evidence supports."""

from __future__ import annotations

import numpy as np

from caffelite.errors import Problem
from caffelite.net import Net
from caffelite.schema.solver import SolverParameter


def diagnose(
    net: Net, iteration: int, loss: float, rate: float, param: SolverParameter | None = None
) -> Problem:
    """Where the numbers went bad first, in the order of the forward pass."""
    said = f"iteration {iteration}: the loss is {loss}"
    for name, layer in net.layer_dict.items():
        for i, blob in enumerate(layer.params):
            if not np.isfinite(blob.data).all():
                where = f'parameter {i} of layer "{name}" holds values that are not finite'
                return Problem(f"{said}; {where}", hint=_of_update(iteration, rate, param))
        for top in net.top_names[name]:
            if not np.isfinite(net.blobs[top].data).all():
                where = f'the first bad blob is "{top}" of layer "{name}" ({layer.type})'
                if layer.source:
                    hint = "the data holds values that are not finite: look into its source"
                elif all(np.isfinite(net.blobs[b].data).all() for b in net.bottom_names[name]):
                    hint = _of_layer(net, name, rate)
                else:
                    hint = _of_update(iteration, rate, param)
                return Problem(f"{said}; {where}, in the forward pass", hint=hint)
    return Problem(said, hint=_of_update(iteration, rate, param))


def _of_update(iteration: int, rate: float, param: SolverParameter | None) -> str:
    """The cause where an update made it."""
    if rate < 0:
        return f"the learning rate is negative, {rate:g}: every update climbs"
    if param is not None and param.weight_decay < 0:
        return f"weight_decay is negative, {param.weight_decay:g}: parameters grow without end"
    if iteration == 0:
        return "no update has been made: the fillers or the weights that it started from are wrong"
    return f"the last update made it: the learning rate ({rate:g}) is too high"


def _of_layer(net: Net, name: str, rate: float) -> str:
    """The cause where a layer made it of finite bottoms."""
    values = [net.blobs[b].data for b in net.bottom_names[name]]
    low = min((float(v.min()) for v in values if v.size), default=0.0)
    high = max((float(np.abs(v).max()) for v in values if v.size), default=0.0)
    if high > 1e15:
        return (
            f"its bottoms are as large as {high:.3g}: the learning rate ({rate:g}) is too high, or "
            "the data holds such values"
        )
    return f"its bottoms are finite, from {low:.3g} on: a log of 0, a root of less, or a division"

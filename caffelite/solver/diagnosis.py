"""Why a loss is not finite: the first place in the net where a value is not."""

from __future__ import annotations

import numpy as np

from caffelite.errors import Problem
from caffelite.net import Net


def diagnose(net: Net, iteration: int, loss: float, rate: float) -> Problem:
    """Where the numbers went bad first."""
    hint = f"often the learning rate ({rate:g}) is too high, or the data holds such values"
    said = f"iteration {iteration}: the loss is {loss}"
    for name, layer in net.layer_dict.items():
        for i, blob in enumerate(layer.params):
            if not np.isfinite(blob.data).all():
                where = f'parameter {i} of layer "{name}" holds values that are not finite'
                return Problem(f"{said}; {where}", hint=hint)
        for top in net.top_names[name]:
            if not np.isfinite(net.blobs[top].data).all():
                where = f'the first bad blob is "{top}" of layer "{name}" ({layer.type})'
                return Problem(f"{said}; {where}", hint=hint)
    return Problem(said, hint=hint)

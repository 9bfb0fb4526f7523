"""When two values of a field are the same."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def same(a: Any, b: Any) -> bool:
    """Equality in which nan equals nan and an array equals the list of its values, be they written
    with more digits than it holds."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        dtype = a.dtype if isinstance(a, np.ndarray) else b.dtype
        return len(a) == len(b) and np.array_equal(
            np.asarray(a, dtype), np.asarray(b, dtype), equal_nan=True
        )
    if isinstance(a, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    if isinstance(a, float) and math.isnan(a):
        return isinstance(b, float) and math.isnan(b)
    return bool(a == b)

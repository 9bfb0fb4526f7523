"""Flattening: the calls of NumPy that a pass of a small layer comes to, ready to be made.

An InnerProduct of a few thousand weights is three calls of a microsecond each; the method around
them, its attributes and its questions cost as much again. So here they are asked once. The layer's
own methods stay what explains it, and the tests hold both to the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Union

import numpy as np

from caffelite.blob import Array
from caffelite.layers.base import Arrays
from caffelite.layers.inner_product import InnerProduct, matrix
from caffelite.layers.relu import ReLU
from caffelite.run.session import Bound

Calls = Union[Sequence[Bound], None]
"""None: this instance runs by its own methods."""


def inner_product_forward(layer: InnerProduct, bottom: Arrays, top: Arrays) -> Calls:
    """y = x·Wᵀ + b."""
    if layer.large:
        return None
    x, y = matrix(bottom[0], layer.rows), matrix(top[0], layer.columns)
    product = partial(np.dot, x, layer.weight.T, y)
    return [product] if layer.bias is None else [product, partial(np.add, y, layer.bias, y)]


def inner_product_backward(
    layer: InnerProduct,
    top: Arrays,
    top_diff: Arrays,
    bottom: Arrays,
    dx: Array | None,
    fresh: bool,
) -> Calls:
    """∂L/∂W = (∂L/∂y)ᵀ·x, ∂L/∂b = Σ ∂L/∂y, ∂L/∂x = ∂L/∂y·W."""
    if layer.large:
        return None
    x, dy = matrix(bottom[0], layer.rows), matrix(top_diff[0], layer.columns)
    calls: list[Bound] = []
    factors: list[tuple[Any, Any]] = [(x.T, dy) if layer.transposed else (dy.T, x)]
    if layer.bias is not None:
        factors.append((layer.ones, dy))
    for (a, b), blob, learns in zip(factors, layer.params, layer.learns):
        if learns and fresh:
            calls.append(partial(np.dot, a, b, blob.raw_diff))
        elif learns:
            diff = blob.raw_diff
            step = np.empty_like(diff)
            calls += [partial(np.dot, a, b, step), partial(np.add, diff, step, diff)]
    if dx is not None:
        calls.append(partial(np.dot, dy, layer.weight, matrix(dx, layer.rows)))
    return calls


def relu_forward(layer: ReLU, bottom: Arrays, top: Arrays) -> Calls:
    """y = max(x, 0)."""
    return None if layer.slope else [partial(np.maximum, bottom[0], layer.zero, out=top[0])]


def relu_backward(
    layer: ReLU, top: Arrays, top_diff: Arrays, bottom: Arrays, dx: Array | None, fresh: bool
) -> Calls:
    """∂L/∂x = ∂L/∂y where y > 0."""
    if layer.slope or dx is None:
        return None
    return [
        partial(np.greater, top[0], layer.zero, layer.positive),
        partial(np.multiply, top_diff[0], layer.positive, dx),
    ]


entries: dict[Any, Callable[..., Calls]] = {
    InnerProduct.forward: inner_product_forward,
    InnerProduct.backward: inner_product_backward,
    ReLU.forward: relu_forward,
    ReLU.backward: relu_backward,
}
"""What gives the calls that a method comes to. A class with a method of its own has none."""

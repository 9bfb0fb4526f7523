"""Folding: BatchNorm, Scale, Bias and forks' BN merged into the convolution or product before them.

What is merged is computed in float64 and rounded once, so outputs differ by rounding alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from caffelite.blob import Array, Blob
from caffelite.layers.base import Layer
from caffelite.layers.convolution import Convolution
from caffelite.layers.deconvolution import Deconvolution
from caffelite.layers.inner_product import InnerProduct
from caffelite.onnx.out.place import Place, registry
from caffelite.onnx.out.sums import statistics

if TYPE_CHECKING:
    from caffelite.onnx.export import Exportable

Say = Callable[[Any, Place], None]


@dataclass
class Folds:
    """What is merged into what, by the layers' indices."""

    first: dict[int, tuple[Say, int]] = field(default_factory=dict)
    """What says a layer with all that is merged into it, and the last of these layers."""
    passed: set[int] = field(default_factory=set)
    """The layers that are merged into an earlier one."""
    unseen: set[int] = field(default_factory=set)
    """The layers whose tops do not exist in the model."""


def find_folds(net: Exportable) -> Folds:
    """All that can be merged: a chain of BatchNorm, BN, Scale and Bias that alone reads a layer."""
    folds = Folds()
    readers = _readers(net)
    for start, layer in enumerate(net.layers):
        if not isinstance(layer, (Convolution, Deconvolution, InnerProduct)):
            continue
        if len(layer.spec.top) != 1 or getattr(layer, "channel_axis", 1) != 1:
            continue
        if isinstance(layer, InnerProduct) and len(layer.top_shapes[0]) != 2:
            continue
        factor: Any = np.float64(1)
        shift: Any = np.float64(0)
        chain = [start]
        while len(readers[chain[-1]]) == 1:
            (after,) = readers[chain[-1]]
            line = _line(net.layers[after], layer.top_shapes[0][1])
            if line is None:
                break
            factor, shift = factor * line[0], shift * line[0] + line[1]
            chain.append(after)
        if len(chain) > 1:
            folds.first[start] = _first(layer, factor, shift), chain[-1]
            folds.passed.update(chain[1:])
            folds.unseen.update(chain[:-1])
    return folds


def _readers(net: Exportable) -> list[list[int]]:
    """For each layer, the layers that read what it makes."""
    readers: list[list[int]] = [[] for _ in net.layers]
    maker: dict[str, int] = {}
    for index, layer in enumerate(net.layers):
        for name in layer.spec.bottom:
            readers[maker[name]].append(index)
        maker.update(dict.fromkeys(layer.spec.top, index))
    return readers


def _line(layer: Layer, channels: int) -> tuple[Array, Array] | None:
    """factor and shift of each channel, for a layer y = factor·x + shift; None for others."""
    kind = layer.type
    if kind in ("BatchNorm", "ScaledBatchNorm") and layer.stored:  # type: ignore[attr-defined]
        line = (layer.params[3].data, layer.params[4].data) if kind == "ScaledBatchNorm" else None
        return _normal(*statistics(layer), layer.param.eps, line)  # type: ignore[attr-defined]
    if kind == "BN":
        return _of_bn(layer)
    if kind not in ("Scale", "Bias") or len(layer.spec.bottom) != 1:
        return None
    rank = len(layer.bottom_shapes[0])
    axis = layer.param.axis  # type: ignore[attr-defined]
    small = list(layer.params[0].shape)
    if small not in ([], [channels]) or (small and axis not in (1, 1 - rank)):
        return None
    values = [np.float64(p.data) for p in layer.params]
    if kind == "Bias":
        return np.float64(1), values[0]  # type: ignore[return-value]
    return values[0], values[1] if len(values) > 1 else np.float64(0)  # type: ignore[return-value]


def _normal(
    mean: Array, variance: Array, eps: float, line: tuple[Array, Array] | None = None
) -> tuple[Array, Array]:
    """Of y = s·(x − μ)/√(v + eps) + b, (s, b) being the `line`, or (1, 0)."""
    scale, shift = (np.float64(v) for v in line or (1, 0))
    factor = scale / np.sqrt(np.float64(variance) + eps)
    return factor, shift - np.float64(mean) * factor


def _of_bn(layer: Any) -> tuple[Array, Array] | None:
    """BN of PSPNet's or SegNet's kind; None where it uses the batch's own statistics."""
    scale, shift, *kept = (p.data.ravel() for p in layer.params)
    if layer.plain:
        return np.asarray(scale, np.float64), np.asarray(shift, np.float64)
    return _normal(kept[0], kept[1], layer._eps, (scale, shift)) if layer.stored else None


def _first(layer: Any, factor: Any, shift: Any) -> Say:
    def say(_: Any, place: Place) -> None:
        weight = np.asarray(layer.params[0].data, np.float64)
        outputs = int(layer.top_shapes[0][1])
        factors = np.broadcast_to(factor, (outputs,))
        if isinstance(layer, Deconvolution):
            # W is (C, M/group, …): output m = g·(M/group) + j has the channels of group g
            group = layer.group
            split = weight.reshape(group, weight.shape[0] // group, *weight.shape[1:])
            by = factors.reshape(group, 1, -1, *[1] * (weight.ndim - 2))
            merged = (split * by).reshape(weight.shape)
        elif isinstance(layer, InnerProduct) and layer.transposed:
            merged = weight * factors
        else:
            merged = weight * factors.reshape(-1, *[1] * (weight.ndim - 1))
        old = np.float64(layer.params[1].data) if layer.param.bias_term else 0.0
        bias = np.broadcast_to(old * factors + shift, (outputs,))
        place.layer = _Merged(layer, merged, bias)  # type: ignore[assignment]
        registry[layer.type](place.layer, place)

    return say


class _Merged:
    """A layer with other parameters, and a bias whatever its text says."""

    def __init__(self, layer: Any, weight: Array, bias: Array) -> None:
        self._layer = layer
        self.params = [Blob(np.asarray(weight, np.float32)), Blob(np.array(bias, np.float32))]
        self.param = _Biased(layer.param)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layer, name)


class _Biased:
    bias_term = True

    def __init__(self, param: Any) -> None:
        self._param = param

    def __getattr__(self, name: str) -> Any:
        return getattr(self._param, name)

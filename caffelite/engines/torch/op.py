"""Op: what PyTorch does for one layer: tensors in, tensors out.

A file in `ops` has the ops of one family of layers, registered by the layers' types. An op is made
from a running layer, whose parameters, checks and random streams it uses; an instance that it
cannot compute exactly it refuses with `Unsupported`, and the layer's own NumPy methods run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from caffelite.engines.torch.params import Params
from caffelite.layers.base import Layer

Tensors = Sequence[Tensor]
Spare = Sequence[Tensor | None]
"""Memory for results, of the right shapes, or None: the last pass's tensors, or, in place, those
that are read."""
Given = Sequence[Tensor | None]


LARGE = 1 << 19
"""NumPy turns so many values into another order in half of PyTorch's time."""


class Unsupported(Exception):
    """An op does not compute this instance of its layer."""


class Op:
    """One layer's passes on tensors.

    `forward` and `backward` may write their results into `spare`, where it is not None, or give
    other tensors. A spare tensor may be the very one that is read (a layer in place), so it is
    written element by element or not at all. `backward` may only use of `top` and `bottom` what
    the layer's `backward_reads` names: the others are None."""

    channels_last = False
    """Are 4-D tensors wanted with their channels innermost?"""
    views = False
    """May results be views of what was read?"""
    on_host = ""
    """What of it needs the host in the middle of a pass, if anything does."""

    def __init__(self, layer: Layer, params: Params) -> None:
        self.layer, self.params = layer, params
        self.device = params.device
        self.on_cpu = params.place.shares
        """Is there nothing to wait for when a value is read on the host?"""
        self.dtype: torch.dtype = params.dtype
        self.shapes = (list(layer.bottom_shapes), list(layer.top_shapes))
        """Of bottoms and tops, when the op was made; with others it is made anew."""
        self.weights = [params.data(blob) for blob in layer.params]
        self.prepare()

    def prepare(self) -> None:
        """Look at the layer; raise Unsupported if it is not one for this op."""

    def draw(self) -> None:
        """Take from chance what the next forward pass needs."""

    def forward(self, bottom: Tensors, spare: Spare) -> Tensors:
        """The tops."""
        raise NotImplementedError

    def backward(
        self, top: Given, top_diff: Tensors, bottom: Given, needed: Sequence[bool], spare: Spare
    ) -> Given:
        """The bottoms' gradients where `needed`; the parameters' are written or added to."""
        raise NotImplementedError

    def check(self) -> None:
        """Refuse bad values that the last forward pass met, where it could not look at once."""

    @property
    def fresh(self) -> bool:
        """Are parameter gradients to be written, not added to?"""
        return self.layer.gradients.fresh

    def grad(self, index: int) -> Tensor:
        """The gradient of a parameter, to be written or added to."""
        return self.params.diff(self.layer.params[index])

    def learn(self, index: int, gradient: Tensor, add: bool = False) -> None:
        """Write a parameter's gradient, or add to it."""
        into = self.grad(index)
        if self.fresh and not add:
            if self.on_cpu and not gradient.is_contiguous() and gradient.numel() >= LARGE:
                np.copyto(into.numpy(), gradient.numpy())
            else:
                into.copy_(gradient.view_as(into) if gradient.is_contiguous() else gradient)
        else:
            into.add_(gradient.view_as(into) if gradient.is_contiguous() else gradient)

    def learn_product(self, index: int, a: Tensor, b: Tensor) -> None:
        """The gradient of a matrix that is a·b."""
        into = self.grad(index)
        if self.fresh:
            torch.mm(a, b, out=into)
        else:
            into.addmm_(a, b)

    def numbers(self, shape: Sequence[int], value: float = 0.0) -> Tensor:
        """A new tensor full of one number."""
        return torch.full(tuple(shape), value, dtype=self.dtype, device=self.device)


AnyOp = TypeVar("AnyOp", bound="type[Op]")
registry: dict[str, type[Op]] = {}
"""The ops by the type of layer."""


def takes(*types: str) -> Callable[[AnyOp], AnyOp]:
    """Register an op for these types of layers."""

    def register(cls: AnyOp) -> AnyOp:
        for name in types:
            registry[name] = cls
        return cls

    return register


def op_for(layer: Layer, params: Params) -> Op | None:
    """The op for a running layer, or None: then NumPy runs it."""
    cls = registry.get(layer.type)
    if cls is None:
        return None
    try:
        return cls(layer, params)
    except Unsupported:
        return None


def channels_last(x: Tensor) -> Tensor:
    """A 4-D tensor with its channels innermost in memory; others as they are.

    A single channel, or a single place, lies alike in both orders. PyTorch's kernels then choose
    the order of their results by the strides alone, so those are set too."""
    if x.ndim != 4:
        return x
    x = x.contiguous(memory_format=torch.channels_last)
    _, c, h, w = x.shape
    strides = (c * h * w, 1, w * c, c)
    return x if x.stride() == strides else x.as_strided(x.shape, strides)

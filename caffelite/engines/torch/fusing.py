"""Fusing: neighbouring steps that one kernel does together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from caffelite.engines.torch.ops.batch_norm import BatchNorm
from caffelite.engines.torch.ops.convolution import Convolution
from caffelite.engines.torch.ops.eltwise import Eltwise
from caffelite.engines.torch.ops.neuron import ReLU
from caffelite.engines.torch.ops.scale import Scale
from caffelite.run.program import Backward, Forward, Program, Step
from caffelite.run.session import Bound

if TYPE_CHECKING:
    from caffelite.engines.torch.session import TorchSession

aten = torch.ops.aten


def fuse(program: Program, session: TorchSession) -> dict[int, Bound]:
    """What runs at a place of the program instead of the step that is there: at the first of two
    neighbours both, at the second nothing."""
    found: dict[int, Bound] = {}
    for at in range(len(program) - 1):
        if at not in found:
            pair = program[at : at + 2]
            bound = (
                convolution_and_relu(pair, session)
                or sum_and_relu(pair, session)
                or scale_and_batch_norm(pair, session)
            )
            if bound is not None:
                found[at], found[at + 1] = bound, nothing
    return found


def nothing() -> None:
    """The step has been done."""


def convolution_and_relu(pair: Sequence[Step], session: TorchSession) -> Bound | None:
    """A Convolution and the ReLU in place behind it: nobody misses what lies between."""
    first, second = pair
    if not isinstance(first, Forward) or not isinstance(second, Forward):
        return None
    if len(first.tops) != 1 or len(first.bottoms) != 1 or second.bottoms != first.tops:
        return None
    (top,) = (session.cell(v) for v in first.tops)
    if session.cell(second.tops[0]) is not top:
        return None
    layers = [session.layers[step.node.index] for step in (first, second)]
    if layers[1].type != "ReLU" or layers[0].type not in ("Convolution", "DepthwiseConvolution"):
        return None
    convolution = session.op(layers[0], first.node.index)
    relu = session.op(layers[1], second.node.index)
    if not isinstance(convolution, Convolution) or not isinstance(relu, ReLU):
        return None
    if not convolution.fused() or relu.slope:
        return None
    bottom, run = session.cell(first.bottoms[0]), convolution.forward_relu

    def bound() -> None:
        top.write(run((bottom.read(True),))[0])

    return bound


def sum_and_relu(pair: Sequence[Step], session: TorchSession) -> Bound | None:
    """The sum of two blobs and the ReLU in place behind it, as at the end of a residual block."""
    first, second = pair
    if not isinstance(first, Forward) or not isinstance(second, Forward):
        return None
    top = session.cell(first.tops[0])
    if second.bottoms != first.tops or session.cell(second.tops[0]) is not top:
        return None
    ops = [session.op(session.layers[s.node.index], s.node.index) for s in (first, second)]
    sums, relu = ops
    if not isinstance(sums, Eltwise) or not isinstance(relu, ReLU):
        return None
    if not session.place.shares or relu.slope or not sums.plain_pair:
        return None
    a, b = (session.cell(v) for v in first.bottoms)

    def bound() -> None:
        x, y, out = a.read(), b.read(), top.spare()
        if out is None or out.stride() != x.stride():
            top.write(aten._add_relu(x, y))
        else:
            top.write(aten._add_relu.out(x, y, out=out))

    return bound


def scale_and_batch_norm(pair: Sequence[Step], session: TorchSession) -> Bound | None:
    """The gradients of a Scale and of the BatchNorm before it, if nobody sees the blob between:
    one kernel gives ∂L/∂x, and Σ ∂L/∂z·y and Σ ∂L/∂z, which are the Scale's own."""
    first, second = pair
    if not isinstance(first, Backward) or not isinstance(second, Backward):
        return None
    between, needed = first.bottom_diffs[0], second.bottom_diffs[0]
    if between is None or needed is None or second.top_diffs[0] != between or between.share:
        return None
    if session.plan.graph.blobs[between.version.name] is between.version:
        return None  # `net.blobs` shows its gradient
    layers = [session.layers[step.node.index] for step in (first, second)]
    if [layer.type for layer in layers] != ["Scale", "BatchNorm"]:
        return None
    scale = session.op(layers[0], first.node.index)
    norm = session.op(layers[1], second.node.index)
    if not isinstance(scale, Scale) or not isinstance(norm, BatchNorm) or norm.stored:
        return None
    shape = scale.shapes[0][0]
    if not scale.learned or len(shape) != 4 or tuple(scale.small)[-3:] != (shape[1], 1, 1):
        return None
    session.note_overwritten(first.node.index, True)
    top_diff, y = session.cell(first.top_diffs[0]), session.cell(second.tops[0])
    bottom_diff = session.cell(needed)

    def bound() -> None:
        dz, data = norm.seen(top_diff.read(True)), norm.seen(y.read(True))
        learns = scale.layer.learns
        mask = [True, learns[0], scale.bias is not None and learns[-1]]
        dx, dscale, dbias = norm.back(data, dz, scale.weights[0] * norm.inverse, mask)
        if mask[1]:
            scale.learn(0, dscale)
        if mask[2]:
            scale.learn(len(learns) - 1, dbias)
        bottom_diff.write(dx)

    return bound

"""Fusing: neighbouring steps that one kernel does together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from caffelite.engines.torch.ops.convolution import Convolution
from caffelite.engines.torch.ops.neuron import ReLU
from caffelite.run.program import Forward, Program, Step
from caffelite.run.session import Bound

if TYPE_CHECKING:
    from caffelite.engines.torch.session import TorchSession


def fuse(program: Program, session: TorchSession) -> dict[int, Bound]:
    """What runs at a place of the program instead of the step that is there: at the first of two
    neighbours both, at the second nothing."""
    found: dict[int, Bound] = {}
    for at in range(len(program) - 1):
        if at not in found:
            bound = convolution_and_relu(program[at : at + 2], session)
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

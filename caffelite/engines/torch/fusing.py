"""Fusing: neighbouring steps that one kernel does together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Union

from caffelite.engines.torch.ops.convolution import Convolution
from caffelite.engines.torch.ops.neuron import ReLU
from caffelite.run.program import Forward, Program, Step, Value
from caffelite.run.session import Bound

if TYPE_CHECKING:
    from caffelite.engines.torch.session import TorchSession


@dataclass(frozen=True, eq=False)
class Fused:
    """Steps that run as one, bound."""

    steps: tuple[Step, ...]
    bound: Bound

    @property
    def reads(self) -> tuple[Value, ...]:
        return tuple(v for step in self.steps for v in step.reads)

    @property
    def writes(self) -> tuple[Value, ...]:
        return tuple(v for step in self.steps for v in step.writes)


def fuse(program: Program, session: TorchSession) -> Sequence[Union[Step, Fused]]:
    """The program with a Fused wherever two steps are better done as one."""
    found: list[Step | Fused] = []
    at = 0
    while at < len(program):
        pair = program[at : at + 2]
        bound = convolution_and_relu(pair, session) if len(pair) == 2 else None
        if bound is None:
            found.append(program[at])
            at += 1
        else:
            found.append(Fused(tuple(pair), bound))
            at += 2
    return found


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
    layers = [session.layers[step.node.index] for step in pair]
    if layers[1].type != "ReLU" or layers[0].type not in ("Convolution", "DepthwiseConvolution"):
        return None
    ops = [session.op(layer, step.node.index) for layer, step in zip(layers, pair)]
    convolution, relu = ops
    if not isinstance(convolution, Convolution) or not isinstance(relu, ReLU):
        return None
    if not convolution.fused() or relu.slope:
        return None
    bottom, run = session.cell(first.bottoms[0]), convolution.forward_relu

    def bound() -> None:
        top.write(run((bottom.read(True),))[0])

    return bound

"""A net with inputs in the place of its data: what is needed to look at it without them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from caffelite.blob import Shape
from caffelite.errors import CaffeliteError, Problem, did_you_mean
from caffelite.layers.base import layer_class
from caffelite.layers.input import Input
from caffelite.plan.graph import included
from caffelite.schema.common import BlobShape
from caffelite.schema.net import LayerParameter, NetParameter, NetState

_SHAPE = re.compile(r"([^=]+)=(\d+(?:[x,]\d+)*)")


def read_shape(text: str) -> tuple[str, Shape]:
    """The name and shape that "data=64x1x28x28" says."""
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise CaffeliteError(
            Problem(f'"{text}" is no shape of a blob', expected="NAME=NxCxHxW, data=64x1x28x28")
        )
    return found[1], tuple(int(n) for n in re.split("[x,]", found[2]))


def read_size(text: str) -> tuple[int, int]:
    """The height and width that "256x320" says."""
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if found is None:
        raise CaffeliteError(Problem(f'"{text}" is no size', expected="HxW, as in 256x256"))
    return int(found[1]), int(found[2])


def with_inputs(net: NetParameter, state: NetState, shapes: Mapping[str, Shape]) -> NetParameter:
    """The net in which the data layers of one state that make the named blobs are inputs of these
    shapes. A data layer's further tops (labels) that are not named are (N,), after its first.

    Raises CaffeliteError if no data layer makes a blob that is named.
    """
    layers = []
    known: list[str] = []
    used: set[str] = set()
    for spec in net.layer:
        cls = layer_class(spec)
        if cls is not None and cls.source and included(spec, state):
            known += spec.top
            named = [name for name in spec.top if name in shapes]
            if named:
                used.update(named)
                count = shapes[named[0]][:1]
                spec = _input(spec, [shapes.get(name, count) for name in spec.top])
        layers.append(spec)
    for name in shapes:
        if name not in used:
            raise CaffeliteError(
                Problem(
                    f'no data layer makes a blob "{name}"',
                    expected="one of " + ", ".join(known) if known else None,
                    hint=did_you_mean(name, known),
                )
            )
    result = net.copy()
    result.layer = layers
    return result


def _input(spec: LayerParameter, shapes: list[Shape]) -> LayerParameter:
    made = LayerParameter(name=spec.name, type=Input.type, top=list(spec.top))
    made.include, made.exclude = spec.include, spec.exclude
    made.get("input_param").shape = [BlobShape(dim=list(shape)) for shape in shapes]
    return made

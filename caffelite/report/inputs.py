"""Shapes and sizes as a command line says them, and inputs of these shapes."""

from __future__ import annotations

import re

from caffelite.blob import Shape
from caffelite.errors import CaffeliteError, Problem
from caffelite.layers.input import Input
from caffelite.schema.common import BlobShape
from caffelite.schema.net import LayerParameter

_SHAPE = re.compile(r"(.+)=([1-9]\d*(?:[x,][1-9]\d*)*)")


def read_shape(text: str) -> tuple[str, Shape]:
    """The name and shape that "data=64x1x28x28" says."""
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise CaffeliteError(
            Problem(
                f'--shape "{text}" is no shape of a blob',
                expected="a name and extents of 1 or more, --shape data=64x1x28x28",
            )
        )
    return found[1], tuple(int(n) for n in re.split("[x,]", found[2]))


def read_size(text: str) -> tuple[int, int]:
    """The height and width that "256x320" says."""
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if found is None:
        raise CaffeliteError(Problem(f'"{text}" is no size', expected="HxW, as in 256x256"))
    return int(found[1]), int(found[2])


def as_input(spec: LayerParameter, shapes: list[Shape]) -> LayerParameter:
    """A data layer as an Input: its tops with these shapes."""
    made = LayerParameter(name=spec.name, type=Input.type, top=list(spec.top))
    made.include, made.exclude = spec.include, spec.exclude
    made.get("input_param").shape = [BlobShape(dim=list(shape)) for shape in shapes]
    return made

"""Nets planned for the shapes of their inputs, and the engine that runs them."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping

import caffelite
from caffelite import mode
from caffelite.blob import Shape
from caffelite.engines import AUTO, VARIABLE, engines
from caffelite.layers.base import registry
from caffelite.layers.input import Input, InputParameter
from caffelite.plan.build import Plan
from caffelite.schema.common import BlobShape, Phase

MOST_SHAPES, MOST_COPIES = 16, 20_000_000
"""For how many shapes of inputs a net stays planned, and how many parameters engines may copy."""
WORTH = 20_000_000
"""Multiply-adds a pass from which ONNX Runtime is worth its start."""


def how_many(net: caffelite.Net) -> int:
    """For how many shapes such a net may stay planned."""
    return max(1, min(MOST_SHAPES, MOST_COPIES // max(1, net.parameter_count)))


def with_shapes(net: caffelite.Net, shapes: Mapping[str, Shape]) -> caffelite.Net:
    """The net planned for these inputs, with the same parameters."""
    engine = _engine(net.plan, shapes)
    plan: Plan | None = net.plan
    param = net.param
    if any(net.blobs[name].shape != shape for name, shape in shapes.items()):
        plan, param = None, param.copy()
        for layer in param.layer:
            if registry.get(layer.type) is Input and all(top in shapes for top in layer.top):
                extents = [BlobShape(dim=list(shapes[top])) for top in layer.top]
                layer.input_param = InputParameter(shape=extents)  # type: ignore[attr-defined]
    return caffelite.Net(
        param, phase=Phase.TEST, folder=net.folder, share=net, engine=engine, plan=plan
    )


def _engine(plan: Plan, shapes: Mapping[str, Shape]) -> str | None:
    """ONNX Runtime is the fastest for forward passes alone: where nothing else has been asked for,
    and the net is large enough for it to start. None: as everywhere."""
    asked = mode.request.engine or os.environ.get(VARIABLE) or AUTO
    if asked != AUTO or (mode.request.device or "cpu") != "cpu":
        return None
    blobs = plan.graph.blobs
    grown = sum(math.prod(shape) for shape in shapes.values())
    work = plan.work() * grown / sum(math.prod(plan.shapes[blobs[name].first]) for name in shapes)
    best = engines()["onnxruntime"]
    usable = work >= WORTH and best.missing() is None and best.refuses(plan) is None
    return best.name if usable else None

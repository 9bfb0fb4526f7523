"""Nets planned for the shapes of their inputs."""

from __future__ import annotations

from collections.abc import Mapping

import caffelite
from caffelite.blob import Shape
from caffelite.dnn import custom
from caffelite.layers.base import registry
from caffelite.layers.input import Input, InputParameter
from caffelite.plan.build import Plan
from caffelite.schema.common import BlobShape, Phase

MOST_SHAPES, MOST_COPIES = 16, 20_000_000
"""For how many shapes of inputs a net stays planned, and how many parameters engines may copy."""


def how_many(net: caffelite.Net) -> int:
    """For how many shapes such a net may stay planned."""
    return max(1, min(MOST_SHAPES, MOST_COPIES // max(1, net.parameter_count)))


def with_shapes(
    net: caffelite.Net, shapes: Mapping[str, Shape], engine: str | None = None
) -> caffelite.Net:
    """The net planned for these inputs, with the same parameters."""
    plan: Plan | None = net.plan
    param = net.param
    if any(net.blobs[name].shape != shape for name, shape in shapes.items()):
        plan, param = None, param.copy()
        for layer in param.layer:
            if registry.get(layer.type) is Input and all(top in shapes for top in layer.top):
                extents = [BlobShape(dim=list(shapes[top])) for top in layer.top]
                layer.input_param = InputParameter(shape=extents)  # type: ignore[attr-defined]
    stored = {name: [blob.data for blob in blobs] for name, blobs in net.params.items()}
    with custom.in_use(stored):
        return caffelite.Net(
            param, phase=Phase.TEST, folder=net.folder, share=net, engine=engine, plan=plan
        )

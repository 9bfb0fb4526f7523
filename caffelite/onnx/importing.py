"""An ONNX model as a net: read node by node, then verified tensor by tensor."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import helper, numpy_helper

from caffelite.blob import Array, Shape
from caffelite.errors import CaffeliteError, Problem
from caffelite.files import parse_net
from caffelite.onnx.extra import require
from caffelite.onnx.into.reader import Node, Reader, Unsayable, registry
from caffelite.onnx.runtime import Runtime
from caffelite.onnx.verify import TOLERANCE, Report, Row, relative_error
from caffelite.schema.net import NetParameter

if TYPE_CHECKING:
    from caffelite.net import Net

KINDS = {1: np.float32, 6: np.int32, 7: np.int64, 9: np.bool_, 11: np.float64}


@dataclass
class Imported:
    """A net, its parameters, and how tensors and blobs belong together."""

    net: NetParameter
    params: dict[str, list[Array]]
    blobs: dict[str, str]
    """Tensor to blob."""
    shapes: dict[str, Shape]
    """The inputs' shapes."""
    model: Any
    """The model with every tensor as an output."""
    notes: list[str] = field(default_factory=list)

    def fill(self, net: Net) -> Net:
        """Give a net that was made of `self.net` its parameters."""
        for name, arrays in self.params.items():
            for blob, array in zip(net.params[name], arrays, strict=True):
                blob.data[...] = array
        return net


def import_model(source: str | Any, shapes: Mapping[str, Shape] | None = None) -> Imported:
    """Read a model, a path or a ModelProto. Extents that are not fixed are 1, or as `shapes` says.

    Raises CaffeliteError with every node that Caffe has no equivalent for."""
    onnx = require("onnx")
    model = _load(onnx, source)
    inputs = _inputs(model, dict(shapes or {}))
    traced = type(model)()
    traced.CopyFrom(model)
    have = {x.name for x in traced.graph.output}
    for node in traced.graph.node:
        for name in node.output:
            if name and name not in have:
                traced.graph.output.append(helper.make_tensor_value_info(name, 0, None))
    _type_outputs(onnx, traced)
    rng = np.random.default_rng(0)
    fed = {name: _draw(rng, shape, kind) for name, (shape, kind) in inputs.items()}
    values: dict[str, Array] = {**fed, **Runtime(traced).run(fed)}
    values.update({t.name: numpy_helper.to_array(t) for t in model.graph.initializer})
    reader = Reader(values, _constants(model, set(fed)), _opset(model))
    for name, (shape, _) in inputs.items():
        dims = " ".join(f"dim: {n}" for n in shape)
        text = f"input_param {{ shape {{ {dims} }} }}"
        reader.blobs[name] = reader.layer("Input", [], text, name)
    _read(model, reader)
    if reader.unread:
        quoted = " ".join(f'bottom: "{name}"' for name in reader.unread)
        silence = f'layer {{ name: "silence" type: "Silence" {quoted} }}'
        reader.layers.append(parse_net(silence, "<import>").layer[0])
    net = NetParameter(name=model.graph.name or "net", layer=reader.layers)
    sizes = {name: shape for name, (shape, _) in inputs.items()}
    return Imported(net, reader.params, reader.blobs, sizes, traced, reader.notes)


def verify_import(
    imported: Imported, net: Net, *, seed: int = 1, tolerance: float = TOLERANCE
) -> Report:
    """Run model and net on the same random inputs and compare every tensor that is a blob."""
    runtime, rng = Runtime(imported.model), np.random.default_rng(seed)
    inputs = {n: _draw(rng, shape, 1) for n, shape in imported.shapes.items()}
    found = runtime.run(inputs)
    for name, values in inputs.items():
        net.blobs[name].data[...] = values
    net.forward()
    makers = {top: layer for layer in net.layers for top in layer.spec.top}
    rows = []
    for tensor, blob in imported.blobs.items():
        if tensor in found:
            layer, value = makers[blob], net.blobs[blob].data
            error = relative_error(value, np.asarray(found[tensor]))
            rows.append(Row(blob, layer.name, layer.spec.type, tuple(value.shape), error))
    return Report(runtime.name, "random inputs", rows, tolerance)


def _load(onnx: Any, source: str | Any) -> Any:
    if not isinstance(source, (str, os.PathLike)):
        return source
    try:
        model = onnx.load(source)
        onnx.checker.check_model(model)
    except Exception as error:
        raise CaffeliteError(
            Problem(f"{source} is no ONNX model that can be read: {str(error).strip()}")
        ) from None
    return model


def _opset(model: Any) -> int:
    return next((x.version for x in model.opset_import if x.domain in ("", "ai.onnx")), 1)


def _inputs(model: Any, shapes: dict[str, Shape]) -> dict[str, tuple[Shape, int]]:
    """Shape and kind of every input that is no initializer; the model's own are fixed too."""
    known = {t.name for t in model.graph.initializer}
    found, problems = {}, []
    for x in model.graph.input:
        if x.name in known:
            continue
        kind = x.type.tensor_type
        shape = tuple(d.dim_value if d.dim_value > 0 else 1 for d in kind.shape.dim)
        found[x.name] = (tuple(shapes.pop(x.name, shape)), kind.elem_type)
        if kind.elem_type != 1:
            problems.append(Problem(f'input "{x.name}" is not of float32'))
    problems += [Problem(f'--shape: "{name}" is no input of the model') for name in shapes]
    if problems:
        raise CaffeliteError(*problems)
    return found


def _type_outputs(onnx: Any, model: Any) -> None:
    """Give the outputs that were added the types that they have; ONNX Runtime wants them."""
    inferred = onnx.shape_inference.infer_shapes(model)
    kinds = {x.name: x.type.tensor_type.elem_type for x in inferred.graph.value_info}
    kinds.update({x.name: x.type.tensor_type.elem_type for x in inferred.graph.output})
    for x in [*model.graph.output]:
        if x.type.tensor_type.elem_type == 0:
            x.type.tensor_type.elem_type = kinds.get(x.name) or 1


def _draw(rng: np.random.Generator, shape: Shape, kind: int) -> Array:
    return np.asarray(rng.normal(0, 1, shape), KINDS[kind])


def _constants(model: Any, inputs: set[str]) -> set[str]:
    """The tensors that no input changes, as long as the shapes stay."""
    constant = {t.name for t in model.graph.initializer} - inputs
    for node in model.graph.node:
        read = {name for name in node.input if name}
        chance = node.op_type.startswith("Random") or node.op_type in ("Bernoulli", "Multinomial")
        if (read <= constant and not chance) or node.op_type in ("Shape", "Size"):
            constant.update(node.output)
    return constant


def _read(model: Any, reader: Reader) -> None:
    """All nodes; those that cannot be read are refused together."""
    problems: list[Problem] = []
    lost: set[str] = set()
    for proto in model.graph.node:
        if all(not name or name in reader.constants for name in proto.output):
            continue
        if lost & set(proto.input):
            lost.update(proto.output)  # behind a node that was refused: not judged
            continue
        try:
            if proto.op_type not in registry or proto.domain not in ("", "ai.onnx"):
                raise Unsayable("Caffe has no such layer")
            registry[proto.op_type](Node(proto, reader))
        except Unsayable as error:
            name = proto.name or proto.output[0]
            problems.append(Problem(f'node "{name}" ({proto.op_type}): {error}'))
            lost.update(proto.output)
    if problems:
        raise CaffeliteError(*problems)

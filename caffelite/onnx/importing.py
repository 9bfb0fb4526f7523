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
from caffelite.layers.samples import random_inputs
from caffelite.onnx.alone import forward_alone
from caffelite.onnx.extra import require
from caffelite.onnx.into.reader import Node, Reader, Unsayable, registry
from caffelite.onnx.kept import TYPES, groups
from caffelite.onnx.runtime import Runtime
from caffelite.onnx.verify import (
    ALONE,
    TOLERANCE,
    Report,
    Row,
    behind_finders,
    relative_error,
)
from caffelite.schema.net import LayerParameter, NetParameter

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
    kinds: dict[str, tuple[int, int]]
    """Each input's type, and below what number its values are, if they are whole ones, or 0."""
    batch: list[str]
    """The inputs whose first extent the model leaves open; empty if the batch is fixed."""
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
    counts = _counts(model)
    fed = {n: _draw(rng, shape, kind, counts.get(n, 0)) for n, (shape, kind) in inputs.items()}
    values: dict[str, Array] = {**fed, **Runtime(traced).run(fed)}
    values.update({t.name: numpy_helper.to_array(t) for t in model.graph.initializer})
    constants, written = _constants(model, set(fed)), _written(model)
    reader = Reader(values, constants, _opset(model), _indices(model), written)
    for name, (shape, _) in inputs.items():
        dims = " ".join(f"dim: {n}" for n in shape)
        text = f"input_param {{ shape {{ {dims} }} }}"
        reader.blobs[name] = reader.layer("Input", [], text, name)
    _read(model, reader)
    reader.silence()
    net = NetParameter(name=model.graph.name or "net", layer=reader.layers)
    sizes = {name: shape for name, (shape, _) in inputs.items()}
    kinds = {name: (kind, counts.get(name, 0)) for name, (_, kind) in inputs.items()}
    batch = _batch_axes(model, sizes)
    return Imported(net, reader.params, reader.blobs, sizes, traced, kinds, batch, reader.notes)


def verify_import(
    imported: Imported,
    net: Net,
    *,
    seed: int = 1,
    given: Mapping[str, Array] | None = None,
    batch: int | None = None,
    tolerance: float = TOLERANCE,
) -> Report:
    """Run model and net on the same inputs, `given` ones or random ones, and compare every tensor
    that is a blob. With `batch` at that batch, where the model leaves it open; the net's inputs
    keep that shape."""
    resized = imported.batch if batch is not None else []
    runtime, rng = Runtime(imported.model), np.random.default_rng(seed)
    shapes = dict(imported.shapes)
    if batch is not None:
        shapes.update({n: (batch, *shapes[n][1:]) for n in resized})
    inputs = {n: _draw(rng, shape, *imported.kinds[n]) for n, shape in shapes.items()}
    if any(layer.type in TYPES for layer in net.layers):  # regions have to be of some image
        floats = {n: shape for n, shape in shapes.items() if imported.kinds[n] == (1, 0)}
        for name, value in random_inputs(net.layers, floats, rng).items():
            inputs[name] = np.asarray(value, np.float32)
    for name, value in (given or {}).items():
        if name in inputs:
            inputs[name] = np.asarray(value, inputs[name].dtype)
    for name in resized:
        net.blobs[name].reshape(*shapes[name])
    found = runtime.run(inputs)
    for name, values in inputs.items():
        net.blobs[name].data[...] = values
    net.forward()
    makers = {top: layer for layer in net.layers for top in layer.spec.top}
    behind = {net.layers[i].name for i in behind_finders(net)}
    tensors = {blob: found[t] for t, blob in imported.blobs.items() if t in found}
    tensors.update({imported.blobs[t]: value for t, value in inputs.items()})
    rows = []
    for tensor, blob in imported.blobs.items():
        if tensor not in found:
            continue
        layer, value, note = makers[blob], net.blobs[blob].data, ""
        error = relative_error(value, np.asarray(found[tensor]))
        known = tensors.keys() >= {*layer.spec.bottom}
        if not error <= tolerance and layer.name in behind and known:
            bottoms = [np.asarray(tensors[name], net.dtype) for name in layer.spec.bottom]
            value = forward_alone(layer, bottoms)[list(layer.spec.top).index(blob)]
            error, note = relative_error(value, np.asarray(found[tensor])), ALONE
        rows.append(Row(blob, layer.name, layer.spec.type, tuple(value.shape), error, note))
    what = "given inputs" if given else "random inputs"
    what += f", batch {batch}" if resized else ""
    return Report(runtime.name, what, rows, tolerance)


def verify_batches(
    imported: Imported, net: Net, *, seed: int = 1, tolerance: float = TOLERANCE
) -> tuple[list[Report], str]:
    """Verify at the net's own batch and, where the model leaves it open, at another one. Gives the
    reports, and what there is to say of the batch; the net has its own shapes in the end."""
    reports = [verify_import(imported, net, seed=seed, tolerance=tolerance)]
    if not imported.batch:
        return reports, "the model's batch is fixed"
    own = imported.shapes[imported.batch[0]][0]
    why = ""
    try:
        another = verify_import(imported, net, seed=seed, batch=own + 2, tolerance=tolerance)
        if another.first_wrong is None:
            reports.append(another)
        else:
            why = f'blob "{another.first_wrong.blob}" differs at batch {own + 2}'
    except CaffeliteError as error:
        why = error.problems[0].message
    for name in imported.batch:
        net.blobs[name].reshape(*imported.shapes[name])
    if why:
        return reports, f"the net is right at batch {own} only: {why}"
    return reports, f"the batch may vary: verified at {own} and {own + 2}"


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


def _batch_axes(model: Any, sizes: Mapping[str, Shape]) -> list[str]:
    """The inputs whose first extent is one open dimension, which all of them share."""
    found: dict[str, str] = {}
    for x in model.graph.input:
        dims = x.type.tensor_type.shape.dim
        if x.name in sizes and dims and not dims[0].HasField("dim_value"):
            found[x.name] = dims[0].dim_param
    return list(found) if len(set(found.values())) == 1 else []


def _opset(model: Any) -> int:
    return next((x.version for x in model.opset_import if x.domain in ("", "ai.onnx")), 1)


def _counts(model: Any) -> dict[str, int]:
    """Inputs that are only indices into constant tables, as they are or made whole first, and those
    of whole numbers that become floats: how many rows there are to choose from."""
    tables = {t.name: t.dims[0] for t in model.graph.initializer if t.dims}
    whole = {x.name for x in model.graph.input if x.type.tensor_type.elem_type in (6, 7)}
    readers: dict[str, list[int]] = {}
    for node in reversed(model.graph.node):  # what reads a node's output is known already
        for i, name in enumerate(node.input):
            rows = 0
            if node.op_type == "Gather" and i == 1:
                rows = tables.get(node.input[0], 0)
            elif node.op_type == "Cast":
                rows = min(readers.get(node.output[0], [0]))
                rows = rows or (2 if name in whole else 0)
            readers.setdefault(name, []).append(int(rows))
    return {name: min(rows) for name, rows in readers.items() if min(rows)}


def _written(model: Any) -> set[str]:
    """The initializers, and what nodes Constant hold."""
    nodes = [node for node in model.graph.node if node.op_type == "Constant"]
    return {t.name for t in model.graph.initializer} | {n for node in nodes for n in node.output}


def _indices(model: Any) -> set[str]:
    """The tensors that Gather alone reads, as an index into a constant table."""
    tables = {t.name for t in model.graph.initializer}
    reads: dict[str, list[bool]] = {}
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            picks = node.op_type == "Gather" and i == 1 and node.input[0] in tables
            reads.setdefault(name, []).append(picks)
    outputs = {x.name for x in model.graph.output}
    return {name for name, picks in reads.items() if all(picks) and name not in outputs}


def _inputs(model: Any, shapes: dict[str, Shape]) -> dict[str, tuple[Shape, int]]:
    """Shape and kind of every input that is no initializer; the model's own are fixed too."""
    known = {t.name for t in model.graph.initializer}
    found: dict[str, tuple[Shape, int]] = {}
    problems, counts = [], _counts(model)
    for x in model.graph.input:
        if x.name in known:
            continue
        kind = x.type.tensor_type
        shape = tuple(d.dim_value if d.dim_value > 0 else 1 for d in kind.shape.dim)
        found[x.name] = (tuple(shapes.pop(x.name, shape)), kind.elem_type)
        whole = kind.elem_type in (6, 7) and x.name in counts
        if kind.elem_type != 1 and not whole:
            what = "is no tensor" if not x.type.HasField("tensor_type") else "is not of float32"
            problems.append(Problem(f'input "{x.name}" {what}, nor an index into a constant table'))
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


def _draw(rng: np.random.Generator, shape: Shape, kind: int, count: int) -> Array:
    """Random values; with a `count` whole numbers from 0 to below it."""
    if count:
        return np.asarray(rng.integers(0, count, shape), KINDS[kind])
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


def _take(spec: LayerParameter, reader: Reader, lost: set[str]) -> None:
    """A layer in the place of nodes that the model says it was."""
    if lost & set(spec.bottom):
        lost.update(spec.top)
        return
    spec.bottom = [reader.blob(name) for name in spec.bottom]
    spec.name = reader.fresh(spec.name)
    reader.layers.append(spec)
    reader.blobs.update({name: name for name in spec.top})


def _read(model: Any, reader: Reader) -> None:
    """All nodes; those that cannot be read are refused together."""
    problems: list[Problem] = []
    lost: set[str] = set()
    whole = {max(group.nodes): group for group in groups(model)}
    inside = {i for group in whole.values() for i in group.nodes}
    for i, proto in enumerate(model.graph.node):
        if i in inside:
            if i in whole:
                _take(whole[i].spec, reader, lost)
            continue
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

"""Layers that forks of Caffe fused, for speed, taken apart into Caffe's own.

SkimCaffe has types of layers that are several in one ("ConvolutionReLUPool"), and names of its own
for what MKL computes ("MKLReLU"). The forks for Intel's processors and GPUs give the first layer
fields that say what follows in it (`fuse_type`, `relu`). The first layer keeps the name, so that
weights are found.
"""

from __future__ import annotations

from typing import Any

from caffelite.errors import Problem, SchemaError
from caffelite.schema.bind import bind_into
from caffelite.schema.net import LayerParameter, NetParameter
from caffelite.text import Block, Field, Scalar

_HOMES = {
    "Convolution": "convolution_param",
    "InnerProduct": "inner_product_param",
    "BatchNorm": "batch_norm_param",
    "ReLU": "relu_param",
    "Pooling": "pooling_param",
    "LRN": "lrn_param",
    "Eltwise": "eltwise_param",
    "Dropout": "dropout_param",
}
_NAMES = {
    "ReLU": "relu",
    "Pooling": "pool",
    "LRN": "norm",
    "Eltwise": "sum",
    "Dropout": "drop",
}
"""What the layers behind the first are called."""
_IN_PLACE = ("ReLU", "Dropout")

TYPES = {
    "ConvolutionReLU": ("Convolution", "ReLU"),
    "ConvolutionReLUPool": ("Convolution", "ReLU", "Pooling"),
    "ConvolutionReLUPoolLRN": ("Convolution", "ReLU", "Pooling", "LRN"),
    "InnerProductReLUDropout": ("InnerProduct", "ReLU", "Dropout"),
    "ReLUPooling": ("ReLU", "Pooling"),
    "MKLConvolution": ("Convolution",),
    "MKLLRN": ("LRN",),
    "MKLPooling": ("Pooling",),
    "MKLReLU": ("ReLU",),
}
"""SkimCaffe's types, to those that they are made of."""

_FUSE_TYPES = {
    "FUSED_CONV_RELU": ("ReLU",),
    "FUSED_CONV_ELTWISE": ("Eltwise",),
    "FUSED_CONV_ELTWISE_RELU": ("Eltwise", "ReLU"),
    "FUSED_POOL_MAX": ("Pooling",),
}
_SWITCHES = ("relu", "fused_relu")


def take_apart(net: NetParameter) -> list[str]:
    """Replace the net's fused layers; what was done, a line. Raises SchemaError where a field in
    them is wrong."""
    found: list[str] = []
    layers: list[LayerParameter] = []
    taken = {layer.name for layer in net.layer}
    blobs = {name for layer in net.layer for name in (*layer.top, *layer.bottom)}
    problems: list[Problem] = []
    for layer in net.layer:
        parts = _parts(layer, problems)
        if parts is None:
            layers.append(layer)
            continue
        found.append(layer.name)
        layers += _chain(layer, parts, taken, blobs)
    if problems:
        raise SchemaError(*problems)
    if not found:
        return []
    net.layer = layers
    return [f"fused layers of forks were taken apart ({', '.join(found)})"]


def _parts(layer: LayerParameter, problems: list[Problem]) -> list[tuple[str, Any]] | None:
    """Types and messages of the layers that a fused one is made of."""
    if layer.type in TYPES:
        return [(kind, _message(layer, kind)) for kind in TYPES[layer.type]]
    home = _HOMES.get(layer.type)
    if home is None or not layer.has(home) or not layer.get(home).foreign:
        return None
    own = layer.get(home)
    given = {item.name: item for item in own.foreign}
    behind = _FUSE_TYPES.get(_word(given.get("fuse_type")), ())
    if any(_word(given.get(name)) in ("true", "True", "t", "1") for name in _SWITCHES):
        behind = (*behind, "ReLU")
    if not behind:
        return None
    parts = [(layer.type, own)]
    for kind in behind:
        parts.append((kind, _inner(given, kind, problems)))
    used = {"fuse_type", "negative_slope", *_SWITCHES, *(_HOMES[kind] for kind in behind)}
    own._foreign = [item for item in own.foreign if item.name not in used]
    return parts


def _word(item: Field | None) -> str:
    return str(item.value.value) if item is not None and isinstance(item.value, Scalar) else ""


def _message(layer: LayerParameter, kind: str) -> Any:
    return layer.get(_HOMES[kind]) if layer.has(_HOMES[kind]) else None


def _inner(given: dict[str, Field], kind: str, problems: list[Problem]) -> Any:
    """The message of a layer that is fused, from the fields of the first one's."""
    cls = LayerParameter.specs[_HOMES[kind]].message_type
    item = given.get(_HOMES[kind])
    if cls is None:
        return None
    if item is not None and isinstance(item.value, Block):
        item.value.span = item.span
        return bind_into(item.value, cls, problems)
    slope = given.get("negative_slope")
    if kind != "ReLU" or slope is None:
        return None
    block = Block([slope], slope.span)
    return bind_into(block, cls, problems)


def _chain(
    layer: LayerParameter, parts: list[tuple[str, Any]], taken: set[str], blobs: set[str]
) -> list[LayerParameter]:
    """The layers one after the other. From the last that makes a new blob on, they work on the
    fused layer's own top."""
    makes = [i for i, (kind, _) in enumerate(parts) if i == 0 or kind not in _IN_PLACE]
    made: list[LayerParameter] = []
    blob = ""
    for i, (kind, message) in enumerate(parts):
        part = layer.copy() if i == 0 else LayerParameter()
        part.type = kind
        if i == 0:
            for other, _ in parts[1:]:
                part._values.pop(_HOMES[other], None)
        else:
            part.name = _fresh(f"{layer.name}/{_NAMES[kind]}", taken)
            part.include, part.exclude = list(layer.include), list(layer.exclude)
            part.bottom = [blob, *(layer.bottom[1:] if kind == "Eltwise" else ())]
            part._span, part._spans = layer._span, {"type": layer.places("type")}
            part._explicit = True
        if message is not None:
            setattr(part, _HOMES[kind], message)
            part._spans[_HOMES[kind]] = layer.places(_HOMES[kind])
        if i == 0 and any(other == "Eltwise" for other, _ in parts):
            part.bottom = list(layer.bottom[:1])
        if i in makes:
            last = i == makes[-1]
            blob = layer.top[0] if last and layer.top else _fresh(f"{part.name}/out", blobs)
        part.top = [blob, *layer.top[1:]] if len(parts) == 1 else [blob]
        made.append(part)
    made[0].loss_weight, made[-1].loss_weight = [], list(layer.loss_weight)
    return made


def _fresh(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name

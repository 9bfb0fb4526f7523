"""Models that take planes of any size.

The export writes a model for planes of one size. Where all layers work on planes alike, whatever
their size, its nodes say nothing of it but for one thing: how far the last window of a pooling
hangs over. ONNX's `ceil_mode` says that for windows without pads that leave no gaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from caffelite.layers.base import Layer
from caffelite.layers.lrn import NormRegion
from caffelite.layers.pooling import PoolMethod

ALIKE = {
    *("AbsVal", "BatchNorm", "Bias", "BNLL", "Clip", "Concat", "Convolution", "Deconvolution"),
    *("DepthwiseConvolution", "Dropout", "Eltwise", "ELU", "Exp", "Input", "Log", "LRN", "Permute"),
    *("Pooling", "Power", "PReLU", "ReLU", "ReLU6", "Scale", "Sigmoid", "Softmax", "Split"),
    *("Swish", "TanH", "Threshold"),
}
"""Types of layers whose nodes are the same for planes of all sizes; tests hold them to it."""


def any_size(layers: Sequence[Layer]) -> bool:
    """Does the model of these layers, once `opened`, take planes of any size? Whether the net does
    is another question."""
    inputs = [shape for layer in layers if layer.fed for shape in layer.top_shapes]
    blobs = [shape for layer in layers for shape in layer.top_shapes]
    return (
        len(inputs) == 1
        and all(len(shape) == 4 for shape in blobs)
        and all(layer.type in ALIKE and _alike(layer) for layer in layers)
    )


def _alike(layer: Any) -> bool:
    if layer.type == "Pooling":
        window, method = layer.window, layer.param.pool
        if layer.param.global_pooling:
            return method in (PoolMethod.MAX, PoolMethod.AVE) and len(layer.spec.top) == 1
        gapless = all(k >= s for k, s in zip(window.kernel, window.stride))
        plain = layer.ceil and gapless and not any(window.pad)
        return plain and method == PoolMethod.MAX and len(layer.spec.top) == 1
    if layer.type == "LRN":
        return bool(layer.param.norm_region == NormRegion.ACROSS_CHANNELS)
    if layer.type in ("Softmax", "Concat"):
        return layer.param.axis in (1, -3) and not layer.param.stored().get("concat_dim")
    if layer.type in ("Scale", "Bias"):
        return len(layer.spec.bottom) == 1
    return not layer.type.endswith("onvolution") or layer.channel_axis == 1


def opened(model: Any) -> Any:
    """Change a model to take planes of any size."""
    for node in model.graph.node:
        if node.op_type == "MaxPool":
            for attribute in node.attribute:
                if attribute.name == "pads":
                    del attribute.ints[:]
                    attribute.ints.extend([0, 0, 0, 0])
            node.attribute.add(name="ceil_mode", i=1, type=2)
    for value in [*model.graph.input, *model.graph.output]:
        dims = value.type.tensor_type.shape.dim
        for axis, dim in enumerate(dims):
            if axis != 1:
                dim.dim_param = f"{value.name}.{axis}"
    return model

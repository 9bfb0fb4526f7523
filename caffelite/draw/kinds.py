"""What kind of layer a type is, and what its box says: facts of the layer where it is known."""

from __future__ import annotations

from caffelite.layers.base import layer_class
from caffelite.schema.net import LayerParameter

COLOURS = {
    "data": "#CFE8D5",
    "convolution": "#C9DDF2",
    "product": "#D8D3EE",
    "recurrent": "#E3CFEA",
    "pooling": "#F6D9C4",
    "activation": "#FBF0BF",
    "normalisation": "#CDEBEA",
    "joining": "#E4E4E4",
    "loss": "#F4C9CE",
    "score": "#F9E1E4",
    "other": "#F1F1EC",
    "unknown": "#FFFFFF",
}
"""Kinds of layers, in the order of the legend, and their colours."""

_TYPES = {
    "convolution": "Convolution Deconvolution DepthwiseConvolution ConvolutionDepthwise Im2col",
    "product": "InnerProduct DropConnect Embed",
    "recurrent": "LSTM RNN Recurrent LSTMUnit",
    "pooling": "Pooling SPP ROIPooling Upsample Interp Crop",
    "activation": "ReLU ReLU6 PReLU ELU Sigmoid TanH Swish AbsVal BNLL Clip Threshold Dropout "
    "Power Exp Log",
    "normalisation": "BatchNorm Scale Bias LRN MVN Normalize",
    "joining": "Concat Eltwise Slice Split Flatten Reshape Permute Tile ShuffleChannel "
    "BatchReindex Axpy Filter Reduction",
    "score": "Softmax Accuracy ArgMax DetectionOutput",
}
_KIND = {name: kind for kind, names in _TYPES.items() for name in names.split()}
FOLDED = ("activation", "normalisation")
"""Kinds that are drawn as strips below the layer whose output they change."""


def kind_of(layer: LayerParameter) -> str:
    """The kind of a layer; "unknown" for a type that is not registered."""
    cls = layer_class(layer)
    if cls is None:
        return "unknown"
    if cls.bottoms[1] == 0:
        return "data"
    return "loss" if cls.loss else _KIND.get(layer.type, "other")


def caption(layer: LayerParameter) -> str:
    """The type with the numbers that matter: "Convolution 3x3/2, 64"."""
    words = [layer.type or "(no type)"]
    cls = layer_class(layer)
    if cls is None:
        return words[0]
    if "pooling_param" in cls.messages():
        window = layer.get("pooling_param")
        words.append(window.pool.name)
        words.append("global" if window.global_pooling else _window(window))
    elif _KIND.get(layer.type) == "convolution":
        words.append(_window(layer.get("convolution_param")))
    text = " ".join(word for word in words if word)
    outputs = _outputs(layer)
    return f"{text}, {outputs}" if outputs else text


def _window(param: object) -> str:
    """ "3x3/2": the kernel, and the stride if it is not 1."""

    def extent(name: str) -> list[int]:
        both = [getattr(param, f"{name}_h", 0), getattr(param, f"{name}_w", 0)]
        if any(both):
            return both
        value = getattr(param, "kernel_size" if name == "kernel" else name, 0)
        return list(value) if not isinstance(value, int) else [value]

    kernel = extent("kernel") or [0]
    kernel = kernel * 2 if len(kernel) == 1 else kernel
    stride = extent("stride") or [1]
    text = "x".join(map(str, kernel)) if any(kernel) else ""
    return f"{text}/{'x'.join(map(str, dict.fromkeys(stride)))}" if max(stride) > 1 else text


def _outputs(layer: LayerParameter) -> int:
    """num_output, where the layer's own message has one."""
    cls = layer_class(layer)
    for field, message in (cls.messages() if cls else {}).items():
        if "num_output" in message.specs and layer.has(field):
            return int(layer.get(field).num_output)
    return 0

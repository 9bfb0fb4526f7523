"""One layer after another as PyTorch's users write it: what `torch_module.Builder` builds from."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from .torch_module import Builder, Fields, Layer, Node, Unknown, translates


def blank(make: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """A module without initial values: its parameters are given to it."""
    with torch.device("meta"):
        return make(*args, **options)


@translates("InnerProduct")
def inner_product(b: Builder, layer: Layer, p: Fields, w: list[Any]) -> Callable[..., Any]:
    if p["axis"] != 1 or p["transpose"]:
        raise Unknown("with an axis or transposed")
    size = w[0].shape
    linear = b.add(layer, blank(nn.Linear, size[1], size[0], bias=len(w) > 1), w)
    if len(layer["inputs"][0]) == 2:
        return linear
    return lambda x: linear(b.call(torch.flatten, x, 1))


def window(p: Fields, *names: str) -> list[tuple[int, int]]:
    """Kernel, stride or pad as (height, width); `name_h` and `name_w` win over `name`."""
    sizes = []
    for name in names:
        both = p.get(name, p.get(f"{name}_size"))
        pair = both if isinstance(both, list) else [both]
        usual = 1 if name in ("stride", "dilation") else 0
        h, w = (pair[0], pair[-1]) if pair else (usual, usual)
        sizes.append((p.get(f"{name}_h") or h or usual, p.get(f"{name}_w") or w or usual))
    return sizes


@translates("Convolution", "ConvolutionDepthwise", "DepthwiseConvolution", "Deconvolution")
def convolution(b: Builder, layer: Layer, p: Fields, w: list[Any]) -> Callable[..., Any]:
    if w[0].ndim != 4 or p["axis"] != 1 or len(layer["bottom"]) > 1:
        raise Unknown("other than one bottom of two dimensions")
    b.images = True
    stride, pad, dilation = window(p, "stride", "pad", "dilation")
    kernel, channels = tuple(w[0].shape[2:]), layer["inputs"][0][1]
    group = p["group"] if layer["type"] in ("Convolution", "Deconvolution") else channels
    options = {"stride": stride, "padding": pad, "dilation": dilation, "groups": group}
    options["bias"] = len(w) > 1
    if layer["type"] == "Deconvolution":
        out = w[0].shape[1] * group
        return b.add(layer, blank(nn.ConvTranspose2d, channels, out, kernel, **options), w)
    return b.add(layer, blank(nn.Conv2d, channels, w[0].shape[0], kernel, **options), w)


@translates("Pooling")
def pooling(b: Builder, layer: Layer, p: Fields, w: list[Any]) -> Callable[..., Any]:
    kernel, stride, pad = window(p, "kernel", "stride", "pad")
    ceil = p["round_mode"] == "CEIL" and p.get("ceil_mode") is not False
    if p["pool"] not in ("MAX", "AVE") or len(layer["top"]) > 1:
        raise Unknown(f"pool: {p['pool']}, or a mask")
    largest = p["pool"] == "MAX"
    if p["global_pooling"]:
        return b.add(layer, nn.AdaptiveMaxPool2d(1) if largest else nn.AdaptiveAvgPool2d(1))
    if largest:
        return b.add(layer, nn.MaxPool2d(kernel, stride, pad, ceil_mode=ceil))
    return b.add(layer, nn.AvgPool2d(kernel, stride, pad, ceil_mode=ceil))


@translates("LRN")
def lrn(b: Builder, layer: Layer, p: Fields, w: list[Any]) -> Callable[..., Any]:
    if p["norm_region"] != "ACROSS_CHANNELS":
        raise Unknown(f"norm_region: {p['norm_region']}")
    return b.add(layer, nn.LocalResponseNorm(p["local_size"], p["alpha"], p["beta"], p["k"]))


@translates("BatchNorm")
def batch_norm(b: Builder, layer: Layer, p: Fields, w: list[Any]) -> Callable[..., Any]:
    scale = layer.get("scale")
    channels, rank = layer["inputs"][0][1], len(layer["inputs"][0])
    make = nn.BatchNorm2d if rank == 4 else nn.BatchNorm1d
    norm = blank(make, channels, p["eps"], 1 - p["moving_average_fraction"], affine=bool(scale))
    for name, value in zip(("running_mean", "running_var"), w):
        setattr(norm, name, value.detach() / w[2].detach())
    norm.num_batches_tracked = torch.tensor(0)
    if p["use_global_stats"] and "use_global_stats" in layer["given"]:
        b.stored.append(norm)
    given = b.weights(scale) if scale else []
    if len(given) == 1:
        given = [given[0], torch.zeros(channels)]
        norm.register_parameter("bias", None)
        norm.register_buffer("bias", given[1])
    return b.add(layer, norm, given)


@translates("Scale", "Bias")
def scale(b: Builder, layer: Layer, p: Fields, w: list[Any]) -> Callable[..., Any]:
    if len(layer["bottom"]) > 1 or p["axis"] != 1 or p["num_axes"] != 1:
        raise Unknown("other than a factor for each channel")
    raise Unknown("that no BatchNorm stands before")


@translates("ReLU", "ReLU6", "ELU")
def relu(b: Builder, layer: Layer, p: Fields, w: list[Any]) -> Callable[..., Any]:
    over = layer["rewrites"]
    if layer["type"] == "ReLU6":
        return b.add(layer, nn.ReLU6(inplace=over))
    if layer["type"] == "ELU":
        return b.add(layer, nn.ELU(p["alpha"], inplace=over))
    slope = p["negative_slope"]
    return b.add(layer, nn.LeakyReLU(slope, over) if slope else nn.ReLU(inplace=over))


@translates("Sigmoid", "TanH", "AbsVal", "BNLL", "PReLU", "Swish")
def neuron(b: Builder, layer: Layer, p: Fields, w: list[Any]) -> Callable[..., Any]:
    if layer["type"] == "AbsVal":
        return lambda x: b.call(torch.abs, x)
    if layer["type"] == "PReLU":
        return b.add(layer, blank(nn.PReLU, w[0].numel()), w)
    if layer["type"] == "Swish" and p["beta"] != 1:
        raise Unknown("with a beta other than 1")
    plain = {"Sigmoid": nn.Sigmoid, "TanH": nn.Tanh, "BNLL": nn.Softplus, "Swish": nn.SiLU}
    return b.add(layer, plain[layer["type"]]())


@translates("Power")
def power(b: Builder, layer: Layer, p: Fields, w: list[Any]) -> Callable[..., Any]:
    def emit(x: Node) -> Node:
        x = b.call(operator.mul, x, p["scale"]) if p["scale"] != 1 else x
        x = b.call(operator.add, x, p["shift"]) if p["shift"] else x
        return b.call(operator.pow, x, p["power"]) if p["power"] != 1 else x

    return emit


@translates("Split")
def split(b: Builder, layer: Layer, p: Fields, w: list[Any]) -> Callable[..., Any]:
    return lambda x: (x,) * len(layer["top"])


@translates("Dropout")
def dropout(b: Builder, layer: Layer, p: Fields, w: list[Any]) -> Callable[..., Any]:
    b.dropouts[layer["name"]] = module = nn.Dropout(0.0)
    return b.add(layer, module)


@translates("Eltwise")
def eltwise(b: Builder, layer: Layer, p: Fields, w: list[Any]) -> Callable[..., Any]:
    coeff = p["coeff"] or [1] * len(layer["bottom"])
    folds = {"PROD": operator.mul, "MAX": torch.maximum, "SUM": operator.add}
    fold = folds[p["operation"]]

    def emit(*x: Node) -> Node:
        summed = p["operation"] == "SUM"
        terms = [
            b.call(operator.mul, node, c) if summed and c != 1 else node
            for node, c in zip(x, coeff)
        ]
        total = terms[0]
        for term in terms[1:]:
            total = b.call(fold, total, term)
        return total

    return emit


@translates("Concat")
def concat(b: Builder, layer: Layer, p: Fields, w: list[Any]) -> Callable[..., Any]:
    axis = p["concat_dim"] if "concat_dim" in layer["given"] else p["axis"]
    return lambda *x: b.call(torch.cat, list(x), axis)


@translates("Slice")
def slices(b: Builder, layer: Layer, p: Fields, w: list[Any]) -> Callable[..., Any]:
    axis = p["slice_dim"] if "slice_dim" in layer["given"] else p["axis"]
    points = tuple(p["slice_point"]) or len(layer["top"])

    def emit(x: Node) -> tuple[Node, ...]:
        parts = b.call(torch.tensor_split, x, points, axis)
        return tuple(b.call(operator.getitem, parts, i) for i in range(len(layer["top"])))

    return emit


@translates("Flatten")
def flatten(b: Builder, layer: Layer, p: Fields, w: list[Any]) -> Callable[..., Any]:
    return lambda x: b.call(torch.flatten, x, p["axis"], p["end_axis"])


@translates("Reshape")
def reshape(b: Builder, layer: Layer, p: Fields, w: list[Any]) -> Callable[..., Any]:
    if p["axis"] or p["num_axes"] != -1:
        raise Unknown("of some axes only")
    (shape,) = layer["inputs"]
    dims = tuple(shape[i] if n == 0 else n for i, n in enumerate(p["shape"]["dim"]))
    return lambda x: b.call(torch.reshape, x, dims)


@translates("Crop")
def crop(b: Builder, layer: Layer, p: Fields, w: list[Any]) -> Callable[..., Any]:
    (shape, like), offsets = layer["inputs"], p["offset"] or [0]
    first = p["axis"] % len(shape)
    index = [slice(None)] * len(shape)
    for axis in range(first, len(shape)):
        start = offsets[axis - first] if len(offsets) > 1 else offsets[0]
        index[axis] = slice(start, start + like[axis])
    return lambda x, _: b.call(operator.getitem, x, tuple(index))


@translates("Softmax")
def softmax(b: Builder, layer: Layer, p: Fields, w: list[Any]) -> Callable[..., Any]:
    return b.add(layer, nn.Softmax(p["axis"]))


@translates("Silence")
def silence(b: Builder, layer: Layer, p: Fields, w: list[Any]) -> Callable[..., Any]:
    return lambda *x: ()


@translates("SoftmaxWithLoss", "SigmoidCrossEntropyLoss", "EuclideanLoss")
def loss(b: Builder, layer: Layer, p: Fields, w: list[Any]) -> Callable[..., Any]:
    if layer["given"] - {"axis", "ignore_label"} or p.get("axis", 1) != 1 or len(layer["top"]) > 1:
        raise Unknown("normalised in a way of its own, with an axis or a second top")
    scores, labels = layer["inputs"][:2]
    if layer["type"] == "SoftmaxWithLoss":
        ignore = p["ignore_label"] if "ignore_label" in layer["given"] else -100
        entropy = b.add(layer, nn.CrossEntropyLoss(ignore_index=ignore))
        single = all(n == 1 for n in scores[2:])
        target = scores[:1] if single else [scores[0], *scores[2:]]

        def emit(x: Node, y: Node) -> Node:
            x = b.call(torch.flatten, x, 1) if single and len(scores) > 2 else x
            return entropy(x, y if labels == target else b.call(torch.reshape, y, tuple(target)))

        return emit
    sigmoid = layer["type"] == "SigmoidCrossEntropyLoss"
    module = nn.BCEWithLogitsLoss(reduction="sum") if sigmoid else nn.MSELoss(reduction="sum")
    total, share = b.add(layer, module), 1 / scores[0] if sigmoid else 1 / (2 * scores[0])
    return lambda x, y: b.call(operator.mul, total(x, y), share)

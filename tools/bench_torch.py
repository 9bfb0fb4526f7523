"""PyTorch's part of `bench.py`: the same net, translated layer by layer, and timed.

    python tools/bench_torch.py FOLDER train|forward     (started by bench.py)

FOLDER is what `bench_caffelite.py prepare` wrote. The net runs as calls of torch.nn.functional,
which cost less than modules do; a Scale right behind a BatchNorm becomes its affine part, as every
PyTorch user writes it. Training is torch.optim.SGD as it comes.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from bench_child import peak_mb, serve, skip

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    skip("PyTorch is not installed")

Tensor = Any
Params = list[Any]
Layer = dict[str, Any]
Maker = Callable[["Twin", Layer, dict[str, Any], Params], Callable[..., Any]]
MAKERS: dict[str, Maker] = {}
"""For each type of layer, what makes its function of the bottoms from its fields and parameters."""


class Unknown(Exception):
    """A layer, or a field of one, that this translator does not know."""


def translates(*types: str) -> Callable[[Maker], Maker]:
    def add(maker: Maker) -> Maker:
        MAKERS.update(dict.fromkeys(types, maker))
        return maker

    return add


@translates("InnerProduct")
def inner_product(twin: Twin, layer: Layer, p: dict[str, Any], w: Params) -> Callable[..., Any]:
    if p["axis"] != 1:
        raise Unknown("axis")
    weight, bias = w[0], w[1] if len(w) > 1 else None
    if p["transpose"]:
        return lambda x: F.linear(x.flatten(1), weight.T, bias)
    return lambda x: F.linear(x if x.ndim == 2 else x.flatten(1), weight, bias)


def window(p: dict[str, Any], *names: str) -> list[tuple[int, int]]:
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
def convolution(twin: Twin, layer: Layer, p: dict[str, Any], w: Params) -> Callable[..., Any]:
    if w[0].ndim != 4 or p["axis"] != 1 or len(layer["bottom"]) > 1:
        raise Unknown("other than one bottom of two dimensions")
    weight, bias = w[0], w[1] if len(w) > 1 else None
    stride, pad, dilation = window(p, "stride", "pad", "dilation")
    group = p["group"]
    if layer["type"] == "Deconvolution":
        return lambda x: F.conv_transpose2d(x, weight, bias, stride, pad, 0, group, dilation)
    if layer["type"] != "Convolution":
        group = weight.shape[0]
    return lambda x: F.conv2d(x, weight, bias, stride, pad, dilation, group)


@translates("Pooling")
def pooling(twin: Twin, layer: Layer, p: dict[str, Any], w: Params) -> Callable[..., Any]:
    kernel, stride, pad = window(p, "kernel", "stride", "pad")
    ceil = p["round_mode"] == "CEIL" and p.get("ceil_mode") is not False
    if p["pool"] not in ("MAX", "AVE") or len(layer["top"]) > 1:
        raise Unknown(f"pool: {p['pool']}, or a mask")
    largest = p["pool"] == "MAX"
    if p["global_pooling"]:
        return lambda x: x.amax((2, 3), True) if largest else x.mean((2, 3), True)
    if largest:
        return lambda x: F.max_pool2d(x, kernel, stride, pad, 1, ceil)
    return lambda x: F.avg_pool2d(x, kernel, stride, pad, ceil)


@translates("LRN")
def lrn(twin: Twin, layer: Layer, p: dict[str, Any], w: Params) -> Callable[..., Any]:
    if p["norm_region"] != "ACROSS_CHANNELS":
        raise Unknown(f"norm_region: {p['norm_region']}")
    return lambda x: F.local_response_norm(x, p["local_size"], p["alpha"], p["beta"], p["k"])


@translates("BatchNorm")
def batch_norm(twin: Twin, layer: Layer, p: dict[str, Any], w: Params) -> Callable[..., Any]:
    mean, variance = (v.detach() / w[2].detach() for v in w[:2])
    scale = layer.get("scale")
    gamma, beta = [*twin.weights(scale), None][:2] if scale else (None, None)
    stored = p["use_global_stats"] if "use_global_stats" in layer["set"] else not twin.training
    momentum, eps = 1 - p["moving_average_fraction"], p["eps"]
    return lambda x: F.batch_norm(x, mean, variance, gamma, beta, not stored, momentum, eps)


@translates("Scale", "Bias")
def scale(twin: Twin, layer: Layer, p: dict[str, Any], w: Params) -> Callable[..., Any]:
    if len(layer["bottom"]) > 1 or p["axis"] != 1 or p["num_axes"] != 1:
        raise Unknown("other than a factor for each channel")

    def spread(v: Tensor, x: Tensor) -> Tensor:
        return v.view(-1, *[1] * (x.ndim - 2))

    if layer["type"] == "Bias":
        return lambda x: x + spread(w[0], x)
    if len(w) == 1:
        return lambda x: x * spread(w[0], x)
    return lambda x: x * spread(w[0], x) + spread(w[1], x)


@translates("ReLU")
def relu(twin: Twin, layer: Layer, p: dict[str, Any], w: Params) -> Callable[..., Any]:
    slope, in_place = p["negative_slope"], layer["top"] == layer["bottom"]
    return lambda x: F.leaky_relu(x, slope, in_place) if slope else F.relu(x, in_place)


@translates("Sigmoid", "TanH", "AbsVal", "BNLL", "Split", "ELU", "ReLU6", "PReLU", "Swish", "Power")
def neuron(twin: Twin, layer: Layer, p: dict[str, Any], w: Params) -> Callable[..., Any]:
    functions: dict[str, Callable[..., Any]] = {
        "Sigmoid": torch.sigmoid,
        "TanH": torch.tanh,
        "AbsVal": torch.abs,
        "BNLL": F.softplus,
        "Split": lambda x: (x,) * len(layer["top"]) if len(layer["top"]) > 1 else x,
        "ELU": lambda x: F.elu(x, p["alpha"]),
        "ReLU6": F.relu6,
        "PReLU": lambda x: F.prelu(x, w[0].view(-1)),
        "Swish": lambda x: x * torch.sigmoid(p["beta"] * x),
        "Power": lambda x: (x * p["scale"] + p["shift"]) ** p["power"],
    }
    return functions[layer["type"]]


@translates("Dropout")
def dropout(twin: Twin, layer: Layer, p: dict[str, Any], w: Params) -> Callable[..., Any]:
    name = layer["name"]
    return lambda x: F.dropout(x, twin.dropout.get(name, 0.0), twin.training)


@translates("Eltwise")
def eltwise(twin: Twin, layer: Layer, p: dict[str, Any], w: Params) -> Callable[..., Any]:
    def fold(*x: Tensor) -> Tensor:
        total = x[0] * p["coeff"][0] if p["coeff"] else x[0]
        for i, value in enumerate(x[1:], 1):
            if p["operation"] == "PROD":
                total = total * value
            elif p["operation"] == "MAX":
                total = torch.maximum(total, value)
            else:
                total = total.add(value, alpha=p["coeff"][i] if p["coeff"] else 1)
        return total

    return fold


@translates("Concat")
def concat(twin: Twin, layer: Layer, p: dict[str, Any], w: Params) -> Callable[..., Any]:
    axis = p["concat_dim"] if "concat_dim" in layer["set"] else p["axis"]
    return lambda *x: torch.cat(x, axis)


@translates("Slice")
def slices(twin: Twin, layer: Layer, p: dict[str, Any], w: Params) -> Callable[..., Any]:
    axis = p["slice_dim"] if "slice_dim" in layer["set"] else p["axis"]
    points = p["slice_point"] or len(layer["top"])
    return lambda x: torch.tensor_split(x, points, axis)


@translates("Flatten")
def flatten(twin: Twin, layer: Layer, p: dict[str, Any], w: Params) -> Callable[..., Any]:
    return lambda x: torch.flatten(x, p["axis"], p["end_axis"])


@translates("Reshape")
def reshape(twin: Twin, layer: Layer, p: dict[str, Any], w: Params) -> Callable[..., Any]:
    if p["axis"] or p["num_axes"] != -1:
        raise Unknown("of some axes only")
    dims = p["shape"]["dim"]
    return lambda x: x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(dims)])


@translates("Crop")
def crop(twin: Twin, layer: Layer, p: dict[str, Any], w: Params) -> Callable[..., Any]:
    start, offsets = p["axis"], p["offset"] or [0]

    def cut(x: Tensor, like: Tensor) -> Tensor:
        for axis in range(start % x.ndim, x.ndim):
            offset = offsets[axis - start % x.ndim] if len(offsets) > 1 else offsets[0]
            x = x.narrow(axis, offset, like.shape[axis])
        return x

    return cut


@translates("Softmax")
def softmax(twin: Twin, layer: Layer, p: dict[str, Any], w: Params) -> Callable[..., Any]:
    return lambda x: F.softmax(x, p["axis"])


@translates("SoftmaxWithLoss", "SigmoidCrossEntropyLoss", "EuclideanLoss", "Silence")
def loss(twin: Twin, layer: Layer, p: dict[str, Any], w: Params) -> Callable[..., Any]:
    if layer["set"] - {"axis", "ignore_label"} or p.get("axis", 1) != 1 or len(layer["top"]) > 1:
        raise Unknown("normalised in a way of its own, with an axis or a second top")
    ignore = p["ignore_label"] if "ignore_label" in layer["set"] else -100
    if layer["type"] == "SoftmaxWithLoss":
        entropy = F.cross_entropy
        return lambda x, y: entropy(x, y.reshape(len(x), *x.shape[2:]), ignore_index=ignore)
    if layer["type"] == "SigmoidCrossEntropyLoss":
        logits = F.binary_cross_entropy_with_logits
        return lambda x, target: logits(x, target, reduction="sum") / len(x)
    if layer["type"] == "Silence":
        return lambda *x: ()
    return lambda x, target: F.mse_loss(x, target, reduction="sum") / (2 * len(x))


class Twin:
    """A net in PyTorch: a list of functions between named tensors."""

    def __init__(self, net: dict[str, Any], arrays: Any, training: bool) -> None:
        self.net, self.training = net, training
        self.dropout: dict[str, float] = {}
        self.params = {
            key: torch.from_numpy(arrays[key]).requires_grad_(training and mult[0] != 0)
            for key, mult in net["learned"].items()
        }
        self.inputs: list[str] = list(net["inputs"])
        layers = fuse([layer for layer in net["layers"] if not layer["source"]])
        self.steps = [(self.function(n), n["bottom"], n["top"]) for n in layers]
        self.losses = [
            (top, weight)
            for layer in layers
            for top, weight in zip(layer["top"], layer["losses"])
            if weight
        ]
        # what picks a class must be whole numbers here
        self.whole = {n["bottom"][1] for n in layers if n["type"] == "SoftmaxWithLoss"}

    def weights(self, layer: Layer) -> Params:
        """The layer's parameters, in the shape it sees them in."""
        found = [self.params[key] for key in layer["weights"]]
        return [
            w if list(w.shape) == shape else w.view(shape)
            for w, shape in zip(found, layer["shapes"])
        ]

    def function(self, layer: Layer) -> Callable[..., Any]:
        merged: dict[str, Any] = {}
        for values in layer["params"].values():
            merged |= values
        layer = {**layer, "set": {name for names in layer["set"].values() for name in names}}
        try:
            if layer["type"] not in MAKERS:
                raise Unknown
            return MAKERS[layer["type"]](self, layer, merged, self.weights(layer))
        except Unknown as why:
            what = " ".join([layer["type"], *why.args])
            skip(f'no translation to PyTorch for layer "{layer["name"]}" ({what})')

    def tensor(self, name: str, values: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(values)
        return tensor.long() if name in self.whole else tensor

    def forward(self, batch: list[Tensor]) -> dict[str, Tensor]:
        blobs = dict(zip(self.inputs, batch))
        for function, bottoms, tops in self.steps:
            out = function(*[blobs[name] for name in bottoms])
            if isinstance(out, tuple):
                blobs.update(zip(tops, out))
            else:
                blobs[tops[0]] = out
        return blobs

    def objective(self, blobs: dict[str, Tensor]) -> Tensor:
        total = None
        for top, weight in self.losses:
            term = blobs[top] if weight == 1 else blobs[top] * weight
            total = term if total is None else total + term
        return total

    def optimizer(self) -> Any:
        """Plain SGD; parameters with factors of their own get a group of their own."""
        groups: dict[tuple[float, float], Params] = {}
        for key, (lr, decay) in self.net["learned"].items():
            if lr:
                groups.setdefault((lr, decay), []).append(self.params[key])
        base = self.net["lr"], self.net["decay"]
        settings = [
            {"params": params, "lr": base[0] * lr, "weight_decay": base[1] * decay}
            for (lr, decay), params in groups.items()
        ]
        return torch.optim.SGD(settings, lr=base[0], momentum=self.net["momentum"])


def fuse(layers: list[Layer]) -> list[Layer]:
    """Let a BatchNorm take over the per-channel Scale that alone reads it."""
    fused: list[Layer] = []
    for layer in layers:
        before = fused[-1] if fused else None
        if before and before["type"] == "BatchNorm" and layer["type"] == "Scale":
            top = before["top"]
            readers = sum(top[0] in other["bottom"] for other in layers)
            params = layer["params"]["scale_param"]
            plain = params["axis"] == 1 and params["num_axes"] == 1
            if plain and layer["bottom"] == top and (layer["top"] == top or readers == 1):
                fused[-1] = {**before, "top": layer["top"], "scale": layer}
                continue
        fused.append(layer)
    return fused


def batches(twin: Twin, arrays: Any) -> Callable[[], list[Tensor]]:
    """The source of batches: the spiral's points in a new order each epoch, or always the same."""
    fixed = [twin.tensor(name, arrays[f"batch/0/{i}"]) for i, name in enumerate(twin.inputs)]
    if "points" not in arrays:
        return lambda: fixed
    points, labels = torch.from_numpy(arrays["points"]), torch.from_numpy(arrays["labels"]).long()
    size, order = len(fixed[0]), torch.randperm(len(points)).split(len(fixed[0]))
    at = 0

    def take() -> list[Tensor]:
        nonlocal at, order
        if at == len(order) or len(order[at]) < size:
            at, order = 0, torch.randperm(len(points)).split(size)
        chosen = order[at]
        at += 1
        return [points[chosen], labels[chosen]]

    return take


def main(folder: str, which: str) -> None:
    with open(os.path.join(folder, f"{which}.json")) as file:
        net = json.load(file)
    with open(os.path.join(folder, "job.json")) as file:
        torch.set_num_threads(json.load(file)["threads"])
    imported = peak_mb()
    arrays = np.load(os.path.join(folder, f"{which}.npz"))
    training = which == "train"
    twin = Twin(net, arrays, training)
    optimizer: Any = twin.optimizer() if training else None

    def step(batch: list[Tensor]) -> float:
        optimizer.zero_grad()
        loss = twin.objective(twin.forward(batch))
        loss.backward()
        optimizer.step()
        return float(loss.item())

    difference = 0.0
    for k in range(net["recorded"]):
        names = enumerate(twin.inputs)
        batch = [twin.tensor(name, arrays[f"batch/{k}/{i}"]) for i, name in names]
        if training:
            got = np.array([step(batch)])
        else:
            with torch.inference_mode():
                blobs = twin.forward(batch)
            got = np.concatenate([blobs[name].numpy().ravel() for name in net["outputs"]])
        expected = arrays[f"expected/{k}"]
        off = np.abs(got - expected) / np.maximum(1, np.abs(expected))
        difference = max(difference, float(off.max()))
    twin.dropout = net["dropout"]
    take = batches(twin, arrays)

    def run(count: int) -> None:
        if training:
            for _ in range(count):
                step(take())
            return
        with torch.inference_mode():
            for _ in range(count):
                twin.forward(take())

    serve(run, version=torch.__version__, import_mb=imported, difference=difference)


if __name__ == "__main__":
    main(*sys.argv[1:])

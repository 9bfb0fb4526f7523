"""A described net as PyTorch users write it: an nn.Module of the usual modules.

torch.fx writes the module's `forward` from the net's graph: one line a layer, `conv1 =
self.conv1(data)`, with no loop or dictionary that would cost time. A Scale right behind a BatchNorm
becomes its affine part, and a layer that works in place in the net does so here (ReLU), as in
torchvision.
"""

from __future__ import annotations

import keyword
import operator
import re
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

Node = Any
Fields = dict[str, Any]
Layer = dict[str, Any]
Maker = Callable[["Builder", Layer, Fields, list[Any]], Callable[..., Any]]
MAKERS: dict[str, Maker] = {}
"""For each type of layer: what makes, from its fields and parameters, the function that adds it to
the graph."""
REWRITABLE = {"Convolution", "ConvolutionDepthwise", "DepthwiseConvolution", "InnerProduct"}
REWRITABLE |= {"Deconvolution", "BatchNorm", "Eltwise", "Pooling", "Concat"}
"""Layers whose gradients do not need what they put out: it may be overwritten."""


class Unknown(Exception):
    """A layer, or a field of one, that this translator does not know."""


def translates(*types: str) -> Callable[[Maker], Maker]:
    def add(maker: Maker) -> Maker:
        MAKERS.update(dict.fromkeys(types, maker))
        return maker

    return add


class Builder:
    """Builds the module: `module`, and what a training loop needs to know beside it."""

    def __init__(self, net: dict[str, Any], arrays: Any, training: bool) -> None:
        self.net, self.training = net, training
        self.params = {
            key: nn.Parameter(torch.from_numpy(arrays[key]), training and mult[0] != 0)
            for key, mult in net["learned"].items()
        }
        self.inputs: list[str] = list(net["inputs"])
        self.dropouts: dict[str, Any] = {}
        self.stored: list[Any] = []
        """BatchNorms that use their stored statistics even in training."""
        self.images = False
        """Is there anything that channels-last memory could change?"""
        self.layers = fuse([layer for layer in net["layers"] if not layer["source"]])
        # what picks a class must be whole numbers here
        self.whole = {n["bottom"][1] for n in self.layers if n["type"] == "SoftmaxWithLoss"}
        self.root: dict[str, Any] = {}
        self.graph = fx.Graph()
        self.module: Any = self._build()

    def _build(self) -> Any:
        blobs = {name: self.graph.placeholder(identifier(name)) for name in self.inputs}
        makers = dict.fromkeys(blobs, "Input")
        total = None
        for at, layer in enumerate(self.layers):
            layer["rewrites"] = self._may_rewrite(at, makers)
            out = self._function(layer)(*[blobs[name] for name in layer["bottom"]])
            outs = out if isinstance(out, tuple) else (out,)
            blobs.update(zip(layer["top"], outs))
            makers.update(dict.fromkeys(layer["top"], layer["type"]))
            for value, weight in zip(outs, layer["losses"] if self.training else []):
                if weight:
                    term = value if weight == 1 else self.call(operator.mul, value, weight)
                    total = term if total is None else self.call(operator.add, total, term)
        self.graph.output(total if self.training else tuple(blobs[n] for n in self.net["outputs"]))
        module = fx.GraphModule(self.root, self.graph)
        module.train(self.training)
        for norm in self.stored:
            norm.eval()
        return module

    def _may_rewrite(self, at: int, makers: dict[str, str]) -> bool:
        """Does the layer work in place, on something that nobody else needs?"""
        layer = self.layers[at]
        (name, *more), tops = layer["bottom"], layer["top"]
        return not more and tops == [name] and makers.get(name) in REWRITABLE

    def _function(self, layer: Layer) -> Callable[..., Any]:
        merged: Fields = {}
        for values in layer["params"].values():
            merged |= values
        layer["given"] = {name for names in layer["set"].values() for name in names}
        try:
            if layer["type"] not in MAKERS:
                raise Unknown
            return MAKERS[layer["type"]](self, layer, merged, self.weights(layer))
        except Unknown as why:
            what = " ".join([layer["type"], *why.args])
            raise Unknown(f'no translation for layer "{layer["name"]}" ({what})') from None

    def weights(self, layer: Layer) -> list[Any]:
        found = [self.params[key] for key in layer["weights"]]
        if any(list(w.shape) != shape for w, shape in zip(found, layer["shapes"])):
            raise Unknown("with a shared parameter of another shape")
        return found

    def call(self, function: Callable[..., Any], *args: Any, **options: Any) -> Node:
        return self.graph.call_function(function, args, options)

    def add(
        self, layer: Layer, module: Any, weights: list[Any] | None = None
    ) -> Callable[..., Any]:
        """The module under the layer's name; the function that calls it."""
        for name, value in zip(("weight", "bias"), weights or []):
            setattr(module, name, value)
        name = identifier(layer["name"])
        while name in self.root:
            name += "_"
        self.root[name] = module
        return lambda *x: self.graph.call_module(name, x)

    def optimizer(self) -> Any:
        """Plain SGD; parameters with factors of their own get a group of their own."""
        groups: dict[tuple[float, float], list[Any]] = {}
        for key, (lr, decay) in self.net["learned"].items():
            if lr:
                groups.setdefault((lr, decay), []).append(self.params[key])
        base = self.net["lr"], self.net["decay"]
        settings = [
            {"params": params, "lr": base[0] * lr, "weight_decay": base[1] * decay}
            for (lr, decay), params in groups.items()
        ]
        return torch.optim.SGD(settings, lr=base[0], momentum=self.net["momentum"])


def identifier(name: str) -> str:
    """A layer's or blob's name as Python can write it."""
    name = re.sub(r"\W", "_", name)
    return f"_{name}" if not name or name[0].isdigit() or keyword.iskeyword(name) else name


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
        fused.append({**layer})
    return fused


def exportable(module: Any) -> Any:
    """The module with LRN as the one operation that ONNX has for it."""

    def symbolic(g: Any, x: Any, size: int, alpha: float, beta: float, k: float) -> Any:
        return g.op("LRN", x, size_i=size, alpha_f=alpha, beta_f=beta, bias_f=k)

    def forward(ctx: Any, x: Any, size: int, alpha: float, beta: float, k: float) -> Any:
        return F.local_response_norm(x, size, alpha, beta, k)

    parts = {"forward": staticmethod(forward), "symbolic": staticmethod(symbolic)}
    function: Any = type("AcrossChannels", (torch.autograd.Function,), parts)

    def native(size: int, alpha: float, beta: float, k: float) -> Callable[[Any], Any]:
        return lambda x: function.apply(x, size, alpha, beta, k)

    for child in module.children():
        norm: Any = child
        if isinstance(child, nn.LocalResponseNorm):
            norm.forward = native(child.size, child.alpha, child.beta, child.k)
    return module

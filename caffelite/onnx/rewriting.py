"""Rewriting: layers that a toolchain does not take, as others that it does, where that is exact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from caffelite.blob import Shape
from caffelite.kernels import Window, pool_output_shape
from caffelite.onnx.importing import Imported
from caffelite.onnx.into.reader import Reader, number
from caffelite.onnx.profiles import Profile, rounds_down
from caffelite.schema.net import LayerParameter, NetParameter

if TYPE_CHECKING:
    from caffelite.net import Net

LARGEST = float(np.finfo(np.float32).max)
MOST_LINES = 256
"""A blob is cut into so many, to turn it round."""


@dataclass
class Layer:
    """One layer that is to be replaced."""

    spec: LayerParameter
    shapes: list[Shape]
    """Of its bottoms."""
    tops: list[Shape]
    params: list[Any]
    to: Reader
    """Takes the layers that come in its place."""
    types: frozenset[str]

    @property
    def x(self) -> str:
        """Its first bottom."""
        return self.spec.bottom[0]

    @property
    def y(self) -> str:
        """Its first top."""
        return self.spec.top[0]

    def has(self, *types: str) -> bool:
        """Does the toolchain take these types?"""
        return self.types.issuperset(types)

    def part(self, kind: str, text: str, *bottoms: str, params: Any = ()) -> str:
        """A layer on the way to the top."""
        top = self.to.fresh_blob(f"{self.y}/{kind.lower()}")
        return self.to.layer(kind, bottoms, text, top, params)

    def last(self, kind: str, text: str, *bottoms: str, params: Any = ()) -> None:
        """The layer that makes the top."""
        self.to.layer(kind, bottoms, text, self.y, params)

    def line(self, x: str, scale: float, shift: float, last: bool = False) -> str:
        """scale·x + shift, as Power, or as Scale of each channel."""
        if (scale, shift) == (1, 0) and not last:
            return x
        kind, params = "Power", []
        text = f"power_param {{ scale: {number(scale)} shift: {number(shift)} }}"
        if not self.has("Power"):
            channels = np.ones(self.shapes[0][1])
            kind, text = "Scale", "scale_param { bias_term: true }"
            params = [channels * scale, channels * shift]
        if last:
            self.last(kind, text, x, params=params)
            return self.y
        return self.part(kind, text, x, params=params)

    @property
    def has_lines(self) -> bool:
        """Can the toolchain say scale·x + shift here?"""
        return self.has("Power") or (self.has("Scale") and len(self.shapes[0]) > 1)


Rewrite = Callable[[Layer], "str | None"]
"""Puts other layers in a layer's place and says which, or does nothing."""


def _swish(of: Layer) -> str | None:
    beta = of.spec.get("swish_param").beta
    if not of.has("Sigmoid", "Eltwise") or not (beta == 1 or of.has_lines):
        return None
    gate = of.part("Sigmoid", "", of.line(of.x, beta, 0))
    of.last("Eltwise", "eltwise_param { operation: PROD }", of.x, gate)
    return "Sigmoid and Eltwise"


def _limits(of: Layer) -> str | None:
    """max(x, low) = ReLU(x − low) + low; what is above `high` is taken off again."""
    clip = of.spec.type == "Clip"
    p = of.spec.get("clip_param") if clip else None
    low, high = (p.min, p.max) if p is not None else (0.0, 6.0)
    if (low, high) == (0, 6) and of.has("ReLU6"):
        of.last("ReLU6", "", of.x)
        return "ReLU6"
    if not of.has("ReLU", "Eltwise") or not of.has_lines:
        return None
    if low <= -LARGEST:  # high − ReLU(high − x)
        below = of.part("ReLU", "", of.line(of.x, -1, high))
        of.line(below, -1, high, last=True)
        return "ReLU and lines"
    above = of.part("ReLU", "", of.line(of.x, 1, -low))
    if high < LARGEST:
        surplus = of.part("ReLU", "", of.line(of.x, 1, -high))
        text = "eltwise_param { operation: SUM coeff: 1 coeff: -1 }"
        if low == 0:
            of.last("Eltwise", text, above, surplus)
            return "ReLU and Eltwise"
        above = of.part("Eltwise", text, above, surplus)
    of.line(above, 1, low, last=True)
    return "ReLU, Eltwise and lines"


def _power(of: Layer) -> str | None:
    p = of.spec.get("power_param")
    if p.power == 1 and of.has_lines:
        of.line(of.x, p.scale, p.shift, last=True)
        return "Scale"
    if p.power == 2 and of.has("Eltwise") and (of.has_lines or (p.scale, p.shift) == (1, 0)):
        x = of.line(of.x, p.scale, p.shift)
        of.last("Eltwise", "eltwise_param { operation: PROD }", x, x)
        return "Eltwise"
    return None


def _bias(of: Layer) -> str | None:
    p = of.spec.get("bias_param")
    if len(of.spec.bottom) != 1 or not of.has("Scale"):
        return None
    text = f"scale_param {{ axis: {p.axis} num_axes: {p.num_axes} bias_term: true }}"
    of.last("Scale", text, of.x, params=[np.ones_like(of.params[0]), of.params[0]])
    return "Scale"


def _upsample(of: Layer) -> str | None:
    """A Deconvolution of each channel by itself, whose windows lie side by side."""
    if len(of.spec.bottom) != 1 or not of.has("Deconvolution"):
        return None
    (_, channels, *old), (_, _, *new) = of.shapes[0], of.tops[0]
    if any(b % a for a, b in zip(old, new)):
        return None
    h, w = (b // a for a, b in zip(old, new))
    text = (
        f"num_output: {channels} group: {channels} bias_term: false "
        f"kernel_h: {h} kernel_w: {w} stride_h: {h} stride_w: {w}"
    )
    ones = np.ones((channels, 1, h, w))
    of.last("Deconvolution", f"convolution_param {{ {text} }}", of.x, params=[ones])
    return "Deconvolution"


def _reduction(of: Layer) -> str | None:
    """The mean of planes is a global Pooling."""
    p = of.spec.get("reduction_param")
    if p.operation.name != "MEAN" or len(of.shapes[0]) != 4 or p.axis != 2 or p.coeff != 1:
        return None
    if not of.has("Pooling", "Reshape"):
        return None
    mean = of.part("Pooling", "pooling_param { pool: AVE global_pooling: true }", of.x)
    of.last("Reshape", "reshape_param { shape { dim: 0 dim: 0 } }", mean)
    return "Pooling and Reshape"


def _pooling(of: Layer) -> str | None:
    """Rounded up, with the surplus cut off."""
    p = of.spec.get("pooling_param")
    if not of.has("Slice") or p.global_pooling:
        return None
    kernel, stride, pad = (
        (p.get(f"{name}_h"), p.get(f"{name}_w")) if p.has(f"{name}_h") else (p.get(both),) * 2
        for name, both in (("kernel", "kernel_size"), ("stride", "stride"), ("pad", "pad"))
    )
    shape = (*of.shapes[0][:2], *pool_output_shape(
        of.shapes[0][2:], Window(kernel, stride, pad, (1, 1)), True
    ))  # fmt: skip
    cuts = [axis for axis in (2, 3) if shape[axis] != of.tops[0][axis]]
    x = of.to.fresh_blob(f"{of.y}/ceil") if cuts else of.y
    kept = {field.name: value for field, value in p.set_fields() if field.name != "round_mode"}
    of.to.layers.append(
        LayerParameter(
            name=of.to.fresh(x), type=of.spec.type, bottom=list(of.spec.bottom), top=[x],
            pooling_param=type(p)(**kept),
        )
    )  # fmt: skip
    for axis in cuts:
        wanted = of.y if axis == cuts[-1] else of.to.fresh_blob(f"{of.y}/cut{axis}")
        rest = of.to.fresh_blob(f"{of.y}/surplus{axis}")
        text = f"slice_param {{ axis: {axis} slice_point: {of.tops[0][axis]} }}"
        of.to.layer("Slice", [x], text, [wanted, rest])
        of.to.unread.append(rest)
        x = wanted
    return "Pooling that rounds up" + (", and Slice" if cuts else "")


def _reverse(of: Layer) -> str | None:
    """Cut into lines, which are joined in the opposite order."""
    shape = of.shapes[0]
    axis = of.spec.get("reverse_param").axis % len(shape)
    if not of.has("Slice", "Concat") or not 1 < shape[axis] <= MOST_LINES:
        return None
    tops = [of.to.fresh_blob(f"{of.y}/line{i}") for i in range(shape[axis])]
    points = " ".join(f"slice_point: {i}" for i in range(1, shape[axis]))
    of.to.layer("Slice", [of.x], f"slice_param {{ axis: {axis} {points} }}", tops)
    of.last("Concat", f"concat_param {{ axis: {axis} }}", *reversed(tops))
    return "Slice and Concat"


REWRITES: dict[str, Rewrite] = {
    "Swish": _swish,
    "Clip": _limits,
    "ReLU6": _limits,
    "Power": _power,
    "Bias": _bias,
    "Upsample": _upsample,
    "Reduction": _reduction,
    "Pooling": _pooling,
    "Reverse": _reverse,
}


def rewrite(imported: Imported, net: Net, profile: Profile) -> Imported:
    """The net with all layers rewritten that the profile does not take, as far as that is exact;
    `notes` say which. `net` is made of the `imported` one."""
    shapes, graph = net.plan.shapes, net.plan.graph
    to = Reader(dict.fromkeys(graph.blobs, np.empty(0)), set(), 0)
    to.names = {node.spec.name for node in graph.nodes}
    notes, silent = list(imported.notes), "Silence" in profile.types
    for node in graph.nodes:
        spec, params = node.spec, imported.params.get(node.spec.name, [])
        taken = spec.type in profile.types and not (rounds_down(spec) and not profile.round_mode)
        done = None
        if not taken and spec.type in REWRITES:
            to.names.discard(spec.name)
            bottoms = [shapes[v] for v in node.bottoms]
            tops = [shapes[v] for v in node.tops]
            layer = Layer(spec, bottoms, tops, list(params), to, profile.types)
            done = REWRITES[spec.type](layer)
            to.names.add(spec.name)
        if done:
            notes.append(f'layer "{spec.name}" ({spec.type}) is written as {done}')
        elif spec.type == "Silence" and not silent:
            names = ", ".join(spec.bottom)
            notes.append(f'layer "{spec.name}" (Silence) is left out: {names} become outputs')
        else:
            to.layers.append(spec)
            if params:
                to.params[spec.name] = params
    if silent:
        to.silence()
    elif to.unread:
        notes.append(f"what is cut off becomes outputs: {', '.join(to.unread)}")
    whole = NetParameter(name=imported.net.name, layer=to.layers)
    return replace(imported, net=whole, params=to.params, notes=notes)

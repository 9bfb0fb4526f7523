"""Interp: images of another size, by bilinear interpolation."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class InterpParameter(LayerMessage, field="interp_param", number=163):
    """The new size: height and width, or factors."""

    height: int = field(1, "int32", default=0, doc="height of the top")
    width: int = field(2, "int32", default=0, doc="width of the top")
    zoom_factor: int = field(3, "int32", default=1, least=1, doc="z: h becomes h + (h-1)(z-1)")
    shrink_factor: int = field(
        4, "int32", default=1, least=1, doc="s: h becomes (h-1)/s + 1, before zooming"
    )
    pad_beg: int = field(
        5, "int32", default=0, most=0, doc="0, or minus the rows and columns cut off first"
    )
    pad_end: int = field(6, "int32", default=0, most=0, doc="0, or minus those cut off at the end")
    interp_type: str = field(7, "string", default="bilinear", doc="bilinear is the only one")
    use_blob_size: bool = field(
        108, "bool", default=False, idle="a second bottom says it by itself"
    )


@register
class Interp(Layer):
    """Y = A·X·Bᵀ for each image X, where A (height x rows) and B (width x columns) interpolate: the
    corners of top and bottom lie on each other, and point k of n lies at k·(m-1)/(n-1) among m.

    The size is that of a second bottom if there is one; else that of `shrink_factor` and
    `zoom_factor`, if one is given; else `height` and `width`. Negative `pad_beg` and `pad_end` cut
    rows and columns off beforehand.

    Gradient: ∂L/∂X = Aᵀ·(∂L/∂Y)·B; none for the second bottom.
    Shapes: (N, C, H, W) to (N, C, height, width).
    Source: the forks of Caffe of DeepLab (Chen et al. 2015) and PSPNet (Zhao et al. 2017).
    """

    bottoms = (1, 2)
    backward_reads = ()
    extension = "DeepLab fork (there interp_param is 143) and PSPNet fork, interp_param 163"
    param: InterpParameter = param_of(InterpParameter)
    cases = (
        Case(
            'type: "Interp" interp_param { height: 3 width: 3 }',
            {"x": [[[[0.0, 2.0], [4.0, 8.0]]]]},
            {"y": [[[[0.0, 1.0, 2.0], [2.0, 3.5, 5.0], [4.0, 6.0, 8.0]]]]},
        ),
        Case(
            'type: "Interp" interp_param { zoom_factor: 2 }',
            {"x": [[[[1.0, 3.0, 4.0]]]]},
            {"y": [[[[1.0, 2.0, 3.0, 3.5, 4.0]]]]},
        ),
        Case(
            'type: "Interp" interp_param { shrink_factor: 2 pad_beg: -1 pad_end: -1 }',
            {"x": [[[[0.0] * 5, [0.0, 1.0, 2.0, 3.0, 0.0], [0.0] * 5]]]},
            {"y": [[[[1.0, 3.0]]]]},
        ),
        Case(
            'type: "Interp" interp_param { height: 1 width: 2 }',
            {"x": [[[[1.0, 2.0, 5.0], [7.0, 8.0, 9.0]]]]},
            {"y": [[[[1.0, 5.0]]]]},
        ),
        Case(
            'type: "Interp" interp_param { shrink_factor: 2 zoom_factor: 3 }',
            {"x": random(2, 2, 5, 4)},
        ),
        Case('type: "Interp"', {"x": random(2, 3, 4, 5), "size": random(1, 1, 7, 3)}),
    )

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        if p.interp_type != "bilinear":
            self.fail(
                f'interp_type is "{p.interp_type}"',
                "interp_param",
                "interp_type",
                expected='"bilinear"',
            )
        given = p.has("zoom_factor") or p.has("shrink_factor") or p.has("height") or p.has("width")
        if given == (len(bottom) == 2):
            self.fail(
                "the size is given twice" if given else "the size is missing",
                "interp_param",
                expected="height and width, or factors, or a second bottom of that size",
            )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        p, shape = self.param, bottom[0]
        if any(len(s) != 4 for s in bottom):
            self.fail(
                "bottoms are " + ", ".join(map(show, bottom)), "bottom", expected="N x C x H x W"
            )
        self._rows, self._columns = (slice(-p.pad_beg, n + p.pad_end) for n in shape[2:])
        height, width = (n + p.pad_beg + p.pad_end for n in shape[2:])
        if len(bottom) == 2:
            size = bottom[1][2:]
        elif p.has("zoom_factor") or p.has("shrink_factor"):
            size = tuple((n - 1) // p.shrink_factor * p.zoom_factor + 1 for n in (height, width))
        else:
            size = p.height, p.width
        if min(height, width, *size) < 1:
            self.fail(
                f'"{self.spec.bottom[0]}", {show(shape)}, cut to {height} x {width}, would become '
                f"{size[0]} x {size[1]}",
                "interp_param",
                expected="extents of 1 or more",
            )
        self._cut_size, self._size = (height, width), size
        return [(*shape[:2], *size)]

    def prepare(self) -> None:
        (height, width), size = self._cut_size, self._size
        self._a = interpolation(size[0], height, self.dtype)
        self._b = interpolation(size[1], width, self.dtype)
        self._between = np.empty((*self.bottom_shapes[0][:2], size[0], width), self.dtype)

    def propagates(self, index: int) -> bool:
        return index == 0

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        x = bottom[0][:, :, self._rows, self._columns]
        np.matmul(self._a, x, self._between)
        np.matmul(self._between, self._b.T, top[0])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        dx = bottom_diff[0]
        if dx is not None:
            dx.fill(0)
            np.matmul(top_diff[0], self._b, self._between)
            np.matmul(self._a.T, self._between, dx[:, :, self._rows, self._columns])


def interpolation(n: int, m: int, dtype: np.dtype) -> Array:
    """The (n, m) matrix that makes n points of m: row k has 1-f at i and f at i+1, where
    i + f = k·(m-1)/(n-1). One point of many is the first."""
    at = np.arange(n) * ((m - 1) / (n - 1) if n > 1 else 0.0)
    i = np.minimum(at.astype(np.intp), m - 1)
    matrix = np.zeros((n, m), dtype)
    matrix[np.arange(n), i] = 1 - (at - i)
    matrix[np.arange(n), np.minimum(i + 1, m - 1)] += (at - i).astype(dtype)
    return matrix

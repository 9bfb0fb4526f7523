"""InnerDistance: how far samples lie from points, each of which stands for a class."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.schema.common import FillerParameter
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage

PARAM = "inner_distance_param"


class InnerDistanceParameter(LayerMessage, field=PARAM, number=1307):
    """How many points, and which distance."""

    num_output: int = field(1, "uint32", least=1, doc="number of points M, where they are learned")
    bias_term: bool = field(2, "bool", default=True, idle="there is no bias, in the fork either")
    weight_filler: FillerParameter = field(3, FillerParameter, doc="first places of the points")
    bias_filler: FillerParameter = field(4, FillerParameter, idle="there is no bias")
    axis: int = field(5, "int32", default=1, doc="axes from here on are flattened into K values")
    transpose: bool = field(6, "bool", default=False, idle="points are rows, in the fork too")
    distance_type: str = field(7, "string", default="L2", doc="L2, squared, or L1")
    normalize: bool = field(8, "bool", default=False, doc="make learned points 1 long, for good?")


@register
class InnerDistance(Layer):
    """y_m = Σ (x − w_m)² over the K values, or Σ |x − w_m| with `distance_type: "L1"`. The points w
    are learned, or the rows of a second bottom. With `normalize` learned ones are first divided by
    √(|w|² + 10⁻⁶), for good.

    Gradients, with g = ∂L/∂y: ∂L/∂x = Σ_m 2·g_m·(x − w_m);  ∂L/∂w_m = Σ over samples of
    2·g_m·(w_m − x), as if w were free; L1: sign in place of twice the difference.
    Shapes: x (…, K) with the axes from `axis` on flattened into K; points (M, K), as a bottom
    (M, …) of as many values; y (axes before `axis`, M).
    Source: Wang et al. 2017, NormFace. Its update_center_only is refused.
    """

    bottoms = (1, 2)
    backward_reads = ("bottom",)
    extension = f"happynear/caffe-windows, there {PARAM} = 213"
    param: InnerDistanceParameter = param_of(InnerDistanceParameter)
    cases = (
        Case(
            f'type: "InnerDistance" {PARAM} {{ num_output: 2 }}',
            {"x": [[1.0, 2.0], [0.0, 0.0]]},
            {"y": [[2.0, 4.0], [9.0, 1.0]]},
            params=[[[0.0, 3.0], [1.0, 0.0]]],
        ),
        Case(
            f'type: "InnerDistance" {PARAM} {{ distance_type: "L1" }}',
            {"x": [[1.0, 2.0]], "points": [[0.0, 3.0], [1.5, 0.0], [4.0, 2.5]]},
            {"y": [[2.0, 2.5, 3.5]]},
        ),
        Case(
            'type: "InnerDistance"',
            {"x": random(2, 3, 2), "points": random(4, 2, 3)},
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        p, shape = self.param, bottom[0]
        if p.distance_type not in ("L1", "L2"):
            self.fail(
                f'distance_type is "{p.distance_type}"', PARAM, "distance_type", expected="L1 or L2"
            )
        self._at = self.axis(p.axis, len(shape), PARAM, "axis")
        self._inputs = math.prod(shape[self._at :])
        self._learned = len(bottom) == 1
        if self._learned:
            self.need(
                PARAM, "num_output", expected=f"the number of points, {PARAM} {{ num_output: 9 }}"
            )
            self.declare((p.num_output, self._inputs), p.weight_filler)
            if p.normalize:
                self.repeatable, self.by_rule = False, (0,)  # type: ignore[misc]

    def reshape(self, bottom: Shapes) -> list[Shape]:
        x = bottom[0]
        if math.prod(x[self._at :]) != self._inputs:
            said = f'bottom "{self.spec.bottom[0]}" is {show(x)}, but the points are of '
            self.fail(f"{said}{self._inputs} values", "bottom")
        self._points = self.param.num_output
        if not self._learned:
            points = bottom[1]
            if not points or math.prod(points[1:]) != self._inputs:
                said = f'bottom "{self.spec.bottom[1]}" is {show(points)}'
                self.fail(said, "bottom", index=1, expected=f"M x {self._inputs}")
            self._points = points[0]
        return [(*x[: self._at], self._points)]

    def multiply_adds(self, bottom: Shapes, top: Shapes) -> int:
        return math.prod(top[0]) * self._inputs if self._learned else 0

    def _rows(self, bottom: Arrays) -> tuple[Array, Array]:
        """Samples and points, as matrices."""
        points = self.params[0].data if self._learned else bottom[1]
        return bottom[0].reshape(-1, self._inputs), points.reshape(self._points, self._inputs)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        x, w = self._rows(bottom)
        if self._learned and self.param.normalize:
            w /= np.sqrt(np.square(w).sum(1, keepdims=True) + w.dtype.type(1e-6))
        y = top[0].reshape(len(x), len(w))
        for point, column in zip(w, y.T):
            d = x - point
            column[...] = (d * d if self.param.distance_type == "L2" else np.abs(d)).sum(1)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        x, w = self._rows(bottom)
        g, dx = top_diff[0].reshape(len(x), len(w)), np.zeros_like(x)
        dw = np.zeros_like(w)
        for m, point in enumerate(w):
            d = x - point
            slope = g[:, m : m + 1] * (2 * d if self.param.distance_type == "L2" else np.sign(d))
            dx += slope
            dw[m] = -slope.sum(0)
        if bottom_diff[0] is not None:
            bottom_diff[0][...] = dx.reshape(bottom_diff[0].shape)
        if self._learned and self.learns[0]:
            self.params[0].diff[...] += dw
        elif not self._learned and bottom_diff[1] is not None:
            bottom_diff[1][...] = dw.reshape(bottom_diff[1].shape)

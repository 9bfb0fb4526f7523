"""ScaleRoute: the regions of some sizes, and what belongs to them, for one level of a pyramid."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import ANY, Arrays, Shapes, param_of, register, show
from caffelite.layers.cases import Case
from caffelite.layers.finding import FindingLayer
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage

PARAM = "scale_route_param"


class ScaleRouteParameter(LayerMessage, field=PARAM, number=1162):
    """From which scale to which."""

    low_scale: float = field(1, "float", above=0, doc="least scale; left out: any")
    high_scale: float = field(2, "float", above=0, doc="scales are below it; left out: any")


@register
class ScaleRoute(FindingLayer):
    """The rows of all bottoms whose region has a scale √(w·h) with low_scale ≤ scale < high_scale;
    w = x2 − x1 + 1 and h likewise. If there is none, the one region whose scale is nearest, by
    |log₂(scale/m)|, to m = √(low_scale·high_scale), or to the one of them that is given.

    Gradient: none, to no bottom.
    Shapes: regions (R, 5, …), (image, x1, y1, x2, y2), further bottoms (R, …); the tops are like
    the bottoms with K rows, known after the pass only.
    Source: Cai and Vasconcelos 2018, Cascade R-CNN; Lin et al. 2017, Feature Pyramid Networks.
    """

    bottoms = (1, ANY)
    tops = (1, ANY)
    extension = f"Cascade R-CNN (zhaoweicai), there {PARAM} = 154"
    param: ScaleRouteParameter = param_of(ScaleRouteParameter)
    cases = (
        Case(
            f'type: "ScaleRoute" {PARAM} {{ low_scale: 4 high_scale: 10 }}',
            # scales 4, 10 and √(2·18) = 6
            {
                "rois": [
                    [0.0, 0.0, 0.0, 3.0, 3.0],
                    [0.0, 0.0, 0.0, 9.0, 9.0],
                    [1.0, 2.0, 2.0, 3.0, 19.0],
                ],
                "labels": [1.0, 2.0, 3.0],
            },
            {
                "some": [[0.0, 0.0, 0.0, 3.0, 3.0], [1.0, 2.0, 2.0, 3.0, 19.0]],
                "their": [1.0, 3.0],
            },
        ),
        Case(
            f'type: "ScaleRoute" {PARAM} {{ low_scale: 100 }}',
            {"rois": [[0.0, 0.0, 0.0, 3.0, 3.0], [0.0, 0.0, 0.0, 9.0, 9.0]]},
            {"some": [[0.0, 0.0, 0.0, 9.0, 9.0]]},
            note="none is that large: the nearest",
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        if len(bottom) != len(self.spec.top):
            self.fail(
                f"{len(bottom)} bottoms but {len(self.spec.top)} tops",
                "top",
                expected="one top for each bottom",
            )
        self._low = p.low_scale if p.has("low_scale") else 0.0
        self._high = p.high_scale if p.has("high_scale") else math.inf
        if self._high < self._low:
            self.fail("high_scale is below low_scale", PARAM, "high_scale")
        given = [s for s in (self._low, self._high) if 0 < s < math.inf]
        self._middle = math.prod(given) ** (1 / len(given)) if given else 256.0

    def reshape(self, bottom: Shapes) -> list[Shape]:
        for i, shape in enumerate(bottom):
            first = i == 0 and (len(shape) < 2 or shape[1] != 5)
            if not shape or shape[0] != bottom[0][0] or first:
                self.fail(
                    f'bottom "{self.spec.bottom[i]}" is {show(shape)}',
                    "bottom",
                    index=i,
                    expected="R x 5 regions, then R x …",
                )
        return list(bottom)

    def _routed(self, bottom: Arrays) -> Array:
        rois = bottom[0].reshape(-1, 5)
        sides = rois[:, 3:] - rois[:, 1:3] + 1
        scale = np.sqrt(np.where((sides >= 1).all(1), sides.prod(1), 0))
        rows = np.flatnonzero((scale >= self._low) & (scale < self._high))
        if rows.size or not scale.size:
            return rows
        with np.errstate(divide="ignore"):
            apart = np.abs(np.log2(scale / self._middle))
        return np.array([int(apart.argmin())])

    def find(self, bottom: Arrays) -> list[Array]:
        rows = self._routed(bottom)
        return [x[rows] for x in bottom]

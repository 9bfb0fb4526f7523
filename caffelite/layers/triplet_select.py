"""TripletSelect: a batch of anchors, likes and others becomes triplets, the farthest first."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, register, show
from caffelite.layers.cases import Case


@register
class TripletSelect(Layer):
    """Of N = 3T samples the first T are anchors, the next T are like the first one, the last T are
    not. The tops: the anchors as they come; the likes and the others, each in the order of their
    squared distance from the first anchor, the farthest first.

    Gradient: ∂L/∂x of a sample is that of its row in the tops; 0 for the samples of a row whose
    like lies as far as its other or farther, for labels, and for what N is above 3T.
    Shapes: x (N, C), labels, which are not looked at; tops (T, C).

    Also `type: "Python"` of the module tripletselectlayer, class TripletSelectLayer, there with a T
    from the project's config.py.
    Source: luhaofang/tripletloss, as in abby621/tripletloss.
    """

    bottoms = (1, 2)
    tops = (3, 3)
    backward_reads = ()
    deployed = False
    extension = "luhaofang/tripletloss, abby621/tripletloss"
    python = (("tripletselectlayer", "TripletSelectLayer"),)
    cases = (
        Case(
            'type: "TripletSelect"',
            # from the first anchor the likes are 1 and 2 away, the others 3 and 5
            {"x": [[0.0], [0.5], [1.0], [-2.0], [3.0], [5.0]], "label": [0] * 6},
            {
                "anchor": [[0.0], [0.5]],
                "same": [[-2.0], [1.0]],
                "other": [[5.0], [3.0]],
            },
        ),
    )

    def propagates(self, index: int) -> bool:
        return index == 0

    def reshape(self, bottom: Shapes) -> list[Shape]:
        x = bottom[0]
        if len(x) != 2 or x[0] in (1, 2):
            said = f'bottom "{self.spec.bottom[0]}" is {show(x)}'
            self.fail(said, "bottom", expected="N x C, with three samples or more")
        return [(x[0] // 3, x[1])] * 3

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        x, count = bottom[0], len(top[0])
        far = np.square(x - x[:1]).sum(1)
        same, other = far[count : 2 * count], far[2 * count : 3 * count]
        orders = [np.argsort(-d, kind="stable") for d in (same, other)]
        self._rows = [np.arange(count), *(o + count * (i + 1) for i, o in enumerate(orders))]
        self._learns = same[orders[0]] < other[orders[1]]
        for y, rows in zip(top, self._rows):
            np.copyto(y, x[rows])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        dx = bottom_diff[0]
        if dx is not None:
            dx.fill(0)
            for dy, rows in zip(top_diff, self._rows):
                dx[rows] = dy * self._learns[:, None]

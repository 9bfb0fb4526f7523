"""CombineRegressions: places on a surface, from steps and what is left over in each."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Layer, Shapes, register, show
from caffelite.layers.cases import Case
from caffelite.schema.common import Phase


@register
class CombineRegressions(Layer):
    """For each of two coordinates, from the step q of a pixel (the first and second bottom) and the
    regressions r of all D steps (the third and fourth): y = (q + r_q − 1)/(D − 1), and −1 where
    that is below 0; r_q is 0 for a q that is no number from 1 to D − 1.

    `type: "Python"` of module CombineRegressions, class CombineRegressionsLayer; of module
    CombineRegressionsHuman y = r_q, at least 0 and at most 1. As a type of its own it is the first.

    Gradient: none.
    Shapes: steps (N, 1, H, W), regressions (N, D, H, W), two tops (N, 1, H, W).
    Source: Güler et al. 2017, DenseReg (ralpguler/DenseReg).
    """

    bottoms = (4, 4)
    tops = (2, 2)
    backward_reads = ()
    extension = "DenseReg (CombineRegressions)"
    python = (
        ("CombineRegressions", "CombineRegressionsLayer"),
        ("CombineRegressionsHuman", "CombineRegressionsLayer"),
    )
    cases = (
        Case(
            'type: "CombineRegressions"',
            # pixels of the steps 1, 2 and 0 of 0, 1 and 2
            {
                "h": [[[[1.0, 2.0, 0.0]]]],
                "v": [[[[2.0, 0.0, 1.0]]]],
                "hr": [[[[9.0, 9.0, 9.0]], [[0.5, 9.0, 9.0]], [[9.0, -0.25, 9.0]]]],
                "vr": [[[[9.0, 9.0, 9.0]], [[9.0, 9.0, -0.5]], [[0.5, 9.0, 9.0]]]],
            },
            {"x": [[[[0.25, 0.375, -1.0]]]], "y": [[[[0.75, -1.0, -1.0]]]]},
            phase=Phase.TEST,
        ),
    )

    def propagates(self, index: int) -> bool:
        return False

    def setup(self, bottom: Shapes) -> None:
        module = self.spec.get("python_param").module if self.spec.type == "Python" else ""
        self._human = module.rpartition(".")[2] == "CombineRegressionsHuman"

    def reshape(self, bottom: Shapes) -> list[Shape]:
        first, steps = bottom[0], bottom[2][1] if len(bottom[2]) == 4 else 0
        wanted = [first, first, *[(*first[:1], steps, *first[2:])] * 2]
        for i, (shape, want) in enumerate(zip(bottom, wanted)):
            if len(shape) != 4 or shape != want or first[1] != 1 or (i > 1 and steps < 2):
                name = self.spec.bottom[i]
                expected = "N x D x H x W, with D of 2 or more" if i > 1 else "N x 1 x H x W"
                self.fail(f'bottom "{name}" is {show(shape)}', "bottom", index=i, expected=expected)
        return [first, first]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        for step, rest, y in zip(bottom[:2], bottom[2:], top):
            y[...] = self._combined(step, rest)

    def _combined(self, step: Array, rest: Array) -> Array:
        count = rest.shape[1]
        known = (step >= 1) & (step < count) & (step == np.floor(step))
        place = np.where(known, step, 0).astype(np.intp)
        found = np.where(known, np.take_along_axis(rest, place, 1), 0)
        if self._human:
            return np.clip(found, 0, 1)
        y = (step + found - 1) / (count - 1)
        result: Array = np.where(y < 0, -1, y)
        return result

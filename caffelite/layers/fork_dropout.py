"""ForkDropout: Dropout that is not scaled in training, or that drops in testing."""

from __future__ import annotations

import numpy as np

from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register
from caffelite.layers.cases import Case, random
from caffelite.layers.dropout import DropoutParameter
from caffelite.schema.common import Phase


@register
class ForkDropout(Layer):
    """A layer of type "Dropout" with `scale_train: false` or `sample_weights_test: true` is this
    one. Dropping: y = x · m · k, each m being 0 with probability p = `dropout_ratio`, else 1; not
    dropping: y = x · k'. With `scale_train` k = 1/(1 - p) and k' = 1, without it k = 1 and
    k' = 1 - p. It drops in phase TRAIN, with `sample_weights_test` in TEST too.

    Gradient: ∂L/∂x = ∂L/∂y · m · k, with the m of the forward pass, or ∂L/∂y · k'.
    Shapes: bottom and top alike, any.
    Source: Faster R-CNN's and R-FCN's fork (scale_train = 2); Kendall et al. 2015, Bayesian SegNet
    (sample_weights_test, there 2).
    """

    in_place = True
    backward_reads = ()
    extension = "R-FCN's and SegNet's forks; type \"Dropout\" there"
    param: DropoutParameter = param_of(DropoutParameter)
    cases = (
        Case(
            'type: "ForkDropout" dropout_param { dropout_ratio: 0.25 scale_train: false }',
            {"x": [[-1.0, 0.5, 2.0]]},
            {"y": [[-0.75, 0.375, 1.5]]},
            phase=Phase.TEST,
        ),
        Case(
            'type: "ForkDropout" dropout_param { sample_weights_test: true }',
            {"x": random(2, 3, 4)},
            phase=Phase.TEST,
        ),
        Case('type: "ForkDropout" dropout_param { scale_train: false }', {"x": random(2, 3, 4)}),
    )

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        self.drops = self.phase == Phase.TRAIN or p.sample_weights_test
        self.repeatable = not self.drops
        self._ratio = p.dropout_ratio
        if self.drops:
            self._factor = 1 / (1 - self._ratio) if p.scale_train else 1.0
        else:
            self._factor = 1.0 if p.scale_train else 1 - self._ratio

    def prepare(self) -> None:
        if self.drops:
            # float32 for nets of any type: half the time, and all drop the same
            self._chance = np.empty(self.bottom_shapes[0], np.float32)
            self._mask = np.zeros(self.bottom_shapes[0], self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        if not self.drops:
            np.multiply(bottom[0], self._factor, top[0])
            return
        self.rng.random(dtype=np.float32, out=self._chance)
        np.greater_equal(self._chance, self._ratio, self._mask)
        np.multiply(self._mask, self._factor, self._mask)
        np.multiply(bottom[0], self._mask, top[0])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        (dy,), (dx,) = top_diff, bottom_diff
        if dx is not None:
            np.multiply(dy, self._mask if self.drops else self._factor, dx)

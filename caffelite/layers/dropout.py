"""Dropout: some activations become zero at random, in training."""

from __future__ import annotations

import numpy as np

from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, registry
from caffelite.layers.cases import Case, random
from caffelite.schema.common import Phase
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage, LayerParameter


class DropoutParameter(LayerMessage, field="dropout_param", number=108):
    """How much is dropped."""

    dropout_ratio: float = field(
        1, "float", default=0.5, least=0, below=1, doc="probability of a zero"
    )
    scale_train: bool = field(
        2, "bool", default=True, doc="R-FCN: false: not divided in TRAIN, y = x·(1 - p) in TEST"
    )
    sample_weights_test: bool = field(
        1002, "bool", default=False, doc="Bayesian SegNet (there 2): drop in phase TEST too"
    )


@register
class Dropout(Layer):
    """TRAIN: y = x · m / (1 - p), each m being 0 with probability p = `dropout_ratio`, else 1.
    TEST: y = x, which is the mean of the above.

    Gradient: ∂L/∂x = ∂L/∂y · m / (1 - p), with the m of the forward pass; TEST: ∂L/∂x = ∂L/∂y.
    Shapes: bottom and top alike, any.
    Source: Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov 2014;
    https://caffe.berkeleyvision.org/tutorial/layers/dropout.html
    """

    in_place = True
    backward_reads = ()
    param: DropoutParameter = param_of(DropoutParameter)
    cases = (
        Case(
            'type: "Dropout" dropout_param { dropout_ratio: 0.3 }',
            {"x": [[-1.0, 0.5, 2.0]]},
            {"y": [[-1.0, 0.5, 2.0]]},
            phase=Phase.TEST,
        ),
        Case('type: "Dropout"', {"x": random(2, 3, 4)}),
        Case(
            'type: "Dropout" dropout_param { dropout_ratio: 0 }',
            {"x": [[-1.0, 0.5, 2.0]]},
            {"y": [[-1.0, 0.5, 2.0]]},
        ),
    )

    @classmethod
    def chosen(cls, spec: LayerParameter) -> type[Layer]:
        p = spec.get("dropout_param")
        return cls if p.scale_train and not p.sample_weights_test else registry["ForkDropout"]

    def setup(self, bottom: Shapes) -> None:
        self._ratio = self.param.dropout_ratio
        self.repeatable = self.phase == Phase.TEST

    def prepare(self) -> None:
        if self.phase == Phase.TRAIN:
            # float32 for nets of any type: half the time, and all drop the same
            self._chance = np.empty(self.bottom_shapes[0], np.float32)
            self._mask = np.zeros(self.bottom_shapes[0], self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        if self.phase == Phase.TEST:
            np.copyto(top[0], bottom[0])
            return
        self.rng.random(dtype=np.float32, out=self._chance)
        np.greater_equal(self._chance, self._ratio, self._mask)
        np.multiply(self._mask, 1 / (1 - self._ratio), self._mask)
        np.multiply(bottom[0], self._mask, top[0])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        (dy,), (dx,) = top_diff, bottom_diff
        if dx is None:
            return
        if self.phase == Phase.TEST:
            np.copyto(dx, dy)
        else:
            np.multiply(dy, self._mask, dx)

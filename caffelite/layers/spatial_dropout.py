"""SpatialDropout: whole channels become zero at random, in training."""

from __future__ import annotations

import ast

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.layers.dropout import DropoutParameter
from caffelite.schema.common import Phase


@register
class SpatialDropout(Layer):
    """TRAIN: y = x · m / (1 - p), each m, one for a channel of a sample, being 0 with probability
    p = `dropout_ratio`, else 1. TEST: y = x.

    Also `type: "Python"` of module spatial_dropout, class SpatialDropoutLayer, as ENet has it: then
    param_str says 'p', and 'phase', which counts instead of the net's; and in 'TEST'
    y = x / (1 - p).

    Gradient: ∂L/∂x = ∂L/∂y · m / (1 - p), with the m of the forward pass; else the factor above.
    Shapes: bottom and top alike, (N, C, …).
    Source: Tompson et al. 2015; Paszke et al. 2016, ENet (TimoSaemann/ENet); Intel's Caffe.
    """

    in_place = True
    backward_reads = ()
    extension = "Intel's Caffe; ENet (there a Python layer)"
    python = (("spatial_dropout", "SpatialDropoutLayer"),)
    param: DropoutParameter = param_of(DropoutParameter)
    idle = {
        "dropout_param.scale_train": "Intel's layer does not read it",
        "dropout_param.sample_weights_test": "Intel's layer does not read it",
    }
    cases = (
        Case(
            'type: "SpatialDropout" dropout_param { dropout_ratio: 0.3 }',
            {"x": [[[-1.0, 0.5], [2.0, 3.0]]]},
            {"y": [[[-1.0, 0.5], [2.0, 3.0]]]},
            phase=Phase.TEST,
        ),
        Case('type: "SpatialDropout"', {"x": random(3, 4, 2, 2)}),
        Case(
            'type: "SpatialDropout" dropout_param { dropout_ratio: 0 }',
            {"x": [[-1.0, 0.5, 2.0]]},
            {"y": [[-1.0, 0.5, 2.0]]},
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        self._ratio, self.drops = self.param.dropout_ratio, self.phase == Phase.TRAIN
        kept = 1.0
        if self.spec.type == "Python":
            self._ratio, self.drops = self._said()
            kept = 1 / (1 - self._ratio)
        self.factor = 1 / (1 - self._ratio) if self.drops else kept
        self.repeatable = not self.drops

    def _said(self) -> tuple[float, bool]:
        """What param_str says: p, and whether the phase is TRAIN."""
        try:
            said = ast.literal_eval(self.spec.get("python_param").param_str)
            ratio, phase = float(said["p"]), said["phase"]
            if 0 < ratio < 1 and isinstance(phase, str):
                return ratio, phase == "TRAIN"
        except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError):
            pass
        self.fail(
            "param_str does not say how much is dropped, and when",
            "python_param",
            *(["param_str"] if self.spec.get("python_param").has("param_str") else []),
            expected="param_str: \"{'phase': 'TRAIN', 'p': 0.1}\"",
        )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        if len(bottom[0]) < 2:
            name = self.spec.bottom[0]
            self.fail(f'bottom "{name}" is {show(bottom[0])}', "bottom", expected="N x C x …")
        return [bottom[0]]

    def prepare(self) -> None:
        shape = self.bottom_shapes[0]
        whole = (*shape[:2], *[1] * (len(shape) - 2))
        self._chance = np.empty(whole, np.float32)
        self._mask = np.full(whole, self.factor, self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        if self.drops:
            self.rng.random(dtype=np.float32, out=self._chance)
            np.greater_equal(self._chance, self._ratio, self._mask)
            np.multiply(self._mask, self.factor, self._mask)
        np.multiply(bottom[0], self._mask, top[0])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is not None:
            np.multiply(top_diff[0], self._mask, bottom_diff[0])

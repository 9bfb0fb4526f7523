"""Power: shift, scale and raise to a power."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register
from caffelite.layers.cases import Case, random
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class PowerParameter(LayerMessage, field="power_param", number=122):
    """The power, and what is done to x first."""

    power: float = field(1, "float", default=1.0, doc="the exponent")
    scale: float = field(2, "float", default=1.0, doc="factor on x")
    shift: float = field(3, "float", default=0.0, doc="added to scale·x")


def _raise(x: Array, power: float) -> None:
    """x ← x^power."""
    if power == 2:
        np.square(x, x)
    elif power != 1:
        with np.errstate(divide="ignore", invalid="ignore"):
            np.power(x, power, x)


@register
class Power(Layer):
    """y = (shift + scale·x)^power.

    Gradient: ∂L/∂x = ∂L/∂y · power · scale · (shift + scale·x)^(power - 1).
    Shapes: bottom and top alike, any. A negative number to a broken power is NaN.
    With power 0 or scale 0, y does not depend on x (0^0 counts as 1) and the gradient is 0.
    Caffe has the gradient as power · scale · y / (shift + scale·x), so NaN where that divides 0 by
    0; here it is the true value.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/power.html
    """

    backward_reads: tuple[str, ...] = ("bottom",)
    param: PowerParameter = param_of(PowerParameter)
    cases = (
        Case(
            'type: "Power" power_param { power: 2 scale: 3 shift: 1 }',
            {"x": [[0.0, 1.0, -1.0]]},
            {"y": [[1.0, 16.0, 4.0]]},
        ),
        Case(
            'type: "Power" power_param { scale: 0.5 shift: -1 }',
            {"x": [2.0, 3.0]},
            {"y": [0.0, 0.5]},
        ),
        Case('type: "Power" power_param { power: 3 }', {"x": [0.0, -2.0]}, {"y": [0.0, -8.0]}),
        Case('type: "Power" power_param { power: 0 }', {"x": [0.0, 5.0]}, {"y": [1.0, 1.0]}),
        Case(
            'type: "Power" power_param { power: 3 scale: 0 shift: 2 }',
            {"x": [1.0, 5.0]},
            {"y": [8.0, 8.0]},
        ),
        Case(
            'type: "Power" power_param { power: -0.5 scale: 2 shift: 3 }',
            {"x": random(2, 3)},
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        self._is_constant = p.power * p.scale == 0
        if self._is_constant:
            with np.errstate(all="ignore"):
                self._constant = float(np.power(np.float64(p.shift), p.power)) if p.power else 1.0
            if not np.isfinite(self._constant):
                self.fail(
                    f"scale is 0, and {p.shift:g} to the power {p.power:g} is not a number",
                    "power_param",
                )
        if self._is_constant or p.power == 1:
            self.in_place, self.backward_reads = True, ()

    def why_not_finite(self, bottom: Arrays) -> str:
        p = self.param
        if p.power >= 1 and p.power == int(p.power):
            return ""
        x = p.shift + p.scale * bottom[0]
        zero, below = int((x == 0).sum()), int((x < 0).sum())
        if not zero + below:
            return ""
        return (
            f"it raises 0 to the power {p.power:g} {zero} times, numbers below 0 {below} times; "
            "where that is not finite, or its gradient is not, power_param { shift: 1e-6 } helps"
        )

    def _base(self, x: Array, out: Array) -> None:
        """out ← shift + scale·x."""
        np.multiply(x, self.param.scale, out)
        np.add(out, self.param.shift, out)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        (x,), (y,) = bottom, top
        if self._is_constant:
            y.fill(self._constant)
        else:
            self._base(x, y)
            _raise(y, self.param.power)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        (x,), (dy,), (dx,), p = bottom, top_diff, bottom_diff, self.param
        if dx is None:
            return
        if self._is_constant:
            dx.fill(0)
        elif p.power == 1:
            np.multiply(dy, p.scale, dx)
        else:
            self._base(x, dx)
            _raise(dx, p.power - 1)
            np.multiply(dx, p.power * p.scale, dx)
            np.multiply(dy, dx, dx)

"""StructuralLoss: how unlike two patches are in mean, contrast and structure (SSIM)."""

from __future__ import annotations

import math
from enum import IntEnum

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.anchors import param_str
from caffelite.layers.base import Arrays, Diffs, LossLayer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.schema.message import field, repeated
from caffelite.schema.net import LayerMessage

PARAM = "structural_loss_param"
SIGMAS = (0.5, 1.0, 2.0, 4.0, 8.0)


class Distance(IntEnum):
    """What is mixed in."""

    L1 = 1
    L2 = 2


class StructuralLossParameter(LayerMessage, field=PARAM, number=1301):
    """Scales, guards against 0, and what is mixed in."""

    c1: float = field(1, "float", default=0.01, above=0, doc="C1 = c1², beside the means")
    c2: float = field(2, "float", default=0.03, above=0, doc="C2 = c2², beside the variances")
    sigma: list[float] = repeated(
        3, "float", above=0, doc="deviations of the windows, in pixels; default 5, one scale"
    )
    alpha: float = field(4, "float", default=1.0, doc="share of the similarity")
    distance: Distance = field(5, Distance, default=Distance.L1, doc="the distance of the rest")


@register
class StructuralLoss(LossLayer):
    """L = α·(1 − S) + (1 − α)·D, S and D being means over all maps (n, c) of a (the patch) and b.
    With the window w_s, the Gaussian of deviation σ_s around the middle of the map, of sum 1, and
    w-weighted means μ, variances v and covariance v_ab: S = l_M·Π_s c_s with
    c_s = (2v_ab + C2)/(v_a + v_b + C2) and l_M = (2μ_a·μ_b + C1)/(μ_a² + μ_b² + C1) at the last
    scale; D = Σ w_M·|a − b|, or ½·Σ w_M·(a − b)² with L2.

    Gradients, of a alone: ∂l/∂a = 2w·(μ_b − μ_a·l)/(μ_a² + μ_b² + C1);
    ∂c/∂a = 2w·((b − μ_b) − c·(a − μ_a))/(v_a + v_b + C2); ∂D/∂a = w·sign(a − b), or w·(a − b).
    Shapes: a and b (N, C, W, W), W odd; L ().

    Also `type: "Python"` of the module pyloss, classes SSIM (one scale), MSSSIM, MSSSIML1 (α 0.025)
    and MSSSIML2 (α 0.1; five scales, 0.5 to 8), whose param_str says C1, C2, sigma and alpha.
    Source: Zhao et al. 2017, Loss Functions for Neural Networks for Image Processing (PL4NN), which
    is for C = 3.
    """

    backward_reads = ("bottom",)
    extension = "PL4NN (NVlabs)"
    python = (
        ("pyloss", "SSIM"),
        ("pyloss", "MSSSIM"),
        ("pyloss", "MSSSIML1"),
        ("pyloss", "MSSSIML2"),
    )
    param: StructuralLossParameter = param_of(StructuralLossParameter)
    cases = (
        Case(
            f'type: "StructuralLoss" {PARAM} {{ c1: 1 c2: 1 sigma: 1e9 }}',
            # means 1 and 0, variances 0 and 8/9: the middle of the second is 8/3 above the others
            {
                "a": [[[[1.0] * 3] * 3]],
                "b": [[[[-8 / 27] * 3, [-8 / 27, 64 / 27, -8 / 27], [-8 / 27] * 3]]],
            },
            {"loss": 1 - (1 / 2) * 1 / (1 + 8 * (8 / 27) ** 2 / 9 + (64 / 27) ** 2 / 9)},
        ),
        Case(
            f'type: "StructuralLoss" {PARAM} {{ c1: 1 c2: 1 sigma: 1e9 alpha: 0.25 distance: L2 }}',
            # maps of one value: the covariance is 0, and of means 1 and 3 l is (6 + 1)/(10 + 1)
            {"a": [[[[1.0] * 3] * 3]], "b": [[[[3.0] * 3] * 3]]},
            {"loss": 0.25 * (1 - 7 / 11) + 0.75 * 4 / 2},
        ),
        Case(
            f'type: "StructuralLoss" loss_weight: 2 {PARAM} {{ sigma: 0.5 sigma: 1 sigma: 2 '
            "alpha: 0.4 c2: 0.3 }",
            {"a": random(2, 3, 5, 5, low=1, high=2), "b": random(2, 3, 5, 5, low=0, high=1)},
            tops=["loss"],
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        self._guards = [p.c1, p.c2]
        self._sigmas, self._alpha = list(p.sigma) or [5.0], p.alpha
        self._squared = p.distance == Distance.L2
        if self.spec.type != "Python":
            return
        kind = self.spec.get("python_param").layer
        said = param_str(self, dict.fromkeys(("C1", "C2", "sigma", "alpha"), 0))
        for i, name in enumerate(("C1", "C2")):
            self._guards[i] = said.get(name, [self._guards[i]])[0]
        self._sigmas = said.get("sigma", list(SIGMAS) if kind != "SSIM" else [5.0])
        mixed = {"MSSSIML1": 0.025, "MSSSIML2": 0.1}
        self._alpha = said.get("alpha", [mixed[kind]])[0] if kind in mixed else 1.0
        self._squared = kind == "MSSSIML2"
        if min(*self._sigmas, *self._guards, 1) <= 0:
            self.fail(
                "C1, C2 or sigma is 0 or less", "python_param", "param_str", expected="above 0"
            )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        a, b = bottom
        if len(a) != 4 or a[2] != a[3] or not a[3] % 2:
            said = f'bottom "{self.spec.bottom[0]}" is {show(a)}'
            self.fail(said, "bottom", expected="N x C x W x W, with an odd W")
        if a != b:
            said = f'bottom "{self.spec.bottom[1]}" is {show(b)}, but "{self.spec.bottom[0]}" is '
            self.fail(said + show(a), "bottom", index=1, expected="bottoms of one shape")
        return [()]

    def prepare(self) -> None:
        width = self.bottom_shapes[0][3]
        self._maps = max(1, math.prod(self.bottom_shapes[0][:2]))
        at = np.arange(width) - width // 2
        windows = []
        for sigma in self._sigmas:
            line = np.exp(-(at**2) / (2 * sigma**2))
            windows.append(np.outer(line, line) / line.sum() ** 2)
        self._windows = [w.astype(self.dtype) for w in windows]

    def _scale(self, w: Array, a: Array, b: Array) -> None:
        """Append a scale: its luminance and contrast, and what their gradients need."""
        c1, c2 = (c**2 for c in self._guards)

        def mean(x: Array) -> Array:
            result: Array = np.einsum("nchw,hw->nc", x, w)[:, :, None, None]
            return result

        ma, mb = mean(a), mean(b)
        va, vb, vab = (mean(x * y) - m * n for x, y, m, n in _pairs(a, b, ma, mb))
        below_l, below_c = ma**2 + mb**2 + c1, va + vb + c2
        light, contrast = (2 * ma * mb + c1) / below_l, (2 * vab + c2) / below_c
        self._found.append((ma, mb, light, below_l, contrast, below_c))

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        a, b = bottom
        self._found: list[tuple[Array, ...]] = []
        for w in self._windows:
            self._scale(w, a, b)
        self._product = np.prod([found[4] for found in self._found], 0)
        similar = (self._found[-1][2] * self._product).sum() / self._maps
        loss = self._alpha * (1 - similar)
        if self._alpha != 1:
            apart = a - b
            apart = apart * apart / 2 if self._squared else np.abs(apart)
            loss += (1 - self._alpha) * (apart * self._windows[-1]).sum() / self._maps
        top[0][()] = loss if len(a) else 0

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        dx, (a, b) = bottom_diff[0], bottom
        if dx is None:
            return
        ma, mb, light, below, _, _ = self._found[-1]
        dx[...] = self._product * self._windows[-1] * (mb - ma * light) / below
        for i, (w, found) in enumerate(zip(self._windows, self._found)):
            ma, mb, _, _, contrast, below = found
            others = [f[4] for j, f in enumerate(self._found) if j != i]
            rest = light * (np.prod(others, 0) if others else 1)
            dx += rest * w * ((b - mb) - contrast * (a - ma)) / below
        dx *= -2 * self._alpha
        if self._alpha != 1:
            apart = a - b if self._squared else np.sign(a - b)
            dx += (1 - self._alpha) * apart * self._windows[-1]
        dx *= top_diff[0] / self._maps


def _pairs(a: Array, b: Array, ma: Array, mb: Array) -> tuple[tuple[Array, ...], ...]:
    return (a, a, ma, ma), (b, b, mb, mb), (a, b, ma, mb)

"""MultiStageMeanfield: a conditional random field on pixels, as steps of a network."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.kernels.lattice import Lattice
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage

PARAM = "multi_stage_meanfield_param"
TINY = 1e-20


class Compatibility(IntEnum):
    """How classes get on at first."""

    POTTS = 0


class MultiStageMeanfieldParameter(LayerMessage, field=PARAM, number=14900):
    """The two filters, and how often they are applied."""

    compatibility_mode: Compatibility = field(
        1, Compatibility, default=Compatibility.POTTS, idle="POTTS is all it can be"
    )
    threshold: float = field(2, "float", idle="the fork reads it and does not use it")
    theta_alpha: float = field(3, "float", default=10, above=0, doc="pixels, of the second filter")
    theta_beta: float = field(4, "float", default=10, above=0, doc="colours, of the second filter")
    theta_gamma: float = field(5, "float", default=10, above=0, doc="pixels, of the first filter")
    num_iterations: int = field(6, "uint32", default=1, least=1, doc="steps")
    spatial_filter_weight: float = field(
        7, "float", default=1, doc="first weight of each class in the first filter"
    )
    bilateral_filter_weight: float = field(
        8, "float", default=1, doc="first weight of each class in the second filter"
    )


@register
class MultiStageMeanfield(Layer):
    """T steps Q ← U − M·(S·F·P + B·G·P), P = softmax(Q) over classes. U is the first bottom; Q
    starts as the second. F and G are Gaussian filters over all pixels, each divided by what it
    makes of ones: F with a width of `theta_gamma` pixels; G with `theta_alpha` pixels and
    `theta_beta` in each channel of the image, the third bottom, so that it stops at edges. Both go
    by way of a permutohedral lattice, as in the fork, which is near a Gaussian.

    Parameters S, B and M (1, 1, C, C). S and B start with `spatial_filter_weight` and
    `bilateral_filter_weight` on their diagonals; the fork reads these from files spatial.par and
    bilateral.par. M starts with −1 there.

    Gradient: to U, to the first Q and to the parameters, back through all steps; none to the image.
    Shapes: U, Q and the top (N, C, H, W), image (N, 3, H, W).
    Source: Zheng et al. 2015, CRF as RNN (torrvision/crfasrnn), with multi_stage_meanfield_param =
    149, the number of another message here.
    """

    bottoms = (3, 3)
    backward_reads = ("bottom",)
    extension = "CRF-RNN (torrvision/crfasrnn, there multi_stage_meanfield_param = 149)"
    param: MultiStageMeanfieldParameter = param_of(MultiStageMeanfieldParameter)
    cases = (
        Case(
            # every pixel is the same, so that filters, divided by those of ones, change nothing:
            # P is 1/4 and 3/4, S·P is (1/2, 3/2), B·P (1, 0); M makes (3/2, -3/2) of their sum
            f'type: "MultiStageMeanfield" {PARAM} {{ num_iterations: 1 }}',
            {
                "u": np.array([2.0, 3.0]).reshape(1, 2, 1, 1) * np.ones((1, 1, 2, 2)),
                "q": np.array([0.0, np.log(3.0)]).reshape(1, 2, 1, 1) * np.ones((1, 1, 2, 2)),
                "image": np.ones((1, 3, 2, 2)),
            },
            {"y": np.array([2 - 1.5, 3 + 1.5]).reshape(1, 2, 1, 1) * np.ones((1, 1, 2, 2))},
            params=[
                np.array([[[[2.0, 0.0], [0.0, 2.0]]]]),
                np.array([[[[4.0, 0.0], [0.0, 0.0]]]]),
                np.array([[[[0.0, 1.0], [-1.0, 0.0]]]]),
            ],
        ),
        Case(
            f'type: "MultiStageMeanfield" {PARAM} {{ num_iterations: 3 theta_alpha: 2 '
            "theta_beta: 0.5 theta_gamma: 1 }",
            {"u": random(2, 3, 3, 2), "q": random(2, 3, 3, 2), "image": random(2, 3, 3, 2)},
        ),
    )

    def propagates(self, index: int) -> bool:
        return index < 2

    def setup(self, bottom: Shapes) -> None:
        self.need_values(bottom)
        self._check(bottom)
        self.channels = bottom[0][1]
        for _ in range(3):
            self.declare((1, 1, self.channels, self.channels))

    def _check(self, bottom: Shapes) -> None:
        first, names = bottom[0], self.spec.bottom
        wanted = [first, first, (*first[:1], 3, *first[2:])]
        for i, (shape, want) in enumerate(zip(bottom, wanted)):
            if len(shape) != 4 or shape != want:
                said = f'bottom "{names[i]}" is {show(shape)}'
                also = f', but "{names[0]}" is {show(first)}' if i else ""
                expected = "N x 3 x H x W" if i == 2 else "N x C x H x W"
                self.fail(said + also, "bottom", index=i, expected=expected)

    def open(self) -> None:
        p = self.param
        starts = (p.spatial_filter_weight, p.bilateral_filter_weight, -1)
        if not any(blob.data.any() for blob in self.params):  # else they have been read
            for blob, start in zip(self.params, starts):
                np.fill_diagonal(blob.data[0, 0], start)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self.need_values(bottom)
        self._check(bottom)
        if bottom[0][1] != self.channels:
            name = self.spec.bottom[0]
            self.fail(
                f'bottom "{name}" is {show(bottom[0])}, but this layer has '
                f"{self.channels} channels",
                "bottom",
            )
        return [bottom[0]]

    def prepare(self) -> None:
        *_, height, width = self.bottom_shapes[0]
        rows, columns = np.indices((height, width)).reshape(2, -1)
        self._places = np.stack([columns, rows], 1).astype(self.dtype)
        self._near = _Filter(self._places / self.param.theta_gamma)

    def _filters(self, image: Array) -> tuple[_Filter, _Filter]:
        """The two filters of an image."""
        p = self.param
        colours = image.reshape(3, -1).T / p.theta_beta
        return self._near, _Filter(np.concatenate([self._places / p.theta_alpha, colours], 1))

    def _steps(self, u: Array, q: Array, filters: tuple[_Filter, _Filter]) -> list[Array]:
        """Q before the first step and after each, (C, pixels)."""
        s, b, m = (blob.data[0, 0] for blob in self.params)
        found = [q]
        for _ in range(self.param.num_iterations):
            probable = _softmax(found[-1])
            near, alike = (f(probable) for f in filters)
            found.append(u - m @ (s @ near + b @ alike))
        return found

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        for u, q, image, y in zip(*bottom, top[0]):
            flat = (len(u), -1)
            last = self._steps(u.reshape(flat), q.reshape(flat), self._filters(image))[-1]
            y.reshape(flat)[...] = last

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        s, b, m = (blob.data[0, 0] for blob in self.params)
        ds, db, dm = (blob.diff[0, 0] for blob in self.params)
        for n, (u, q, image) in enumerate(zip(*bottom)):
            flat, filters = (len(u), -1), self._filters(image)
            steps = self._steps(u.reshape(flat), q.reshape(flat), filters)
            g = top_diff[0][n].reshape(flat)
            total = np.zeros_like(g)
            for before in reversed(steps[:-1]):
                total += g
                probable = _softmax(before)
                near, alike = (f(probable) for f in filters)
                back = -m.T @ g
                for i, change in enumerate(
                    (back @ near.T, back @ alike.T, -g @ (s @ near + b @ alike).T)
                ):
                    if self.learns[i]:
                        (ds, db, dm)[i][...] += change
                spread = filters[0].back(s.T @ back) + filters[1].back(b.T @ back)
                g = probable * (spread - (probable * spread).sum(0))
            for i, change in enumerate((total, g)):
                diff = bottom_diff[i]
                if diff is not None:
                    diff[n].reshape(flat)[...] = change


class _Filter:
    """A lattice's filter, divided by what it makes of ones."""

    def __init__(self, features: Array) -> None:
        self._lattice = Lattice(features)
        self._share = 1 / (self._lattice.filter(np.ones(len(features), features.dtype)) + TINY)

    def __call__(self, values: Array) -> Array:
        result: Array = self._lattice.filter(values) * self._share
        return result

    def back(self, diff: Array) -> Array:
        """From a gradient of the filtered values to one of the values."""
        return self._lattice.filter(diff * self._share, transposed=True)


def _softmax(q: Array) -> Array:
    powers = np.exp(q - q.max(0))
    result: Array = powers / powers.sum(0)
    return result

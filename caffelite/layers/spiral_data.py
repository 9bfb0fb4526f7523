"""SpiralData: points on interleaved spiral arms, the classic small problem with curved borders."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.errors import DataError
from caffelite.layers.base import MOST, Arrays, Shapes, param_of, register
from caffelite.layers.cases import Case
from caffelite.layers.source import SourceLayer
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage
from caffelite.streams import Streams


class SpiralDataParameter(LayerMessage, field="spiral_data_param", number=20010):
    """How many points on how many arms."""

    classes: int = field(1, "uint32", default=3, doc="arms, one a class")
    samples_per_class: int = field(2, "uint32", default=100, doc="points on each arm")
    noise: float = field(3, "float", default=0.2, doc="standard deviation of the angle, radians")
    batch_size: int = field(4, "uint32", default=20, doc="points a forward pass")
    shuffle: bool = field(5, "bool", default=True, doc="a new order each epoch; false: arm by arm")
    seed: int = field(6, "int64", default=-1, doc="which set of points; -1: the run's seed chooses")


@register
class SpiralData(SourceLayer):
    """Points in the plane on n interleaved spiral arms, and the number of each point's arm.

    Arm c of n, point i of m: radius r = i/(m-1) from 0 to 1, angle
    t = 2π/n · (c + 1.5 r) + noise·N(0,1), point (r·sin t, r·cos t), label c.
    Shapes: data (N, 2), label (N,), which may be left out.

    The points are drawn once for a run, by the layer's name: layers of one name measure a TEST
    phase on the very points of training. Give the TEST layer a `seed` (or another name) and it
    draws points of its own; equal seeds draw equal points. All points are used once an epoch, in
    an order shuffled anew; the last, short batch is filled up from the next epoch.
    Attributes: `points` (n·m, 2) and `labels` (n·m,), arm by arm.

    Source: an extension of caffelite, after the toy data of https://cs231n.github.io/neural-networks-case-study/
    """

    extension = "caffelite's own; spiral_data_param = 20010"
    param: SpiralDataParameter = param_of(SpiralDataParameter)
    cases = (
        Case(
            'type: "SpiralData" spiral_data_param { classes: 2 samples_per_class: 3 noise: 0'
            " batch_size: 6 shuffle: false }",
            outputs={
                # r = 0, 1/2, 1 at t = 0, 3π/4, 3π/2, and the second arm half a turn on
                "data": [
                    [0, 0],
                    [0.35355339, -0.35355339],
                    [-1, 0],
                    [0, 0],
                    [-0.35355339, 0.35355339],
                    [1, 0],
                ],
                "label": [0, 0, 0, 1, 1, 1],
            },
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        for name in ("classes", "samples_per_class", "batch_size"):
            if not getattr(self.param, name):
                self.fail(f"{name} is 0", "spiral_data_param", name, expected="1 or more")
        if not 0 <= self.param.noise < math.inf:
            self.fail(
                f"noise is {self.param.noise:g}", "spiral_data_param", "noise", expected="0 or more"
            )
        self.batch_size = self.param.batch_size
        if self.epoch_size > MOST:
            self.fail(
                f"{self.epoch_size} points", "spiral_data_param", expected=f"at most {MOST} points"
            )

    def open(self) -> None:
        # The order has a stream to itself: what a snapshot keeps of it is where the epoch began.
        self._order = self.stream()
        self._seed = self.param.seed
        self._drawn: tuple[Array, Array] | None = None
        self._epoch_data: Array | None = None
        self._epoch_label: Array
        self._at = 0

    def reshape(self, bottom: Shapes) -> list[Shape]:
        return [(self.batch_size, 2), (self.batch_size,)]

    @property
    def epoch_size(self) -> int:
        return int(self.param.classes * self.param.samples_per_class)

    @property
    def points(self) -> Array:
        """All points, arm by arm: (classes · samples_per_class, 2)."""
        return self._points_and_labels()[0]

    @property
    def labels(self) -> Array:
        """The arm of each of the `points`."""
        return self._points_and_labels()[1]

    def _points_and_labels(self) -> tuple[Array, Array]:
        # Drawn when first wanted: a resumed run may have got its seed after open.
        if self._drawn is None:
            if self.param.seed >= 0:
                rng = Streams(self.param.seed).fresh("points")
            else:
                self._seed = self.streams.seed if self._seed < 0 else self._seed
                rng = Streams(self._seed).fresh(f"points/{self.name}")
            n, m = self.param.classes, self.param.samples_per_class
            r = np.tile(np.linspace(0, 1, m), n)
            c = np.repeat(np.arange(n), m)
            t = 2 * np.pi / n * (c + 1.5 * r) + self.param.noise * rng.standard_normal(n * m)
            points = np.stack([r * np.sin(t), r * np.cos(t)], axis=1)
            self._drawn = points.astype(self.dtype), c.astype(self.dtype)
        return self._drawn

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        start, end = self._at, self._at + self.batch_size
        data = self._epoch_data
        if data is None or end > len(data):
            self._forward_across(top)
            return
        top[0][...] = data[start:end]
        if len(top) > 1:
            top[1][...] = self._epoch_label[start:end]
        self._at = end

    def _forward_across(self, top: Arrays) -> None:
        """A batch that reaches over the end of an epoch."""
        filled = 0
        while filled < self.batch_size:
            if self._epoch_data is None or self._at == len(self._epoch_data):
                self._begin_epoch()
            start = self._at
            part = self._epoch_data[start : start + self.batch_size - filled]  # type: ignore[index]
            end = filled + len(part)
            top[0][filled:end] = part
            if len(top) > 1:
                top[1][filled:end] = self._epoch_label[start : start + len(part)]
            filled, self._at = end, start + len(part)

    def _begin_epoch(self) -> None:
        points, labels = self._points_and_labels()
        self._began = dict(self._order.bit_generator.state)
        if self.param.shuffle:
            order = self._order.permutation(len(points))
            points, labels = points[order], labels[order]
        self._epoch_data, self._epoch_label, self._at = points, labels, 0

    def state(self) -> dict[str, Any]:
        began = self._order.bit_generator.state if self._epoch_data is None else self._began
        seed = self._seed if self._seed >= 0 else self.streams.seed
        return {"at": self._at, "order": dict(began), "seed": seed}

    def restore(self, state: dict[str, Any]) -> None:
        if state:
            if state["at"] > self.epoch_size:
                with self.placed("spiral_data_param"):
                    raise DataError(
                        f"the snapshot was made after {state['at']} points of an epoch, but there "
                        f"are only {self.epoch_size}"
                    )
            self._drawn, self._seed = None, state["seed"]
            self._order.bit_generator.state = state["order"]
            self._begin_epoch()
            self._at = state["at"]

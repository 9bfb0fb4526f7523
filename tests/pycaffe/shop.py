"""Layers in Python that the tests of pycaffe use."""

from __future__ import annotations

from typing import Any

import caffelite.pycaffe as caffe


class Times(caffe.Layer):
    """y = f x, f from `param_str`."""

    def setup(self, bottom: Any, top: Any) -> None:
        self.factor = float(self.param_str_ or "10")
        self.passes: list[str] = []

    def reshape(self, bottom: Any, top: Any) -> None:
        self.passes.append("reshape")
        top[0].reshape(*bottom[0].data.shape)

    def forward(self, bottom: Any, top: Any) -> None:
        self.passes.append("forward")
        top[0].data[...] = self.factor * bottom[0].data

    def backward(self, top: Any, propagate_down: Any, bottom: Any) -> None:
        self.passes.append(f"backward {[bool(down) for down in propagate_down]}")
        bottom[0].diff[...] = self.factor * top[0].diff


class Learned(caffe.Layer):
    """y = w x, with a parameter that starts at 3."""

    def setup(self, bottom: Any, top: Any) -> None:
        self.blobs.add_blob(1)
        self.blobs[0].data[0] = 3

    def reshape(self, bottom: Any, top: Any) -> None:
        top[0].reshape(*bottom[0].shape)

    def forward(self, bottom: Any, top: Any) -> None:
        top[0].data[...] = self.blobs[0].data[0] * bottom[0].data

    def backward(self, top: Any, propagate_down: Any, bottom: Any) -> None:
        self.blobs[0].diff[0] += (top[0].diff * bottom[0].data).sum()
        if propagate_down[0]:
            bottom[0].diff[...] = self.blobs[0].data[0] * top[0].diff


class Rows(caffe.Layer):
    """Data without bottoms: 1 row, then 2, then 3, then 1 …, loaded in `reshape`."""

    def setup(self, bottom: Any, top: Any) -> None:
        self.count = 0

    def reshape(self, bottom: Any, top: Any) -> None:
        top[0].reshape(self.count % 3 + 1, 2)

    def forward(self, bottom: Any, top: Any) -> None:
        top[0].data[...] = self.count
        self.count += 1

    def backward(self, top: Any, propagate_down: Any, bottom: Any) -> None:
        pass


class Positive(caffe.Layer):
    """The rows of x whose first value is positive: a top that is reshaped in `forward`."""

    def reshape(self, bottom: Any, top: Any) -> None:
        top[0].reshape(1, bottom[0].shape[1])

    def forward(self, bottom: Any, top: Any) -> None:
        rows = bottom[0].data[bottom[0].data[:, 0] > 0]
        top[0].reshape(*rows.shape)
        top[0].data[...] = rows


class Halve(caffe.Layer):
    """In place: writes the bottom, which is the top."""

    def forward(self, bottom: Any, top: Any) -> None:
        bottom[0].data[...] /= 2

    def backward(self, top: Any, propagate_down: Any, bottom: Any) -> None:
        bottom[0].diff[...] /= 2


class PhaseIs(caffe.Layer):
    """The phase, as a scalar."""

    def reshape(self, bottom: Any, top: Any) -> None:
        top[0].reshape()

    def forward(self, bottom: Any, top: Any) -> None:
        top[0].data[()] = self.phase


class Broken(caffe.Layer):
    """Fails in `setup`."""

    def setup(self, bottom: Any, top: Any) -> None:
        raise RuntimeError("out of order")

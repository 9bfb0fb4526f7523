"""A loss in Python: the Euclidean one, E = |x - t|^2 / 2N, held against the built-in layer."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import caffelite.pycaffe as caffe

NET = """
force_backward: true
layer { name: "in" type: "Input" top: "x" top: "t" input_param { shape { dim: 4 dim: 3 } } }
layer { name: "mine" type: "Python" bottom: "x" bottom: "t" top: "mine" loss_weight: 1
  python_param { module: "python_loss" layer: "EuclideanLoss" } }
"""
BUILT_IN = """
force_backward: true
layer { name: "in" type: "Input" top: "x" top: "t" input_param { shape { dim: 4 dim: 3 } } }
layer { name: "theirs" type: "EuclideanLoss" bottom: "x" bottom: "t" top: "theirs" }
"""


class EuclideanLoss(caffe.Layer):  # type: ignore[misc]
    """Gradients: dE/dx = (x - t) / N, dE/dt = -(x - t) / N, times the loss weight."""

    def setup(self, bottom: Any, top: Any) -> None:
        if len(bottom) != 2:
            raise ValueError("two bottoms are needed: values and targets")

    def reshape(self, bottom: Any, top: Any) -> None:
        if bottom[0].count != bottom[1].count:
            raise ValueError("values and targets must be as many")
        self.difference = np.zeros_like(bottom[0].data)
        top[0].reshape(1)

    def forward(self, bottom: Any, top: Any) -> None:
        self.difference[...] = bottom[0].data - bottom[1].data
        top[0].data[...] = (self.difference**2).sum() / bottom[0].num / 2

    def backward(self, top: Any, propagate_down: Any, bottom: Any) -> None:
        for blob, sign, needed in zip(bottom, (1, -1), propagate_down):
            if needed:
                blob.diff[...] = sign * top[0].diff[0] * self.difference / blob.num


def main() -> None:
    chance = np.random.default_rng(0)
    x, t = chance.standard_normal((2, 4, 3)).astype(np.float32)
    found = []
    for text in (NET, BUILT_IN):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "loss.prototxt"
            file.write_text(text)
            net = caffe.Net(str(file), caffe.TRAIN)
        loss = next(iter(net.forward(x=x, t=t).values()))
        gradient = net.backward()["x"]
        found.append((float(loss.sum()), gradient.copy()))
    (mine, my_gradient), (theirs, their_gradient) = found
    np.testing.assert_allclose(my_gradient, their_gradient, rtol=1e-5)
    print(f"loss {mine:.4f} in Python, {theirs:.4f} built in; the gradients agree")


if __name__ == "__main__":
    main()

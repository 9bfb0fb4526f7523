"""The spiral's training step written out by hand in NumPy: the floor for `bench.py`.

What a careful person writes for this one net and no other: one array for all parameters, one for
all gradients, one for the velocity; every operation in place; nothing looked up twice. It fits any
chain SpiralData, InnerProduct, ReLU, InnerProduct, SoftmaxWithLoss.

    python -m benchmark.by_hand FOLDER train|forward ...     (started by bench.py)
"""

from __future__ import annotations

import json
import math
import os
import sys
from typing import Any

import numpy as np

from .child import peak_mb, serve, skip

CHAIN = ["SpiralData", "InnerProduct", "ReLU", "InnerProduct", "SoftmaxWithLoss"]
Array = np.ndarray


class SpiralByHand:
    """x -> W1, b1 -> ReLU -> W2, b2 -> softmax -> cross entropy, trained by momentum SGD."""

    def __init__(self, weights: list[Array], points: Array, labels: Array, batch: int) -> None:
        shapes = [w.shape for w in weights]
        self.params = np.concatenate([w.ravel() for w in weights])
        self.grads, self.velocity, self.scratch = (np.zeros_like(self.params) for _ in range(3))
        self.w1, self.b1, self.w2, self.b2 = split(self.params, shapes)
        self.g1, self.gb1, self.g2, self.gb2 = split(self.grads, shapes)
        (hidden, inputs), classes = shapes[0], shapes[2][0]
        self.x = np.empty((batch, inputs), np.float32)
        self.h, self.dh = (np.empty((batch, hidden), np.float32) for _ in range(2))
        self.y, self.row = np.empty((batch, classes), np.float32), np.empty((batch, 1), np.float32)
        self.positive, self.zeros = np.empty(self.h.shape, bool), np.zeros_like(self.h)
        self.rows, self.ones = np.arange(batch) * classes, np.ones(batch, np.float32)
        self.points, self.labels, self.batch = points, labels.astype(np.intp), batch
        self.rng, self.at = np.random.default_rng(0), len(points)

    def rates(self, lr: float, momentum: float, decay: float) -> None:
        """Set the solver's numbers (as arrays of one value, which NumPy likes better)."""
        self.lr, self.momentum, self.decay = (np.array(v, "f") for v in (lr, momentum, decay))
        self.share = np.array(1 / self.batch, "f")

    def take_batch(self) -> Array:
        """The next points into `x`; their labels. A new order each epoch."""
        if self.at + self.batch > len(self.points):
            order = self.rng.permutation(len(self.points))
            self.points, self.labels, self.at = self.points[order], self.labels[order], 0
        start, self.at = self.at, self.at + self.batch
        self.x[...] = self.points[start : self.at]
        return self.labels[start : self.at]

    def forward(self, labels: Array) -> float:
        """Leaves the probabilities in `y` and the flat places of the labels in `picked`."""
        h, y, row = self.h, self.y, self.row
        np.dot(self.x, self.w1.T, h)
        np.add(h, self.b1, h)
        np.maximum(h, self.zeros, out=h)
        np.dot(h, self.w2.T, y)
        np.add(y, self.b2, y)
        np.maximum.reduce(y, 1, None, row, keepdims=True)
        np.subtract(y, row, y)
        np.exp(y, y)
        np.add.reduce(y, 1, None, row, keepdims=True)
        np.divide(y, row, y)
        self.picked = self.rows + labels
        return -float(np.add.reduce(np.log(y.take(self.picked)))) / self.batch

    def backward(self) -> None:
        """The gradients of all parameters, overwritten."""
        h, y, dh = self.h, self.y, self.dh
        y.reshape(-1)[self.picked] -= 1
        np.multiply(y, self.share, y)
        np.dot(y.T, h, self.g2)
        np.dot(self.ones, y, self.gb2)
        np.dot(y, self.w2, dh)
        np.greater(h, self.zeros, self.positive)
        np.multiply(dh, self.positive, dh)
        np.dot(dh.T, self.x, self.g1)
        np.dot(self.ones, dh, self.gb1)

    def update(self) -> None:
        """V <- momentum V + lr (g + decay W);  W <- W - V."""
        scratch, velocity, params = self.scratch, self.velocity, self.params
        np.multiply(params, self.decay, scratch)
        np.add(scratch, self.grads, scratch)
        np.multiply(scratch, self.lr, scratch)
        np.multiply(velocity, self.momentum, velocity)
        np.add(velocity, scratch, velocity)
        np.subtract(params, velocity, params)

    def run_train(self, count: int) -> None:
        for _ in range(count):
            loss = self.forward(self.take_batch())
            if not math.isfinite(loss):
                raise FloatingPointError(loss)
            self.backward()
            self.update()

    def run_forward(self, count: int) -> None:
        for _ in range(count):
            self.forward(self.take_batch())

    def difference(self, arrays: Any, recorded: int, train: bool) -> float:
        """The largest difference from caffelite's losses on the recorded batches."""
        worst = 0.0
        for k in range(recorded):
            self.x[...] = arrays[f"batch/{k}/0"]
            loss = self.forward(arrays[f"batch/{k}/1"].astype(np.intp))
            worst = max(worst, abs(loss - float(arrays[f"expected/{k}"][0])))
            if train:
                self.backward()
                self.update()
        return worst


def split(vector: Array, shapes: list[tuple[int, ...]]) -> list[Array]:
    """Views of the vector, one after another, of these shapes."""
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    return [v.reshape(shape) for v, shape in zip(np.split(vector, ends[:-1]), shapes)]


def main(folder: str, which: str, *_: str) -> None:
    with open(os.path.join(folder, f"{which}.json")) as file:
        net = json.load(file)
    arrays = np.load(os.path.join(folder, f"{which}.npz"))
    if [layer["type"] for layer in net["layers"]] != CHAIN:
        skip("only the spiral is written by hand")
    imported = peak_mb()
    keys = [key for layer in net["layers"] for key in layer["weights"]]
    points, labels = arrays["points"], arrays["labels"]
    hand = SpiralByHand([arrays[k] for k in keys], points, labels, len(arrays["batch/0/0"]))
    hand.rates(net["lr"], net["momentum"], net["decay"])
    difference = hand.difference(arrays, net["recorded"], which == "train")
    run = hand.run_train if which == "train" else hand.run_forward
    serve(
        run,
        version=np.__version__,
        versions={"numpy": np.__version__},
        import_mb=imported,
        difference=difference,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])

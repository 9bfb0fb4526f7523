"""A data layer in Python, with parameters as text, feeding a net that trains."""

from __future__ import annotations

import ast
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import caffelite.pycaffe as caffe

NET = """
layer { name: "points" type: "Python" top: "x" top: "label"
  python_param { module: "python_data" layer: "Points"
    param_str: "{'batch_size': 25, 'centres': [(1, 1), (-1, 1), (0, -1)], 'seed': 3}" } }
layer { name: "score" type: "InnerProduct" bottom: "x" top: "score"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss" }
layer { name: "accuracy" type: "Accuracy" bottom: "score" bottom: "label" top: "accuracy" }
"""
SOLVER = 'net: "points.prototxt" base_lr: 0.5 lr_policy: "fixed" random_seed: 1'


class Points(caffe.Layer):  # type: ignore[misc]
    """Points around centres; the class is the number of the centre."""

    def setup(self, bottom: Any, top: Any) -> None:
        said = ast.literal_eval(self.param_str)
        self.centres = np.array(said["centres"], np.float32)
        self.chance = np.random.default_rng(said["seed"])
        top[0].reshape(said["batch_size"], 2)
        top[1].reshape(said["batch_size"])

    def reshape(self, bottom: Any, top: Any) -> None:
        """The shapes stand since `setup`."""

    def forward(self, bottom: Any, top: Any) -> None:
        label = self.chance.integers(len(self.centres), size=top[1].count)
        top[0].data[...] = self.chance.normal(self.centres[label], 0.3)
        top[1].data[...] = label

    def backward(self, top: Any, propagate_down: Any, bottom: Any) -> None:
        """Data have no gradient."""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "points.prototxt").write_text(NET)
        (Path(folder) / "solver.prototxt").write_text(SOLVER)
        solver = caffe.get_solver(str(Path(folder) / "solver.prototxt"))
    accuracies = []
    for _ in range(100):
        solver.step(1)
        accuracies.append(float(solver.net.blobs["accuracy"].data))
    print(f"accuracy of the last 20 batches: {np.mean(accuracies[-20:]):.2f}")


if __name__ == "__main__":
    main()

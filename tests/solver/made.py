"""Solvers from text, written to a folder as a user would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from caffelite.files import load_solver
from caffelite.solver import Monitor, Solver
from caffelite.solver.base import solver_class

LINE = """
layer { name: "in" type: "Input" top: "x" top: "t"
        input_param { shape { dim: 8 dim: 3 } shape { dim: 8 dim: 1 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 1 }
        param { lr_mult: 1 decay_mult: 1 } param { lr_mult: 2 decay_mult: 0.5 } }
layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss" }
"""
"""Least squares: three weights and a bias, with rates and decays of their own."""

SPIRAL = """
layer { name: "points" type: "SpiralData" top: "data" top: "label"
        spiral_data_param { %s } }
layer { name: "ip1" type: "InnerProduct" bottom: "data" top: "h"
        inner_product_param { num_output: 16 weight_filler { type: "msra" } } }
layer { name: "act" type: "ReLU" bottom: "h" top: "h" }
layer { name: "drop" type: "Dropout" bottom: "h" top: "h" dropout_param { dropout_ratio: %g } }
layer { name: "ip2" type: "InnerProduct" bottom: "h" top: "score"
        inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss" }
layer { name: "accuracy" type: "Accuracy" bottom: "score" bottom: "label" top: "accuracy"
        include { phase: TEST } }
"""


def spiral(data: str = "", dropout: float = 0.0) -> str:
    """A small net on the spiral."""
    return SPIRAL % (data, dropout)


class Notes(Monitor):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.tests: list[int] = []

    def on_note(self, text: str) -> None:
        self.notes.append(text)

    def on_test(self, iteration: int, net: int, loss: Any, outputs: Any) -> None:
        self.tests.append(iteration)


def make(
    folder: Path, text: str, net: str = LINE, dtype: Any = np.float32, monitor: Any = None
) -> Solver:
    """The solver of `text`, with `net` as its net; snapshots go into the folder."""
    (folder / "n.net").write_text(net)
    path = folder / "s.solver"
    path.write_text(f'net: "n.net"\nsnapshot_prefix: "{folder / "run"}"\n{text}')
    param = load_solver(path)
    return solver_class(param)(param, monitor or Monitor(), dtype, str(path))


def parameters(solver: Solver) -> np.ndarray:
    """All parameters, one after another."""
    blobs = [b for blobs in solver.net.params.values() for b in blobs]
    return np.concatenate([b.data.ravel() for b in blobs])

"""Fine-tuning: a trained net's layers go on from what they know; a last layer of a new name is
learned afresh, faster than the rest."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import caffelite.pycaffe as caffe

ROOT = Path(__file__).parents[2]
SOLVER = 'net: "{net}" base_lr: 0.5 lr_policy: "fixed" momentum: 0.9 random_seed: {seed}'


def solver_for(folder: str, text: str, seed: int) -> caffe.SGDSolver:
    net, solver = Path(folder) / "net.net", Path(folder) / "net.solver"
    net.write_text(text)
    solver.write_text(SOLVER.format(net=net, seed=seed))
    return caffe.SGDSolver(str(solver))


def train(solver: caffe.SGDSolver, steps: int) -> float:
    """The mean loss of the last ten steps."""
    losses = []
    for _ in range(steps):
        solver.step(1)
        losses.append(float(solver.net.blobs["loss"].data))
    return sum(losses[-10:]) / 10


def main() -> None:
    text = (ROOT / "nets" / "spiral.net").read_text()
    other = text.replace('"ip2"', '"ip2_new"')
    with tempfile.TemporaryDirectory() as folder:
        weights = os.path.join(folder, "trained.caffemodel")
        first = solver_for(folder, text, seed=1)
        train(first, 1500)
        first.net.save(weights)
        scratch, tuned = solver_for(folder, other, seed=2), solver_for(folder, other, seed=2)
        tuned.net.copy_from(weights)  # ip1 is there; ip2_new is not, and stays as it is
        print(f"from scratch {train(scratch, 25):.2f}, fine-tuned {train(tuned, 25):.2f}")


if __name__ == "__main__":
    main()

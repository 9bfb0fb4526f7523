"""Training step by step: the loop in Python, the rate lowered by hand, tests in between."""

from __future__ import annotations

from pathlib import Path

import caffelite.pycaffe as caffe

SOLVER = Path(__file__).parents[2] / "solvers" / "spiral.solver"


def accuracy(solver: caffe.SGDSolver, batches: int = 15) -> float:
    net = solver.test_nets[0]
    return sum(float(net.forward()["accuracy"]) for _ in range(batches)) / batches


def main() -> None:
    caffe.set_random_seed(1)
    solver = caffe.SGDSolver(str(SOLVER))
    solver.param.display = 0
    solver.param.test_interval = 0
    solver.param.snapshot = 0
    losses = []
    for iteration in range(1000):
        if iteration == 800:
            solver.param.lr_policy = "fixed"
            solver.param.base_lr = solver.lr / 10
        solver.step(1)
        losses.append(float(solver.net.blobs["loss"].data))
        if iteration % 200 == 199:
            print(
                f"iteration {solver.iter}: loss {sum(losses[-50:]) / 50:.3f}, rate {solver.lr:.3g}"
            )
    print(f"accuracy {accuracy(solver):.2f}")


if __name__ == "__main__":
    main()

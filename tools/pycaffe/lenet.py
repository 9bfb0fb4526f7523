"""LeNet written in Python with NetSpec, and trained on pictures that are made here.

With MNIST instead, `L.Data(source="mnist_train_lmdb", backend=P.Data.LMDB, batch_size=64, ntop=2)`
takes the place of the two inputs.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import caffelite.pycaffe as caffe
from caffelite.pycaffe import layers as L
from caffelite.pycaffe import params as P

BATCH = 8
XAVIER = {"type": "xavier"}
SOLVER = 'net: "lenet.prototxt" base_lr: 0.005 lr_policy: "fixed" momentum: 0.9 random_seed: 2'


def lenet() -> str:
    """The net's text."""
    n = caffe.NetSpec()
    n.data = L.Input(shape={"dim": [BATCH, 1, 28, 28]})
    n.label = L.Input(shape={"dim": [BATCH]})
    n.conv1 = L.Convolution(n.data, kernel_size=5, num_output=20, weight_filler=XAVIER)
    n.pool1 = L.Pooling(n.conv1, kernel_size=2, stride=2, pool=P.Pooling.MAX)
    n.conv2 = L.Convolution(n.pool1, kernel_size=5, num_output=50, weight_filler=XAVIER)
    n.pool2 = L.Pooling(n.conv2, kernel_size=2, stride=2, pool=P.Pooling.MAX)
    n.fc1 = L.InnerProduct(n.pool2, num_output=200, weight_filler=XAVIER)
    n.relu1 = L.ReLU(n.fc1, in_place=True)
    n.score = L.InnerProduct(n.relu1, num_output=10, weight_filler=XAVIER)
    n.loss = L.SoftmaxWithLoss(n.score, n.label)
    return str(n.to_proto())


def main() -> None:
    chance = np.random.default_rng(0)
    patterns = chance.standard_normal((10, 1, 28, 28)).astype(np.float32)  # a class each
    with tempfile.TemporaryDirectory() as folder:
        net_file, solver_file = (
            Path(folder) / "lenet.prototxt",
            Path(folder) / "lenet_solver.prototxt",
        )
        net_file.write_text(lenet())
        solver_file.write_text(SOLVER)
        solver = caffe.get_solver(str(solver_file))
    right = []
    for _ in range(25):
        labels = chance.integers(10, size=BATCH)
        noise = chance.standard_normal((BATCH, 1, 28, 28))
        solver.net.blobs["data"].data[...] = 0.3 * patterns[labels] + 0.1 * noise
        solver.net.blobs["label"].data[...] = labels
        solver.step(1)
        right.append(float((solver.net.blobs["score"].data.argmax(axis=1) == labels).mean()))
    print(f"right at first {np.mean(right[:3]):.2f}, at the end {np.mean(right[-5:]):.2f}")


if __name__ == "__main__":
    main()

"""Feature extraction: what a layer in the middle makes of the data, batch by batch, into a file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np

import caffelite.pycaffe as caffe

NETS = Path(__file__).parents[2] / "nets"


def main() -> None:
    net = caffe.Net(str(NETS / "spiral.net"), caffe.TEST)
    features, labels = [], []
    for _ in range(15):  # 15 batches of 20 are all points
        found = net.forward(blobs=["hidden", "label"])
        features.append(found["hidden"].copy())  # the next pass writes into the same array
        labels.append(found["label"].copy())
    table = np.concatenate(features)
    path = os.path.join(tempfile.gettempdir(), "features.npz")
    np.savez(path, features=table, labels=np.concatenate(labels))
    print(f"{table.shape[0]} rows of {table.shape[1]} features")
    os.remove(path)


if __name__ == "__main__":
    main()

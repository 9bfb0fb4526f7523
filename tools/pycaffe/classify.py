"""Classify image files: Transformer, a batch, the best classes.

The net is made here, so that nothing has to be downloaded: its filters are the three colours.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import caffelite.pycaffe as caffe

NET = """
layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 3 dim: 3 dim: 32 dim: 32 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 3 kernel_size: 1 } }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool"
  pooling_param { pool: AVE global_pooling: true } }
layer { name: "prob" type: "Softmax" bottom: "pool" top: "prob" }
"""
LABELS = ["blue", "green", "red"]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "colours.prototxt"
        file.write_text(NET)
        net = caffe.Net(str(file), caffe.TEST)
        images = []
        for name, colour in [
            ("grass", (0.2, 0.7, 0.1)),
            ("rose", (0.9, 0.1, 0.2)),
            ("sea", (0, 0.2, 0.8)),
        ]:
            picture = np.clip(np.random.default_rng(0).normal(colour, 0.1, (40, 50, 3)), 0, 1)
            plt.imsave(f"{folder}/{name}.png", picture)
            images.append((name, caffe.io.load_image(f"{folder}/{name}.png")))
    net.params["conv"][0].data[...] = 0.02 * np.eye(3).reshape(3, 3, 1, 1)

    transformer = caffe.io.Transformer({"data": net.blobs["data"].data.shape})
    transformer.set_transpose("data", (2, 0, 1))  # H x W x K to K x H x W
    transformer.set_channel_swap("data", (2, 1, 0))  # RGB to BGR
    transformer.set_raw_scale("data", 255)  # 0..1 to 0..255
    transformer.set_mean("data", np.array([104, 117, 123]))
    for i, (_, image) in enumerate(images):
        net.blobs["data"].data[i] = transformer.preprocess("data", image)

    probabilities = net.forward()["prob"].reshape(3, 3)
    for (name, _), row in zip(images, probabilities):
        best = row.argsort()[::-1][:2]
        print(f"{name}: " + ", ".join(f"{LABELS[k]} {row[k]:.2f}" for k in best))


if __name__ == "__main__":
    main()

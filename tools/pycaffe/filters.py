"""Filters as pictures: the weights of a first convolution, and what they make of an image."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import caffelite.pycaffe as caffe

NET = """
layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 1 dim: 1 dim: 64 dim: 64 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 12 kernel_size: 11 pad: 5 } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
"""


def tiles(planes: np.ndarray) -> np.ndarray:
    """Planes (N, H, W) side by side in a square, each from 0 to 1, white lines between them."""
    low, high = planes.min(axis=(1, 2), keepdims=True), planes.max(axis=(1, 2), keepdims=True)
    planes = (planes - low) / np.maximum(high - low, 1e-8)
    side = int(np.ceil(np.sqrt(len(planes))))
    padding = ((0, side * side - len(planes)), (0, 1), (0, 1))
    padded = np.pad(planes, padding, constant_values=1)
    _, height, width = padded.shape
    square = padded.reshape(side, side, height, width)
    return square.transpose(0, 2, 1, 3).reshape(side * height, side * width)


def stripes(angle: float, size: int = 11) -> np.ndarray:
    """A filter that answers to edges of one direction."""
    y, x = np.mgrid[:size, :size] - size // 2
    across = x * np.cos(angle) + y * np.sin(angle)
    return np.asarray(np.exp(-(x**2 + y**2) / 18) * np.sin(across))


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
    file = folder / "filters.prototxt"
    file.write_text(NET)
    net = caffe.Net(str(file), caffe.TEST)
    for i, weights in enumerate(net.params["conv1"][0].data):
        weights[0] = stripes(np.pi * i / 12)
    y, x = np.mgrid[:64, :64] - 32
    net.blobs["data"].data[...] = (x**2 + y**2 < 400).astype(np.float32)  # a disc
    net.forward()
    plt.imsave(folder / "filters.png", tiles(net.params["conv1"][0].data[:, 0]), cmap="gray")
    plt.imsave(folder / "maps.png", tiles(net.blobs["conv1"].data[0]), cmap="gray")
    print("filters.png and maps.png are written")


if __name__ == "__main__":
    main()

"""Deep dreams: an image is changed so that a layer answers more, in several sizes (octaves).

`forward(end=)` runs, and reshapes, only as far as that layer: the classifier behind it, which wants
images of one size, is not asked.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import caffelite.pycaffe as caffe

NET = """
force_backward: true
layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 1 dim: 3 dim: 32 dim: 32 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 8 kernel_size: 5 pad: 2 weight_filler { type: "xavier" } } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1"
  pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "conv2" type: "Convolution" bottom: "pool1" top: "conv2"
  convolution_param { num_output: 8 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "fc" type: "InnerProduct" bottom: "conv2" top: "fc"
  inner_product_param { num_output: 10 weight_filler { type: "xavier" } } }
"""


def climb(net: caffe.Net, end: str, step: float, jitter: tuple[int, int]) -> float:
    """One step up the gradient of |layer|^2 / 2, on an image that is shifted by a few pixels."""
    source, target = net.blobs["data"], net.blobs[end]
    source.data[0] = np.roll(source.data[0], jitter, axis=(1, 2))
    net.forward(end=end)
    answer = float((target.data**2).mean())
    target.diff[...] = target.data
    net.backward(start=end)
    gradient = source.diff[0]
    source.data[0] += step / np.abs(gradient).mean() * gradient
    source.data[0] = np.roll(source.data[0], (-jitter[0], -jitter[1]), axis=(1, 2))
    return answer


def main() -> None:
    caffe.set_random_seed(4)
    chance = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "dream.prototxt"
        file.write_text(NET)
        net = caffe.Net(str(file), caffe.TEST)
    image = chance.standard_normal((24, 30, 3)).astype(np.float32)
    detail = np.zeros_like(image)
    for height, width in [(24, 30), (34, 42), (48, 60)]:
        base = caffe.io.resize_image(image, (height, width))
        detail = caffe.io.resize_image(detail, (height, width))
        net.blobs["data"].reshape(1, 3, height, width)
        net.blobs["data"].data[0] = (base + detail).transpose(2, 0, 1)
        answers = []
        for _ in range(5):
            across, down = chance.integers(-4, 5, 2)
            answers.append(climb(net, "conv2", 0.2, (int(across), int(down))))
        detail = net.blobs["data"].data[0].transpose(1, 2, 0) - base
        print(f"{height} x {width}: the answer grows from {answers[0]:.2f} to {answers[-1]:.2f}")


if __name__ == "__main__":
    main()

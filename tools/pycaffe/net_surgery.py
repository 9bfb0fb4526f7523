"""Net surgery: a classifier becomes fully convolutional, and runs at any image size.

The weights of an InnerProduct layer over C x H x W values are those of a convolution with an H x W
kernel, in the same order: they are copied as they lie in memory.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import caffelite.pycaffe as caffe

BODY = """
layer {{ name: "data" type: "Input" top: "data"
  input_param {{ shape {{ dim: 1 dim: 1 dim: {0} dim: {0} }} }} }}
layer {{ name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param {{ num_output: 4 kernel_size: 3 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "relu" type: "ReLU" bottom: "conv" top: "conv" }}
layer {{ name: "pool" type: "Pooling" bottom: "conv" top: "pool"
  pooling_param {{ kernel_size: 2 stride: 2 }} }}
"""
DENSE = """
layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "score"
  inner_product_param { num_output: 10 weight_filler { type: "xavier" } } }
"""
CONVOLUTIONAL = """
layer { name: "fc-conv" type: "Convolution" bottom: "pool" top: "score"
  convolution_param { num_output: 10 kernel_size: 7 } }
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        dense_file, full_file, weights = (Path(folder) / n for n in ("dense", "full", "weights"))
        dense_file.write_text(BODY.format(16) + DENSE)
        full_file.write_text(BODY.format(24) + CONVOLUTIONAL)
        dense = caffe.Net(str(dense_file), caffe.TEST)
        dense.save(str(weights))
        full = caffe.Net(str(full_file), caffe.TEST, weights=str(weights))  # layers of one name
    for new, old in zip(full.params["fc-conv"], dense.params["fc"]):
        new.data.flat = old.data.flat

    image = np.random.default_rng(0).standard_normal((1, 1, 24, 24)).astype(np.float32)
    scores = full.forward(data=image)["score"]
    print("scores at each place:", scores.shape)
    for row in range(scores.shape[2]):
        for col in range(scores.shape[3]):
            window = image[:, :, 2 * row : 2 * row + 16, 2 * col : 2 * col + 16]
            expected = dense.forward(data=window)["score"][0]
            np.testing.assert_allclose(scores[0, :, row, col], expected, atol=1e-5)
    print("each is what the classifier says of the window there")


if __name__ == "__main__":
    main()

"""BatchNorm folded into the convolution before it, for nets that only run.

y = g (w * x + b - m) / s + h is a convolution with the weights w g / s and the bias
(b - m) g / s + h, where s = sqrt(v + eps).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import caffelite.pycaffe as caffe

CONVOLUTION = """
layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 2 dim: 3 dim: 8 dim: 8 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 6 kernel_size: 3 weight_filler { type: "xavier" } } }
"""
NORMALISED = """
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" }
layer { name: "scale" type: "Scale" bottom: "conv" top: "conv" scale_param { bias_term: true } }
"""
EPS = 1e-5


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        plain, normalised = Path(folder) / "plain", Path(folder) / "normalised"
        plain.write_text(CONVOLUTION)
        normalised.write_text(CONVOLUTION + NORMALISED)
        net, folded = (caffe.Net(str(file), caffe.TEST) for file in (normalised, plain))
    chance = np.random.default_rng(0)
    for name, i in [("bn", 0), ("scale", 0), ("scale", 1)]:
        net.params[name][i].data[...] = chance.standard_normal(6)
    net.params["bn"][1].data[...] = chance.uniform(0.5, 2, 6)
    net.params["bn"][2].data[...] = 1

    mean, variance, factor = (blob.data for blob in net.params["bn"])
    gain, shift = (blob.data for blob in net.params["scale"])
    weights, bias = (blob.data for blob in net.params["conv"])
    unit = 1 / factor[0] if factor[0] else 0  # the statistics are sums, this their weight
    k = gain / np.sqrt(variance * unit + EPS)
    folded.params["conv"][0].data[...] = weights * k.reshape(-1, 1, 1, 1)
    folded.params["conv"][1].data[...] = (bias - mean * unit) * k + shift

    x = chance.standard_normal((2, 3, 8, 8))
    before, after = net.forward(data=x)["conv"], folded.forward(data=x)["conv"]
    np.testing.assert_allclose(before, after, rtol=1e-4, atol=1e-4)
    print(f"{len(net.layers)} layers became {len(folded.layers)}, with the same outputs")


if __name__ == "__main__":
    main()

"""A step in a steady state allocates nothing large."""

from __future__ import annotations

import tracemalloc

import numpy as np

import caffelite
from caffelite.files import parse_net
from caffelite.kernels import parallel

NET = """
layer { name: "in" type: "Input" top: "x" top: "label"
  input_param { shape { dim: 16 dim: 3 dim: 48 dim: 48 } shape { dim: 16 } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "c"
  convolution_param { num_output: 16 kernel_size: 5 pad: 2 weight_filler { type: "xavier" } } }
layer { name: "bn" type: "BatchNorm" bottom: "c" top: "c" }
layer { name: "scale" type: "Scale" bottom: "c" top: "c" scale_param { bias_term: true } }
layer { name: "relu" type: "ReLU" bottom: "c" top: "c" }
layer { name: "norm" type: "LRN" bottom: "c" top: "n" }
layer { name: "pool" type: "Pooling" bottom: "n" top: "p"
  pooling_param { pool: MAX kernel_size: 3 stride: 2 } }
layer { name: "ip" type: "InnerProduct" bottom: "p" top: "y"
  inner_product_param { num_output: 10 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "label" top: "loss" }
"""
MOST = 200_000
"""Bytes: NumPy casts in pieces of a few thousand values. The largest blob has 2.4 million."""


def test_nothing_large_is_allocated() -> None:
    net = caffelite.Net(parse_net(NET), caffelite.TRAIN, seed=1, engine="numpy")
    net.blobs["x"].data[...] = np.random.default_rng(1).standard_normal(net.blobs["x"].shape)
    assert net.blobs["c"].data.nbytes > 10 * MOST

    def step() -> int:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        net.clear_param_diffs()
        net.forward_loss()
        net.backward_all()
        _, peak = tracemalloc.get_traced_memory()
        return peak - before

    parallel.set_threads(1)  # each thread has a workspace of its own, made when it is first needed
    tracemalloc.start()
    try:
        first, second, third = step(), step(), step()
    finally:
        tracemalloc.stop()
        parallel.set_threads(None)
    assert first > MOST  # the measurement sees what is allocated
    assert max(second, third) < MOST

"""A pass that finds all as it was checks little; what has changed is seen all the same."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs ONNX Runtime: pip install caffelite[onnx]")

from caffelite import Net
from caffelite.kernels import parallel

from .test_runtime_nets import RNN, agree, blobs_agree, pair


def again(net: Net) -> object:
    return net.executor.session._again


def test_a_second_pass_is_a_call() -> None:
    reference, net = pair()
    for _ in range(3):
        agree(reference, net)
    assert again(net) is not None
    part = next(iter(net.executor.session._parts.values()))
    part.run = None  # type: ignore[method-assign, assignment]
    x = np.random.default_rng(1).normal(size=net.blobs["x"].shape)
    for each in (reference, net):
        each.blobs["x"].data[...] = x
    agree(reference, net)


def test_parameters_blobs_threads_and_parts_are_seen() -> None:
    reference, net = pair()
    for _ in range(2):
        agree(reference, net)
    for each in (reference, net):
        each.params["one"][0].data[0] += 0.5
    agree(reference, net)
    agree(reference, net)
    blobs_agree(reference, net)  # asks for others
    agree(reference, net)
    for each in (reference, net):
        each.blobs["b"].data[...] = 0.25
        each.forward(start="two")
    agree(reference, net)
    old = parallel.threads()
    try:
        parallel.set_threads(old + 1)
        agree(reference, net)
        parts = net.executor.session._parts
        options = parts[max(parts, key=len)].session.session.get_session_options()
        assert options.intra_op_num_threads == old + 1
    finally:
        parallel.set_threads(old)
    for each in (reference, net):
        each.blobs["x"].reshape(1, 3, 8, 8)
        each.blobs["x"].data[...] = 1
    agree(reference, net)
    agree(reference, net)


def test_a_memory_is_carried_each_time() -> None:
    reference, net = pair(RNN)
    for _ in range(3):
        agree(reference, net)
    assert again(net) is None

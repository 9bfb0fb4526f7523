"""What a test net does not compute, because no backward pass follows; and when one follows all
the same."""

from __future__ import annotations

import numpy as np
import pytest

import caffelite
from caffelite.engines.numpy import folding, inference, scratch
from caffelite.engines.numpy.scratch import Lending
from caffelite.files import parse_net
from caffelite.run.executor import Executor
from caffelite.run.session import Session

NET = """
force_backward: true
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 4 dim: 3 dim: 40 dim: 40 } } }
layer { name: "t" type: "Input" top: "t" input_param { shape { dim: 4 dim: 10 } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "c"
  convolution_param { num_output: 8 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "norm" type: "LRN" bottom: "c" top: "n" lrn_param { alpha: 0.5 %s } }
layer { name: "pool" type: "Pooling" bottom: "n" top: "p"
  pooling_param { pool: MAX kernel_size: 3 stride: 2 } }
layer { name: "square" type: "Power" bottom: "p" top: "q" power_param { power: 2 } }
layer { name: "ip" type: "InnerProduct" bottom: "q" top: "y"
  inner_product_param { num_output: 10 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss" }
"""


def made(more: str = "") -> caffelite.Net:
    net = caffelite.Net(parse_net(NET % more), caffelite.TEST, seed=1, engine="numpy")
    rng = np.random.default_rng(0)
    for name in net.inputs:
        net.blobs[name].data[...] = rng.standard_normal(net.blobs[name].shape)
    return net


@pytest.mark.parametrize("more", ["", "norm_region: WITHIN_CHANNEL local_size: 3"])
def test_a_backward_pass_after_it_is_right(more: str) -> None:
    net = made(more)
    assert net.executor.memory.slot
    plain = Executor(net.plan, net.arena, net.streams, Session)
    for name in net.inputs:
        plain.look(name)[...] = net.blobs[name].data
    loss = net.forward_loss()
    assert loss == pytest.approx(plain.forward_loss(), rel=1e-6)
    net.clear_param_diffs()
    net.backward_all()
    found = net.arena.diff.copy(), net.blobs["x"].diff.copy()
    net.arena.clear_diff()
    plain.backward()
    for mine, theirs in zip(found, (net.arena.diff, plain.look("x", "diff"))):
        assert theirs.any()
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)


def test_maxima_are_not_numbered_where_nobody_asks() -> None:
    net = made()
    layer = net.layer_dict["pool"]
    layer._pool.taps.fill(7)  # type: ignore[attr-defined]
    net.forward()
    assert (layer._pool.taps == 7).all()  # type: ignore[attr-defined]
    net.blobs["p"].data.sum()  # it is kept from now on, with all that comes of it
    net.forward()
    assert not (layer._pool.taps == 7).all()  # type: ignore[attr-defined]


def test_scratch_lies_where_no_blob_does() -> None:
    """What is lent to a step is free while it runs: the same numbers with and without."""
    net = made()
    found = {name: out.copy() for name, out in net.forward().items()}
    steps = [bound for _, bound in net.executor.steps("forward") if isinstance(bound, Lending)]
    assert steps
    for step in steps:
        step.room.fill(255)  # not a number: who read what lies there would show it
    again = net.forward()
    assert all(np.array_equal(found[name], again[name]) for name in found)


def test_little_scratch_gives_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    plenty = {name: out.copy() for name, out in made().forward().items()}
    monkeypatch.setattr(scratch, "budget", lambda *_: 1)
    monkeypatch.setattr(inference, "budget", lambda *_: 1)
    monkeypatch.setattr(folding, "budget", lambda *_: 1)
    for name, out in made().forward().items():
        np.testing.assert_allclose(out, plenty[name], rtol=1e-6)

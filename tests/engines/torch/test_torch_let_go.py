"""Gradients of blobs that are let go of: the same results, and who asks gets them or an error."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install caffelite[torch]")

from caffelite import TRAIN, Net
from caffelite.engines.torch import heap
from caffelite.engines.torch.device import CPU, Place
from caffelite.engines.torch.session import TorchSession
from caffelite.errors import NetError
from caffelite.run.gradients import let_gradients_go
from caffelite.run.program import DIFF

from ...run.test_random_graphs import Growing, fill, in_place_text, net_of
from .nets import APART, net_param, on_torch, pair
from .recording import recording_place
from .test_torch_nets import SMALL, feed


def train(net: Net, seed: int) -> None:
    feed(net, seed)
    net.clear_param_diffs()
    net.forward_backward()


def held(net: Net) -> int:
    """How many gradients of blobs there are."""
    session = net.executor.session
    assert isinstance(session, TorchSession)
    return sum(cell.tensor is not None for key, cell in session._cells.items() if key[1] == DIFF)


@pytest.fixture(params=["cpu", "apart", "recorded"])
def nets(request: pytest.FixtureRequest) -> tuple[Net, Net]:
    """NumPy's, and one that has trained for some steps and let gradients go."""
    place = {"cpu": CPU, "apart": APART, "recorded": recording_place()}[request.param]
    plain, net = pair(net_param(SMALL), TRAIN, dtype=np.float64, seed=2, place=place)
    let_gradients_go(net.executor)
    for seed in range(5):
        for each in (plain, net):
            train(each, seed)
    return plain, net


def test_parameters_and_inputs_have_their_gradients(nets: tuple[Net, Net]) -> None:
    plain, net = nets
    np.testing.assert_allclose(net.arena.diff, plain.arena.diff, 1e-9, 1e-9)
    assert held(net) <= 2  # of the input, and of the loss
    for name in ("x", "loss"):
        np.testing.assert_allclose(net.blobs[name].diff, plain.blobs[name].diff, 1e-9, 1e-9)


@pytest.mark.parametrize("name", ["conv", "norm", "pool", "conv2", "ip", "label"])
def test_who_asks_gets_the_gradient(name: str, nets: tuple[Net, Net]) -> None:
    plain, net = nets
    np.testing.assert_allclose(net.blobs[name].diff, plain.blobs[name].diff, 1e-9, 1e-9)
    np.testing.assert_allclose(net.arena.diff, plain.arena.diff, 1e-9, 1e-9)
    for each in (plain, net):
        train(each, 7)
    for other, blob in plain.blobs.items():  # all are kept from now on
        np.testing.assert_allclose(net.blobs[other].diff, blob.diff, 1e-9, 1e-9)


@pytest.mark.parametrize("what", ["parameters", "their gradients", "the batch"])
def test_a_gradient_that_is_lost_is_refused(what: str, nets: tuple[Net, Net]) -> None:
    plain, net = nets
    for each in nets:
        if what == "parameters":
            each.arena.data[...] *= 1.1
        elif what == "the batch":
            feed(each, 9)
            each.forward()
        else:
            each.arena.diff[...] *= 0.5
    before = net.arena.diff.copy()
    with pytest.raises(NetError, match="the blob's gradient was not kept by the last pass"):
        _ = net.blobs["pool"].diff
    np.testing.assert_array_equal(net.arena.diff, before)
    for each in nets:
        train(each, 10)
    np.testing.assert_allclose(net.blobs["pool"].diff, plain.blobs["pool"].diff, 1e-9, 1e-9)


def test_who_asked_before_is_not_let_down(nets: tuple[Net, Net]) -> None:
    plain, net = nets
    kept = [each.blobs["pool"].diff for each in nets]
    let_gradients_go(net.executor)
    for each in nets:
        train(each, 11)
    if net.executor.session.place.shares:  # type: ignore[attr-defined]
        np.testing.assert_allclose(kept[1], kept[0], 1e-9, 1e-9)
    np.testing.assert_allclose(net.blobs["pool"].diff, plain.blobs["pool"].diff, 1e-9, 1e-9)


def test_a_part_of_the_net_runs_backward(nets: tuple[Net, Net]) -> None:
    plain, net = nets
    for each in nets:
        each.backward(start="norm")
    np.testing.assert_allclose(net.arena.diff, plain.arena.diff, 1e-9, 1e-9)


@pytest.mark.parametrize("place", [CPU, APART], ids=["cpu", "apart"])
@pytest.mark.parametrize("seed", range(8))
def test_random_graphs(seed: int, place: Place) -> None:
    rng = np.random.default_rng(seed)
    grown = Growing(rng, cut=seed % 3 == 1)
    text = in_place_text(grown.steps, grown.width, rng)
    plain, net = net_of(text, seed), on_torch(net_of(text, seed), place)
    let_gradients_go(net.executor)
    for _ in range(2):
        for each in (plain, net):
            fill(each, seed)
            each.clear_param_diffs()
            each.forward()
            each.backward()
        np.testing.assert_allclose(net.arena.diff, plain.arena.diff, 1e-9, 1e-9)
    for name, blob in plain.blobs.items():
        np.testing.assert_allclose(net.blobs[name].diff, blob.diff, 1e-9, 1e-9, err_msg=name)


def test_numpys_net_keeps_all() -> None:
    net = Net(net_param(SMALL), TRAIN, seed=2, engine="numpy")
    let_gradients_go(net.executor)
    train(net, 0)
    assert net.blobs["pool"].diff.any()


def test_the_heap_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from caffelite.engines.torch.heap import keep_heap; print(keep_heap())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.strip() in ("True", "False")
    monkeypatch.setattr(heap.sys, "platform", "darwin")
    assert not heap.keep_heap()
    monkeypatch.setattr(heap.sys, "platform", "linux")
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda name: object())
    assert not heap.keep_heap()

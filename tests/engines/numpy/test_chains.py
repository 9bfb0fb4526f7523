"""BatchNorm, Scale and ReLU as one step: the layers' own numbers, for any tiles and threads."""

from __future__ import annotations

import numpy as np
import pytest

import caffelite
from caffelite.files import parse_net
from caffelite.kernels import normalising, parallel
from caffelite.run.executor import Executor
from caffelite.run.session import Bound, Session, Several

DATA = """
force_backward: true
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 5 dim: 6 dim: 4 dim: 3 } } }
layer { name: "t" type: "Input" top: "t" input_param { shape { dim: 5 dim: 6 dim: 4 dim: 3 } } }
layer { name: "c" type: "Convolution" bottom: "x" top: "c"
  convolution_param { num_output: 6 kernel_size: 1 weight_filler { type: "xavier" } } }
"""
LOSS = 'layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss" }'


def layer(kind: str, bottom: str, top: str, more: str = "") -> str:
    return f'layer {{ name: "{kind}" type: "{kind}" bottom: "{bottom}" top: "{top}" {more} }}\n'


FILLED = 'scale_param { filler { type: "uniform" min: -2 max: 2 } %s }'
BIASED = FILLED % 'bias_term: true bias_filler { type: "gaussian" }'
STORED = "batch_norm_param { use_global_stats: true }"
FROZEN = "param { lr_mult: 0 } param { lr_mult: 0 }"
COPY = 'layer { name: "copy" type: "Power" bottom: "c" top: "y" }'
CHAINS = {
    "in place": layer("BatchNorm", "c", "c")
    + layer("Scale", "c", "c", BIASED)
    + layer("ReLU", "c", "c")
    + COPY,
    "apart": layer("BatchNorm", "c", "n")
    + layer("Scale", "n", "s", BIASED)
    + layer("ReLU", "s", "y"),
    "no bias, stored": layer("BatchNorm", "c", "c", STORED)
    + layer("Scale", "c", "c", FILLED % "")
    + layer("ReLU", "c", "c")
    + COPY,
    "frozen": layer("BatchNorm", "c", "n") + layer("Scale", "n", "y", BIASED + FROZEN),
    "one of two learns": layer("BatchNorm", "c", "n")
    + layer("Scale", "n", "y", BIASED + "param { lr_mult: 0 } param { lr_mult: 1 }"),
    "normalised alone": layer("BatchNorm", "c", "y"),
    "normalised, rectified": layer("BatchNorm", "c", "n") + layer("ReLU", "n", "y"),
    "scaled alone": layer("Scale", "c", "y", BIASED),
    "scaled, rectified": layer("Scale", "c", "s", BIASED) + layer("ReLU", "s", "y"),
}


def made(text: str, phase: object = caffelite.TRAIN, dtype: object = np.float64) -> caffelite.Net:
    return caffelite.Net(parse_net(text), phase, seed=3, dtype=dtype, engine="numpy")


def filled(executor: Executor) -> None:
    rng = np.random.default_rng(0)
    for name in ("x", "t"):
        executor.look(name)[...] = rng.standard_normal(executor.look(name).shape) + 1


def passes(executor: Executor, arena: np.ndarray) -> list[np.ndarray]:
    """What two passes leave: losses, gradients, statistics, all that blobs show."""
    filled(executor)
    executor.arena.data[...] = arena
    executor.arena.clear_diff()
    found = []
    for _ in range(2):
        found.append(np.array(executor.forward_loss()))
        executor.backward()
        found += [executor.arena.diff.copy(), executor.arena.data.copy()]
    for name, version in executor.plan.graph.blobs.items():
        found.append(executor.look(name).copy())
        if executor.plan.needs[version.maker.index].backward:
            found.append(executor.look(name, "diff").copy())
    return found


def assert_near(found: list[np.ndarray], expected: list[np.ndarray], within: float) -> None:
    for mine, theirs in zip(found, expected, strict=True):
        scale = max(1.0, float(np.abs(theirs).max()))
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=within * scale)


def steps_of(net: caffelite.Net, direction: str) -> dict[str, Bound]:
    return {s.node.spec.name: b for s, b in net.executor.steps(direction) if hasattr(s, "node")}


@pytest.mark.parametrize("size", [1, 130, 1 << 16])
@pytest.mark.parametrize("name", CHAINS)
def test_same_numbers_as_the_layers_own(
    name: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(normalising, "TILE", size)
    monkeypatch.setattr(normalising, "LARGE", 0)
    for dtype, within in ((np.float64, 1e-12), (np.float32, 2e-6)):
        net = made(DATA + CHAINS[name] + LOSS, dtype=dtype)
        arena = net.arena.data.copy()
        expected = passes(Executor(net.plan, net.arena, net.streams, Session), arena)
        assert_near(passes(net.executor, arena), expected, within)


@pytest.mark.parametrize("name", CHAINS)
def test_the_number_of_threads_does_not_show(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(normalising, "TILE", 130)
    monkeypatch.setattr(normalising, "LARGE", 0)
    net = made(DATA + CHAINS[name] + LOSS, dtype=np.float32)
    arena = net.arena.data.copy()
    found = []
    try:
        for threads in (1, 2, 3):
            parallel.set_threads(threads)
            found.append(b"".join(a.tobytes() for a in passes(net.executor, arena)))
    finally:
        parallel.set_threads(None)
    assert found[0] == found[1] == found[2]


def test_a_chain_is_one_step() -> None:
    net = made(DATA + CHAINS["in place"] + LOSS)
    forward, backward = steps_of(net, "forward"), steps_of(net, "backward")
    assert forward["Scale"] == forward["ReLU"] == Several() != forward["BatchNorm"]
    assert backward["Scale"] == backward["BatchNorm"] == Several() != backward["ReLU"]


FORKED = layer("BatchNorm", "c", "n") + layer("Scale", "n", "s", BIASED) + layer("ReLU", "n", "r")
SUM = """
layer { name: "sum" type: "Eltwise" bottom: "s" bottom: "r" top: "y" }
"""


def test_what_another_layer_reads_is_there() -> None:
    """The normalised values have two readers, and in a test they lie in shared memory."""
    large = DATA.replace("dim: 4 dim: 3", "dim: 40 dim: 30")
    for phase in (caffelite.TRAIN, caffelite.TEST):
        net = made(large + FORKED + SUM + LOSS, phase)
        filled(net.executor)
        plain = Executor(net.plan, net.arena, net.streams, Session)
        filled(plain)
        data = net.arena.data.copy()
        first = net.executor.forward_loss()
        net.arena.data[...] = data
        assert first == pytest.approx(plain.forward_loss(), rel=1e-10)


def test_a_blob_that_was_not_kept_is_right_when_it_is_asked_for() -> None:
    large = DATA.replace("dim: 4 dim: 3", "dim: 40 dim: 30")
    net = made(large + CHAINS["apart"] + LOSS, caffelite.TEST)
    assert net.executor.memory.slot  # there are blobs that share memory
    filled(net.executor)
    net.forward()
    normal, c = net.blobs["n"].data, net.blobs["c"].data
    mean, variance, factor = (b.data for b in net.params["BatchNorm"])
    assert factor[0] == 0 and not mean.any() and not variance.any()
    np.testing.assert_allclose(normal, c / np.sqrt(1e-5), rtol=1e-9)


@pytest.mark.parametrize("more", ["scale_param { axis: 0 }", "scale_param { num_axes: 0 }"])
def test_other_axes_are_scaled_by_the_layer_itself(more: str) -> None:
    net = made(DATA + layer("BatchNorm", "c", "n") + layer("Scale", "n", "y", more) + LOSS)
    assert steps_of(net, "forward")["Scale"] != Several()
    arena = net.arena.data.copy()
    expected = passes(Executor(net.plan, net.arena, net.streams, Session), arena)
    assert_near(passes(net.executor, arena), expected, 1e-12)

"""A Convolution with the stored BatchNorm, the Scale and the ReLU behind it, as one step."""

from __future__ import annotations

import numpy as np
import pytest

import caffelite
from caffelite.files import parse_net
from caffelite.run.executor import Executor
from caffelite.run.session import Session, Several

DATA = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 3 %s } } }\n'
SMALL, LARGE = "dim: 4 dim: 6 dim: 5", "dim: 4 dim: 40 dim: 36"


def layer(kind: str, bottom: str, top: str, more: str = "") -> str:
    return f'layer {{ name: "{kind}" type: "{kind}" bottom: "{bottom}" top: "{top}" {more} }}\n'


def convolution(more: str) -> str:
    filler = 'weight_filler { type: "xavier" } bias_filler { type: "gaussian" }'
    return layer("Convolution", "x", "c", f"convolution_param {{ {filler} {more} }}")


SCALE = """scale_param { filler { type: "uniform" min: -2 max: 2 }
  bias_term: true bias_filler { type: "gaussian" } }"""
IN_PLACE = layer("BatchNorm", "c", "c") + layer("Scale", "c", "c", SCALE) + layer("ReLU", "c", "c")
APART = layer("BatchNorm", "c", "n") + layer("Scale", "n", "s", SCALE) + layer("ReLU", "s", "r")
CONVOLUTIONS = {
    "plain": "num_output: 6 kernel_size: 3 pad: 1",
    "no bias": "num_output: 6 kernel_size: 3 bias_term: false",
    "pointwise": "num_output: 6 kernel_size: 1",
    "groups": "num_output: 6 kernel_size: 3 group: 2",
    "depthwise": "num_output: 4 kernel_size: 3 group: 4 stride: 2",
    "depthwise, more weights than outputs": "num_output: 4 kernel_h: 6 kernel_w: 5 group: 4",
    "more filters than outputs": "num_output: 64 kernel_h: 6 kernel_w: 5",
}
END = {"c": layer("Power", "c", "y"), "r": layer("Power", "r", "y")}


def made(text: str, dtype: type = np.float64) -> caffelite.Net:
    net = caffelite.Net(parse_net(text), caffelite.TEST, seed=3, dtype=dtype, engine="numpy")
    rng = np.random.default_rng(0)
    for blobs in net.params.values():
        for blob in blobs:  # statistics too
            blob.data[...] += rng.uniform(0.1, 1, blob.shape)
    net.blobs["x"].data[...] = rng.standard_normal(net.blobs["x"].shape)
    return net


def folded(net: caffelite.Net) -> bool:
    bound = [b for s, b in net.executor.steps("forward") if hasattr(s, "node")]
    return (
        bound[1] == bound[2] == bound[3] == Several() if len(bound) > 4 else bound[1] == Several()
    )


def own(net: caffelite.Net) -> Executor:
    """The layers' own methods, with the same parameters."""
    plain = Executor(net.plan, net.arena, net.streams, Session)
    plain.look("x")[...] = net.blobs["x"].data
    plain.forward()
    return plain


@pytest.mark.parametrize("end", END)
@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_same_numbers_as_the_layers_own(name: str, size: str, end: str) -> None:
    for dtype, within in ((np.float64, 1e-12), (np.float32, 3e-6)):
        chain = IN_PLACE if end == "c" else APART
        text = DATA % size + convolution(CONVOLUTIONS[name]) + chain + END[end]
        if name == "more filters than outputs" and size == LARGE:
            continue
        net = made(text, dtype)
        expected = own(net).look("y")
        found = net.forward()["y"]
        np.testing.assert_allclose(found, expected, rtol=0, atol=within * np.abs(expected).max())
        assert folded(net) == (end == "c" or bool(net.executor.memory.slot))


@pytest.mark.parametrize("blob", ["c", "n", "s", "r"])
@pytest.mark.parametrize("before", [True, False])
def test_blobs_are_right_when_they_are_asked_for(blob: str, before: bool) -> None:
    net = made(DATA % LARGE + convolution("num_output: 6 kernel_size: 3") + APART + END["r"])
    assert net.executor.memory.slot
    if before:
        net.blobs[blob].data.fill(7)
    net.forward()
    found = net.blobs[blob].data
    np.testing.assert_allclose(found, own(net).look(blob), rtol=1e-9, atol=1e-12)


def test_parameters_that_change_are_followed() -> None:
    net = made(DATA % SMALL + convolution("num_output: 6 kernel_size: 3") + IN_PLACE + END["c"])
    for name, number in (("BatchNorm", 1), ("Scale", 0), ("Scale", 1), ("Convolution", 1)):
        before = net.forward()["y"].copy()
        net.params[name][number].data[...] += 0.5
        after = net.forward()["y"]
        assert np.abs(after - before).max() > 1e-3
        np.testing.assert_allclose(after, own(net).look("y"), rtol=1e-9, atol=1e-12)


def test_what_a_second_layer_reads_is_not_folded_away() -> None:
    fork = convolution("num_output: 6 kernel_size: 3") + layer("BatchNorm", "c", "n")
    fork += 'layer { name: "sum" type: "Eltwise" bottom: "c" bottom: "n" top: "y" }'
    net = made(DATA % LARGE + fork)
    found = net.forward()["y"]
    np.testing.assert_allclose(found, own(net).look("y"), rtol=1e-9, atol=1e-12)


def test_statistics_of_the_batch_are_not_folded() -> None:
    chain = layer("BatchNorm", "c", "c", "batch_norm_param { use_global_stats: false }")
    net = made(DATA % SMALL + convolution("num_output: 6 kernel_size: 3") + chain + END["c"])
    bound = [b for s, b in net.executor.steps("forward") if hasattr(s, "node")]
    assert Several() not in bound
    before = net.params["BatchNorm"][0].data.copy()
    net.forward()
    assert not np.array_equal(before, net.params["BatchNorm"][0].data)

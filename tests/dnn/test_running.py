"""Which passes of `dnn.Net` ONNX Runtime runs, and that it changes nothing but the time."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs ONNX Runtime: pip install caffelite[onnx]")

from caffelite import dnn, mode
from caffelite.dnn import running
from caffelite.engines.onnxruntime import inference
from caffelite.errors import NetError
from caffelite.kernels import parallel
from caffelite.layers.base import Arrays, Layer, register, registry

TEXT = b"""
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 dim: 6 dim: 8 } } }
layer { name: "half" type: "Power" bottom: "x" top: "x" power_param { scale: 0.5 } }
layer { name: "c" type: "Convolution" bottom: "x" top: "c"
  convolution_param { num_output: 3 kernel_size: 3 } }
layer { name: "p" type: "PReLU" bottom: "c" top: "c" }
layer { name: "end" type: "Softmax" bottom: "c" top: "e" }
"""
ROWS = (
    TEXT
    + b"""
layer { name: "ip" type: "InnerProduct" bottom: "e" top: "ip"
  inner_product_param { num_output: 2 } }"""
)


def net(text: bytes = TEXT) -> dnn.Net:
    made, rng = dnn.readNetFromCaffe(text), np.random.default_rng(0)
    for name in ("c", "p", "ip"):
        if name in made.getLayerNames():
            for number, blob in enumerate(made.getLayer(name).blobs):
                made.setParam(name, number, rng.normal(size=blob.shape))
    return made


def x(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """Each model that is made adds itself; they are made from the first pass on."""
    monkeypatch.setattr(running, "WORTH", 0)
    made: list[object] = []
    plain = inference.Inference.__init__

    def init(self: inference.Inference, *args: object, **more: object) -> None:
        plain(self, *args, **more)  # type: ignore[arg-type]
        made.append(self)

    monkeypatch.setattr(inference.Inference, "__init__", init)
    yield made


NAMES = ["half", "c", "p", "end"]


def both(text: bytes, shapes: list[tuple[int, ...]], names: list[str] = NAMES) -> None:
    """The same from ONNX Runtime and from NumPy, for inputs of these shapes one after the other."""
    fast, slow = net(text), net(text)
    for shape in shapes:
        for one in (fast, slow):
            one.setInput(x(*shape))
        found = fast.forward(names)
        mode.request.engine = "numpy"
        try:
            want = slow.forward(names)
        finally:
            mode.request.engine = None
        for a, b in zip(found, want):
            assert a.shape == b.shape and np.allclose(a, b, rtol=1e-5, atol=1e-6)


def test_one_model_for_planes_of_all_sizes(built: list[object]) -> None:
    both(TEXT, [(1, 2, 6, 8), (1, 2, 12, 5), (3, 2, 4, 4), (1, 2, 3, 3)])
    assert len(built) == 1


def test_one_model_for_all_batches_where_planes_are_fixed(built: list[object]) -> None:
    both(ROWS, [(1, 2, 6, 8), (1, 2, 6, 8)], [*NAMES, "ip"])
    assert len(built) == 1
    both(ROWS, [(1, 2, 6, 8), (4, 2, 6, 8), (2, 2, 6, 8), (7, 2, 6, 8)], [*NAMES, "ip"])
    assert len(built) == 3  # of two nets: the first model is of one shape


def test_a_model_for_what_is_asked_for(built: list[object]) -> None:
    one = net()
    one.setInput(x(1, 2, 6, 8))
    first = one.forward()
    assert np.array_equal(one.forward("end"), first) and len(built) == 1
    a, b, c = one.forward(["c", "end", "c"])
    assert len(built) == 2 and np.array_equal(a, c) and a is not c
    assert np.allclose(b, first)
    assert np.array_equal(one.forward("x"), x(1, 2, 6, 8) / 2)


def test_parameters_that_change_are_seen(built: list[object]) -> None:
    one = net()
    one.setInput(x(1, 2, 6, 8))
    before = one.forward("p")
    one.setParam("c", 1, [5, 5, 5])
    after = one.forward("p")
    assert not np.allclose(before, after) and len(built) == 2
    one.getLayer("c").blobs = [np.zeros((3, 2, 3, 3)), np.ones(3)]
    assert (one.forward("p") == 1).all()


def test_inputs_that_do_not_fit_are_refused_as_ever(built: list[object]) -> None:
    one = net()
    for shape in ((1, 3, 6, 8), (1, 2, 2, 8), (1, 2, 6)):
        one.setInput(x(*shape))
        with pytest.raises(NetError):
            one.forward()
    one.setInput(x(1, 2, 6, 8))
    assert one.forward().shape == (1, 3, 4, 6)


def test_another_number_of_threads_is_kept_to(
    built: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = net()
    one.setInput(x(1, 2, 6, 8))
    one.forward()
    monkeypatch.setattr(parallel, "threads", lambda: 3)
    one.forward()
    assert len(built) == 2


class OddOne(Layer):
    """y = x, for which no one has written how ONNX says it."""

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        np.copyto(top[0], bottom[0])


def test_a_layer_that_onnx_cannot_say_runs_here(built: list[object]) -> None:
    register(OddOne)
    try:
        one = net(TEXT + b'layer { name: "o" type: "OddOne" bottom: "e" top: "o" }')
        one.setInput(x(1, 2, 6, 8))
        assert np.array_equal(one.forward("o"), one.forward("end")) and not built
        one.setInput(x(1, 2, 5, 8))
        assert one.forward().shape == (1, 3, 3, 6) and not built
    finally:
        registry.pop("OddOne")


@pytest.mark.parametrize("asked", ["numpy", "onnxruntime"])
def test_an_engine_that_is_asked_for_is_kept_to(
    asked: str, built: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "WORTH", 10**12)
    monkeypatch.setenv("CAFFELITE_ENGINE", asked)
    one = net()
    one.setInput(x(1, 2, 6, 8))
    one.forward()
    assert len(built) == (asked == "onnxruntime")


def test_it_starts_when_the_passes_are_worth_it(
    built: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pass counts its multiply-adds, and something for each of its 5 layers."""
    a_pass = 4 * 6 * 9 * 2 * 3 + 5 * running.OF_A_LAYER
    monkeypatch.setattr(running, "WORTH", 3 * a_pass)
    one = net()
    one.setInput(x(1, 2, 6, 8))
    seen = []
    for _ in range(4):
        one.forward()
        seen.append(len(built))
    assert seen == [0, 0, 1, 1]


def test_without_onnx_runtime_it_runs_as_before(
    built: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    one = net()
    one.setInput(x(1, 2, 6, 8))
    assert one.forward().shape == (1, 3, 4, 6) and not built


def test_a_model_that_fails_is_not_tried_again(
    built: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference.Inference, "__call__", lambda self, inputs: None)
    one = net()
    one.setInput(x(1, 2, 6, 8))
    for _ in range(3):
        assert one.forward().shape == (1, 3, 4, 6)
    assert len(built) == 1


def test_few_models_are_kept(built: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "how_many", lambda net: 2)
    one = net()
    one.setInput(x(1, 2, 6, 8))
    for name in ("half", "c", "half", "p", "c"):
        one.forward(name)
    assert len(built) == 3 and len(one._models._held) == 2


@pytest.fixture
def bound(monkeypatch: pytest.MonkeyPatch, built: list[object]) -> Iterator[list[int]]:
    """Each pass that was not looked up adds to it."""
    passes: list[int] = []
    plain = running.again

    def again(*args: object) -> object:
        repeat = plain(*args)  # type: ignore[arg-type]

        def counted(names: object) -> object:
            found = repeat(names)
            passes.append(found is not None)
            return found

        return counted

    monkeypatch.setattr(running, "again", again)
    yield passes


@pytest.mark.parametrize("names", ["", "c", ["c", "end"], ["c", "end", "c"]])
def test_a_pass_that_comes_again_is_not_looked_up(names: str | list[str], bound: list[int]) -> None:
    fast, slow, rng = net(), net(), np.random.default_rng(2)
    mode.request.engine, results = "numpy", []
    try:
        for kind in (np.float32, np.float64, np.uint8, np.float32):
            values = (rng.random((1, 2, 6, 8)) * 9).astype(kind)
            pair = []
            for one, engine in ((fast, None), (slow, "numpy")):
                mode.request.engine = engine
                one.setInput(values)
                pair.append(one.forward(names))
            results.append(pair)
    finally:
        mode.request.engine = None
    assert bound == [1, 1]
    for found, want in results:  # all of them now: none was written over
        assert type(found) is type(want)
        for a, b in zip(found, want):
            assert np.allclose(a, b, rtol=1e-5, atol=1e-6)
    if len(names) == 3:
        assert results[-1][0][0] is not results[-1][0][2]


def test_what_changes_is_looked_up(bound: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    one, names = net(), ["c", "end"]
    one.setInput(x(1, 2, 6, 8))
    first, _, third = (one.forward(names) for _ in range(3))
    assert bound == [1] and np.array_equal(first[0], third[0])
    names.append("p")
    assert len(one.forward(names)) == 3 and bound == [1, 0]
    names.pop()
    for _ in range(3):
        one.forward(names)
    assert bound == [1, 0, 1]
    one.setParam("c", 1, [5, 5, 5])
    assert not np.allclose(one.forward(names)[0], first[0]) and bound == [1, 0, 1]
    for _ in range(2):
        one.forward(names)
    one.setInput(x(1, 2, 7, 8))
    assert one.forward(names)[0].shape == (1, 3, 5, 6) and bound == [1, 0, 1, 1]
    for _ in range(2):
        one.forward(names)
    monkeypatch.setattr(mode.request, "engine", "numpy")
    assert one.forward(names)[0].shape == (1, 3, 5, 6) and bound[5:] == [0]
    monkeypatch.setattr(mode.request, "engine", None)
    monkeypatch.setattr(parallel, "threads", lambda: 3)
    assert one.forward(names)[0].shape == (1, 3, 5, 6) and not any(bound[5:])


def test_a_scaled_input_and_one_in_another_order_go_the_same_way(bound: list[int]) -> None:
    one, values = net(), x(1, 2, 6, 8)
    for _ in range(2):
        one.setInput(values.transpose(3, 2, 1, 0).copy().transpose(3, 2, 1, 0))
        first = one.forward("c")
    one.setInput(values / 2 + 1, "x", 2.0, (1, 1))
    assert np.allclose(one.forward("c"), first, atol=1e-5) and bound == [1]
    one.setInput(values.tolist())
    assert np.allclose(one.forward("c"), first, atol=1e-5) and bound == [1, 1]


def test_a_repeated_pass_that_fails_goes_the_long_way(
    bound: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("no memory")

    one = net()
    one.setInput(x(1, 2, 6, 8))
    first, _ = one.forward("c"), one.forward("c")
    ((_, _, model),) = one._models._held
    monkeypatch.setattr(model._runtime.session, "run_with_iobinding", refuse)
    assert np.array_equal(one.forward("c"), first) and bound == [0]


def test_large_tops_are_looked_up_each_time(bound: list[int]) -> None:
    """They are not worth the copy."""
    one = net()
    one.setInput(x(1, 2, 160, 160))
    for _ in range(4):
        assert one.forward("c").shape == (1, 3, 158, 158)
    assert not bound


def test_times_and_the_table_are_of_the_last_inputs(built: list[object]) -> None:
    one = net()
    one.setInput(x(2, 2, 9, 8))
    one.forward()
    total, times = one.getPerfProfile()
    assert total > 0 and times.shape == (4,) and times.sum() > 0
    assert "9 x 8" in one.dump() or "2x2x9x8" in one.dump().replace(" ", "")

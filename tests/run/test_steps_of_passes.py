"""When passes are compiled, what of them is run again, and where they begin and end."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest

from caffelite import TEST, TRAIN, Net
from caffelite.files import parse_net
from caffelite.run import executor as home
from caffelite.run.session import Session

DATA = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }\n'
BIG = DATA.replace("dim: 2 dim: 3", "dim: 64 dim: 128")


def layer(name: str, kind: str, bottoms: str, top: str, more: str = "") -> str:
    ends = "".join(f'bottom: "{b}" ' for b in bottoms.split()) + f'top: "{top}"'
    return f'layer {{ name: "{name}" type: "{kind}" {ends} {more} }}\n'


def dense(name: str, bottom: str, top: str) -> str:
    more = 'inner_product_param { num_output: 3 weight_filler { type: "xavier" } }'
    return layer(name, "InnerProduct", bottom, top, more)


NET = DATA + dense("a", "x", "h") + layer("act", "TanH", "h", "h") + dense("b", "h", "y")
LOSS = NET + layer("loss", "EuclideanLoss", "y x", "loss")


def make(text: str, phase: int = TRAIN) -> Net:
    return Net(parse_net(text), phase, seed=1, engine="numpy", dtype=np.float64)


def test_each_part_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    net, bound = make(LOSS), []
    kind = type(net.executor.session)
    bind = kind.bind

    def counted(session: Session, program: tuple[object, ...], fresh: bool = False) -> object:
        bound.append(len(program))
        return bind(session, program, fresh)  # type: ignore[arg-type]

    monkeypatch.setattr(kind, "bind", counted)
    for _ in range(3):
        net.forward()
        net.forward(end="act")
        net.forward(start="b")
        net.clear_param_diffs()
        net.backward()  # writes the gradients
        net.backward()  # adds to them
        net.backward(end="b")
    assert bound == [4, 2, 2, 4, 4, 2]


def calls_in_the_executor(run: Callable[[], object]) -> int:
    count, file = 0, home.__file__

    def hook(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call" and frame.f_code.co_filename == file  # type: ignore[attr-defined]

    sys.setprofile(hook)
    try:
        run()
    finally:
        sys.setprofile(None)
    return count


def test_what_is_run_again_has_little_around_it() -> None:
    net = make(LOSS)
    for _ in range(2):
        net.clear_param_diffs()
        net.forward_loss()
        net.backward_all()
    net.clear_param_diffs()
    steps = net.executor
    assert calls_in_the_executor(steps.forward_loss) == 1
    assert calls_in_the_executor(steps.backward_all) == 1
    assert calls_in_the_executor(steps.forward) == 1
    assert calls_in_the_executor(steps.backward_all) > 1  # it adds, and is not the same


@pytest.mark.parametrize("first", ["forward", "backward"])
def test_a_part_is_not_taken_for_the_whole(first: str) -> None:
    x = np.arange(6.0).reshape(2, 3)
    whole, parts = make(LOSS), make(LOSS)
    for net in (whole, parts):
        net.clear_param_diffs()
        net.forward(x=x)
        if net is parts and first == "forward":
            net.forward(end="act")
            net.forward(start="b", end="b")
        if net is parts and first == "backward":
            net.backward(end="b")
            assert not net.params["a"][0].diff.any()
        net.clear_param_diffs()
        assert net.forward_loss() > 0
        net.backward_all()
    for mine, theirs in zip(whole.params["a"], parts.params["a"]):
        assert mine.diff.any()
        np.testing.assert_array_equal(mine.diff, theirs.diff)


def test_a_borrowed_gradient_begins_at_zero_each_time() -> None:
    lender = make(LOSS)
    borrower = Net(
        parse_net(LOSS.replace('name: "b"', 'name: "own"')),
        TRAIN,
        seed=1,
        engine="numpy",
        dtype=np.float64,
        share=lender,
    )
    found = []
    borrower.blobs["x"].data[...] = 1
    for _ in range(4):
        lender.clear_param_diffs()
        borrower.clear_param_diffs()
        borrower.forward_loss()
        borrower.backward_all()
        found.append(lender.params["a"][0].diff.copy())
        assert found[-1].any()
        np.testing.assert_array_equal(found[-1], found[0])


def test_the_first_layer_may_be_one_that_learns() -> None:
    text = layer("w", "Parameter", "", "w", "parameter_param { shape { dim: 2 dim: 3 } }")
    net = make(text + layer("sum", "Reduction", "w", "loss", "loss_weight: 2"))
    net.clear_param_diffs()
    net.forward_backward()
    assert (net.params["w"][0].diff == 2).all()


def test_in_place_layers_of_other_shapes_are_shown_as_they_were_made() -> None:
    fold = "reshape_param { shape { dim: 0 dim: 1 dim: 3 } }"
    net = make(NET.replace('"y"', '"h"') + layer("fold", "Reshape", "h", "h", fold))
    x = np.arange(6.0).reshape(2, 3)
    whole = net.forward(x=x)["h"].copy()
    assert whole.shape == (2, 1, 3)
    for end, shape in (("a", (2, 3)), ("b", (2, 3)), ("fold", (2, 1, 3))):
        net.blobs["x"].data[...] = x
        assert net.forward(end=end)["h"].shape == shape
    np.testing.assert_array_equal(net.blobs["h"].data, whole)


def test_the_gradient_of_an_output_in_place_on_an_input_is_the_outputs() -> None:
    text = "force_backward: true " + DATA + layer("p", "Power", "x", "p")
    text += layer("act", "TanH", "x", "x")
    net = make(text)
    x = np.linspace(-1, 1, 6).reshape(2, 3)
    net.forward(x=x)
    net.backward(x=np.ones((2, 3)), p=np.zeros((2, 3)))
    assert (net.blobs["x"].diff == 1).all()  # as it was set
    inner = net.plan.graph.blobs["x"].first
    np.testing.assert_allclose(net.executor.look_at(inner, "diff"), 1 - np.tanh(x) ** 2)


def test_a_backward_pass_after_a_reshape_has_the_new_shapes() -> None:
    net = make("force_backward: true " + NET)
    net.forward()
    net.blobs["x"].reshape(5, 3)
    net.forward()
    net.blobs["y"].diff[...] = 1
    assert net.backward()["x"].shape == (5, 3)


def test_a_blob_of_parameters_elsewhere_is_computed_with_them() -> None:
    one, two = make(NET), make(NET)
    two.params["a"][0].data[...] = 2
    one.forward(x=np.ones((2, 3)))
    one.share_with(two)
    out = one.forward(x=np.ones((2, 3)))["y"].copy()
    np.testing.assert_array_equal(out, two.forward(x=np.ones((2, 3)))["y"])


def test_a_net_that_starts_anew_tells_its_session(monkeypatch: pytest.MonkeyPatch) -> None:
    net, told = make(NET), []
    before = net.executor.session
    monkeypatch.setattr(type(before), "ready", lambda session: told.append(session))
    net.executor.restart()
    assert told == [net.executor.session] and told[0] is not before


CHAIN = BIG + "".join(
    layer(f"b{i}", "Power", f"b{i - 1}" if i else "x", f"b{i}", "power_param { scale: 2 }")
    for i in range(6)
)


def test_a_test_net_lays_blobs_over_each_other() -> None:
    net = make(CHAIN, TEST)
    blobs, memory = net.plan.graph.blobs, net.executor.memory
    assert sorted(v.name for v in memory.slot) == [f"b{i}" for i in range(5)]
    assert memory.shared == 2 * 64 * 128 * 8
    net.forward(x=np.ones((64, 128)))
    arrays = {v.name: a for (v, of), a in memory._arrays.items()}
    assert np.shares_memory(arrays["b0"], arrays["b2"])
    assert not np.shares_memory(arrays["b0"], arrays["b1"])
    _ = net.blobs["b3"].diff  # gradients are not laid over each other, nor their data kept for them
    _ = net.executor.look_at(blobs["b3"], "diff")
    assert blobs["b3"] in net.executor.memory.slot
    assert not any(np.shares_memory(net.blobs["b3"].diff, a) for a in arrays.values())
    training = make(CHAIN, TRAIN)
    assert not training.executor.memory.slot


def test_small_blobs_are_not_laid_over_each_other() -> None:
    assert not make(
        CHAIN.replace("dim: 64 dim: 128", "dim: 16 dim: 128"), TEST
    ).executor.memory.slot
    assert make(CHAIN.replace("dim: 64 dim: 128", "dim: 16 dim: 129"), TEST).executor.memory.slot


def test_what_is_asked_for_before_a_pass_has_memory_of_its_own() -> None:
    net = make(CHAIN, TEST)
    net.executor.steps("forward")  # all arrays are there, one over the other
    held = net.blobs["b2"].data
    assert sorted(v.name for v in net.executor.memory.slot) == ["b0", "b1", "b3", "b4"]
    net.forward(x=np.ones((64, 128)))
    assert (held == 8).all() and net.blobs["b2"].data is held


def test_blobs_that_are_not_numbers_are_no_change() -> None:
    net = make(CHAIN, TEST)
    x = np.ones((64, 128))
    x[0, 0], x[0, 1] = np.nan, np.inf
    net.forward(x=x)
    assert (net.blobs["b1"].data[1:] == 4).all()  # computed anew, and held against the output


def test_data_is_not_read_again_for_who_looks_at_a_blob() -> None:
    """Samples (64, 2); the layers behind them are large enough to share memory."""
    text = (
        'layer { name: "d" type: "SpiralData" top: "x" top: "t" '
        "spiral_data_param { batch_size: 64 shuffle: false } }\n"
    )
    more = 'inner_product_param { num_output: 200 weight_filler { type: "xavier" } }'
    text += layer("a", "InnerProduct", "x", "a", more) + layer("p", "Power", "a", "p")
    text += layer("b", "InnerProduct", "p", "y", more)
    net = make(text, TEST)
    assert {v.name for v in net.executor.memory.slot} >= {"a"}
    net.forward()
    x, y = net.blobs["x"].data.copy(), net.blobs["y"].data.copy()
    np.testing.assert_allclose(net.blobs["a"].data, x @ net.params["a"][0].data.T)
    np.testing.assert_array_equal(net.blobs["x"].data, x)
    np.testing.assert_array_equal(net.blobs["y"].data, y)


def test_blobs_of_an_input_may_be_reshaped_and_no_others() -> None:
    net = make(NET)
    net.blobs["x"].reshape(4, 3)
    assert net.blobs["x"].shape == (4, 3)
    with pytest.raises(Exception, match="reshape"):
        net.blobs["y"].reshape(4, 3)

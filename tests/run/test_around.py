"""A net whose passes somebody else steps through: each step by itself, with the same results."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from caffelite import TEST, TRAIN, Net
from caffelite.files import parse_net
from caffelite.run.executor import Part
from caffelite.run.program import Forward, Program
from caffelite.run.session import Bound, Session, Several

TEXT = """
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 64 dim: 128 } } }
layer { name: "ip1" type: "InnerProduct" bottom: "x" top: "h"
        inner_product_param { num_output: 128 weight_filler { type: "xavier" } } }
layer { name: "act" type: "ReLU" bottom: "h" top: "h" }
layer { name: "ip2" type: "InnerProduct" bottom: "h" top: "y"
        inner_product_param { num_output: 128 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "x" top: "loss" }
"""
FILTERED = """
layer { name: "in" type: "Input" top: "x" top: "chosen"
        input_param { shape { dim: 4 dim: 2 } shape { dim: 4 } } }
layer { name: "keep" type: "Filter" bottom: "x" bottom: "chosen" top: "kept" }
layer { name: "twice" type: "Power" bottom: "kept" top: "y" power_param { scale: 2 } }
"""


NETS = ((TEXT, TRAIN), (FILTERED, TEST))


class Walk:
    """Runs the steps in order and notes their layers."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, list[str]]] = []

    def __call__(self, part: Part, program: Program, run: Callable[[int], None]) -> None:
        names = []
        for number, step in enumerate(program):
            run(number)
            names.append(step.node.spec.name)  # type: ignore[union-attr]
        self.seen.append((part[0], names))


def passes(net: Net, count: int = 2) -> list[np.ndarray]:
    """Loss and gradients of some passes; a second backward pass adds to the gradients."""
    found = []
    net.blobs["x"].data[...] = np.random.default_rng(0).normal(size=net.blobs["x"].shape)
    for _ in range(count):
        net.clear_param_diffs()
        net.forward()
        net.backward()
        once = net.params["ip1"][0].diff.copy()
        net.backward()
        found += [net.blobs["loss"].data.copy(), net.params["ip1"][0].diff.copy()]
        np.testing.assert_array_equal(found[-1], 2 * once)
    return found


def test_steps_taken_by_somebody_else_give_the_same() -> None:
    plain, walked = (Net(parse_net(TEXT), TRAIN, seed=1, engine="numpy") for _ in range(2))
    expected = passes(plain)
    passes(walked, 1)  # passes that were compiled before are not run again
    walk = Walk()
    walked.executor.let_run(walk)
    for mine, theirs in zip(passes(walked), expected):
        np.testing.assert_array_equal(mine, theirs)
    forward = ["ip1", "act", "ip2", "loss"]
    back = "backward", forward[::-1]
    assert walk.seen == [("forward", forward), back, back] * 2
    walked.executor.let_run(None)
    for mine, theirs in zip(passes(walked), expected):
        np.testing.assert_array_equal(mine, theirs)
    assert len(walk.seen) == 6


def test_who_steps_through_a_test_net_sees_every_blob_as_it_was_made() -> None:
    net = Net(parse_net(TEXT), TEST, seed=1, engine="numpy")
    assert net.executor.memory.slot  # before, blobs share memory
    seen = {}

    def around(part: Part, program: Program, run: Callable[[int], None]) -> None:
        for number, step in enumerate(program):
            run(number)
            assert isinstance(step, Forward)
            top = step.node.tops[0]
            seen[top] = net.executor.look_at(top), net.executor.look_at(top).copy()

    net.executor.let_run(around)
    assert not net.executor.memory.slot
    net.forward(x=np.random.default_rng(0).normal(size=(64, 128)))
    assert [top.name for top in seen] == ["h", "h", "y", "loss"]
    for top, (now, then) in seen.items():
        if top.name != "h":  # which "act" has rewritten
            np.testing.assert_array_equal(now, then)


def test_steps_behind_a_layer_whose_shape_depends_on_values_are_those_of_now() -> None:
    net = Net(parse_net(FILTERED), TEST)
    walk = Walk()
    net.executor.let_run(walk)
    x = np.arange(8).reshape(4, 2)
    for chosen in ([1, 0, 1, 0], [0, 1, 1, 1], [1, 0, 0, 0]):
        kept = x[np.array(chosen) == 1]
        np.testing.assert_array_equal(net.forward(x=x, chosen=np.array(chosen))["y"], 2 * kept)
    assert walk.seen == [("forward", ["keep", "twice"])] * 3


class Fused(Session):
    """Runs all steps that it is given together in the first of them, each as two calls."""

    def bind(self, program: Program, fresh: bool = False) -> list[Bound]:
        calls = super().bind(program, fresh)
        if len(calls) < 2:
            return calls
        return [Several(calls)] + [Several([lambda: None, lambda: None])] * (len(calls) - 1)

    def bind_step(self, step: object) -> Bound:
        return Several([lambda: None, super().bind_step(step)])


def test_steps_that_are_looked_at_are_not_fused() -> None:
    nets = [Net(parse_net(text), phase, seed=1, engine="numpy") for text, phase in NETS]
    for net in nets:
        net.executor._make_session = Fused
        net.executor.restart()
    plain, filtered = nets
    expected = passes(Net(parse_net(TEXT), TRAIN, seed=1, engine="numpy"))
    for mine, theirs in zip(passes(plain), expected):
        np.testing.assert_array_equal(mine, theirs)
    for walk in (None, Walk()):
        filtered.executor.let_run(walk)
        for chosen in ([1, 0, 1, 0], [0, 1, 1, 1]):
            out = filtered.forward(x=np.ones((4, 2)), chosen=np.array(chosen))["y"]
            assert out.tolist() == [[2, 2]] * sum(chosen)
    empty: list[str] = []

    def around(part: Part, program: Program, run: Callable[[int], None]) -> None:
        for number, step in enumerate(program):
            last = plain.blobs["loss"].data
            if part[0] == "forward":
                last[...] = -1
            run(number)
            empty.append(step.node.spec.name if last == -1 else "")  # type: ignore[union-attr]

    plain.executor.let_run(around)
    for mine, theirs in zip(passes(plain, 1), expected):
        np.testing.assert_array_equal(mine, theirs)
    assert empty[:4] == ["ip1", "act", "ip2", ""]  # the loss is there after its own step alone


class Whole(Fused):
    whole = True


def test_a_session_that_finds_no_other_shapes_leaves_those_of_the_plan() -> None:
    net = Net(parse_net(FILTERED), TEST)
    net.executor._make_session = Whole
    net.executor.restart()
    x = np.arange(8.0).reshape(4, 2)
    for _ in range(2):
        np.testing.assert_array_equal(net.forward(x=x, chosen=np.ones(4))["y"], 2 * x)
    assert net.executor.shape_of("y") == (4, 2)


def test_a_session_that_runs_passes_as_a_whole_gives_way() -> None:
    net = Net(parse_net(TEXT), TRAIN, seed=1, engine="numpy")
    expected = passes(net)
    executor = net.executor
    executor._make_session = Whole
    executor.restart()
    assert executor.session.whole
    steps = executor.steps("forward")
    assert [step.node.spec.name for step, _ in steps] == ["ip1", "act", "ip2", "loss"]  # type: ignore[union-attr]
    for _, run in steps:
        run()
    np.testing.assert_array_equal(net.blobs["loss"].data, expected[0])
    executor.let_run(Walk())
    assert not executor.session.whole
    for mine, theirs in zip(passes(net), expected):
        np.testing.assert_array_equal(mine, theirs)

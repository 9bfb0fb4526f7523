"""Programs and the passes over them: what is read and written, placed, shared and kept."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from caffelite import TEST, TRAIN, Net
from caffelite.errors import NetError
from caffelite.files import parse_net
from caffelite.layers.base import Context
from caffelite.plan.build import Plan, plan_net
from caffelite.plan.graph import Version, state_for
from caffelite.run.liveness import share_memory
from caffelite.run.passes import backward_program, forward_program, not_overwritten
from caffelite.run.placement import place
from caffelite.run.program import Add, Backward, Copy, Fill, Forward
from caffelite.run.session import Session
from caffelite.schema.common import Phase

DATA = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 64 dim: 128 } } }\n'


def power(name: str, bottom: str, top: str) -> str:
    ends = f'bottom: "{bottom}" top: "{top}"'
    return f'layer {{ name: "{name}" type: "Power" {ends} power_param {{ scale: 2 }} }}\n'


def dense(name: str, bottom: str, top: str, more: str = "") -> str:
    return (
        f'layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{top}" {more} '
        'inner_product_param { num_output: 128 weight_filler { type: "xavier" } } }\n'
    )


def loss(bottom: str, more: str = "") -> str:
    ends = f'bottom: "{bottom}" bottom: "x" top: "loss"'
    return f'layer {{ name: "loss" type: "EuclideanLoss" {ends} {more} }}\n'


def plan_of(text: str, phase: Phase = Phase.TRAIN) -> Plan:
    net = parse_net(text)
    return plan_net(net, state_for(net, phase), Context(phase))


def chain(length: int) -> str:
    ends = zip(["x", *(f"b{i}" for i in range(length))], (f"b{i}" for i in range(length)))
    return DATA + "".join(power(top, bottom, top) for bottom, top in ends)


class TestPrograms:
    def test_a_forward_program_is_a_step_for_each_layer_that_computes(self) -> None:
        plan = plan_of(DATA + dense("a", "x", "a") + loss("a"))
        steps = forward_program(place(plan), 0, 2)
        assert [type(s) for s in steps] == [Forward, Forward]
        assert [v.version.name for v in steps[1].reads] == ["a", "x"]

    def test_gradients_of_several_readers_are_summed_after_the_first(self) -> None:
        text = DATA + dense("a", "x", "a") + power("p", "a", "p") + power("q", "a", "q")
        text += 'layer { name: "e" type: "Eltwise" bottom: "p" bottom: "q" top: "y" }\n'
        steps = backward_program(plan_of(text + loss("y")), 5, 0)
        kinds = [type(s).__name__ for s in steps]
        assert kinds == ["Backward"] * 4 + ["Add", "Backward"]
        q, p, add = steps[2:5]
        assert isinstance(q, Backward) and isinstance(p, Backward) and isinstance(add, Add)
        assert [v.share for v in q.writes] == [0] and [v.share for v in p.writes] == [1]
        assert add.share == p.writes[0] and add.to == q.writes[0]

    def test_a_loss_that_is_read_starts_with_its_weight(self) -> None:
        text = DATA + dense("a", "x", "a") + loss("a", "loss_weight: 3")
        text += 'layer { name: "r" type: "Power" bottom: "loss" top: "r" loss_weight: 1 }\n'
        steps = backward_program(plan_of(text), 3, 0)
        fill = next(s for s in steps if isinstance(s, Fill))
        assert fill.number == 3 and fill.value.version.name == "loss"

    def test_what_the_backward_pass_does_not_look_at_is_not_read(self) -> None:
        plan = plan_of(DATA + dense("a", "x", "a") + dense("b", "a", "b") + loss("b"))
        step = backward_program(plan, 2, 2)[0]
        names = {(v.version.name, v.of) for v in step.reads}
        assert names == {("b", "diff"), ("a", "data")}

    def test_of_a_layer_that_goes_by_its_top_the_top_is_read(self) -> None:
        text = DATA + dense("a", "x", "a") + 'layer { name: "t" type: "TanH" bottom: "a" top: "t" }'
        step = backward_program(plan_of(text + loss("t")), 2, 2)[0]
        assert {(v.version.name, v.of) for v in step.reads} == {("t", "diff"), ("t", "data")}

    def test_a_part_copies_what_in_place_layers_would_share(self) -> None:
        text = "force_backward: true " + DATA + dense("a", "x", "h")
        text += 'layer { name: "abs" type: "AbsVal" bottom: "h" top: "h" }\n' + power("p", "h", "y")
        plan = plan_of(text)
        whole = forward_program(place(plan), 0, 3)
        part = forward_program(place(plan), 0, 1)
        assert not [s for s in whole if isinstance(s, Copy)]
        assert [type(s) for s in part] == [Forward, Copy]

    def test_gradients_that_a_pass_does_not_write_are_cleared_before(self) -> None:
        share = 'param { name: "w" }'
        text = DATA + dense("a", "x", "a") + dense("b", "a", "b", share)
        plan = plan_of(text + dense("c", "b", "c", share) + loss("c"))
        found = not_overwritten(plan, backward_program(plan, 4, 0))
        # b and c share their weights, so they add to their biases too
        assert [(p.layer.name, p.index) for p in found] == [("b", 0), ("b", 1), ("c", 1)]
        part = not_overwritten(plan, backward_program(plan, 4, 2))
        assert [(p.layer.name, p.index) for p in part][:2] == [("a", 0), ("a", 1)]


class TestLiveness:
    def test_a_chain_needs_room_for_two(self) -> None:
        plan = plan_of(chain(6), Phase.TEST)
        placement = place(plan)
        steps = forward_program(placement, 0, 6)
        keep = {plan.graph.blobs["x"]}
        slots = share_memory(steps, placement.owner, lambda version: 64, keep)
        assert slots.size == 128
        names = {version.name: slot for version, slot in slots.slot.items()}
        assert names == {f"b{i}": i % 2 * 64 for i in range(6)}

    def test_no_two_blobs_that_live_at_once_share(self) -> None:
        rng = np.random.default_rng(0)
        for _ in range(30):
            made = ["x"]
            text = DATA
            for i in range(12):
                bottoms = [made[rng.integers(len(made))] for _ in range(2)]
                ends = " ".join(f'bottom: "{b}"' for b in bottoms)
                text += f'layer {{ name: "e{i}" type: "Eltwise" {ends} top: "e{i}" }}\n'
                made.append(f"e{i}")
            plan = plan_of(text, Phase.TEST)
            placement = place(plan)
            steps = forward_program(placement, 0, 12)
            size = {version: int(rng.integers(1, 999)) for version in placement.owner}
            slots = share_memory(steps, placement.owner, size.__getitem__, ())
            life: dict[Version, list[int]] = {}
            for at, step in enumerate(steps):
                for value in (*step.reads, *step.writes):
                    life.setdefault(value.version, []).append(at)
            together = [
                (a, b)
                for a in life
                for b in life
                if a is not b and min(life[a]) <= max(life[b]) and min(life[b]) <= max(life[a])
            ]
            assert together
            ends = {v: (start, start + size[v]) for v, start in slots.slot.items()}
            apart = [ends[a][1] <= ends[b][0] or ends[b][1] <= ends[a][0] for a, b in together]
            assert all(apart)
            assert max(end for _, end in ends.values()) <= slots.size < sum(size.values())


class TestKeeping:
    def test_a_test_net_shares_memory_until_somebody_looks(self) -> None:
        net = Net(parse_net(chain(8)), TEST, engine="numpy")
        x = np.ones((64, 128), np.float32)
        net.forward(x=x)
        assert net.executor.memory.slot
        for i in range(7):  # asked for after the pass: computed anew
            assert (net.blobs[f"b{i}"].data == 2 ** (i + 1)).all()
        net.forward(x=2 * x)
        assert [net.blobs[f"b{i}"].data[0, 0] for i in range(8)] == [2 ** (i + 2) for i in range(8)]

    def test_what_is_asked_for_before_the_pass_alone_is_kept(self) -> None:
        net = Net(parse_net(chain(8)), TEST, engine="numpy")
        held = net.blobs["b3"].data
        net.forward(x=np.ones((64, 128)))
        assert (held == 16).all() and net.executor.memory.slot
        out = net.forward(blobs=["b5"], x=np.ones((64, 128)))
        assert (out["b5"] == 64).all()

    def test_a_blob_of_a_pass_that_is_gone_is_refused_not_made_up(self) -> None:
        net = Net(parse_net(chain(8)), TEST, engine="numpy")
        net.forward(x=np.ones((64, 128)))
        net.blobs["x"].data[...] = 5
        with pytest.raises(NetError, match="have changed since then"):
            _ = net.blobs["b3"].data
        net.forward()
        assert (net.blobs["b3"].data == 5 * 16).all()

    def test_backward_in_a_test_net_finds_what_it_needs(self) -> None:
        text = "force_backward: true " + DATA + dense("a", "x", "a") + power("p", "a", "p")
        text += 'layer { name: "s" type: "Sigmoid" bottom: "p" top: "s" }\n' + dense("b", "s", "y")
        nets = [Net(parse_net(text), phase, seed=1, engine="numpy") for phase in (TEST, TRAIN)]
        x = np.random.default_rng(0).normal(size=(64, 128))
        for net in nets:
            net.clear_param_diffs()
            net.forward(x=x)
            net.backward(y=1)
        np.testing.assert_array_equal(nets[0].blobs["x"].diff, nets[1].blobs["x"].diff)
        for a, b in zip(nets[0].params["a"], nets[1].params["a"]):
            np.testing.assert_array_equal(a.diff, b.diff)


def test_a_blob_may_become_a_scalar() -> None:
    text = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 3 } } }\n'
    net = Net(parse_net(text + power("p", "x", "y")), TEST)
    net.blobs["x"].reshape()
    assert net.blobs["x"].shape == ()
    net.blobs["x"].data[...] = 4
    assert net.forward()["y"].tolist() == 8


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_the_steps_of_a_pass_stand_beside_what_runs_them(direction: str) -> None:
    net = Net(parse_net(DATA + dense("a", "x", "a") + loss("a")), TRAIN, seed=1, engine="numpy")
    net.forward(x=np.ones((64, 128)))
    net.backward()
    expected = net.blobs["loss"].data.copy(), net.params["a"][0].diff.copy()
    net.clear_param_diffs()
    net.params["a"][0].diff.fill(0)
    steps = net.executor.steps(direction)
    names = [step.node.spec.name for step, _ in steps]  # type: ignore[union-attr]
    assert names == (["a", "loss"] if direction == "forward" else ["loss", "a"])
    for _, run in steps:
        run()
    found = net.blobs["loss"].data if direction == "forward" else net.params["a"][0].diff
    np.testing.assert_array_equal(found, expected[direction == "backward"])


def test_gradients_that_were_cleared_read_as_zero() -> None:
    net = Net(parse_net(DATA + dense("a", "x", "a") + loss("a")), TRAIN, seed=1)
    net.forward(x=np.ones((64, 128)))
    net.backward()
    assert net.params["a"][0].diff.any()
    net.clear_param_diffs()
    assert not net.params["a"][0].diff.any() and not net.arena.diff.any()


def test_nothing_changes_a_plan() -> None:
    net = Net(parse_net(DATA + dense("a", "x", "a") + loss("a")), TRAIN)
    plan = net.plan
    with pytest.raises(AttributeError):
        plan.shapes = {}  # type: ignore[misc]
    with pytest.raises(TypeError):
        plan.shapes[plan.graph.blobs["x"]] = (1,)  # type: ignore[index]
    layers = [vars(layer).copy() for layer in plan.layers]
    net.forward()
    net.backward()
    assert [vars(layer) for layer in plan.layers] == layers
    assert all(mine is not planned for mine, planned in zip(net.layers, plan.layers))


def test_a_net_is_freed_without_the_garbage_collector() -> None:
    import weakref

    net = Net(parse_net(DATA + dense("a", "x", "a") + loss("a")), TRAIN, engine="numpy")
    net.forward()
    net.backward()
    gone = weakref.ref(net.executor)
    gc.disable()
    try:
        del net
        assert gone() is None
    finally:
        gc.enable()


def test_time_grows_linearly_with_depth() -> None:
    """Counted in calls of Python functions, not in seconds."""
    import sys

    def calls(depth: int) -> int:
        count = 0

        def hook(frame: object, event: str, argument: object) -> None:
            nonlocal count
            count += event == "call"

        param = parse_net(chain(depth))
        sys.setprofile(hook)
        try:
            net = Net(param, TRAIN, engine="numpy")
            net.forward()
            net.backward()
            del net
        finally:
            sys.setprofile(None)
        return count

    few, many = calls(100), calls(400)
    assert many < 4.4 * few


def test_cleared_gradients_of_shared_parameters_begin_at_zero() -> None:
    shared = 'param { name: "w" } param { name: "b" }'
    text = DATA + dense("one", "x", "h", shared) + dense("two", "h", "y", shared) + loss("y")
    net = Net(parse_net(text, "f.net"), phase=TRAIN, seed=1)
    net.blobs["x"].data[...] = np.random.default_rng(0).normal(size=net.blobs["x"].shape)
    found = []
    for _ in range(2):
        net.clear_param_diffs()
        net.forward_backward()
        found.append(net.params["one"][0].diff.copy())
    assert found[0].any()
    np.testing.assert_array_equal(found[0], found[1])


@pytest.mark.parametrize("blob", ["x", "a"])
def test_a_session_learns_that_blobs_have_other_shapes(
    blob: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = Net(parse_net(DATA + power("a", "x", "a") + power("b", "a", "b")), phase=TEST)
    net.forward()
    told: list[tuple[int, ...]] = []
    monkeypatch.setattr(Session, "ready", lambda _: told.append(net.blobs[blob].shape))
    net.executor.give_shape(blob, (3, 5))
    net.forward()
    assert told[0] == (3, 5)


def test_shapes_that_a_whole_pass_has_found_are_the_nets(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = 'layer { name: "s" type: "Input" top: "s" input_param { shape { dim: 64 } } }\n'
    ends = 'bottom: "x" bottom: "s" top: "f"'
    text = DATA + chosen + f'layer {{ name: "f" type: "Filter" {ends} }}'
    net = Net(parse_net(text), phase=TEST)
    net.blobs["s"].data[...] = 1
    top = net.plan.graph.blobs["f"]
    monkeypatch.setattr(Session, "whole", True)
    monkeypatch.setattr(Session, "shapes", lambda _: {top: (2, 128)})
    net.forward()
    assert net.executor.plan.shapes[top] == (2, 128)
    assert net.executor.layers[2].top_shapes == [(2, 128)]


def test_a_layer_in_the_middle_is_looked_at_after_a_test_pass() -> None:
    """What shares memory there is computed anew for who looks."""
    text = 'layer { name: "x" type: "Input" top: "b0" input_param { shape { dim: 64 dim: 99 } } }\n'
    for i in range(1, 6):
        text += (
            f'layer {{ name: "l{i}" type: "InnerProduct" bottom: "b{i - 1}" top: "b{i}" '
            'inner_product_param { num_output: 99 weight_filler { type: "xavier" } } }\n'
        )
    net = Net(parse_net(text), TEST, seed=1, engine="numpy")
    net.blobs["b0"].data[...] = np.random.default_rng(0).normal(size=(64, 99))
    net.forward()
    executor = net.executor
    assert executor.session.runs_on(1) == "numpy"
    found = executor.look_at(executor.plan.graph.blobs["b2"]).copy()
    weights = [net.params[f"l{i}"][0].data for i in (1, 2)]
    expected = net.blobs["b0"].data @ weights[0].T @ weights[1].T
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)

"""Slots: the buffer is as large as the two largest neighbours, and each blob has its place."""

from __future__ import annotations

from collections.abc import Callable

from caffelite.files import parse_net
from caffelite.layers.base import Context
from caffelite.plan.build import Plan, plan_net
from caffelite.plan.graph import Version, state_for
from caffelite.run.liveness import Slots, share_memory
from caffelite.run.passes import forward_program
from caffelite.run.placement import Placement, place
from caffelite.run.program import DIFF, Add, Copy, Fill, Value
from caffelite.schema.common import Phase


def planned(widths: list[int]) -> tuple[Plan, Placement]:
    """A chain of InnerProducts of these widths."""
    text = 'layer { name: "x" type: "Input" top: "b0" input_param { shape { dim: 1 dim: 2 } } }\n'
    for i, width in enumerate(widths):
        text += (
            f'layer {{ name: "l{i + 1}" type: "InnerProduct" bottom: "b{i}" top: "b{i + 1}" '
            f"inner_product_param {{ num_output: {width} }} }}\n"
        )
    net = parse_net(text, "chain.net")
    plan = plan_net(net, state_for(net, Phase.TEST), Context(Phase.TEST))
    return plan, place(plan)


def slots(widths: list[int]) -> tuple[Slots, Callable[[str], Version]]:
    plan, placement = planned(widths)
    program = forward_program(placement, 0, len(plan.graph.nodes) - 1)
    blobs = plan.graph.blobs
    kept = {blobs["b0"], blobs[f"b{len(widths)}"]}
    found = share_memory(program, placement.owner, lambda v: plan.shapes[v][1], kept)
    return found, blobs.__getitem__


def test_neighbours_take_turns_at_the_front() -> None:
    found, blob = slots([64 * n for n in (5, 6, 9, 4, 3, 1)])
    where = [found.slot[blob(f"b{i}")] // 64 for i in range(1, 6)]
    assert where == [0, 9, 0, 9, 0]  # the largest is in front, its neighbours behind it
    assert found.size == 64 * 15


def test_a_gap_of_exactly_that_size_is_taken() -> None:
    """Behind the largest there is room for 4; what lives with both of them comes behind that."""
    found, blob = slots([64 * n for n in (4, 9, 4, 1)])
    where = [found.slot[blob(f"b{i}")] // 64 for i in range(1, 4)]
    assert (where, found.size) == ([9, 0, 9], 64 * 13)


def test_places_begin_where_vectors_like_it() -> None:
    found, blob = slots([70, 65, 1])
    assert (found.slot[blob("b1")], found.slot[blob("b2")], found.size) == (0, 128, 256)


def test_what_is_kept_has_no_slot() -> None:
    found, blob = slots([5, 6, 1])
    assert blob("b0") not in found.slot and blob("b3") not in found.slot


def test_what_steps_read_and_write() -> None:
    plan, _ = planned([3])
    version = plan.graph.blobs["b1"]
    add = Add(Value(version, DIFF), Value(version, DIFF, 1))
    assert add.reads == (add.to, add.share) and add.writes == (add.to,)
    copy, fill = Copy(add.to, add.share), Fill(add.to, 0.0)
    assert copy.reads == (add.share,) and copy.writes == (add.to,)
    assert fill.reads == () and fill.writes == (add.to,)


def test_room_is_the_largest_stretch_that_no_blob_needs_meanwhile() -> None:
    """Layer i reads blob i - 1 and writes blob i; the first and the last blob are kept."""
    found, _ = slots([64 * n for n in (5, 6, 9, 4, 3, 1)])
    assert found.size == 64 * 15
    room = [tuple(at // 64 for at in found.room([layer])) for layer in range(1, 7)]
    # l1 writes b1 at 0 … 5; l3 reads b2 at 9 … 15 and writes b3 at 0 … 9; b4 is at 9 … 13
    assert room == [(5, 15), (5, 9), (0, 0), (13, 15), (3, 9), (3, 15)]
    assert found.room([1, 2]) == found.room([2])


def test_nothing_needs_no_room() -> None:
    found, _ = slots([1])
    assert (found.slot, found.size) == ({}, 0)


def test_room_may_be_in_front_between_or_behind() -> None:
    for taken, room in (
        ([(32, 64)], (0, 32)),
        ([(0, 16), (48, 64)], (16, 48)),
        ([(0, 32), (16, 40)], (40, 64)),
        ([(0, 64), (8, 16)], (0, 0)),
        ([], (0, 64)),
    ):
        assert tuple(Slots({}, 64, {3: taken}).room([3])) == room

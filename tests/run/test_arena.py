"""All parameters in one vector: where they lie, who lends them, when cleared gradients are zero."""

from __future__ import annotations

import numpy as np
import pytest

from caffelite import TEST, TRAIN, Net
from caffelite.errors import NetError
from caffelite.files import parse_net
from caffelite.run.arena import ALIGN
from caffelite.streams import Streams

TEXT = """
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "a" type: "InnerProduct" bottom: "x" top: "a" inner_product_param { num_output: 5
        weight_filler { type: "xavier" } bias_filler { type: "constant" value: 1 } } }
layer { name: "b" type: "InnerProduct" bottom: "a" top: "b" inner_product_param { num_output: %d
        weight_filler { type: "xavier" } bias_filler { type: "constant" value: 2 } } }
layer { name: "loss" type: "Reduction" bottom: "b" top: "loss" loss_weight: 1 }
"""


def make(outputs: int = 4, share: Net | None = None, text: str = TEXT) -> Net:
    net = parse_net(text % outputs)
    return Net(net, TRAIN, streams=Streams(1), engine="numpy", share=share)


def step(net: Net) -> None:
    net.clear_param_diffs()
    net.forward(x=np.ones((2, 3)))
    net.backward()


def test_parameters_begin_at_multiples_and_the_gaps_are_zero() -> None:
    net = make()
    arena = net.arena
    assert [place.start % ALIGN for place in arena.slices] == [0] * 4
    assert [place.stop - place.start for place in arena.slices] == [15, 5, 20, 4]
    assert arena.data.size == 16 + 16 + 32 + 16
    step(net)
    gaps = np.ones(arena.data.size, bool)
    for place, part in zip(arena.slices, arena.split(arena.data)):
        gaps[place] = False
        assert part.all() and np.shares_memory(part, arena.data)
    assert not arena.data[gaps].any() and not arena.diff[gaps].any()
    assert [part.shape for part in arena.split(arena.diff)] == [(5, 3), (5,), (4, 5), (4,)]


def test_a_net_lends_its_parameters_to_layers_of_the_same_names() -> None:
    lender = make()
    borrower = make(share=lender)
    assert borrower.arena.params == [] and borrower.arena.data.size == 0
    for name in ("a", "b"):
        for mine, theirs in zip(borrower.params[name], lender.params[name]):
            assert mine is theirs
    other = make(share=lender, text=TEXT.replace('name: "b"', 'name: "c"'))
    assert [p.layer.name for p in other.arena.params] == ["c", "c"]
    assert other.params["a"][0] is lender.params["a"][0]


def test_parameters_of_another_shape_are_not_lent() -> None:
    with pytest.raises(NetError) as caught:
        make(7, share=make())
    (problem,) = caught.value.problems
    assert "parameter 0 is (7, 5) here but (4, 5) in the training net" in problem.message


def test_a_parameter_that_the_lender_does_not_have_is_its_own() -> None:
    without = TEXT.replace("num_output: 5", "num_output: 5 bias_term: false")
    lender = make(text=without)
    borrower = make(share=lender)
    assert [(p.layer.name, p.index) for p in borrower.arena.params] == [("a", 1)]
    assert (borrower.params["a"][1].data == 1).all()


def test_what_is_loaded_is_not_filled() -> None:
    values = [np.full((5, 3), 7.0), np.full(5, 8.0)]
    net = Net(parse_net(TEXT % 4), TRAIN, weights={"a": values}, engine="numpy")
    assert [float(blob.data.min()) for blob in net.params["a"]] == [7, 8]
    assert (net.params["b"][1].data == 2).all()


def test_gradients_of_a_borrower_add_up_in_the_lender() -> None:
    lender = make()
    borrower = make(share=lender)
    step(lender)
    once = lender.params["a"][0].diff.copy()
    assert once.any()
    borrower.forward(x=np.ones((2, 3)))
    borrower.backward()
    np.testing.assert_array_equal(lender.params["a"][0].diff, 2 * once)
    # what the lender's clear has left to be written is there before a borrower adds to it
    lender.clear_param_diffs()
    borrower.backward()
    np.testing.assert_array_equal(lender.params["a"][0].diff, once)


def test_who_watches_an_arena_is_called_before_anybody_looks() -> None:
    net = make()
    step(net)
    calls: list[str] = []
    arena = net.arena
    arena.watcher = lambda: calls.append("look")
    parameter = net.params["a"][0]
    for look in (
        lambda: arena.data,
        lambda: arena.diff,
        lambda: parameter.data,
        lambda: parameter.diff,
    ):
        calls.clear()
        look()
        assert calls == ["look"]
    net.clear_param_diffs()
    calls.clear()
    assert not parameter.diff.any() and not arena.cleared
    assert calls == ["look", "look"]  # zeros are not written over what is elsewhere


def test_values_are_those_of_the_parameter_they_lie_in() -> None:
    one, two, three = make(), make(), make()
    one.share_with(two)
    assert one.params["a"][0].data is not two.params["a"][0].data
    assert np.shares_memory(one.params["a"][0].data, two.params["a"][0].data)
    assert one.arena.lenders == {two.arena}
    two.share_with(three)
    one.share_with(two)  # those of the third
    three.params["a"][0].data[...] = 7
    assert (one.params["a"][0].data == 7).all() and (two.params["a"][0].data == 7).all()
    three.share_with(one)  # they are its own
    assert three.arena.lenders == set()
    calls: list[str] = []
    three.arena.watcher = lambda: calls.append("look")
    _ = one.params["a"][0].data
    assert calls == ["look"]


def test_blobs_have_the_type_of_their_net() -> None:
    net = Net(parse_net(TEXT % 4), TEST, dtype=np.float64)
    assert net.blobs["x"].dtype == net.arena.dtype == net.dtype == np.float64
    assert make().blobs["x"].dtype == np.float32


def test_a_vector_of_cleared_gradients_is_zero() -> None:
    net = make()
    step(net)
    assert net.arena.diff.any()
    net.clear_param_diffs()
    assert net.arena.raw_diff.any()  # the zeros are still to be written
    assert not net.arena.diff.any()

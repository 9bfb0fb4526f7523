"""Bounds of fields: in text at the value's place, in other messages where a layer is made."""

from __future__ import annotations

import math

import numpy as np
import pytest

import caffelite
from caffelite.cli.work.layers import page
from caffelite.errors import NetError, SchemaError, SolverError, Source
from caffelite.files import parse_message, parse_net
from caffelite.layers import registry
from caffelite.layers.base import Layer
from caffelite.schema.bounds import FREE, Bounds, out_of_bounds
from caffelite.schema.message import Message, field, repeated
from caffelite.schema.net import LayerParameter, NetParameter
from caffelite.schema.solver import SolverParameter
from caffelite.solver.fields import check_numbers as check


class Inner(Message):
    """For these tests."""

    share: float = field(1, "float", default=0.5, least=0, below=1, doc="a share")
    sizes: list[int] = repeated(2, "uint32", least=1, doc="sizes")


class Outer(Message):
    """For these tests."""

    inner: list[Inner] = repeated(1, Inner, doc="inner ones")
    count: int = field(2, "int32", least=1, most=5, doc="how many")
    rate: float = field(3, "float", above=0, below=math.inf, doc="a rate")


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        (Bounds(least=1), "1 or more"),
        (Bounds(least=1, most=5), "from 1 to 5"),
        (Bounds(above=0), "above 0"),
        (Bounds(above=0, most=1), "above 0, and at most 1"),
        (Bounds(most=0), "at most 0"),
        (Bounds(least=0, below=1), "0 or more, and below 1"),
        (Bounds(above=-math.inf, below=math.inf), "a finite number"),
        (Bounds(least=0, below=math.inf), "0 or more, and finite"),
    ],
)
def test_bounds_in_words(bounds: Bounds, words: str) -> None:
    assert str(bounds) == words and bounds and not FREE


def test_edges_are_in_or_out_as_declared_and_nan_is_never_in() -> None:
    closed, open_ = Bounds(least=0, most=1), Bounds(above=0, below=1)
    assert [closed.allow(x) for x in (-0.1, 0, 1, 1.1, math.nan)] == [
        False,
        True,
        True,
        False,
        False,
    ]
    assert [open_.allow(x) for x in (0, 0.5, 1, math.nan)] == [False, True, False, False]


@pytest.mark.parametrize(
    ("text", "message", "expected"),
    [
        ("count: 0", "count cannot be 0", "from 1 to 5"),
        ("count: 6", "count cannot be 6", "from 1 to 5"),
        ("count: 99999999999", "count cannot be 99999999999", "from 1 to 5"),
        ("count: 2.5", "count cannot be 2.5", "a whole number from 1 to 5"),
        ("rate: nan", "rate cannot be nan", "above 0, and finite"),
        ("rate: -1e-9", "rate cannot be -1e-9", "above 0, and finite"),
        ("inner { share: 1 }", "share cannot be 1", "0 or more, and below 1"),
        ("inner { sizes: [3, 0] }", "sizes cannot be 0", "1 or more"),
    ],
)
def test_text_is_refused_at_the_value(text: str, message: str, expected: str) -> None:
    with pytest.raises(SchemaError) as caught:
        parse_message(Source("a.txt", text), Outer)
    (problem,) = caught.value.problems
    assert (problem.message, problem.expected) == (message, expected)
    value = message.rpartition(" ")[2]
    assert problem.span is not None and text[problem.span.col - 1 :].startswith(value)


def test_all_of_a_text_is_found_at_once() -> None:
    with pytest.raises(SchemaError) as caught:
        parse_message(Source("a.txt", "count: 0 inner { share: -1 sizes: 0 sizes: 0 }"), Outer)
    assert len(caught.value.problems) == 4


def test_a_message_built_in_python_is_searched_through() -> None:
    message = Outer(count=9, inner=[Inner(share=0.5), Inner(share=2, sizes=[1, 0])])
    assert sorted(p.message for p in out_of_bounds(message)) == [
        "count cannot be 9",
        "share cannot be 2",
        "sizes cannot be 0",
    ]


def test_a_layer_is_not_made_of_a_message_out_of_bounds() -> None:
    layer = LayerParameter(name="d", type="Dropout", bottom=["x"], top=["y"])
    layer.get("dropout_param").dropout_ratio = 1.5
    with pytest.raises(NetError, match=r'layer "d" \(Dropout\): dropout_ratio cannot be 1\.5'):
        registry["Dropout"](layer)
    net = parse_net('layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 } } }')
    with pytest.raises(NetError, match="dropout_ratio cannot be"):
        caffelite.Net(NetParameter(layer=[*net.layer, layer]), caffelite.TRAIN, dtype=np.float32)


def test_a_solver_is_held_to_its_bounds_too() -> None:
    with pytest.raises(SolverError, match="iter_size cannot be 0"):
        check(SolverParameter(iter_size=0))
    with pytest.raises(SchemaError, match="a finite number"):
        parse_message(Source("s.solver", "base_lr: nan"), SolverParameter)


def test_the_manual_shows_the_bounds() -> None:
    text = " ".join(" ".join(page(registry["Dropout"])).split())
    assert "probability of a zero; 0 or more, and below 1 (default 0.5)" in text


@pytest.mark.parametrize("name", sorted(registry))
def test_every_default_is_within_its_bounds(name: str) -> None:
    cls: type[Layer] = registry[name]
    for message in cls.messages().values():
        for spec in message.specs.values():
            if spec.bounds and spec.default is not None and not spec.repeated:
                allowed = spec.bounds.allow(spec.default)
                assert allowed or spec.default == 0, f"{message.__name__}.{spec.name}"

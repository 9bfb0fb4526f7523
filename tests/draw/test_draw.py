"""Diagrams and pictures: what is in them, of right nets and of wrong ones."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from caffelite.draw.diagram import Diagram, diagram
from caffelite.draw.kinds import COLOURS, kind_of
from caffelite.draw.languages import dot, mermaid
from caffelite.draw.png import png
from caffelite.draw.scene import Curve, Rectangle, Words, compose
from caffelite.draw.svg import svg
from caffelite.files import load_net, parse_net
from caffelite.layers import registry
from caffelite.plan.graph import state_for
from caffelite.schema.common import Phase
from caffelite.schema.net import LayerParameter, NetParameter

NETS = sorted((Path(__file__).parents[2] / "nets").glob("*.net"))


def of(net: NetParameter, *phases: Phase) -> Diagram:
    return diagram(net, [state_for(net, phase) for phase in phases or tuple(Phase)])


def named(name: str, *phases: Phase) -> Diagram:
    return of(load_net(NETS[0].with_name(f"{name}.net")), *phases)


def arrows(drawn: Diagram) -> list[str]:
    return [f"{a.source.name} > {a.target.name}" for a in drawn.arrows]


def test_layers_that_change_a_blob_in_passing_are_strips() -> None:
    drawn = named("resnet18", Phase.TEST)
    first = next(box for box in drawn.boxes if box.name == "conv1")
    assert [part.kind for part in first.parts] == [
        "convolution", "normalisation", "normalisation", "activation",
    ]  # fmt: skip
    assert not any(box.parts[0].kind == "activation" for box in drawn.boxes)


def test_both_phases_in_one_diagram() -> None:
    drawn = named("spiral")
    assert [(box.name, box.parts[0].phase) for box in drawn.boxes if not box.tag] == [
        ("points", ""), ("ip1", ""), ("ip2", ""), ("loss", ""), ("accuracy", "TEST"),
    ]  # fmt: skip
    assert arrows(drawn)[:3] == ["points > ip1", "ip1 > ip2", "ip2 > loss"]
    assert drawn.phases == "TRAIN and TEST" and drawn.parameters == 603
    assert [part.name for part in drawn.boxes[-4].parts] == ["ip1", "relu1"]


def test_a_label_that_is_needed_far_away_is_named_again() -> None:
    drawn = named("googlenet")
    tags = [box.name for box in drawn.boxes if box.tag]
    assert tags == ["label"] * 3
    assert "label > loss1/loss" in arrows(drawn)
    assert not any(a.startswith("data > loss") for a in arrows(drawn))


def test_a_blob_read_before_it_is_rewritten_keeps_its_box() -> None:
    net = parse_net(
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 2 } } }'
        'layer { name: "a" type: "Power" bottom: "x" top: "a" }'
        'layer { name: "r" type: "ReLU" bottom: "a" top: "r" }'
        'layer { name: "e" type: "Eltwise" bottom: "a" bottom: "r" top: "e" }'
    )
    assert arrows(of(net, Phase.TEST)) == ["x > a", "a > r", "a > e", "r > e"]


WRONG = """
name: "wrong"
layer { name: "d" type: "ImageData" top: "data" top: "label"
  image_data_param { source: "nope.txt" batch_size: 4 } }
layer { name: "a" type: "Conv2d" bottom: "data" top: "a" }
layer { name: "b" type: "InnerProduct" bottom: "a" bottom: "missing" top: "b" }
"""


def test_what_is_wrong_or_not_here_is_drawn_too() -> None:
    drawn = of(parse_net(WRONG), Phase.TEST)
    assert arrows(drawn) == ["d > a", "a > b", "missing ? > b"]
    kinds = {box.name: box.parts[0].kind for box in drawn.boxes}
    assert kinds == {"missing ?": "unknown", "d": "data", "a": "unknown", "b": "product"}
    assert not drawn.known and "not all shapes are known" in svg(compose(drawn))


def test_blocks_are_recognised() -> None:
    drawn = named("googlenet", Phase.TEST)
    groups = {box.group for box in drawn.boxes if box.group}
    assert groups == {
        f"inception_{n}" for n in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
    }
    tints = [
        shape.fill
        for shape in compose(drawn).shapes
        if isinstance(shape, Rectangle) and shape.radius == 9
    ]
    assert len(tints) == 9 and len(set(tints)) == 1  # nine blocks of one structure


def test_every_type_has_a_kind_and_every_kind_a_colour() -> None:
    for name in registry:
        kind = kind_of(LayerParameter(name="x", type=name))
        assert kind in COLOURS and kind != "unknown"
    assert kind_of(LayerParameter(name="x", type="LSTM")) == "recurrent"


DOT = """\
digraph "tiny" {
  node [shape=box, style="filled,rounded", fontname="Helvetica", fontsize=11];
  edge [fontname="Helvetica", fontsize=9];
  n0 [label="x\\nInput", fillcolor="#CFE8D5"];
  n1 [label="ip\\nInnerProduct, 3\\nact ReLU", fillcolor="#D8D3EE"];
  n0 -> n1 [label="2x4"];
}
"""
MERMAID = """\
flowchart TD
  n0["x<br/>Input"]:::data
  n1["ip<br/>InnerProduct, 3<br/>act ReLU"]:::product
  n0 -->|2x4| n1
  classDef data fill:#CFE8D5,stroke:#6B7680,color:#1F2933
  classDef product fill:#D8D3EE,stroke:#6B7680,color:#1F2933
"""
TINY = """name: "tiny"
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 4 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
  inner_product_param { num_output: 3 } }
layer { name: "act" type: "ReLU" bottom: "y" top: "y" }
"""


def test_dot_and_mermaid() -> None:
    drawn = of(parse_net(TINY), Phase.TEST)
    assert dot(drawn) == DOT and mermaid(drawn) == MERMAID


def test_names_with_signs_do_no_harm() -> None:
    net = parse_net(TINY.replace('name: "ip"', 'name: "<i> \\"&$^#\\001\\\\"'))
    drawn = of(net, Phase.TEST)
    picture = svg(compose(drawn))
    texts = [e.text for e in ElementTree.fromstring(picture).iter() if e.tag.endswith("text")]
    assert '<i> "&$^# \\' in texts
    assert png(compose(drawn)).startswith(b"\x89PNG")
    assert '\\"&' in dot(drawn) and "#lt;i#gt; #quot;&$^#35; " in mermaid(drawn)


@pytest.mark.parametrize("path", NETS, ids=[path.stem for path in NETS])
def test_no_two_boxes_overlap_and_lines_end_at_boxes(path: Path) -> None:
    drawn = of(load_net(path))
    scene = compose(drawn)
    rectangles = [s for s in scene.shapes if isinstance(s, Rectangle)]
    boxes = [r for r in rectangles if r.fill == "none" or r.radius == 10]
    assert len(boxes) == len(drawn.boxes)
    for i, a in enumerate(boxes):
        assert a.x >= 0 and a.x + a.width <= scene.width
        assert a.y >= 0 and a.y + a.height <= scene.height
        for b in boxes[:i]:
            apart = a.x + a.width <= b.x or b.x + b.width <= a.x
            assert apart or a.y + a.height <= b.y or b.y + b.height <= a.y
    ends = [s.points[-1] for s in scene.shapes if isinstance(s, Curve) and s.arrow]
    assert len(ends) == len(drawn.arrows)
    for x, y in ends:
        assert any(b.x <= x <= b.x + b.width and abs(b.y - y) < 1e-6 for b in boxes)
    root = ElementTree.fromstring(svg(scene))
    words = [s for s in scene.shapes if isinstance(s, Words)]
    assert len([e for e in root.iter() if e.tag.endswith("}text")]) == len(words)


def test_a_long_net_is_broken_into_columns_unless_told_not_to() -> None:
    drawn = named("resnet50", Phase.TEST)
    wide, tall = compose(drawn), compose(drawn, wrap=False)
    assert 0.8 < wide.width / wide.height < 2.2 and tall.height > 6 * tall.width
    ways = [s for s in wide.shapes if isinstance(s, Curve) and not s.smooth]
    assert len(ways) >= 4 and all(len(way.points) == 5 for way in ways)


def test_the_same_net_gives_the_same_picture() -> None:
    assert svg(compose(named("googlenet"))) == svg(compose(named("googlenet")))


def test_a_png_has_twice_the_size() -> None:
    scene = compose(of(parse_net(TINY), Phase.TEST))
    data = png(scene)
    size = [int.from_bytes(data[at : at + 4], "big") for at in (16, 20)]
    assert size == [2 * scene.width, 2 * scene.height]


def test_shapes_and_parameters_are_shown() -> None:
    picture = svg(compose(of(parse_net(TINY), Phase.TEST)))
    texts = re.findall(r">([^<>]+)</text>", picture)
    assert texts == [
        "tiny", "TEST, 15 parameters", "data", "product", "activation",
        "x", "Input", "act  ReLU", "ip", "InnerProduct, 3  15", "2x4",
    ]  # fmt: skip

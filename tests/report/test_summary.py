"""What a summary says, against published and hand-computed numbers."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

import caffelite
from caffelite.files import load_net, parse_net
from caffelite.layers import Layer, register, registry
from caffelite.layers.base import Context
from caffelite.plan.build import plan_net
from caffelite.plan.graph import state_for
from caffelite.report.render import as_csv, as_json, html, text
from caffelite.report.summary import Summary, summarise
from caffelite.schema.common import Phase
from caffelite.schema.net import NetParameter

NETS = Path(__file__).parents[2] / "nets"


def summary(net: NetParameter, phase: Phase = Phase.TEST, stages: tuple[str, ...] = ()) -> Summary:
    state = state_for(net, phase, stages=list(stages))
    return summarise(plan_net(net, state, Context(phase)), phase.name)


def of(name: str, phase: Phase = Phase.TEST, *stages: str) -> Summary:
    return summary(load_net(NETS / f"{name}.net"), phase, stages)


@pytest.mark.parametrize(
    ("name", "millions", "parameters"),
    [
        ("caffenet", 724, 60_965_224),
        ("googlenet", 1583, 6_998_552),
        ("resnet18", 1814, 11_689_512),
        ("resnet50", 3858, 25_557_096),
        ("mobilenet_v1", 569, 4_231_976),
    ],
)
def test_published_multiply_adds_and_parameters(name: str, millions: int, parameters: int) -> None:
    """As in the papers and in Netscope's list, for one image."""
    found = of(name)
    batch = found.rows[0].tops[0][1][0]
    assert round(found.total.multiply_adds / batch / 1e6) == millions
    assert found.total.learned == parameters


def test_lenet_by_hand() -> None:
    found = of("lenet", Phase.TEST, "deploy")
    rows = {row.name: row for row in found.rows}
    assert rows["conv1"].multiply_adds == 24 * 24 * 20 * 25
    assert rows["conv2"].multiply_adds == 8 * 8 * 50 * 20 * 25
    assert rows["ip1"].multiply_adds == 800 * 500
    assert rows["ip1"].parameters == 800 * 500 + 500
    assert rows["relu1"].in_place and rows["relu1"].inference == 0
    assert rows["conv1"].inference == 20 * 24 * 24 * 4
    # at the worst moment conv1 and pool1 are there
    peak = 20 * 24 * 24 + 20 * 12 * 12
    assert found.total.inference == 4 * (431_080 + peak)
    assert found.total.training == 0  # no loss


NET = """
layer { name: "x" type: "Input" top: "x" top: "t"
  input_param { shape { dim: 2 dim: 3 dim: 4 dim: 4 } shape { dim: 2 dim: 6 dim: 8 dim: 8 } } }
layer { name: "d" type: "Deconvolution" bottom: "x" top: "y"
  convolution_param { num_output: 6 kernel_size: 2 stride: 2 bias_term: false } }
layer { name: "r" type: "ReLU" bottom: "y" top: "y" }
layer { name: "l" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss" }
"""


def test_training_counts_gradients_of_what_leads_to_the_loss() -> None:
    found = summary(parse_net(NET), Phase.TRAIN)
    rows = {row.name: row for row in found.rows}
    y = 2 * 6 * 8 * 8
    assert rows["d"].multiply_adds == 2 * 4 * 4 * (3 * 6 * 2 * 2)
    assert rows["x"].training == rows["x"].inference == 4 * (2 * 3 * 16 + y)
    assert rows["d"].training == 2 * rows["d"].inference == 8 * y
    assert rows["l"].training == 8
    assert found.total.training == 4 * 3 * 72 + sum(row.training for row in found.rows)


def test_shared_parameters_count_once() -> None:
    layer = (
        'layer { name: "%s" type: "InnerProduct" bottom: "x" top: "%s" param { name: "w" } '
        "inner_product_param { num_output: 5 bias_term: false } }"
    )
    inputs = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }'
    found = summary(parse_net(inputs + layer % ("a", "a") + layer % ("b", "b")))
    assert [row.parameters for row in found.rows] == [0, 15, 0]
    assert [row.multiply_adds for row in found.rows] == [0, 30, 30]
    assert found.total.parameters == found.total.learned == 15


def test_a_recurrent_layer_works_at_every_step() -> None:
    net = """
    layer { name: "x" type: "Input" top: "x" top: "cont"
      input_param { shape { dim: 5 dim: 2 dim: 3 } shape { dim: 5 dim: 2 } } }
    layer { name: "lstm" type: "LSTM" bottom: "x" bottom: "cont" top: "h"
      recurrent_param { num_output: 4 } }
    """
    assert summary(parse_net(net)).rows[1].multiply_adds == 5 * 2 * (16 * 3 + 16 * 4)


def test_a_layer_of_ones_own_may_say_its_work() -> None:
    class Squares(Layer):
        def multiply_adds(self, bottom: list[tuple[int, ...]], top: list[tuple[int, ...]]) -> int:
            return 7 * bottom[0][0]

    register(Squares)
    try:
        net = parse_net(
            'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 3 } } }'
            'layer { name: "s" type: "Squares" bottom: "x" top: "y" }'
        )
        assert summary(net).rows[1].multiply_adds == 21
    finally:
        registry.pop("Squares")


def test_no_values_no_work() -> None:
    net = NET.replace("dim: 2 dim: 3", "dim: 0 dim: 3").replace("dim: 2 dim: 6", "dim: 0 dim: 6")
    assert summary(parse_net(net)).total.multiply_adds == 0


LENET = """\
LeNet TEST

layer     type          top             parameters  mult-adds  inference
------------------------------------------------------------------------
data      Input         1x1x28x28                                3.06 KB
conv1     Convolution   1x20x24x24             520      288 k      45 KB
pool1     Pooling       1x20x12x12                               11.2 KB
conv2     Convolution   1x50x8x8            25,050      1.6 M    12.5 KB
pool2     Pooling       1x50x4x4                                 3.12 KB
ip1       InnerProduct  1x500              400,500      400 k    1.95 KB
relu1     ReLU          1x500 in place
ip2       InnerProduct  1x10                 5,010        5 k       40 B
prob      Softmax       1x10                                        40 B
------------------------------------------------------------------------
9 layers                                   431,080     2.29 M     1.7 MB"""


def test_the_table() -> None:
    found = of("lenet", Phase.TEST, "deploy")
    assert str(found) == text(found) == LENET
    narrow = text(found, 40).splitlines()
    assert max(map(len, narrow)) <= 40
    assert narrow[4] == "data"
    assert narrow[5] == "conv1            520      288 k"


def test_json_and_csv_hold_every_layer() -> None:
    found = of("lenet", Phase.TEST, "deploy")
    read = json.loads(as_json(found))
    assert read["name"] == "LeNet" and len(read["rows"]) == 9
    assert read["rows"][1]["tops"] == [["conv1", [1, 20, 24, 24]]]
    assert read["total"]["parameters"] == 431_080
    rows = list(csv.DictReader(io.StringIO(as_csv(found))))
    assert rows[1]["shapes"] == "1x20x24x24" and rows[1]["multiply_adds"] == "288000"
    assert sum(int(row["parameters"]) for row in rows) == 431_080


def test_html_escapes_names() -> None:
    net = parse_net(
        'name: "<b>" layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 3 } } }'
    )
    page = html(summary(net))
    assert page == summary(net)._repr_html_()
    assert "<caption>&lt;b&gt; TEST</caption>" in page and page.count("<tr>") == 3


def test_statistics_are_told_apart() -> None:
    assert text(of("resnet18")).endswith(
        "9,620 of the parameters are kept, not learned (statistics)"
    )


@pytest.mark.parametrize(("phase", "bytes_"), [(Phase.TRAIN, 80), (Phase.TEST, 0)])
def test_memory_is_shared_where_the_executor_shares_it(phase: Phase, bytes_: int) -> None:
    """Sigmoid's way back reads its top, which TanH in place must not overwrite then."""
    text = """
      layer { name: "x" type: "Input" top: "x" top: "t"
              input_param { shape { dim: 4 dim: 5 } shape { dim: 4 dim: 5 } } }
      layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
              inner_product_param { num_output: 5 } }
      layer { name: "first" type: "Sigmoid" bottom: "y" top: "y" }
      layer { name: "second" type: "TanH" bottom: "y" top: "y" }
      layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss"
              include { phase: TRAIN } }
    """
    net = caffelite.Net(parse_net(text), phase, engine="numpy")
    (row,) = [row for row in net.summary().rows if row.name == "second"]
    assert (row.inference, row.in_place) == (bytes_, not bytes_)
    last = net.plan.graph.blobs["y"]
    assert row.in_place == (net.executor.placement.owner[last] is not last)

"""Timing: which layers, which seconds, which operations."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

import caffelite
from caffelite.files import parse_net
from caffelite.use.inputs import fill_inputs
from caffelite.use.timing import MOST, Times, as_json, default_passes, measure, text

NET = """
  name: "two"
  layer { name: "x" type: "Input" top: "x" top: "label"
          input_param { shape { dim: 4 dim: 6 } shape { dim: 4 } } }
  layer { name: "ip1" type: "InnerProduct" bottom: "x" top: "h"
          inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
  layer { name: "relu" type: "ReLU" bottom: "h" top: "h" }
  layer { name: "ip2" type: "InnerProduct" bottom: "h" top: "y"
          inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
  layer { name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "label" top: "loss" }
"""


def net() -> caffelite.Net:
    made = caffelite.Net(parse_net(NET), caffelite.TRAIN, seed=1)
    fill_inputs(made)
    return made


def test_every_layer_has_its_times_and_operations() -> None:
    times = measure(net(), 5)
    assert [x.name for x in times.layers] == ["x", "ip1", "relu", "ip2", "loss"]
    assert times.passes == 5 and {x.engine for x in times.layers} == {"numpy"}
    # ip1: no gradient for the input; ip2: for weights and bottom
    assert [x.flops for x in times.layers] == [0, 2 * 2 * 4 * 30, 0, 2 * 3 * 4 * 15, 0]
    assert all(x.backward > 0 for x in times.layers[1:]) and times.layers[0].backward == 0
    assert sum(x.share for x in times.layers) == pytest.approx(1)


def test_a_slow_layer_has_the_largest_share(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = net()
    forward = slow.layers[2].forward

    def sleepy(*ends: object) -> None:
        time.sleep(0.003)
        forward(*ends)  # type: ignore[arg-type]

    monkeypatch.setattr(slow.layers[2], "forward", sleepy)
    times = measure(slow, 3)
    assert times.layers[2].forward >= 0.003 and times.layers[2].share > 0.5
    assert times.forward >= 0.003


def test_gradients_are_those_of_one_pass() -> None:
    timed, other = net(), net()
    measure(timed, 3)
    other.forward_backward()
    for a, b in zip(timed.params["ip1"], other.params["ip1"]):
        np.testing.assert_allclose(a.diff, b.diff, rtol=1e-5)


def test_forward_only_and_nets_without_gradients() -> None:
    times = measure(net(), 2, forward_only=True)
    assert times.backward == 0 and times.layers[1].flops == 2 * 4 * 30
    assert "backward" not in text(times)


def test_stopped_it_keeps_what_it_has() -> None:
    def stop(passes: object) -> object:
        yield 0
        yield 1
        raise KeyboardInterrupt

    assert measure(net(), 9, stop).passes == 2  # type: ignore[arg-type]

    def at_once(passes: object) -> object:
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        measure(net(), 9, at_once)  # type: ignore[arg-type]


def test_how_many_passes() -> None:
    assert [default_passes(s) for s in (0, 1e-5, 0.1, 100)] == [MOST, MOST, 30, 3]


def test_shapes_may_change_underway() -> None:
    made = caffelite.Net(
        parse_net(
            """
            layer { name: "x" type: "Input" top: "x" top: "keep"
                    input_param { shape { dim: 4 dim: 3 } shape { dim: 4 } } }
            layer { name: "f" type: "Filter" bottom: "x" bottom: "keep" top: "f" }
            layer { name: "n" type: "TanH" bottom: "f" top: "n" }
            """
        ),
        caffelite.TEST,
    )
    made.blobs["keep"].data[:2] = 1
    times = measure(made, 2)
    assert len(times.layers) == 3 and made.blobs["n"].shape == (2, 3)


def test_text_and_json() -> None:
    times = measure(net(), 2)
    assert json.loads(as_json(times))["layers"][1]["flops"] == 480
    for width in (80, 40):
        assert max(map(len, text(times, width).splitlines()[2:])) <= width
    assert isinstance(times, Times)


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("two.net").write_text(NET)
    from caffelite.cli import main

    assert main(["time", "two.net", "--iterations", "2"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[:2] == ["two TRAIN, engine numpy (a small net)", "medians of 2 passes, wall time"]
    assert out[-1].startswith("a pass") and len(out) == 12
    assert main(["time", "two.net", "--iterations", "0"]) == 1
    assert main(["time", "two.net", "--iterations", "1", "--json"]) == 0
    capsys.readouterr()
    lenet = str(Path(__file__).parents[2] / "nets" / "lenet.net")
    assert main(["time", lenet]) == 1
    assert "or do without: --shape data=NxCxHxW" in capsys.readouterr().err

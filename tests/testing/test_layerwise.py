"""gradcheck, layer by layer: a planted mistake is found where it is made."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import caffelite
from caffelite.cli import main
from caffelite.errors import CaffeliteError
from caffelite.files import parse_net
from caffelite.testing.layerwise import check_layers
from caffelite.use.inputs import fill_inputs

NET = """
  name: "deep"
  layer { name: "x" type: "Input" top: "x" top: "label"
          input_param { shape { dim: 4 dim: 6 } shape { dim: 4 } } }
  layer { name: "ip1" type: "InnerProduct" bottom: "x" top: "h"
          inner_product_param { num_output: 8 weight_filler { type: "xavier" } } }
  layer { name: "bn" type: "BatchNorm" bottom: "h" top: "h" }
  layer { name: "relu" type: "ReLU" bottom: "h" top: "h" }
  layer { name: "drop" type: "Dropout" bottom: "h" top: "h" }
  layer { name: "ip2" type: "InnerProduct" bottom: "h" top: "y"
          inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
  layer { name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "label" top: "loss" }
"""


def net(text: str = NET) -> caffelite.Net:
    made = caffelite.Net(parse_net(text), caffelite.TRAIN, dtype=np.float64, engine="numpy", seed=1)
    fill_inputs(made)
    return made


def test_every_gradient_of_every_layer_is_checked() -> None:
    made = net()
    before = {name: [b.data.copy() for b in blobs] for name, blobs in made.params.items()}
    found = check_layers(made)
    assert [(f.layer, f.blob) for f in found] == [
        ("ip1", "parameter 0"), ("ip1", "parameter 1"), ("bn", "bottom h"), ("relu", "bottom h"),
        ("drop", "bottom h"), ("ip2", "bottom h"), ("ip2", "parameter 0"), ("ip2", "parameter 1"),
        ("loss", "bottom y"),
    ]  # fmt: skip
    assert all(f.result.ok and not f.worst for f in found)
    for name in ("ip1", "ip2"):
        for blob, old in zip(made.params[name], before[name]):
            np.testing.assert_array_equal(blob.data, old)


def test_a_planted_mistake_is_found_where_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made = net()
    layer = made.layer_dict["ip2"]
    right = layer.backward

    def wrong(*ends: object) -> None:
        right(*ends)  # type: ignore[arg-type]
        layer.params[0].diff[1, 2] *= 1.001

    monkeypatch.setattr(layer, "backward", wrong)
    bad = [f for f in check_layers(made, worst=2) if not f.result.ok]
    assert [(f.layer, f.blob) for f in bad] == [("ip2", "parameter 0")]
    (entry,) = bad[0].worst
    assert entry.index == (1, 2)
    assert entry.slope.analytic == pytest.approx(1.001 * entry.slope.numeric, rel=1e-6)


def test_a_kink_is_no_mistake() -> None:
    text = """
      force_backward: true
      layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 3 } } }
      layer { name: "relu" type: "ReLU" bottom: "x" top: "y" }
    """
    made = caffelite.Net(parse_net(text), caffelite.TRAIN, dtype=np.float64, engine="numpy")
    made.blobs["x"].data[...] = [0, 1, -1]
    (found,) = check_layers(made)
    assert found.result.ok and found.result.kinks


def test_what_cannot_be_checked() -> None:
    for text, said in ((NET, 'no layer "ip"'), (NET.split('layer { name: "ip1"')[0], "has no gr")):
        with pytest.raises(CaffeliteError, match=said):
            check_layers(net(text), ["ip"] if "layer" in said else [])
    with pytest.raises(CaffeliteError, match="in float64"):
        check_layers(caffelite.Net(parse_net(NET), caffelite.TRAIN))


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("deep.net").write_text(NET)
    assert main(["gradcheck", "deep.net", "--whole"]) == 0
    out = capsys.readouterr().out
    assert "\n  ip1[0]: right" in out and out.endswith("gradients: right\n")
    Path("mine.py").write_text(
        "import numpy as np\nimport caffelite\n\n\n@caffelite.register\n"
        "class Wrong(caffelite.Layer):\n    def forward(self, bottom, top):\n"
        "        np.square(bottom[0], top[0])\n\n"
        "    def backward(self, top, top_diff, bottom, bottom_diff):\n"
        "        bottom_diff[0][...] = bottom[0] * top_diff[0]\n"
    )
    Path("wrong.net").write_text(NET.replace('"ReLU"', '"Wrong"'))
    words = ["gradcheck", "wrong.net", "--plugin", "mine.py"]
    assert main([*words, "--worst", "2"]) == 1
    out = capsys.readouterr().out
    assert "\nrelu (Wrong), gradient of bottom h:\n  [" in out
    assert out.endswith("1 of 9 gradients are WRONG\n")
    assert main([*words, "--json", "--layer", "ip2"]) == 0
    assert len(json.loads(capsys.readouterr().out)["layers"]) == 3

"""What a test says of classes: counts worked out by hand, files of the worst mistakes."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

import caffelite
from caffelite.cli import main
from caffelite.files import parse_net
from caffelite.use import classtext
from caffelite.use.classes import Classes, Judged

SCORES = np.array([[3, 0, 0], [0, 2, 0], [1, 0, 0.5], [0, 0, 1], [0, 4, 0]], np.float32)
LABELS = np.array([0, 1, 1, 2, 0], np.float32)
NET = """
  name: "five"
  layer {{ name: "d" type: "NumpyData" top: "data" top: "label"
          numpy_data_param {{ source: "five.npz" batch_size: {batch} shuffle: {shuffle} }} }}
  layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "data" bottom: "label" top: "loss"
          {more} }}
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("five.npz", data=SCORES, label=LABELS)


def judge(batch: int = 2, shuffle: str = "false", more: str = "", **kw: int) -> Classes:
    text = NET.format(batch=batch, shuffle=shuffle, more=more)
    net = caffelite.Net(parse_net(text), caffelite.TEST, seed=5)
    judged = Judged.of(net, **kw)
    assert judged is not None
    for _ in range(-(-5 // batch)):
        net.forward()
        judged.add_batch()
    return judged.result()


def test_each_sample_counts_once() -> None:
    found = judge()  # the last batch of 2 has one sample of the next epoch
    assert found.confusion.tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert (found.count, found.right, found.accuracy) == (5, 3, 0.6)
    assert found.recall.tolist() == found.precision.tolist() == found.f1.tolist() == [0.5, 0.5, 1]
    assert found.pairs(9) == [(0, 1, 1), (1, 0, 1)]


@pytest.mark.parametrize("shuffle", ["false", "true"])
def test_the_worst_mistakes_have_their_samples(shuffle: str) -> None:
    found = judge(shuffle=shuffle)
    assert [(m.sample, m.label, m.said) for m in found.worst] == [
        ("five.npz, row 4", 0, 1),
        ("five.npz, row 2", 1, 0),
    ]
    share = 1 / (2 + math.exp(4))
    assert found.worst[0].share == pytest.approx(share, rel=1e-5)
    assert len(judge(worst=1).worst) == 1 and not judge(worst=0).worst


def test_ignored_labels() -> None:
    found = judge(more="loss_param { ignore_label: 1 }")
    assert found.confusion.tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]
    assert found.ignored == 2 and math.isnan(found.recall[1])
    assert "2 labels ignored" in classtext.text(found)
    assert classtext.plain(found)["classes"][1]["recall"] is None


def test_scores_of_places() -> None:
    net = caffelite.Net(
        parse_net(
            """
            layer { name: "x" type: "Input" top: "x" top: "y" input_param {
                    shape { dim: 2 dim: 3 dim: 1 dim: 2 } shape { dim: 2 dim: 1 dim: 1 dim: 2 } } }
            layer { name: "l" type: "SoftmaxWithLoss" bottom: "x" bottom: "y" top: "l" }
            """
        ),
        caffelite.TEST,
    )
    net.blobs["x"].data[:, 2] = 1
    net.blobs["y"].data[0] = 2
    judged = Judged.of(net)
    assert judged is not None
    net.forward()
    judged.add_batch()
    assert judged.result().confusion.tolist() == [[0, 0, 2], [0, 0, 0], [0, 0, 2]]


def test_nets_that_tell_no_classes_apart() -> None:
    for text in (
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }',
        """layer { name: "x" type: "Input" top: "x" top: "y"
                   input_param { shape { dim: 2 dim: 3 } } }
           layer { name: "l" type: "EuclideanLoss" bottom: "x" bottom: "y" top: "l" }""",
    ):
        assert Judged.of(caffelite.Net(parse_net(text), caffelite.TEST)) is None


def test_the_text() -> None:
    assert classtext.text(judge(worst=1)) == (
        "3 of 5 right (60.00%)\n"
        "\n"
        "class  precision  recall      F1  samples\n"
        "-----------------------------------------\n"
        "0         0.5000  0.5000  0.5000        2\n"
        "1         0.5000  0.5000  0.5000        2\n"
        "2         1.0000  1.0000  1.0000        1\n"
        "-----------------------------------------\n"
        "mean      0.6667  0.6667  0.6667        5\n"
        "\n"
        "a row for each class, in the columns what it was taken for:\n"
        "   0  1  2\n"
        "----------\n"
        "0  1  1  .\n"
        "1  1  1  .\n"
        "2  .  .  1\n"
        "\n"
        "the worst mistakes, by the share that the right class got:\n"
        "  0.0177  five.npz, row 4: 0, taken for 1 (0.9647)"
    )


def test_many_classes_are_summed_up() -> None:
    confusion = np.eye(50, dtype=np.int64) * 3
    confusion[7, 9] = 5
    text = classtext.text(Classes(confusion, [f"class {i}" for i in range(50)]))
    assert "the 10 of 50 classes that were found least:" in text
    assert "       5  class 7, taken for class 9" in text and len(text.splitlines()) == 20


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    text = """
      name: "bars"
      layer { name: "d" type: "NumpyData" top: "data" top: "label"
              numpy_data_param { source: "bars.npz" batch_size: 4 } }
      layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
              inner_product_param { num_output: 2 weight_filler { type: "gaussian" } } }
      layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
    """
    rng = np.random.default_rng(0)
    np.savez("bars.npz", data=rng.normal(size=(6, 3, 4, 5)), label=np.arange(6) % 2)
    Path("bars.net").write_text(text)
    net = caffelite.Net("bars.net", caffelite.TEST, seed=0)
    net.save("w.caffemodel")
    words = ["test", "bars.net", "w.caffemodel"]
    assert main([*words, "--json", "--png", "bars.png", "--worst", "2"]) == 0
    captured = capsys.readouterr()
    said = json.loads(captured.out)
    assert said["batches"] == 2 and said["classes"]["samples"] == 6
    assert len(said["classes"]["worst"]) == 2 and "wrote bars.png" in captured.err
    assert Path("bars.png").read_bytes()[:4] == b"\x89PNG"
    Path("names.txt").write_text("even\nodd\n")
    assert main([*words, "--labels", "names.txt"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Batch 0, loss = ") and "\neven  " in out and "taken for odd" in out
    Path("x.net").write_text(
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }\n'
        'layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" '
        "inner_product_param { num_output: 2 } }"
    )
    caffelite.Net("x.net", caffelite.TEST).save("x.caffemodel")
    assert main(["test", "x.net", "x.caffemodel", "--png", "x.png"]) == 1
    assert capsys.readouterr().err == "--png: the net holds no scores of classes against labels\n"

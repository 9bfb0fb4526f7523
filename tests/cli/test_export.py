"""`caffelite export`: a model, a table, and refusals that say what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import caffelite
from caffelite import Net
from caffelite.cli import main
from caffelite.files import parse_net

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
ort = pytest.importorskip("onnxruntime", reason="needs the extra onnx")

DEPLOY = """
name: "small"
layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "bn" type: "Scale" bottom: "conv" top: "conv" }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc"
  inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
"""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("deploy.net").write_text(DEPLOY, encoding="utf-8")
    Net(parse_net(DEPLOY), caffelite.TEST, seed=0).save("w.caffemodel")
    return tmp_path


def test_a_model_and_its_table_are_written(files: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["export", "deploy.net", "w.caffemodel", "-o", "out.onnx"]) == 0
    out = capsys.readouterr().out
    assert "random inputs, batch 3" in out and "out.onnx: data (N x 3 x 8 x 8) to fc (N x 5)" in out
    table = Path("out.onnx.verify.txt").read_text(encoding="utf-8")
    assert "largest error" in table and table.strip() in out
    session = ort.InferenceSession("out.onnx")
    net = Net("deploy.net", "w.caffemodel", caffelite.TEST)
    x = np.float32(np.random.default_rng(1).normal(size=(1, 3, 8, 8)))
    (found,) = session.run(["fc"], {"data": x})
    assert np.allclose(found, net.forward(data=x)["fc"], atol=1e-5)


def test_options(files: Path) -> None:
    np.save("x.npy", np.full((2, 3, 8, 8), 100, np.float32))
    line = ["export", "deploy.net", "w.caffemodel", "-o", "o.onnx", "--fold", "--external"]
    line += ["--opset", "15", "--mean", "104,117,123", "--scale", "0.02", "--try", "data=x.npy"]
    assert main(line) == 0
    assert Path("o.onnx.data").stat().st_size > Path("o.onnx").stat().st_size
    model = onnx.load("o.onnx")
    assert [n.op_type for n in model.graph.node] == ["Sub", "Mul", "Conv", "Flatten", "Gemm"]
    assert model.opset_import[0].version == 15
    assert "given inputs" in Path("o.onnx.verify.txt").read_text(encoding="utf-8")
    fixed = ["export", "deploy.net", "w.caffemodel", "-o", "f.onnx", "--fixed", "--verify", "none"]
    assert main(fixed) == 0 and not Path("f.onnx.verify.txt").exists()
    dims = onnx.load("f.onnx").graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_value for d in dims] == [1, 3, 8, 8]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["--tolerance", "0"], 'the model differs from the net at layer "'),
        (["--shape", "data=x"], "--shape data=64x1x28x28"),
        (["--prepare"], "the net has no transform_param"),
        (["--mean", "1,2"], "expected 1, or 3"),
        (["--opset", "99"], "expected 13 to 21"),
        (["--try", "date=x.npy"], "BLOB one of data"),
    ],
)
def test_refusals_write_nothing(
    files: Path, capsys: pytest.CaptureFixture, line: list[str], said: str
) -> None:
    assert main(["export", "deploy.net", "w.caffemodel", "-o", "out.onnx", *line]) == 1
    assert said in capsys.readouterr().err
    assert not list(files.glob("out.*"))


def test_weights_of_other_shapes_are_another_nets(
    files: Path, capsys: pytest.CaptureFixture
) -> None:
    Path("other.net").write_text(DEPLOY.replace("num_output: 5", "num_output: 6"), encoding="utf-8")
    assert main(["export", "other.net", "w.caffemodel", "-o", "out.onnx"]) == 1
    assert capsys.readouterr().err == (
        'w.caffemodel: layer "fc" does not fit the net: parameter 0 is (5, 144) in the file, '
        "(6, 144) in the net\n"
        "  these are the weights of another net: export needs those that this one has learned\n"
    )


def test_the_mean_of_a_training_net_goes_in(files: Path) -> None:
    text = """
      layer { name: "in" type: "MemoryData" top: "data" top: "label"
        memory_data_param { batch_size: 2 channels: 3 height: 8 width: 8 }
        transform_param { scale: 0.5 mean_value: 1 mean_value: 2 mean_value: 3 } }
    """
    layers = DEPLOY.split('"in"', 1)[1].split("\n", 1)[1]
    loss = 'layer { name: "l" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "l" }'
    Path("train.net").write_text(text + layers + loss, encoding="utf-8")
    assert main(["export", "train.net", "w.caffemodel", "-o", "t.onnx", "--prepare"]) == 0
    kinds = [n.op_type for n in onnx.load("t.onnx").graph.node]
    assert kinds == ["Sub", "Mul", "Conv", "Mul", "Flatten", "Gemm", "Softmax"]

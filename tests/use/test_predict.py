"""predict: samples are prepared as in training, and every form shows what the net says."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

import caffelite
from caffelite.cli import main
from caffelite.errors import CaffeliteError
from caffelite.use.predict import Options, Prediction, Predictor
from caffelite.use.preparing import files_of

Image = pytest.importorskip("PIL.Image", reason="reading images needs Pillow")

PICTURES = """
  name: "pictures"
  layer { name: "d" type: "FolderData" top: "data" top: "label"
          folder_data_param { source: "train" batch_size: 4 shuffle: false }
          transform_param { scale: 0.01 crop_size: 6 mirror: true mean_value: 100 } }
  layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
          inner_product_param { num_output: 2 weight_filler { type: "gaussian" std: 0.3 } } }
  layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        Path("train", name).mkdir(parents=True)
        for i in range(3):
            pixels = rng.integers(0, 255, (8, 9, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(f"train/{name}/{i}.png")
    Path("pictures.net").write_text(PICTURES)
    caffelite.Net("pictures.net", caffelite.TEST, seed=1).save("w.caffemodel")


def shares(path: str) -> np.ndarray:
    """What the net makes of an image, worked out here."""
    net = caffelite.Net("pictures.net", "w.caffemodel", caffelite.TEST)
    image = np.asarray(Image.open(path)).astype(np.float64).transpose(2, 0, 1)[::-1]
    x = (image[:, 1:7, 1:7] - 100) * 0.01
    weights, bias = (p.data for p in net.params["ip"])
    scores = np.exp(weights @ x.ravel() + bias)
    return scores / scores.sum()


def test_images_are_prepared_as_in_training() -> None:
    predictor = Predictor("pictures.net", "w.caffemodel")
    found = list(predictor(["train/dog/1.png", "train"]))
    assert [Path(f.source).name for f in found] == [f"{i}.png" for i in (1, 0, 1, 2, 0, 1, 2)]
    assert predictor.names == ["cat", "dog"]
    for prediction in found:
        np.testing.assert_allclose(prediction.values, shares(prediction.source), rtol=1e-4)


def test_without_the_data_the_first_sample_says_the_shape(
    capsys: pytest.CaptureFixture[str],
) -> None:
    want = shares("train/cat/0.png")
    Path("train").rename("moved")
    assert main(["predict", "pictures.net", "w.caffemodel", "moved/cat/0.png", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    got = {c["class"]: c["score"] for c in said["classes"]}
    np.testing.assert_allclose([got[0], got[1]], want, rtol=1e-4)
    assert "name" not in said["classes"][0]


def test_a_deploy_net_is_told_the_transform(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deploy", "pictures.net", "d.net"]) == 0
    words = ["predict", "d.net", "w.caffemodel", "train/cat/2.png", "--csv"]
    transform = "crop_size: 6 scale: 0.01 mean_value: 100"
    capsys.readouterr()
    assert main([*words, "--transform", transform, "--resize", "8x9"]) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows[0] == ["sample", "rank", "class", "name", "score"]
    want = shares("train/cat/2.png")
    best = int(want.argmax())
    assert rows[1][:4] == ["train/cat/2.png", "1", str(best), ""]
    assert float(rows[1][4]) == pytest.approx(want[best], rel=1e-4)
    assert main(words) == 0
    assert "images are resized to 6x6, which the net takes" in capsys.readouterr().err


def test_rows_of_tables_and_arrays(capsys: pytest.CaptureFixture[str]) -> None:
    Path("t.csv").write_text("a,b,kind\n1,2,0\n3,4,1\n5,6,1\n")
    Path("t.net").write_text(
        """
        layer { name: "d" type: "CsvData" top: "x" top: "y" csv_data_param { source: "t.csv"
                batch_size: 2 classes: "no" classes: "yes" } transform_param { scale: 0.5 } }
        layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip"
                inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
        layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "y" top: "loss" }
        """.replace(' classes: "no" classes: "yes"', "")
    )
    net = caffelite.Net("t.net", caffelite.TEST, seed=2)
    net.save("t.caffemodel")
    weights = net.params["ip"][0].data
    x = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    np.save("t.npy", x)
    np.save("one.npy", x[1])
    Path("plain.csv").write_text("1,2\n3,4\n5,6\n")
    want = 0.5 * x @ weights.T
    predictor = Predictor("t.net", "t.caffemodel", Options(blob="ip"))
    for file in ("t.csv", "plain.csv", "t.npy"):
        found = list(predictor([file]))
        assert [f.source for f in found] == [f"{file}[{i}]" for i in range(3)]
        np.testing.assert_allclose([f.values for f in found], want, rtol=1e-5)
    (one,) = predictor(["one.npy"])
    np.testing.assert_allclose(one.values, want[1], rtol=1e-5)
    assert main(["predict", "t.net", "t.caffemodel", "one.npy", "--blob", "ip"]) == 0
    assert capsys.readouterr().out.startswith("one.npy: ip = ")
    Path("wide.csv").write_text("1,2,3,4\n")
    assert main(["predict", "t.net", "t.caffemodel", "wide.csv"]) == 1
    assert '"wide.csv" has 4 columns, but the net takes 2 (2)' in capsys.readouterr().err


def test_names_and_text(capsys: pytest.CaptureFixture[str]) -> None:
    Path("names.txt").write_text("a cat\na dog\n")
    words = ["predict", "pictures.net", "w.caffemodel", "train/cat/0.png"]
    assert main([*words, "--labels", "names.txt", "--top", "1"]) == 0
    want = shares("train/cat/0.png")
    name = ["a cat", "a dog"][int(want.argmax())]
    assert capsys.readouterr().out == (
        f"train/cat/0.png\n  {want.max():<9.4f}{want.argmax():>4}  {name}\n"
    )
    Path("names.txt").write_text("one\n")
    assert main([*words, "--labels", "names.txt"]) == 1
    assert "has 1 names, but the net has 2 classes" in capsys.readouterr().err


def test_a_bad_file_is_reported_and_the_others_shown(capsys: pytest.CaptureFixture[str]) -> None:
    Path("train/cat/1.png").write_text("no image")
    Path("pictures.net").write_text(PICTURES.replace("batch_size: 4", "batch_size: 3"))
    assert main(["predict", "pictures.net", "w.caffemodel", "train/cat", "--top", "1"]) == 1
    captured = capsys.readouterr()
    assert [x for x in captured.out.splitlines() if "png" in x] == [
        "train/cat/0.png",
        "train/cat/2.png",
    ]
    assert '"train/cat/1.png"' in captured.err and "Traceback" not in captured.err


def test_what_is_no_sample(capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    Path("x.doc").write_text("")
    with pytest.raises(CaffeliteError) as error:
        files_of(["nope.png", "empty", "x.doc"])
    assert [p.message for p in error.value.problems] == [
        'there is no file "nope.png"',
        '"empty" holds no images',
        '"x.doc" is no sample',
    ]
    for wrong, said in ((["--top", "0"], "--top 0"), (["--resize", "3"], '"3" is no size')):
        assert main(["predict", "pictures.net", "w.caffemodel", "train", *wrong]) == 1
        assert capsys.readouterr().err.startswith(said)


def test_places_count_for_scores_of_places() -> None:
    values = np.zeros((3, 2, 2))
    values[1, 0] = values[2, 1, 0] = values[1, 1, 1] = 1
    assert Prediction("x", values).top(2) == [(1, 0.75), (2, 0.25)]


def test_without_the_data_the_stage_deploy_says_the_shape() -> None:
    net = str(Path(caffelite.__file__).parents[1] / "nets" / "lenet.net")
    caffelite.Net(net, caffelite.TEST, stages=["deploy"], seed=1).save("lenet.caffemodel")
    Image.new("L", (90, 80)).save("photo.png")
    predictor = Predictor(net, "lenet.caffemodel", first="photo.png")
    assert predictor.net.blobs[predictor.input].shape == (1, 1, 28, 28)
    (found,) = predictor(["photo.png"])
    assert found.values.shape == (10,)


def test_outputs_that_are_not_finite_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("big.net").write_text(
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 } } } '
        'layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip" inner_product_param { '
        'num_output: 1 weight_filler { type: "constant" value: 1 } } } '
        'layer { name: "e" type: "Exp" bottom: "ip" top: "y" }'
    )
    caffelite.Net("big.net", caffelite.TEST).save("big.caffemodel")
    Path("x.csv").write_text("1,1\n500,0\n")
    assert main(["predict", "big.net", "big.caffemodel", "x.csv"]) == 0
    said = capsys.readouterr()
    assert "inf" in said.out
    assert said.err.startswith("warning: 1 of 2 outputs are not finite (nan or inf)")
    assert "RuntimeWarning" not in said.err
    assert main(["predict", "big.net", "big.caffemodel", "x.csv", "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line, parse_constant=pytest.fail)["values"] for line in lines] == [
        [pytest.approx(np.exp(2), rel=1e-5)],
        [None],
    ]

"""features: what blobs hold for every sample, in each format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import caffelite
from caffelite.cli import main

NET = """
  layer { name: "d" type: "NumpyData" top: "data" numpy_data_param {
          source: "x.npy" batch_size: 4 } }
  layer { name: "sum" type: "InnerProduct" bottom: "data" top: "sum"
          inner_product_param { num_output: 2 weight_filler { type: "constant" value: 1 } } }
  layer { name: "mean" type: "Reduction" bottom: "sum" top: "mean" }
"""
X = np.arange(18, dtype=np.float32).reshape(6, 3)
SUMS = np.repeat(X.sum(axis=1, keepdims=True), 2, axis=1)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X)
    Path("n.net").write_text(NET)
    caffelite.Net("n.net", caffelite.TEST).save("w.caffemodel")


def run(blobs: str, target: str, *more: str) -> int:
    return main(["features", "n.net", "w.caffemodel", blobs, target, *more])


def test_npz_has_each_sample_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("sum,data", "f.npz") == 0
    assert capsys.readouterr().out == "f.npz: sum 6x2, data 6x3\n"
    with np.load("f.npz") as found:
        np.testing.assert_array_equal(found["sum"], SUMS)
        np.testing.assert_array_equal(found["data"], X)
    assert run("sum", "f.npz") == 1 and run("sum", "f.npz", "--force", "--iterations", "2") == 0
    with np.load("f.npz") as found:
        np.testing.assert_array_equal(found["sum"], np.concatenate([SUMS, SUMS[:2]]))


def test_hdf5() -> None:
    h5py = pytest.importorskip("h5py", reason="HDF5 needs h5py")
    assert run("sum,mean", "f.h5") == 0
    with h5py.File("f.h5") as file:
        np.testing.assert_array_equal(file["sum"], SUMS)
        assert file["mean"].shape == (2,)  # one value for each batch


def test_lmdb_is_a_database_to_train_from(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("lmdb", reason="writing an LMDB database needs lmdb")
    assert run("sum", "f_lmdb") == 0
    Path("read.net").write_text(
        'layer { name: "d" type: "Data" top: "x" data_param { source: "f_lmdb" batch_size: 6 } }'
    )
    net = caffelite.Net("read.net", caffelite.TEST)
    np.testing.assert_array_equal(net.forward()["x"].reshape(6, 2), SUMS)
    assert run("sum,data", "g_lmdb") == 1
    assert "2 blobs for one LMDB database" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("summ", "f.npz"), 'no blob "summ"'),
        (("sum", "f.mat"), '"f.mat" does not say its format'),
        (("sum", "f.npz", "--iterations", "0"), "--iterations 0"),
    ],
)
def test_mistakes(words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*words) == 1
    assert capsys.readouterr().err.startswith(said)
    assert not Path(words[1]).exists()

"""cat: what is in binary files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import caffelite
from caffelite.cli import main
from caffelite.report.contents import summed_up
from caffelite.schema.binary import write_blob

NET = """
  name: "n"
  layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 1 } } }
  layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
          inner_product_param { num_output: 2 } }
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("n.net").write_text(NET)
    net = caffelite.Net("n.net", caffelite.TEST)
    net.params["ip"][0].data[...] = [[-1], [3]]
    net.save("w.caffemodel")


def test_a_net_with_its_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cat", "w.caffemodel"]) == 0
    out = capsys.readouterr().out
    assert out.startswith('name: "n"\nlayer {\n  name: "x"\n')
    assert "  blobs  # 2x1 float32, -1 to 3, mean 1, deviation 2\n" in out
    assert main(["cat", "w.caffemodel", "--values"]) == 0
    assert "deviation 2\n    [[-1.],\n     [ 3.]]\n" in capsys.readouterr().out
    assert main(["cat", "w.caffemodel", "--json", "--values"]) == 0
    (ip,) = [x for x in json.loads(capsys.readouterr().out)["layer"] if x["name"] == "ip"]
    assert ip["blobs"][0] == {
        "shape": [2, 1], "type": "float32", "min": -1, "max": 3, "mean": 1, "std": 2,
        "values": [[-1], [3]],
    }  # fmt: skip


def test_a_mean_image(capsys: pytest.CaptureFixture[str]) -> None:
    write_blob("mean.binaryproto", np.full((3, 4, 5), 7, np.float32))
    assert main(["cat", "mean.binaryproto", "--json"]) == 1 - 1
    said = json.loads(capsys.readouterr().out)
    assert said["shape"]["dim"] == [3, 4, 5] and said["data"]["mean"] == 7


@pytest.mark.parametrize("kind", ["BINARYPROTO", "HDF5"])
def test_a_state(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    if kind == "HDF5":
        pytest.importorskip("h5py", reason="HDF5 needs h5py")
    Path("s.solver").write_text(
        'net_param { layer { name: "d" type: "DummyData" top: "x" dummy_data_param '
        "{ shape { dim: 2 dim: 1 } } } layer { name: 'ip' type: 'InnerProduct' bottom: 'x' "
        "top: 'y' inner_product_param { num_output: 2 } } layer { name: 'l' type: 'Reduction' "
        "bottom: 'y' top: 'l' loss_weight: 1 } } base_lr: 0.1 lr_policy: 'fixed' max_iter: 2 "
        f"snapshot: 2 snapshot_prefix: 's' momentum: 0.9 random_seed: 4 snapshot_format: {kind}"
    )
    assert main(["train", "s.solver"]) == 0
    capsys.readouterr()
    ending = ".h5" if kind == "HDF5" else ""
    assert main(["cat", f"s_iter_2.solverstate{ending}", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["learned_net"] == f"s_iter_2.caffemodel{ending}"
    assert said["run_state"]["streams"]["seed"] == 4 and len(said["history"]) == 2
    assert main(["cat", f"s_iter_2.caffemodel{ending}"]) == 0
    assert "# 2x1 float32" in capsys.readouterr().out


def test_other_files(capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty.caffemodel").write_bytes(b"")
    assert main(["cat", "n.net"]) == 1
    assert capsys.readouterr().err == (
        "n.net: this is text, not a binary file\n"
        "  expected a .caffemodel, .solverstate, .binaryproto or HDF5 file\n"
    )
    assert main(["cat", "empty.caffemodel"]) == 1
    assert main(["cat", "nope.caffemodel"]) == 1


def test_numbers_that_are_not_finite() -> None:
    found = summed_up(np.array([1, np.nan, np.inf]))
    assert found["not_finite"] == 2 and found["max"] == 1
    assert summed_up(np.zeros((0, 2))) == {"shape": [0, 2], "type": "float64"}

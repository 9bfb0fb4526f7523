"""Layers of the type "Python": classes of the user's in a net."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import caffelite
import caffelite.pycaffe as caffe
from caffelite import mode
from caffelite.errors import NetError
from caffelite.files import parse_net

HERE = Path(__file__).parent
INPUT = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }\n'


@pytest.fixture(autouse=True)
def _shop_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(HERE))
    assert caffe.Net  # its use allows such layers
    yield
    sys.modules.pop("shop", None)


def python(name: str, bottom: str, top: str, cls: str, more: str = "") -> str:
    ends = "".join(f'bottom: "{b}" ' for b in bottom.split())
    ends += "".join(f'top: "{t}" ' for t in top.split())
    param = f'python_param {{ module: "shop" layer: "{cls}" {more} }}'
    return f'layer {{ name: "{name}" type: "Python" {ends} {param} }}\n'


def net(text: str, phase: int = caffe.TRAIN, force: bool = True) -> caffe.Net:
    return caffe.Net(parse_net(("force_backward: true\n" if force else "") + text), phase)


def test_values_and_gradients_pass_through() -> None:
    n = net(
        INPUT + python("a", "x", "y", "Times", 'param_str: "4"') + python("b", "y", "z", "Times")
    )
    n.blobs["x"].data[...] = [[1, 2, 3], [4, 5, 6]]
    np.testing.assert_array_equal(n.forward()["z"], 40 * n.blobs["x"].data)
    n.blobs["z"].diff[...] = 7
    n.backward()
    assert (n.blobs["x"].diff == 280).all()
    assert n.layers[1].passes == ["reshape", "reshape", "forward", "backward [True]"]
    assert n.layer_dict["b"].type == "Python"


def test_shapes_follow_the_bottoms() -> None:
    n = net(INPUT + python("a", "x", "y", "Times"))
    n.blobs["x"].reshape(4, 1, 2)
    n.forward()
    assert n.blobs["y"].data.shape == (4, 1, 2)


def test_what_is_not_needed_is_told() -> None:
    text = INPUT + python("a", "x", "y", "Times") + python("loss", "y", "l", "Times")
    n = net(text.replace('top: "l"', 'top: "l" loss_weight: 1'), force=False)
    n.forward()
    n.backward()  # nothing learns before the loss: no backward pass runs
    assert not [p for p in n.layers[2].passes if "backward" in p]


def test_data_of_another_length_in_each_pass() -> None:
    n = net(python("rows", "", "x", "Rows") + python("a", "x", "y", "Times"), force=False)
    for count in range(5):
        y = n.forward()["y"]
        assert y.shape == (count % 3 + 1, 2) and (y == 10 * count).all()


def test_a_top_may_be_reshaped_in_forward() -> None:
    text = INPUT + python("pos", "x", "p", "Positive")
    n = net(
        text + 'layer { name: "s" type: "Power" bottom: "p" top: "y" power_param { scale: 2 } }'
    )
    for rows in ([1, -1], [1, 1], [-1, 1]):
        n.blobs["x"].data[...] = np.reshape(rows, (2, 1))
        kept = n.blobs["x"].data[np.array(rows) > 0]
        np.testing.assert_array_equal(n.forward()["y"], 2 * kept)


def test_in_place_the_other_readers_see_the_old_values() -> None:
    other = 'layer { name: "o" type: "Power" bottom: "x" top: "o" power_param { scale: 3 } }\n'
    n = net(INPUT.replace('"x"', '"x"') + other + python("h", "o", "o", "Halve"))
    n.blobs["x"].data[...] = 4
    for _ in range(2):
        assert (n.forward()["o"] == 6).all()
        n.blobs["o"].diff[...] = 1
        n.backward()
        assert (n.blobs["x"].diff == 1.5).all()


def test_a_parameter_is_filled_learned_saved_and_shared(tmp_path: Path) -> None:
    text = INPUT + python("w", "x", "y", "Learned")
    n = net(text)
    n.blobs["x"].data[...] = 2
    assert (n.forward()["y"] == 6).all()
    n.blobs["y"].diff[...] = 1
    n.backward()
    blob = n.layers[1].blobs[0]
    assert blob.diff[0] == 12 and blob is n.params["w"][0]
    blob.data[0] = 5
    n.save(tmp_path / "w")
    other = net(text)
    other.copy_from(tmp_path / "w")
    assert other.layers[1].blobs[0].data[0] == 5
    other.share_with(n)
    blob.data[0] = -1
    assert (other.forward(x=np.ones((2, 3)))["y"] == -1).all()


def test_shapes_of_bottoms_and_of_blobs_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bent.py").write_text(
        "import caffe\n\n\nclass Flat(caffe.Layer):\n"
        "    def reshape(self, bottom, top):\n        top[0].reshape(bottom[0].count)\n"
        "    def forward(self, bottom, top):\n"
        "        bottom[0].reshape(bottom[0].count)\n        top[0].data[...] = bottom[0].data\n"
        "    def backward(self, top, down, bottom):\n"
        "        bottom[0].reshape(bottom[0].count)\n        bottom[0].diff[...] = top[0].diff\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    double = 'layer { name: "p" type: "Power" bottom: "x" top: "h" power_param { scale: 2 } }\n'
    for bottom, top in (("h", "y"), ("h", "h")):
        n = net(INPUT + double + python("f", bottom, top, "Flat").replace("shop", "bent"))
        n.blobs["x"].data[...] = x = np.arange(6).reshape(2, 3)
        np.testing.assert_array_equal(n.forward()[top], 2 * x.ravel())
        n.blobs[top].diff[...] = np.arange(6)
        np.testing.assert_array_equal(n.backward()["x"], 2 * x)


def test_it_trains_in_a_solver(tmp_path: Path) -> None:
    data = 'layer { name: "d" type: "DummyData" top: "x" dummy_data_param { shape { dim: 2 dim: 1 }'
    data += " data_filler { value: 1 } } }\n"
    loss = 'layer { name: "l" type: "EuclideanLoss" bottom: "y" bottom: "x" top: "l" }'
    (tmp_path / "t.net").write_text(data + python("w", "x", "y", "Learned") + loss)
    (tmp_path / "t.solver").write_text(
        f'net: "{tmp_path}/t.net" base_lr: 0.5 lr_policy: "fixed" test_iter: 1 test_interval: 9'
    )
    solver = caffe.SGDSolver(str(tmp_path / "t.solver"))
    solver.step(20)
    assert abs(solver.net.params["w"][0].data[0] - 1) < 1e-3
    assert solver.test_nets[0].params["w"][0].data[0] == solver.net.params["w"][0].data[0]


def test_the_phase_is_known() -> None:
    for phase in (caffe.TRAIN, caffe.TEST):
        assert net(python("p", "", "phase", "PhaseIs"), phase).forward()["phase"] == phase


def test_an_exception_of_the_code_passes_as_it_is() -> None:
    with pytest.raises(RuntimeError, match="out of order"):
        net(INPUT + python("b", "x", "y", "Broken"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('module: "shop"', 'module: "shoppe"', r'<text>:2:\d+: .*there is no module "shoppe"'),
        ('"Times"', '"Tims"', r'no class "Tims" in the module "shop"(.|\n)*mean "Times"'),
        ('"shop"', '"bad_shop"', r'importing the module "bad_shop" failed: NameError'),
        ('layer: "Times"', "", r"layer is missing"),
    ],
)
def test_what_cannot_be_imported_is_told_with_its_place(
    old: str, new: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad_shop.py").write_text("import caffe\nnot_there\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(NetError, match=message):
        net(INPUT + python("a", "x", "y", "Times").replace(old, new), force=False)


def test_without_permission_nothing_is_run() -> None:
    mode.request.import_layers = None
    sys.modules.pop("shop", None)
    with pytest.raises(NetError, match=r"runs code(.|\n)*--allow-python-layers"):
        caffelite.Net(parse_net(INPUT + python("a", "x", "y", "Times")), caffelite.TEST)
    assert "shop" not in sys.modules


def command(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "caffelite", *words],
        capture_output=True,
        text=True,
        cwd=folder,
        env={"PYTHONPATH": str(HERE.parents[1]), "PATH": ""},
    )


def test_on_the_command_line_a_flag_allows_it(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import caffe\n\n\nclass One(caffe.Layer):\n"
        "    def reshape(self, bottom, top):\n        top[0].reshape(1)\n"
        "    def forward(self, bottom, top):\n        top[0].data[0] = int(self.param_str)\n"
    )
    text = python("one", "", "y", "One", 'param_str: "7"').replace("shop", "mine")
    (tmp_path / "n.net").write_text(text)
    (tmp_path / "bad.net").write_text(text.replace('"7"', '"seven"'))
    refused = command("check", "n.net", folder=tmp_path)
    assert refused.returncode == 1 and "n.net:1:" in refused.stderr + refused.stdout
    allowed = command("check", "n.net", "--allow-python-layers", folder=tmp_path)
    assert allowed.returncode == 0, allowed.stderr
    run = command("time", "bad.net", "--allow-python-layers", folder=tmp_path)
    assert run.returncode == 1 and "Traceback" not in run.stderr, run.stderr
    assert "mine.One.forward raised ValueError" in run.stderr and "mine.py, line 8" in run.stderr

"""`caffelite upgrade`: old files in, today's out, and nothing replaced by accident."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from caffelite.cli import main
from caffelite.cli.work.upgrade import has_comments
from caffelite.errors import Source
from caffelite.files import load_net, load_solver, parse_message
from caffelite.schema.binary import blob_proto, decode, encode
from caffelite.schema.common import BlobProto
from caffelite.schema.legacy_messages import V1LayerParameter, V1LayerType, declare
from caffelite.schema.message import Message, repeated
from caffelite.schema.net import LayerParameter, NetParameter
from caffelite.schema.solver import SolverParameter, SolverState
from caffelite.schema.unknown import unknown_fields
from caffelite.weights import read_weights

REFERENCE = Path(__file__).parents[1] / "reference"
LEGACY = sorted(p.name.split(".")[0] for p in (REFERENCE / "legacy").glob("*.in.prototxt"))
Capture = pytest.CaptureFixture[str]


def upgrade(source: Path, target: Path, *flags: str) -> int:
    return main(["upgrade", str(source), str(target), *flags])


def text_file(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", LEGACY)
def test_text_becomes_what_caffe_makes_of_it(name: str, tmp_path: Path) -> None:
    out = tmp_path / "new.net"
    assert upgrade(REFERENCE / "legacy" / f"{name}.in.prototxt", out) == 0
    expected = (REFERENCE / "legacy" / f"{name}.expected.prototxt").read_text()
    assert out.read_text() == str(parse_message(Source("expected", expected), NetParameter))


@pytest.mark.parametrize("name", LEGACY)
def test_through_binary_it_is_the_same(name: str, tmp_path: Path) -> None:
    old = REFERENCE / "legacy" / f"{name}.in.prototxt"
    assert upgrade(old, tmp_path / "direct.net") == 0
    assert upgrade(old, tmp_path / "new.caffemodel") == 0
    assert upgrade(tmp_path / "new.caffemodel", tmp_path / "detour.net") == 0
    assert (tmp_path / "direct.net").read_text() == (tmp_path / "detour.net").read_text()


def test_learned_parameters_of_an_old_binary_net_are_kept(tmp_path: Path) -> None:
    declare()
    weights = np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3)
    layer = V1LayerParameter(name="ip", type=V1LayerType.INNER_PRODUCT, blobs=[blob_proto(weights)])
    (tmp_path / "old.caffemodel").write_bytes(encode(NetParameter(layers=[layer])))
    assert upgrade(tmp_path / "old.caffemodel", tmp_path / "new.caffemodel") == 0
    net = decode((tmp_path / "new.caffemodel").read_bytes(), NetParameter)
    assert [(x.name, x.type) for x in net.layer] == [("ip", "InnerProduct")]
    np.testing.assert_array_equal(read_weights(tmp_path / "new.caffemodel")["ip"][0], weights)


def test_a_model_of_today_stays_byte_for_byte(tmp_path: Path, capsys: Capture) -> None:
    model = REFERENCE / "models" / "lenet_mnist8500.caffemodel"
    out = tmp_path / "same.caffemodel"
    assert upgrade(model, out) == 0
    assert out.read_bytes() == model.read_bytes()
    assert "already up to date" in capsys.readouterr().out


def test_binary_to_text_is_the_definition_alone_and_says_so(
    tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "lenet.net"
    assert upgrade(REFERENCE / "models" / "lenet_mnist8500.caffemodel", out) == 0
    assert "parameters of 4 layers are left out" in capsys.readouterr().out
    assert [layer.name for layer in load_net(out).layer][:2] == ["mnist", "conv1"]
    assert "blobs" not in out.read_text()


def test_solvers_are_recognised_by_their_content(tmp_path: Path, capsys: Capture) -> None:
    old = text_file(tmp_path / "old.txt", 'net: "a.net"  # mine\nsolver_type: ADAGRAD\n')
    assert upgrade(old, tmp_path / "new.solver") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].endswith('solver_type became type: "AdaGrad"')
    assert "comments are lost" in said[1]
    assert said[2].endswith("new.solver: solver written")
    assert load_solver(tmp_path / "new.solver").type == "AdaGrad"
    assert upgrade(old, tmp_path / "new.pb") == 0
    assert decode((tmp_path / "new.pb").read_bytes(), SolverParameter).type == "AdaGrad"
    assert upgrade(tmp_path / "new.pb", tmp_path / "again.solver") == 0
    assert (tmp_path / "again.solver").read_text() == (tmp_path / "new.solver").read_text()


def test_what_was_done_is_said_line_by_line(tmp_path: Path, capsys: Capture) -> None:
    old = text_file(
        tmp_path / "old.net",
        'input: "x" input_dim: 1 input_dim: 1 input_dim: 2 input_dim: 3\n'
        'layers { name: "r" type: RELU bottom: "x" top: "r" }\n',
    )
    upgrade(old, tmp_path / "new.net")
    said = capsys.readouterr().out
    assert "V1 format" in said
    assert "became an Input layer" in said
    assert "comments" not in said
    upgrade(tmp_path / "new.net", tmp_path / "newer.net")
    assert "new.net: already up to date" in capsys.readouterr().out
    assert (tmp_path / "newer.net").read_bytes() == (tmp_path / "new.net").read_bytes()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1 # b", True),
        ('a: "x # y"', False),
        (r'a: "x \" # y"', False),
        ("a: 'x \" #'", False),
        ("a: 'x' #", True),
    ],
)
def test_comments_are_seen(text: str, expected: bool) -> None:
    assert has_comments(text) is expected


def test_an_existing_file_is_not_replaced(tmp_path: Path, capsys: Capture) -> None:
    old = text_file(tmp_path / "old.net", 'layers { name: "r" type: RELU }')
    out = text_file(tmp_path / "out.net", "precious")
    assert upgrade(old, out) == 1
    assert "--force" in capsys.readouterr().err
    assert out.read_text() == "precious"
    assert upgrade(old, out, "--force") == 0
    assert "ReLU" in out.read_text()


def test_a_file_is_upgraded_in_place_by_force_only(tmp_path: Path, capsys: Capture) -> None:
    old = text_file(tmp_path / "old.net", 'layers { name: "r" type: RELU }')
    assert upgrade(old, tmp_path / "." / "old.net") == 1
    assert "same file" in capsys.readouterr().err
    assert "layers" in old.read_text()
    assert upgrade(old, old, "--force") == 0
    assert old.read_text() == 'layer {\n  name: "r"\n  type: "ReLU"\n}\n'
    assert [p.name for p in tmp_path.iterdir()] == ["old.net"]


def test_mistakes_have_their_place_and_leave_no_file(tmp_path: Path, capsys: Capture) -> None:
    old = text_file(tmp_path / "old.net", 'layers { name: "r" typo: RELU }\nlayers { nam: "s" }\n')
    assert upgrade(old, tmp_path / "new.net") == 1
    said = capsys.readouterr().err
    assert "old.net:1:" in said
    assert "old.net:2:" in said
    assert not (tmp_path / "new.net").exists()


def test_what_is_no_net_and_no_solver_is_refused(tmp_path: Path, capsys: Capture) -> None:
    def refusal(source: Path) -> str:
        assert upgrade(source, tmp_path / "out.net") == 1
        assert not (tmp_path / "out.net").exists()
        return capsys.readouterr().err

    assert "neither a net nor a solver" in refusal(REFERENCE / "data" / "mean.binaryproto")
    state = tmp_path / "state.pb"
    state.write_bytes(encode(SolverState(iter=3, history=[BlobProto(data=[1.0])])))
    assert "neither" in refusal(state)
    shutil.copy(REFERENCE / "legacy" / "v1_train.in.prototxt", tmp_path / "text.caffemodel")
    assert "this is text" in refusal(tmp_path / "text.caffemodel")
    model = (REFERENCE / "models" / "lenet_mnist8500.caffemodel").read_bytes()
    (tmp_path / "cut.caffemodel").write_bytes(model[:100000])
    assert "cut short" in refusal(tmp_path / "cut.caffemodel")
    assert "no such file" in refusal(tmp_path / "absent.net")
    assert "no field" in refusal(text_file(tmp_path / "empty.net", "# nothing\n"))


class ForkLayer(Message):
    """A layer with a field of a fork of Caffe."""

    name: str = LayerParameter.specs["name"]
    strange: list[int] = repeated(7777, "int32")


class ForkNet(Message):
    """A net of such layers."""

    layer: list[ForkLayer] = repeated(100, ForkLayer)


def test_fields_of_forks_are_named_when_they_are_lost(tmp_path: Path, capsys: Capture) -> None:
    data = encode(ForkNet(layer=[ForkLayer(name="a", strange=[1, 300])]))
    assert unknown_fields(data, NetParameter) == ["LayerParameter field 7777 (2 times)"]
    assert unknown_fields(data, ForkNet) == []
    (tmp_path / "fork.caffemodel").write_bytes(data)
    assert upgrade(tmp_path / "fork.caffemodel", tmp_path / "out.net") == 0
    assert "LayerParameter field 7777 (2 times)" in capsys.readouterr().out

"""Nets for the toolchains of chips: rewritten where that is exact, refused where it is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import caffelite
from caffelite import Net
from caffelite.cli import main
from caffelite.cli.import_onnx import add_arguments
from caffelite.errors import CaffeliteError

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")

from onnx import helper  # noqa: E402

from caffelite.layers.base import registry  # noqa: E402
from caffelite.onnx.importing import Imported, import_model, verify_import  # noqa: E402
from caffelite.onnx.profiles import PROFILES, refuse  # noqa: E402
from caffelite.onnx.rewriting import rewrite  # noqa: E402
from caffelite.onnx.verify import check  # noqa: E402

from .test_into import built, model_of, one  # noqa: E402

TO_COME = {"PSROIPooling", "Proposal"}
"""Types that caffelite may not have yet."""


def profiled(imported: Imported, name: str) -> tuple[Imported, Net]:
    """Rewritten, and verified."""
    found = rewrite(imported, built(imported), PROFILES[name])
    net = built(found)
    check([verify_import(found, net)], name)
    return found, net


def types_of(net: Net) -> set[str]:
    return {layer.type for layer in net.layers}


REWRITTEN = {
    "swish": [
        helper.make_node("Sigmoid", ["x"], ["s"]), helper.make_node("Mul", ["x", "s"], ["y"])],
    "relu6": one("Clip", "l", "h"),
    "clip": one("Clip", "m", "h"),
    "at least": one("Clip", "m", ""),
    "at most": one("Clip", "", "h"),
    "line": one("Mul", "h"),
    "square": one("Pow", "two"),
    "shift": one("Add", "v"),
    "nearest": one("Resize", "", "f", mode="nearest", coordinate_transformation_mode="asymmetric",
                   nearest_mode="floor"),
    "floor": one("MaxPool", kernel_shape=[2, 4], strides=[2, 3]),
    "floor, means": one("AveragePool", kernel_shape=[2, 2], strides=[2, 4], pads=[1, 0, 1, 0]),
    "mean": one("ReduceMean", axes=[2, 3], keepdims=0),
}  # fmt: skip
CONSTANTS = {
    "l": np.float32(0), "h": np.float32(6), "m": np.float32(-0.5), "two": np.float32(2),
    "v": np.arange(4).reshape(4, 1, 1) / 3, "f": np.float32([1, 1, 2, 3]),
}  # fmt: skip


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", [*REWRITTEN, "swish node"])
def test_what_is_rewritten_is_the_same(name: str, profile: str) -> None:
    if name == "swish node":
        nodes = [helper.make_node("Mul", ["x", "k"], ["a"]),
                 helper.make_node("Sigmoid", ["a"], ["s"]),
                 helper.make_node("Mul", ["x", "s"], ["y"])]  # fmt: skip
        imported = import_model(model_of(nodes, k=np.float32(1.5)))
    else:
        nodes = REWRITTEN[name]
        read = {i for node in nodes for i in node.input}
        constants = {k: v for k, v in CONSTANTS.items() if k in read}
        imported = import_model(model_of(nodes, **constants))
    _, net = profiled(imported, profile)
    refuse(net, PROFILES[profile])
    assert "y" in net.blobs


def test_what_was_done_is_said() -> None:
    model = model_of(REWRITTEN["floor"])
    found, net = profiled(import_model(model), "nnie")
    assert found.notes[0] == 'layer "y" (Pooling) is written as Pooling that rounds up, and Slice'
    assert found.notes[1].startswith("what is cut off becomes outputs: ")
    assert types_of(net) == {"Input", "Pooling", "Slice"}


def test_what_is_left_is_refused_together() -> None:
    nodes = [
        helper.make_node("Transpose", ["x"], ["a"], perm=[0, 3, 1, 2], name="turn"),
        helper.make_node("Transpose", ["a"], ["b"], perm=[0, 2, 3, 1], name="back"),
        helper.make_node("Exp", ["b"], ["y"]),
    ]
    imported = import_model(model_of(nodes))
    _, net = profiled(imported, "nnie")
    with pytest.raises(CaffeliteError) as caught:
        refuse(net, PROFILES["nnie"])
    assert [p.message for p in caught.value.problems] == [
        'profile nnie: layer "a" (Permute): its order is [0, 3, 1, 2]; it takes 0, 2, 3, 1 only',
        'profile nnie: layer "y" (Exp): HiSilicon\'s nnie_mapper does not list this type',
    ]
    _, net = profiled(imported, "caffe")
    with pytest.raises(CaffeliteError, match=r"\(Permute\): Caffe 1.0, unchanged does not list"):
        refuse(net, PROFILES["caffe"])


def test_profiles_name_layers_that_there_are() -> None:
    for profile in PROFILES.values():
        assert profile.types - TO_COME <= registry.keys(), profile.name


def test_the_command_knows_the_profiles() -> None:
    import argparse

    parser = argparse.ArgumentParser()
    add_arguments(parser)
    choices = next(a.choices for a in parser._actions if a.dest == "profile")
    assert choices == sorted(PROFILES)


def test_the_command_rewrites_or_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(model_of(REWRITTEN["relu6"], l=CONSTANTS["l"], h=CONSTANTS["h"]), "m.onnx")
    assert main(["import-onnx", "m.onnx", "-o", "m.prototxt", "--profile", "nnie"]) == 0
    assert "(Clip) is written as ReLU and Eltwise" in capsys.readouterr().out
    assert types_of(Net("m.prototxt", caffelite.TEST)) == {"Input", "Power", "ReLU", "Eltwise"}
    onnx.save(model_of(one("Exp")), "e.onnx")
    assert main(["import-onnx", "e.onnx", "-o", "e.prototxt", "--profile", "rknn"]) == 1
    assert "does not list this type" in capsys.readouterr().err
    assert not Path("e.prototxt").exists()

"""The nets of nets/ and those with published weights, in ONNX Runtime, blob by blob."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from caffelite import Net
from caffelite.deploy import deploy_net
from caffelite.files import load_net
from caffelite.plan.graph import state_for
from caffelite.schema.common import Phase

pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")

from caffelite.onnx.export import build
from caffelite.onnx.runtime import Runtime
from caffelite.onnx.verify import check, relative_error, verify

from .sweep import ROOT, SHIPPED, check_detection, shipped

SHARED = Path(os.environ.get("CAFFELITE_SHARED", ROOT.parent / "shared"))
REAL = sorted((SHARED / "real").glob("*.prototxt"))
LARGE = ("caffenet", "style", "googlenet", "resnet18", "resnet50", "mobilenet_v1")  # in the sweep


def test_all_shipped_nets_are_tried_here_or_in_the_sweep() -> None:
    assert {name for name, *_ in SHIPPED} == {path.stem for path in (ROOT / "nets").glob("*.net")}


@pytest.mark.parametrize(("name", "stages", "shapes"), [s for s in SHIPPED if s[0] not in LARGE])
def test_a_net_of_ours_agrees(name: str, stages: list[str], shapes: dict) -> None:
    net = shipped(name, stages, shapes)
    exported = build(net, folding=True)
    assert exported.batch, exported.notes
    check(verify(exported, net), name)


@pytest.mark.skipif(not REAL, reason="no nets with published weights beside the repository")
@pytest.mark.parametrize("path", REAL, ids=lambda p: p.stem)
def test_a_net_with_published_weights_agrees(path: Path) -> None:
    param = load_net(path)
    deployed = deploy_net(param, state_for(param, Phase.TEST, 0, []))
    net = Net(deployed.net, str(path.with_suffix(".caffemodel")), Phase.TEST)
    stored = np.load(path.with_suffix(".npz"))
    given = {k[3:]: np.float32(stored[k]) for k in stored.files if k.startswith("in/")}
    exported = build(net)
    check(verify(exported, net, given=given, batches=(1,)), path.stem)
    found = Runtime(exported.with_all_blobs()).run(given)
    for key in stored.files:
        if key.startswith("out/"):
            value = found[exported.tensors[key[4:]]]
            assert relative_error(value.reshape(stored[key].shape), stored[key]) < 1e-4


@pytest.mark.parametrize("seed", range(30))
def test_detections_are_caffes_rows(seed: int) -> None:
    assert check_detection(seed) >= 1

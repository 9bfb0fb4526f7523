"""Every case of every layer of a deploy net: ONNX Runtime computes what the reference computes."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs ONNX: pip install caffelite[onnx]")
pytest.importorskip("onnxruntime", reason="needs ONNX Runtime: pip install caffelite[onnx]")

from caffelite import TEST, Net
from caffelite.files import parse_net
from caffelite.layers import registry
from caffelite.onnx.export import deployed
from caffelite.testing.contract import Subject, same

SUBJECTS = [
    pytest.param(Subject(cls, case), id=f"{name}-{i}")
    for name, cls in sorted(registry.items())
    for i, case in enumerate(cls.cases)
    if deployed(cls) and not cls.hosts and (name, i) != ("DecodeBBox", 1)  # for phase TRAIN
]
ON_NUMPY = {"BatchReindex", "CTCGreedyDecoder", "ForkDropout", "ImResize", "MVN", "Nms"} | {
    *("InnerDistance", "PredictBox", "RefinedDetectionOutput"),
    *("ClusterDetections", "RegionOutput", "YoloDetectionOutput"),
    *(
        "CombineRegressions",
        "MultiStageMeanfield",
        "ROIWarping",
        "RotateROIPooling",
        "RotatedProposals",
        "StageBridge",
        "TextProposals",
    ),
}
"""Some of their cases ONNX cannot say."""


def results(net: Net, subject: Subject, params: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Two passes; every blob."""
    for name, value in zip(subject.case.inputs, subject.bench().bottom):
        net.blobs[name].data[...] = value
    for blob, start in zip(net.layers[-1].params, params):
        blob.data[...] = start
    net.forward()
    net.forward()
    return {name: blob.data.copy() for name, blob in net.blobs.items()}


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_case_gives_the_same(subject: Subject, caplog: pytest.LogCaptureFixture) -> None:
    bench = subject.bench()
    bench.forward()
    param = parse_net(subject.case.net_text())
    param.layer[-1].top = list(bench.layer.spec.top)
    settings = {"seed": bench.streams.seed, "folder": subject.folder}
    reference = Net(param.copy(), TEST, engine="numpy", **settings)
    net = Net(param, TEST, engine="onnxruntime", **settings)
    expected = results(reference, subject, bench.start_params)
    if not all(np.isfinite(value).all() for value in expected.values()):
        pytest.skip("in phase TEST it divides by its statistics, which are zeros")
    found = results(net, subject, bench.start_params)
    same(found, expected, 2e-5, "in ONNX Runtime")
    assert net.engine.engine == "onnxruntime"
    if subject.cls.type not in ON_NUMPY:
        assert not caplog.messages

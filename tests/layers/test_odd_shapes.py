"""A batch of no samples, or another number of channels: each layer copes, or refuses by name."""

from __future__ import annotations

import numpy as np
import pytest

from caffelite import Net
from caffelite.errors import NetError, Source
from caffelite.layers import registry
from caffelite.layers.cases import Case
from caffelite.schema.bind import bind
from caffelite.schema.net import NetParameter
from caffelite.text import parse

CASES = [
    pytest.param(case, id=f"{name}-{i}")
    for name, cls in sorted(registry.items())
    for i, case in enumerate(cls.cases)
    if case.inputs
]
REFUSE = {
    *("BatchReindex", "Crop", "DetectionOutput", "InfogainLoss", "LSTM"),
    *("LSTMUnit", "ROIPooling", "Scale", "Slice"),
    *("AnchorTarget", "BoxAnnotatorOHEM", "MultiBoxLoss", "PSROIPooling", "Proposal"),
    *("RefinedDetectionOutput", "RefinedMultiBoxLoss"),
    *("ProposalTargets", "ROIWarping", "TextProposals", "ROIAlign"),
    *("RotateROIPooling", "RotatedProposals"),
}
"""Layers with a case in which something else fixes the batch: an index, a matrix, a slice point."""
NEED_SAMPLES = {
    *("BN", "BoxGroupOutput", "BoxOutput", "CenterLoss", "DecodeBBox", "Lstm", "Pooling3D"),
    *("CTCGreedyDecoder", "CTCLoss", "CtcLoss", "LabelsequenceAccuracy", "WarpCTCLoss"),
    *("BboxAccuracy", "DetectionAccuracy", "DetectionLoss", "FrcnnOutput", "ProposalTarget"),
    *(
        "DetectionGroupAccuracy",
        "DetectionGroupLoss",
        "ImResize",
        "MalisLoss",
        "RegionLoss",
        "Yolov3",
    ),
    "RegionOutput",
    "SegmentationEvaluate",
    "YoloV1Loss",
    *("TripletLoss", "YoloDetectionOutput", "Yolov3DetectionOutput"),
    *("BilinearInterpolation", "MultiStageMeanfield", "Resample", "StageBridge"),
}
"""Layers that refuse a bottom without values."""


def net_of(case: Case) -> Net:
    param = bind(parse(Source("<case>", case.net_text())), NetParameter)
    return Net(param, case.phase, dtype=np.float64, seed=0)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", CASES)
def test_no_samples(case: Case) -> None:
    net = net_of(case)
    samples = net.blobs[next(iter(case.inputs))].shape[:1]
    for name in case.inputs:
        shape = net.blobs[name].shape
        if shape[:1] == samples:
            net.blobs[name].reshape(*(0 for _ in samples), *shape[1:])
    try:
        net.forward()
        net.backward()
    except NetError as error:
        name = net.layers[-1].type
        assert name in REFUSE or (name in NEED_SAMPLES and "it has no values" in str(error))
        return
    for blob in [*net.blobs.values(), *net.layers[-1].params]:
        assert np.isfinite(blob.data).all() and np.isfinite(blob.diff).all()


@pytest.mark.filterwarnings("ignore:invalid value")  # a variance of 0, in a case without eps
@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize("case", CASES)
def test_another_number_of_channels(case: Case, channels: int) -> None:
    net = net_of(case)
    for name in case.inputs:
        shape = net.blobs[name].shape
        if len(shape) > 1:
            net.blobs[name].reshape(shape[0], channels, *shape[2:])
    try:
        net.forward()
    except NetError:
        return
    for blob, version in zip(net.blobs.values(), net.plan.graph.blobs.values()):
        assert blob.shape == net.plan.shapes[version]
    net.backward()

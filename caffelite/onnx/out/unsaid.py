"""Layers of deploy nets that have no form in ONNX here, and why."""

from __future__ import annotations

_BEFORE = "end the net before it, and do its work in the program that runs the model"

UNSAID = {
    "Proposal": (
        "its boxes are whole pixels, both edges counted, and the layers that read its regions need "
        f"their number, which depends on values; {_BEFORE}"
    ),
    "BoxOutput": (
        "it thins boxes out by overlaps over the larger or smaller box too, of which "
        f"NonMaxSuppression knows none, and gives one region where it finds nothing; {_BEFORE}"
    ),
    "Yolov3DetectionOutput": (
        "it leaves out a box whose overlap is the threshold itself, which NonMaxSuppression keeps, "
        f"and takes boxes of all images and classes together; {_BEFORE}"
    ),
    "BoxGroupOutput": (
        "its boxes count both edges and the overlap is over other areas too, which "
        f"NonMaxSuppression does not know; {_BEFORE}"
    ),
    "ScaleRoute": f"how many rows it gives depends on values; {_BEFORE}",
    "DecodeBBox": f"the regions that it reads have no form either; {_BEFORE}",
    "YoloDetectionOutput": (
        "it leaves out a box whose overlap is the threshold itself, which NonMaxSuppression keeps, "
        f"and takes boxes of all images and classes together; {_BEFORE}"
    ),
    "CTCGreedyDecoder": (
        f"where a label stands depends on how many blanks and repeats are before it; {_BEFORE}"
    ),
    "Lstm": "its form is not built in; LSTM has one",
    "Convolution3D": "its form is not built in; Convolution with a value for each axis has one",
    "Pooling3D": "its form is not built in",
}
"""By type. What trains or measures is not here: `Layer.deployed` says that."""

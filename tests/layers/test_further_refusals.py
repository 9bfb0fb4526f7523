"""What layers of forks refuse, and in which words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from caffelite.errors import NetError
from caffelite.layers.base import Layer
from caffelite.layers.cases import Case
from caffelite.layers.registry import register, registry
from caffelite.testing import Bench

PLANE = np.zeros((1, 1, 4, 4))
YOLO = (
    'type: "Yolov3DetectionOutput" yolov3_detection_output_param { num_classes: 1 num_box: 1 '
    "biases: 8 biases: 16 mask_group_num: 1 anchors_scale: 16 %s }"
)
MAP = np.zeros((1, 6, 1, 2))
ROIS, SIZE = np.zeros((2, 5)), np.zeros((1, 2))


@pytest.mark.parametrize(
    ("text", "inputs", "message"),
    [
        (
            'type: "PaddedPooling" pooling_param { kernel_size: 2 pad_l: 2 }',
            [PLANE],
            "pads of 2 and 0 do not go with a kernel of 2",
        ),
        (
            'type: "PaddedPooling" pooling_param { kernel_size: 2 pad_t: 1 pad_b: 3 }',
            [PLANE],
            "pads of 1 and 3 do not go",
        ),
        (YOLO % "mask: 0 gaussian_box: true", [MAP], "gaussian_box is not built in"),
        (YOLO % "mask: 3", [MAP], "mask goes up to 3, but there are 2 biases"),
        (
            'type: "FrcnnOutput" frcnn_output_param { }',
            [np.zeros((2, 3)), np.zeros((2, 8)), ROIS, SIZE],
            '"x1" is 2 x 8',
        ),
        ('type: "ArgMax"', [np.zeros(())], '"x0" is a scalar'),
        (
            'type: "LabelsequenceAccuracy"',
            [np.zeros((3, 4)), np.zeros((3, 2))],
            'scores "x0" are 3 x 4',
        ),
        (
            'type: "LabelsequenceAccuracy"',
            [np.zeros((3, 4, 2)), np.zeros((2, 2))],
            '"x1" 2 x 2',
        ),
        (
            'type: "Upsample" upsample_param { scale_w: 2 }',
            [PLANE],
            "scale_w without scale_h",
        ),
        (
            'type: "Interp" interp_param { height: 4 width: 4 }',
            [np.zeros((1, 2, 3))],
            "bottoms are 1 x 2 x 3",
        ),
        (
            'type: "Interp"',
            [PLANE, np.zeros((1, 2, 3))],
            "1 x 2 x 3 .6.$|, 1 x 2 x 3",
        ),
        ('type: "CTCLoss"', [np.zeros((3, 2, 4)), np.zeros(3), np.zeros((2, 2))], '"x1" is 3'),
        (
            'type: "NormalizeChannels" normalize_param { normalize_type: "L3" }',
            [PLANE],
            'normalize_type "L3" is not built in',
        ),
    ],
)
def test_refused(text: str, inputs: list[Any], message: str) -> None:
    with pytest.raises(NetError, match=message):
        Bench(Case(text, {f"x{i}": value for i, value in enumerate(inputs)}))


@pytest.mark.parametrize(
    ("text", "inputs", "message"),
    [
        (
            'type: "CTCLoss"',
            # the second sequence has two steps for three labels
            [
                np.zeros((2, 2, 4)),
                np.ones((2, 2)),
                np.array([[0, 0], [-1, 1], [-1, 2]], float),
            ],
            "sequence 1 has 3 labels, for which its 2 steps are too few",
        ),
        (
            'type: "LabelsequenceAccuracy"',
            [np.zeros((2, 3, 4)), np.array([[0, 1], [7, 2.0]])],
            "label 7 is not a class: there are 4 classes",
        ),
    ],
)
def test_refused_when_they_run(text: str, inputs: list[Any], message: str) -> None:
    bench = Bench(Case(text, {f"x{i}": value for i, value in enumerate(inputs)}, tops=["y"]))
    with pytest.raises(NetError, match=message):
        bench.forward()


def test_a_second_layer_of_a_name_is_refused() -> None:
    before = registry["ReLU"]
    with pytest.raises(ValueError, match='"ReLU" exists already'):

        @register
        class ReLU(Layer):
            """Another."""

    assert registry["ReLU"] is before

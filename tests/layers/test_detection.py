"""ROIPooling, PriorBox, DetectionOutput: what is refused, and how detections are chosen."""

import logging

import numpy as np
import pytest

from caffelite.errors import NetError
from caffelite.layers.cases import Case
from caffelite.testing import Bench

IMAGE = np.zeros((1, 1, 4, 4))


@pytest.mark.parametrize(
    ("text", "inputs", "message"),
    [
        ('type: "ROIPooling"', {"x": IMAGE, "r": np.zeros((1, 5))}, "pooled_h is missing"),
        (
            'type: "ROIPooling" roi_pooling_param { pooled_h: 2 pooled_w: 2 }',
            {"x": IMAGE, "r": np.zeros((1, 4))},
            '"r" is 1 x 4',
        ),
        ('type: "PriorBox"', {"x": IMAGE, "i": IMAGE}, "min_size is missing"),
        (
            'type: "PriorBox" prior_box_param { min_size: 3 max_size: 3 }',
            {"x": IMAGE, "i": IMAGE},
            "max_size is not above",
        ),
        (
            'type: "PriorBox" prior_box_param { min_size: 3 img_size: 3 img_h: 3 }',
            {"x": IMAGE, "i": IMAGE},
            "both img_size and img_h/img_w",
        ),
        (
            'type: "PriorBox" prior_box_param { min_size: 3 step_h: 3 }',
            {"x": IMAGE, "i": IMAGE},
            "step_w is missing",
        ),
        (
            'type: "DetectionOutput" detection_output_param { num_classes: 3 }',
            {"l": np.zeros((1, 4)), "c": np.zeros((1, 2)), "p": np.zeros((1, 2, 4))},
            '"c" is 1 x 2',
        ),
    ],
)
def test_refused(text: str, inputs: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(NetError, match=message):
        Bench(Case(text, inputs))


@pytest.mark.parametrize("image", [1.0, -0.5, np.nan])
def test_a_region_of_no_image_is_refused(image: float) -> None:
    text = 'type: "ROIPooling" roi_pooling_param { pooled_h: 2 pooled_w: 2 }'
    bench = Bench(Case(text, {"x": IMAGE, "r": [[image, 0, 0, 1, 1]]}))
    with pytest.raises(NetError, match=f"region 0 is of image {image:g}, but there are 1"):
        bench.forward()


@pytest.mark.parametrize(
    "text",
    [
        'type: "ROIPooling" roi_pooling_param { pooled_h: 2 pooled_w: 2 }',
        'type: "ROIAlign" roi_pooling_param { pooled_h: 2 pooled_w: 2 }',
        'type: "PSROIPooling" psroi_pooling_param { spatial_scale: 1 output_dim: 1 group_size: 1 }',
    ],
)
@pytest.mark.parametrize("corner", [np.nan, np.inf])
def test_a_region_without_finite_corners_is_refused(text: str, corner: float) -> None:
    bench = Bench(Case(text, {"x": IMAGE[:, :1], "r": [[0, 0, 0, 1, corner]]}))
    with pytest.raises(NetError, match=f"region 0 has the corners 0, 0, 1, {corner:g}"):
        bench.forward()


def detections(param: str, scores: list[float]) -> np.ndarray:
    """Three boxes of one class, of which the second overlaps the first by 0.8."""
    priors = [[0.0, 0.0, 0.5, 1.0, 0.0, 0.0, 0.4, 1.0, 0.5, 0.0, 1.0, 1.0], [0.1] * 12]
    text = (
        'type: "DetectionOutput" detection_output_param { num_classes: 1 background_label_id: -1 '
        f"{param} }}"
    )
    bench = Bench(Case(text, {"l": np.zeros((1, 12)), "c": [scores], "p": [priors]}))
    bench.forward()
    return bench.top[0][0, 0, :, 2]


@pytest.mark.parametrize(
    ("param", "kept"),
    [
        ("", [0.9, 0.3]),
        ("nms_param { nms_threshold: 0.85 }", [0.9, 0.8, 0.3]),
        # after one box the threshold is 0.85 · 0.9 = 0.765
        ("nms_param { nms_threshold: 0.85 eta: 0.9 }", [0.9, 0.3]),
        ("nms_param { nms_threshold: 0.85 top_k: 2 }", [0.9, 0.8]),
        ("nms_param { top_k: 2 }", [0.9]),
        ("keep_top_k: 1", [0.9]),
        ("confidence_threshold: 0.3", [0.9]),
    ],
)
def test_which_boxes_are_kept(param: str, kept: list[float]) -> None:
    np.testing.assert_allclose(detections(param, [0.9, 0.8, 0.3]), kept)


def test_files_that_cannot_be_written_are_mentioned(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "caffelite"):
        detections('save_output_param { output_directory: "results" }', [0.9, 0.8, 0.3])
    assert "no files are written" in caplog.text

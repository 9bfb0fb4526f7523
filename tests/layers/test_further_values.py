"""Values worked out by hand that the layers' own examples leave open."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from caffelite.layers.cases import Case
from caffelite.schema.common import Phase
from caffelite.testing import Bench

LN2, LN3 = math.log(2), math.log(3)
A, B = np.array([[[1.0, 2.0]]]), np.array([[[5.0, 6.0, 7.0]]])
FRCNN = (
    'type: "FrcnnOutput" frcnn_output_param { nms_type: "IOMU" } bbox_reg_param { '
    "bbox_mean: 0.1 bbox_mean: -0.2 bbox_mean: 0 bbox_mean: 0 "
    "bbox_std: 0.1 bbox_std: 0.1 bbox_std: 0.2 bbox_std: 0.2 }"
)
ONE_CELL = (
    'type: "DetectionLoss" detection_loss_param { cls_num: 2 field_h: 8 field_w: 4 '
    'downsample_rate: 8 sample_mode: "all" field_xyr: 0.1 %s }'
)
# one object, whose code is right but for the first, which should be 1/4
CELL = {
    "map": np.array([0, 0, -2.75, 0, 0, 0.0]).reshape(1, 6, 1, 1),
    "label": np.array([1, 5, 4, 4, 8, 0.7]).reshape(1, 6, 1, 1),
}

CASES = {
    "two images of hard examples": Case(
        'type: "BoxAnnotatorOHEM" box_annotator_ohem_param { roi_per_img: 1 }',
        {
            "rois": [[0.0, 7, 0, 0, 0], [0.0, 7, 0, 0, 0], [1.0, 7, 0, 0, 0], [1.0, 7, 0, 0, 0]],
            "loss": [1.0, 2.0, 4.0, 3.0],
            "label": [1.0, 2.0, 3.0, 4.0],
            "weight": [[1.0], [2.0], [3.0], [4.0]],
        },
        {"kept": [-1.0, 2.0, 3.0, -1.0], "weights": [[0.0], [2.0], [3.0], [0.0]]},
    ),
    "factors of what is merged": Case(
        'type: "MergeCrop" mergecrop_param { forward: 1 forward: 0 }',
        {"a": A, "b": B},
        {"y": [[[1.0, 2.0], [0.0, 0.0]]]},
    ),
    "factors of what is merged, the other way": Case(
        'type: "MergeCrop" mergecrop_param { forward: 0 forward: 1 }',
        {"a": A, "b": B},
        {"y": [[[0.0, 0.0], [5.0, 6.0]]]},
    ),
    "factors of what is added": Case(
        'type: "MergeCrop" mergecrop_param { operation: ADD forward: 1 forward: 0 }',
        {"a": A, "b": B},
        {"y": A},
    ),
    "means of codes": Case(
        FRCNN,
        # a box of ten by ten moves by one to the right and by two up
        {
            "prob": [[0.2, 0.8]],
            "codes": [[0.0] * 8],
            "rois": [[0.0, 10.0, 10.0, 19.0, 19.0]],
            "size": [[50.0, 60.0]],
        },
        {
            "y": np.array([[0.0] + [-1.0] * 6, [0.0, 11.0, 8.0, 20.0, 17.0, 1.0, 0.8]])[
                :, :, None, None
            ]
        },
        phase=Phase.TEST,
    ),
    "large scores": Case(
        'type: "YoloDetectionOutput" yolo_detection_output_param { num_classes: 2 num_box: 1 '
        "biases: 0.5 biases: 1 confidence_threshold: 0.3 }",
        {
            "map": np.array([0, 0, 0, LN2, math.log(4), 2000, 2000 + LN3]).reshape(1, 7, 1, 1),
        },
        {"y": [[[[0.0, 2.0, 0.8 * 0.75, 0.25, -0.5, 0.75, 1.5]]]]},
        phase=Phase.TEST,
    ),
    "cells that are not square": Case(
        'type: "PriorBox" prior_box_param { min_size: 4 }',
        {"x": np.zeros((1, 1, 2, 3)), "image": np.zeros((1, 3, 12, 30))},
        {
            "boxes": [
                [
                    [
                        side
                        for y in (3, 9)
                        for x in (5, 15, 25)
                        for side in ((x - 2) / 30, (y - 2) / 12, (x + 2) / 30, (y + 2) / 12)
                    ],
                    [0.1] * 24,
                ]
            ]
        },
        phase=Phase.TEST,
    ),
    "a box far off, smooth": Case(
        ONE_CELL % "", CELL, {"loss": LN2 + (3 - 1 / 2) / 4, "boxes": (3 - 1 / 2) / 4}
    ),
    "a box far off, squared": Case(
        ONE_CELL % "bb_smooth: false", CELL, {"loss": LN2 + 9 / 2 / 4, "boxes": 9 / 2 / 4}
    ),
    "an object of the second class": Case(
        'type: "Yolov3" yolov3_param { num_class: 2 num: 1 biases: 16 biases: 16 mask: 0 '
        "anchors_scale: 16 coord_scale: 2 class_scale: 3 label_smooth_eps: 0.2 thresh: 0.9 }",
        {
            "map": np.array([[0, 0], [0, 0], [0, 0], [0, 1], [0, 0], [0, 0], [0, 0]]).reshape(
                1, 7, 1, 2
            ),
            "label": [[1.0, 0.75, 0.5, 0.5, 1.0]],
        },
        # as the layer's own example, and once more ln 2 for the other class
        {"loss": 2 * 1.5 * (2 * LN2 + 1 / 2) + 8 * LN2},
    ),
    "a class that is out of the question": Case(
        'type: "SoftmaxWithLoss"',
        {"x": [[0.0, 3000.0]], "label": [0.0]},
        {"loss": -math.log(float(np.finfo(np.float32).tiny))},
    ),
    "regions without an extent have the scale 0": Case(
        'type: "ScaleRoute" scale_route_param { high_scale: 4 }',
        {"rois": [[0.0, 5.0, 5.0, 3.0, 3.0], [0.0, 0.0, 0.0, 9.0, 9.0], [1.0, 0, 0, 2, 2]]},
        {"some": [[0.0, 5.0, 5.0, 3.0, 3.0], [1.0, 0, 0, 2, 2]]},
    ),
    "hard examples of planes": Case(
        'type: "SmoothL1LossOHEM" loss_param { normalization: FULL }',
        {"a": np.full((2, 3, 2, 2), 3.0), "b": np.zeros((2, 3, 2, 2))},
        {"loss": 24 * 2.5 / 8, "each": np.full((2, 1, 2, 2), 7.5)},
    ),
    "classes of N x C x 1 x 1": Case(
        'type: "Softmax"',
        {"x": np.log([[1.0, 2.0, 1.0], [3.0, 3.0, 2.0]]).reshape(2, 3, 1, 1)},
        {"y": np.array([[0.25, 0.5, 0.25], [0.375, 0.375, 0.25]]).reshape(2, 3, 1, 1)},
    ),
    "places and values of the largest": Case(
        'type: "ArgMax" argmax_param { out_max_val: true top_k: 2 }',
        {"x": [[1.0, 5.0, 3.0], [9.0, 7.0, 8.0]]},
        {"y": [[[1.0, 2.0], [5.0, 3.0]], [[0.0, 2.0], [9.0, 8.0]]]},
    ),
    "an anchor that is not 1 by 1": Case(
        'type: "RegionLoss" region_loss_param { num_class: 2 num: 1 biases: 2 biases: 0.5 '
        "rescore: 0 object_scale: 5 noobject_scale: 1 coord_scale: 1 }",
        # as the layer's own example: the box is one cell by one, so that its codes are -ln 2, ln 2
        {
            "map": np.array(
                [[0, 0], [0, 0], [0, 1 - LN2], [0, LN2], [0, 0], [0, 0], [0, LN3]]
            ).reshape(1, 7, 1, 2),
            "label": [[0.0, 0.75, 0.5, 0.5, 1.0]],
        },
        {"loss": 1.5 / 2 + 5 / 8 + math.log(4) + 1 / 8},
    ),
    "deviations of all four codes": Case(
        'type: "ProposalTargets" python_param { param_str: "\'num_classes\': 2" }',
        # the proposal is 10 by 10, the object 12 by 8; their middles are 1 and -1 apart
        {"rois": [[0.0, 4.0, 0.0, 13.0, 9.0]], "gt": [[4.0, 0.0, 15.0, 7.0, 1.0]]},
        {
            "out": [[0.0, 4.0, 0.0, 13.0, 9.0], [0.0, 4.0, 0.0, 15.0, 7.0]],
            "labels": [1.0, 1.0],
            "targets": [
                [0.0] * 4 + [1.0, -1.0, 5 * math.log(1.2), 5 * math.log(0.8)],
                [0.0] * 8,
            ],
            "inside": [[0.0] * 4 + [1.0] * 4] * 2,
            "outside": [[0.0] * 4 + [1.0] * 4] * 2,
        },
    ),
    "a row of boxes without the first axis": Case(
        'type: "Yolov3" yolov3_param { num_class: 1 num: 1 biases: 16 biases: 16 mask: 0 '
        "anchors_scale: 16 coord_scale: 1 label_smooth_eps: 0 thresh: 0.9 }",
        {
            "map": np.zeros((1, 6, 1, 1)),
            "label": [[[0.0, 1, 0, 0, 0, 1, 1, 0], [-1.0] * 8]],
        },
        # tx, ty and the score, and the class
        {"loss": 2 * LN2 + LN2 + LN2},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_value(name: str) -> None:
    case = CASES[name]
    bench = Bench(case)
    bench.forward()
    for top, expected in zip(bench.top, case.outputs.values(), strict=True):
        np.testing.assert_allclose(top, expected, rtol=1e-6, atol=1e-9, err_msg=name)


def bench(text: str, *inputs: Any, tops: list[str] | None = None) -> Bench:
    return Bench(Case(text, {f"x{i}": value for i, value in enumerate(inputs)}, tops=tops))


def test_a_decoder_with_labels_may_have_the_sequences_alone() -> None:
    scores, go, labels = np.zeros((3, 2, 4)), np.ones((3, 2)), np.zeros((2, 2))
    for tops, shapes in (
        (["y"], [(2, 3, 1, 1)]),
        (["y", "accuracy"], [(2, 3, 1, 1), (1, 1, 1, 1)]),
    ):
        found = bench('type: "CTCGreedyDecoder"', scores, go, labels, tops=tops)
        assert found.layer.top_shapes == shapes


def test_large_weights_add_to_their_gradients() -> None:
    x = np.random.default_rng(0).standard_normal((2, 300))
    found = bench('type: "InnerProduct" inner_product_param { num_output: 300 }', x).run()
    once = found.layer.params[0].diff.copy()
    found.backward()
    np.testing.assert_allclose(found.layer.params[0].diff, 2 * once)
    np.testing.assert_allclose(once, found.top_diff[0].T @ x)


def test_zeros_to_compare_with_are_one_plane_of_a_large_batch() -> None:
    assert bench('type: "ReLU"', np.zeros((8, 8, 20, 20))).layer.zero.shape == (20, 20)  # type: ignore[attr-defined]
    assert bench('type: "ReLU"', np.zeros((90, 200))).layer.zero.shape == (200,)  # type: ignore[attr-defined]


def test_only_products_read_their_bottoms_again() -> None:
    reads = {
        word: bench(
            f'type: "Eltwise" eltwise_param {{ operation: {word} }}', A, A
        ).layer.backward_reads
        for word in ("SUM", "MAX", "PROD")
    }
    assert reads["SUM"] == reads["MAX"] == ()
    assert "bottom" in reads["PROD"]


LSTM = 'type: "Lstm" lstm_param { num_output: 3 %s }'
STEPS = np.random.default_rng(1).standard_normal((4, 2, 5))


def test_gradients_of_an_lstm_are_held_to_a_threshold() -> None:
    free = bench(LSTM % "", STEPS).run()
    held = bench(LSTM % "clipping_threshold: 0.001", STEPS).run()
    assert np.abs(free.layer.params[2].diff).max() > 0.01
    assert np.abs(held.layer.params[2].diff).max() <= 0.001 * 4 * 2 + 1e-12
    assert np.abs(held.layer.params[2].diff).max() > 0.001


def test_parameters_of_an_lstm_that_do_not_learn_have_no_gradients() -> None:
    frozen = bench(LSTM % "" + " param { } param { lr_mult: 0 } param { lr_mult: 0 }", STEPS).run()
    found = [bool(blob.diff.any()) for blob in frozen.layer.params]
    assert found == [True, False, False]


def test_an_lstm_goes_on_from_a_snapshot() -> None:
    first, second = (bench(LSTM % "", STEPS, np.ones((4, 2))) for _ in range(2))
    inputs = tuple(first.bottom)
    first.layer.forward(inputs, tuple(first.top))
    kept = first.layer.state()
    first.layer.forward(inputs, tuple(first.top))
    second.layer.restore(kept)
    second.layer.forward(inputs, tuple(second.top))
    np.testing.assert_array_equal(second.top[0], first.top[0])


def test_points_without_labels() -> None:
    text = 'type: "SpiralData" spiral_data_param { batch_size: 4 seed: 1 }'
    alone, labelled = (Bench(Case(text, tops=tops)) for tops in (["x"], ["x", "label"]))
    for _ in range(3):
        for each in (alone, labelled):
            each.layer.forward((), tuple(each.top))
        np.testing.assert_array_equal(alone.top[0], labelled.top[0])


def test_fillers_of_both_kinds_of_bn() -> None:
    fillers = {
        "slope_filler": "bias_filler",
        "scale_filler": "shift_filler",
    }
    for one, zero in fillers.items():
        given = bench(
            f'type: "BN" bn_param {{ {one} {{ value: 3 }} {zero} {{ value: 4 }} }}',
            np.zeros((2, 2, 3)),
        )
        assert [d.filler.value for d in given.planned.declared[:2]] == [3, 4]
    plain = bench('type: "BN"', np.zeros((2, 2, 3)))
    assert [d.filler.value for d in plain.planned.declared] == [1, 0, 0, 0] or [
        d.filler.value for d in plain.planned.declared[:2]
    ] == [1, 0]

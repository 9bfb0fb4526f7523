"""Average precision, by hand, and as tests of a solver show it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from caffelite.errors import SolverError
from caffelite.solver import get_solver
from caffelite.solver.monitor import Output
from caffelite.solver.precision import Scoring, average_precision, precisions

# precision 1, 1/2, 2/3, 3/4, 3/5 at recall 1/4, 1/4, 1/2, 3/4, 3/4
RIGHT = np.array([1.0, 0, 1, 1, 0])
EXPECTED = {
    "Integral": (1 + 2 / 3 + 3 / 4) / 4,
    "MaxIntegral": (1 + 3 / 4 + 3 / 4) / 4,
    "11point": (3 * 1 + 5 * 3 / 4) / 11,
    "101point": (26 * 1 + 50 * 3 / 4) / 101,
}


@pytest.mark.parametrize("version", EXPECTED)
def test_average_precision(version: str) -> None:
    assert average_precision(RIGHT, 4, version) == pytest.approx(EXPECTED[version])
    assert average_precision(np.ones(3), 3, version) == pytest.approx(1)
    assert average_precision(np.zeros(3), 3, version) == 0
    assert average_precision(np.ones(0), 3, version) == 0
    assert average_precision(np.ones(3), 0, version) == 0


def test_a_recall_of_7_in_10_misses_the_point_0_7_as_in_the_original() -> None:
    assert average_precision(np.ones(7), 10, "11point") == pytest.approx(7 / 11)
    assert average_precision(np.ones(5), 10, "11point") == pytest.approx(6 / 11)


def test_rows_of_several_batches_are_one_ranking() -> None:
    rows = np.array(
        [
            [-1, 1, 1, -1, -1],
            [-1, 2, 0, -1, -1],
            [0, 1, 0.9, 1, 0],
            [0, 1, 0.6, 0, 1],
            [-1, 1, 3, -1, -1],
            [-1, 2, 1, -1, -1],
            [0, 1, 0.5, 1, 0],
            [0, 1, 0.4, 1, 0],
            [1, 1, 0.7, 0, 0],  # does not count
            [1, 1, 0.2, 0, 1],
            [1, 2, 0.8, 1, 0],
        ]
    )
    found = precisions(rows, "Integral")
    assert found == pytest.approx({1: EXPECTED["Integral"], 2: 1})
    scores = Scoring("MaxIntegral", per_class=True).scores("mAP", rows)
    first = EXPECTED["MaxIntegral"]
    assert scores == pytest.approx({"mAP": (first + 1) / 2, "mAP_class1": first, "mAP_class2": 1})


NET = """
layer { name: "d" type: "ShapesData" top: "data" top: "objects"
  shapes_data_param { samples: 4 batch_size: 2 size: 16 } }
layer { name: "found" type: "DummyData" top: "found" include { phase: TEST }
  dummy_data_param { shape { dim: 1 dim: 1 dim: 1 dim: 7 } data_filler { value: 1 } } }
layer { name: "mAP" type: "DetectionEvaluate" bottom: "found" bottom: "objects" top: "mAP"
  include { phase: TEST } detection_evaluate_param { num_classes: 4 } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 1 } include { phase: TRAIN } }
layer { name: "l" type: "Reduction" bottom: "ip" top: "l" loss_weight: 1 include { phase: TRAIN } }
layer { name: "s" type: "Silence" bottom: "objects" include { phase: TRAIN } }
layer { name: "t" type: "Silence" bottom: "data" include { phase: TEST } }
"""
SOLVER = 'net: "n.net" base_lr: 0.1 lr_policy: "fixed" max_iter: 1 test_interval: 1 '


def solver(folder: Path, fields: str, net: str = NET) -> dict[str, float]:
    (folder / "n.net").write_text(net)
    (folder / "s.solver").write_text(SOLVER + fields)
    found = get_solver(str(folder / "s.solver")).test()
    return {name: float(value) for name, value in found.items()}


def test_a_solver_shows_it(tmp_path: Path) -> None:
    # the one detection, class 1 in image 1, has no area
    assert solver(tmp_path, 'eval_type: "detection"') == {"mAP": 0}
    found = solver(tmp_path, "show_per_class_result: true")
    assert found == {"mAP": 0, "mAP_class1": 0, "mAP_class2": 0, "mAP_class3": 0}
    assert Output("mAP", np.asarray(0.5)).lines() == ["mAP = 0.5"]


def test_it_may_be_watched(tmp_path: Path) -> None:
    assert solver(tmp_path, 'watch: "mAP" patience: 2') == {"mAP": 0}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ('eval_type: "segmentation"', 'eval_type cannot be "segmentation"'),
        ('ap_version: "12point"', 'ap_version cannot be "12point"'),
        ('eval_type: "detection"', "test net #0 judges no detections"),
    ],
)
def test_refused(fields: str, message: str, tmp_path: Path) -> None:
    net = NET.replace("DetectionEvaluate", "Silence").replace('top: "mAP"\n', "\n")
    with pytest.raises(SolverError, match=message):
        solver(tmp_path, fields, net)

"""The core asks layers for facts, not for their names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import caffelite
from caffelite.layers import registry

PACKAGE = Path(caffelite.__file__).parent
LAYERS = ("layers/", "engines/", "onnx/", "pycaffe/", "schema/legacy", "deploy.py")
"""Where layers are at home, or formats in which their names stand, or one becomes another."""


def named(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The types of layers that stand as strings in code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in registry:
            yield node.lineno, str(node.value)


def test_the_core_names_no_layer() -> None:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if not name.startswith(LAYERS):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found += [f"{name}:{line}: {kind}" for line, kind in named(tree)]
    assert not found, "declare a fact on Layer instead"


def test_a_planted_name_is_found() -> None:
    code = 'def f(node):\n    """ReLU"""\n    return node.type in ("ReLU", "other")\n'
    assert (3, "ReLU") in list(named(ast.parse(code)))


def test_the_facts_are_where_they_belong() -> None:
    def having(fact: str) -> set[str]:
        return {name for name, cls in registry.items() if getattr(cls, fact)}

    assert having("gives_probability") == {"Sigmoid", "Softmax"}
    assert having("learns_labels") == {
        "EuclideanLoss",
        "FlowL1Loss",
        "L1Loss",
        "LpqLoss",
        "MTCNNEuclideanLoss",
        "ManhattanLoss",
        "SmoothL1Loss",
        "SmoothL1LossOHEM",
        "WeightedEuclideanLoss",
    }
    assert having("higher_is_better") == {
        "Accuracy",
        "BboxAccuracy",
        "DetectionAccuracy",
        "DetectionEvaluate",
        "DetectionGroupAccuracy",
        "EltwiseAccuracy",
        "LabelsequenceAccuracy",
        "SegAccuracy",
        "SegmentationEvaluate",
    }
    assert having("learns_labels") <= having("compares")
    assert having("compares") - having("loss") == {"Accuracy", "EltwiseAccuracy", "SegAccuracy"}
    assert having("loss") - having("compares") == {
        "CTCLoss",
        "ContrastiveLoss",
        "CtcLoss",
        "DetectionGroupLoss",
        "DetectionLoss",
        "GeneralContrastiveLoss",
        "MalisLoss",
        "MultiBoxLoss",
        "RefinedMultiBoxLoss",
        "RegionLoss",
        "TripletLoss",
        "WarpCTCLoss",
        "YoloSeg",
        "YoloV1Loss",
        "Yolov3",
    }

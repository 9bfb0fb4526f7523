"""DetectionEvaluate: which detections are right."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Shapes, param_of, register, show
from caffelite.layers.box_matching import check_objects, objects_of
from caffelite.layers.cases import Case
from caffelite.layers.detection_output import overlap
from caffelite.layers.finding import FindingLayer
from caffelite.schema.common import Phase
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class DetectionEvaluateParameter(LayerMessage, field="detection_evaluate_param", number=205):
    """When a detection is right."""

    num_classes: int = field(
        1, "uint32", least=1, doc="number of classes C, the background included"
    )
    background_label_id: int = field(2, "uint32", default=0, doc="the background's class")
    overlap_threshold: float = field(
        3, "float", default=0.5, above=0, doc="overlap with an object from which a box is right"
    )
    evaluate_difficult_gt: bool = field(4, "bool", default=True, doc="count difficult objects?")
    name_size_file: str = field(5, "string", doc="not followed: boxes are in parts of the image")


@register
class DetectionEvaluate(FindingLayer):
    """Which detections find an object; what a test makes its mean average precision of.

    First a row for each class but the background: −1, class, number of its objects, −1, −1. Then
    one for each detection, by image, class and score: image, class, score, and 1, 0 if it is
    right; 0, 1 if it is wrong; 0, 0 if it does not count.

    A detection belongs to the object of its class that it overlaps most (intersection over union).
    It is right if the overlap is `overlap_threshold` or more and no better detection belongs to
    that object already. Without `evaluate_difficult_gt` difficult objects are not counted, and
    detections that belong to one do not count.

    A test collects these rows over its batches: what it shows is the mean over the classes of
    their average precisions, as the solver's `ap_version` says; see `caffelite.solver.precision`.

    Gradient: none.
    Shapes: detections (1, 1, number, 7) as DetectionOutput makes them, objects (1, 1, number, 8) as
    MultiBoxLoss reads them. Top (1, 1, number, 5), known after the pass only.
    Source: Everingham et al. 2010, The Pascal Visual Object Classes Challenge.
    """

    bottoms = (2, 2)
    tallies = True
    deployed = False
    higher_is_better = True
    extension = "SSD fork (weiliu89/caffe), detection_evaluate_param = 205"
    param: DetectionEvaluateParameter = param_of(DetectionEvaluateParameter)
    cases = (
        Case(
            'type: "DetectionEvaluate" detection_evaluate_param { num_classes: 3 }',
            # two detections of one object, the better one right; one of the wrong class; one that
            # overlaps its object by 0.4; one in an image without objects
            {
                "detections": [
                    [
                        [
                            [0, 1, 0.9, 0.0, 0.0, 0.4, 0.5],
                            [0, 1, 0.95, 0.0, 0.0, 0.5, 0.5],
                            [0, 2, 0.6, 0.0, 0.0, 0.5, 0.5],
                            [1, 2, 0.7, 0.5, 0.5, 0.7, 1.0],
                            [2, 1, 0.8, 0.0, 0.0, 0.5, 0.5],
                        ]
                    ]
                ],
                "objects": [
                    [
                        [
                            [0, 1, 0, 0.0, 0.0, 0.5, 0.5, 0],
                            [1, 2, 0, 0.5, 0.5, 1.0, 1.0, 0],
                            [1, 2, 1, 0.0, 0.0, 0.5, 0.5, 0],
                            [-1, -1, -1, -1, -1, -1, -1, -1],
                        ]
                    ]
                ],
            },
            {
                "y": [
                    [
                        [
                            [-1, 1, 1, -1, -1],
                            [-1, 2, 2, -1, -1],
                            [0, 1, 0.95, 1, 0],
                            [0, 1, 0.9, 0, 1],
                            [0, 2, 0.6, 0, 1],
                            [1, 2, 0.7, 0, 1],
                            [2, 1, 0.8, 0, 1],
                        ]
                    ]
                ]
            },
            phase=Phase.TEST,
        ),
        Case(
            'type: "DetectionEvaluate" detection_evaluate_param { num_classes: 2 '
            "background_label_id: 1 overlap_threshold: 0.3 evaluate_difficult_gt: false }",
            # the second object is difficult; nothing was found in image 1
            {
                "detections": [
                    [
                        [
                            [0, 0, 0.9, 0.0, 0.0, 0.2, 0.5],
                            [0, 0, 0.8, 0.5, 0.5, 1.0, 1.0],
                            [1, -1, -1, -1, -1, -1, -1],
                        ]
                    ]
                ],
                "objects": [[[[0, 0, 0, 0.0, 0.0, 0.5, 0.5, 0], [0, 0, 1, 0.5, 0.5, 1.0, 1.0, 1]]]],
            },
            {"y": [[[[-1, 0, 1, -1, -1], [0, 0, 0.9, 1, 0], [0, 0, 0.8, 0, 0]]]]},
            phase=Phase.TEST,
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        p, at = self.param, "detection_evaluate_param"
        self.need(at, "num_classes", expected="the number of classes, the background included")
        if p.name_size_file:
            self.fail(
                "name_size_file is not followed",
                at,
                "name_size_file",
                expected="no name_size_file: overlaps are measured in parts of the image",
                hint="the original counts whole pixels, both borders included",
            )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        detections, objects = bottom
        if len(detections) != 4 or detections[3] != 7:
            self.fail(
                f'bottom "{self.spec.bottom[0]}" is {show(detections)}',
                "bottom",
                expected="1 x 1 x detections x 7, as DetectionOutput makes them",
            )
        check_objects(self, 1, objects)
        return [(1, 1, 1, 5)]

    def find(self, bottom: Arrays) -> list[Array]:
        return [self._rows(*bottom)[None, None]]

    def _rows(self, detections: Array, objects: Array) -> Array:
        p = self.param
        known = objects_of(self, 1, objects, p.num_classes, p.background_label_id, None)
        counted = known[:, 1] if p.evaluate_difficult_gt else known[known[:, 7] == 0, 1]
        rows: list[list[float]] = [
            [-1, c, int(np.count_nonzero(counted == c)), -1, -1]
            for c in range(p.num_classes)
            if c != p.background_label_id
        ]
        found = detections.reshape(-1, 7)
        found = found[(found[:, 0] != -1) & (found[:, 1] != -1)]
        label = found[:, 1]
        wrong = (label < 0) | (label >= p.num_classes) | (label == p.background_label_id)
        if wrong.any():
            bad = int(np.flatnonzero(wrong)[0])
            self.fail(
                f"detection {bad} of the batch has class {label[bad]:g}",
                "bottom",
                expected=f"0 to {p.num_classes - 1}, but not {p.background_label_id}, the "
                "background",
            )
        found = found[np.lexsort((-found[:, 2], label, found[:, 0]))]
        groups = np.flatnonzero((np.diff(found[:, :2], axis=0) != 0).any(1)) + 1
        for group in np.split(found, groups) if len(found) else ():
            of = known[(known[:, :2] == group[0, :2]).all(1)]
            rows += self._judged(group, of)
        return np.array(rows, detections.dtype).reshape(-1, 5)

    def _judged(self, found: Array, objects: Array) -> list[list[float]]:
        """The rows of the detections of one class in one image, best first."""
        p = self.param
        rows: list[list[float]] = []
        taken: set[int] = set()
        for image, label, score, *corners in found:
            right = wrong = 0
            common = overlap(np.array(corners), objects[:, 3:7]) if len(objects) else np.zeros(1)
            best = int(common.argmax())
            if common[best] < common.dtype.type(p.overlap_threshold):
                wrong = 1
            elif p.evaluate_difficult_gt or not objects[best, 7]:
                right, wrong = (0, 1) if best in taken else (1, 0)
                taken.add(best)
            rows.append([image, label, score, right, wrong])
        return rows

"""DetectionEvaluate: which detections are right."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.data.namesize import Named, in_pixels, pixel_overlap, read_name_sizes
from caffelite.errors import DataError, Problem
from caffelite.layers.base import Arrays, Shapes, param_of, register, show
from caffelite.layers.box_matching import check_objects, objects_of
from caffelite.layers.cases import Case
from caffelite.layers.cell_loss import ReadsCells
from caffelite.layers.detection_output import overlap
from caffelite.layers.finding import FindingLayer
from caffelite.paths import find_path
from caffelite.schema.augment import ResizeParameter
from caffelite.schema.bind import span_of
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
    name_size_file: str = field(
        5, "string", doc="lines NAME HEIGHT WIDTH, one an image in order: measure in pixels"
    )
    resize_param: ResizeParameter = field(
        6, ResizeParameter, doc="with name_size_file: how the images were resized"
    )


@register
class DetectionEvaluate(ReadsCells, FindingLayer):
    """Which detections find an object; what a test makes its mean average precision of.

    First a row for each class but the background: −1, class, number of its objects, −1, −1. Then
    one for each detection, by image, class and score: image, class, score, and 1, 0 if it is
    right; 0, 1 if it is wrong; 0, 0 if it does not count.

    A detection belongs to the object of its class that it overlaps most (intersection over union).
    It is right if the overlap is `overlap_threshold` or more and no better detection belongs to
    that object already. Without `evaluate_difficult_gt` difficult objects are not counted, and
    detections that belong to one do not count.

    With `name_size_file` boxes are cut to the image and measured in its pixels, as it was before
    `resize_param`, and overlaps count whole pixels, those of both borders with them. Images take
    their sizes from the file in order, from the first again at its end; one without detections and
    objects at the end of a batch is not counted.

    With three bottoms, as Cascade R-CNN has it, boxes are in pixels of what the net saw, of which
    the third has the height and width of each image; they are not cut, and `name_size_file` is
    needed.

    A test collects these rows over its batches: what it shows is the mean over the classes of
    their average precisions, as the solver's `ap_version` says; see `caffelite.solver.precision`.

    With labels of one image in rows of five (class from 0, centre, size; zeros behind the last) and
    detections as RegionOutput makes them, as gklz1982's fork has it, there is no background.

    Gradient: none.
    Shapes: detections (1, 1, number, 7) as DetectionOutput makes them, objects (1, 1, number, 8) as
    MultiBoxLoss reads them. Top (1, 1, number, 5), known after the pass only. With three bottoms
    detections (number, 7, 1, 1) as FrcnnOutput makes them, objects (number, 8, 1, 1), (image,
    corners, class, to be ignored, difficult), of which one of image -1 is none; sizes (N, 2, …);
    top (number, 5, 1, 1).
    Source: Everingham et al. 2010, The Pascal Visual Object Classes Challenge.
    """

    bottoms = (2, 3)
    tallies = True
    deployed = False
    higher_is_better = True
    extension = (
        "SSD fork (weiliu89/caffe), detection_evaluate_param = 205; Cascade R-CNN "
        "(zhaoweicai/cascade-rcnn), there 161"
    )
    _sizes: tuple[Named, ...] = ()
    _fives = False
    """Is it gklz1982's, with rows of centre and size?"""
    _seen: Array | None = None
    """The images' heights and widths as the net saw them, with three bottoms."""
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
        Case(
            'type: "DetectionEvaluate" detection_evaluate_param { num_classes: 2 }',
            # rows of centre and size: the second shares 1/4 with the true box
            {
                "detections": [[[[0, 0, 0.5, 0.5, 0.5, 1, 1], [0, 0, 0.75, 0.25, 0.25, 0.5, 0.5]]]],
                "label": [[0, 0.5, 0.5, 1, 1, *[0] * 5]],
            },
            {
                "y": [
                    [
                        [
                            [-1, 0, 1, -1, -1],
                            [-1, 1, 0, -1, -1],
                            [0, 0, 0.75, 0, 1],
                            [0, 0, 0.5, 1, 0],
                        ]
                    ]
                ]
            },
            phase=Phase.TEST,
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        p, at = self.param, "detection_evaluate_param"
        self.need(at, "num_classes", expected="the number of classes, the background included")
        self._sizes, self._background = (), p.background_label_id
        resize = p.resize_param
        if p.has("resize_param") and not (resize.height and resize.width):
            given = f"resize_param has height {resize.height} and width {resize.width}"
            self.fail(given, at, "resize_param", expected="both, 1 or more each")
        pixels = len(self.spec.bottom) == 3
        if pixels and not p.name_size_file:
            self.need(
                at, "name_size_file", expected="the images' sizes, as there are three bottoms"
            )
        if pixels and p.has("resize_param"):
            said = "resize_param with three bottoms"
            self.fail(said, at, "resize_param", expected="the sizes of the third alone")
        self._absent: Problem | None = None
        if p.name_size_file:
            self.repeatable = False
            span = span_of(self.spec, at, "name_size_file")
            what = "file of names and sizes"
            if not self.context.data:
                missing = f'the {what} "{p.name_size_file}" is left out'
                self._absent = Problem(missing, span, absent=True)
                return
            path = find_path(p.name_size_file, self.context.folder, span, what, data=True)
            self._sizes = tuple(read_name_sizes(path))

    def open(self) -> None:
        self._at = 0

    def state(self) -> dict[str, Any]:
        return {"at": self._at} if self._sizes else {}

    def restore(self, state: dict[str, Any]) -> None:
        if state and self._sizes:
            self._at = int(state["at"]) % len(self._sizes)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        if len(bottom) == 3:
            for i, (shape, width) in enumerate(zip(bottom, (7, 8, 2))):
                if len(shape) < 2 or shape[1] != width:
                    said = f'bottom "{self.spec.bottom[i]}" is {show(shape)}'
                    self.fail(said, "bottom", index=i, expected=f"rows of {width}")
            return [(1, 5, 1, 1)]
        detections, objects = bottom
        if len(detections) != 4 or detections[3] != 7:
            self.fail(
                f'bottom "{self.spec.bottom[0]}" is {show(detections)}',
                "bottom",
                expected="1 x 1 x detections x 7, as DetectionOutput makes them",
            )
        self._fives = objects[-1:] != (8,) and objects[:1] <= (1,) and math.prod(objects) % 5 == 0
        if self._fives:
            self._background = -1
        else:
            check_objects(self, 1, objects)
        return [(1, 1, 1, 5)]

    def find(self, bottom: Arrays) -> list[Array]:
        if self._absent is not None:
            raise DataError(self._absent)
        if len(bottom) == 2:
            self._seen = None
            detections, objects = _as_corners(*bottom) if self._fives else bottom
            return [self._rows(detections, objects)[None, None]]
        found, objects, self._seen = (b.reshape(len(b), -1) for b in bottom)
        # the columns of DetectionOutput and AnnotatedData; what is to be ignored counts
        return [
            self._rows(found[:, [0, 5, 6, 1, 2, 3, 4]], objects[:, [0, 5, 6, 1, 2, 3, 4, 7]])[
                :, :, None, None
            ]
        ]

    def _rows(self, detections: Array, objects: Array) -> Array:
        p = self.param
        known = objects_of(self, 1, objects, p.num_classes, self._background, None)
        counted = known[:, 1] if p.evaluate_difficult_gt else known[known[:, 7] == 0, 1]
        rows: list[list[float]] = [
            [-1, c, int(np.count_nonzero(counted == c)), -1, -1]
            for c in range(p.num_classes)
            if c != self._background
        ]
        found = detections.reshape(-1, 7)
        found = found[(found[:, 0] != -1) & (found[:, 1] != -1)]
        label = found[:, 1]
        wrong = (label < 0) | (label >= p.num_classes) | (label == self._background)
        if wrong.any():
            bad = int(np.flatnonzero(wrong)[0])
            self.fail(
                f"detection {bad} of the batch has class {label[bad]:g}",
                "bottom",
                expected=f"0 to {p.num_classes - 1}, but not {self._background}, the background",
            )
        found = found[np.lexsort((-found[:, 2], label, found[:, 0]))]
        groups = np.flatnonzero((np.diff(found[:, :2], axis=0) != 0).any(1)) + 1
        for group in np.split(found, groups) if len(found) else ():
            of = known[(known[:, :2] == group[0, :2]).all(1)]
            rows += self._judged(group, of)
        if self._sizes:
            last = max(detections.reshape(-1, 7)[:, 0].max(initial=-1), known[:, 0].max(initial=-1))
            self._at = (self._at + int(last) + 1) % len(self._sizes)
        return np.array(rows, detections.dtype).reshape(-1, 5)

    def _judged(self, found: Array, objects: Array) -> list[list[float]]:
        """The rows of the detections of one class in one image, best first."""
        p = self.param
        rows: list[list[float]] = []
        taken: set[int] = set()
        boxes, others, measure = found[:, 3:], objects[:, 3:7], overlap
        if self._sizes and len(found):
            named = self._sizes[(self._at + int(found[0, 0])) % len(self._sizes)]
            if self._seen is None:
                resize = p.resize_param if p.has("resize_param") else None
                boxes, others = (in_pixels(b, named, resize) for b in (boxes, others))
            else:
                scale = self._scale(int(found[0, 0]), named)
                boxes, others = boxes * scale, others * scale
            boxes, others = boxes.astype(found.dtype), others.astype(found.dtype)
            measure = pixel_overlap
        for (image, label, score), box in zip(found[:, :3], boxes):
            right = wrong = 0
            common = measure(box, others) if len(objects) else np.zeros(1)
            best = int(common.argmax())
            if common[best] < common.dtype.type(p.overlap_threshold):
                wrong = 1
            elif p.evaluate_difficult_gt or not objects[best, 7]:
                right, wrong = (0, 1) if best in taken else (1, 0)
                taken.add(best)
            rows.append([image, label, score, right, wrong])
        return rows

    def _scale(self, image: int, named: Named) -> Array:
        """What corners in the net's image are multiplied by."""
        assert self._seen is not None
        if not 0 <= image < len(self._seen):
            self.fail(
                f"a detection is of image {image}, but there are sizes of {len(self._seen)}",
                "bottom",
                index=2,
                expected="a height and width for each image",
            )
        height, width = self._seen[image]
        return np.tile([named.width / width, named.height / height], 2)


def _as_corners(detections: Array, labels: Array) -> tuple[Array, Array]:
    """A RegionOutput's rows, and true boxes in rows of five, as SSD has them."""
    found = detections.reshape(-1, 7).copy()
    there = found[:, 1] >= 0
    found[there, 3:] = _corners(found[there, 3:])
    rows = labels.reshape(-1, 5)
    rows = rows[np.logical_and.accumulate(rows[:, 3] != 0)]
    objects = np.zeros((len(rows), 8), labels.dtype)
    objects[:, 1], objects[:, 3:7] = rows[:, 0], _corners(rows[:, 1:])
    return found, objects


def _corners(boxes: Array) -> Array:
    """Of centres and sizes."""
    half = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], 1)

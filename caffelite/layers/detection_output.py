"""DetectionOutput: from box codes and class scores to detections."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case
from caffelite.layers.finding import FindingLayer
from caffelite.layers.prior_box import CodeType
from caffelite.layers.registry import registry
from caffelite.schema.augment import ResizeParameter
from caffelite.schema.common import Phase
from caffelite.schema.message import Message, field, repeated
from caffelite.schema.net import LayerMessage, LayerParameter

log = logging.getLogger("caffelite.doubts")  # `check` says it as a warning

FORMATS = ("VOC", "COCO", "ILSVRC")
"""Of files of results."""


class NonMaximumSuppressionParameter(Message):
    """Of boxes that overlap, the best is kept."""

    nms_threshold: float = field(
        1, "float", default=0.3, least=0, doc="overlap from which boxes are one"
    )
    top_k: int = field(2, "int32", doc="only so many best boxes of a class are looked at; -1: all")
    eta: float = field(
        3, "float", default=1.0, above=0, most=1, doc="factor on the threshold after each box kept"
    )


class SaveOutputParameter(Message):
    """Files of what is found, which `caffelite test` writes (`caffelite.use.detections`)."""

    output_directory: str = field(1, "string", doc="folder for the results; none: no files")
    output_name_prefix: str = field(2, "string", doc="how their names begin")
    output_format: str = field(3, "string", doc="VOC, COCO or ILSVRC")
    label_map_file: str = field(4, "string", doc="names of the classes; none: no files")
    name_size_file: str = field(
        5, "string", doc="lines NAME HEIGHT WIDTH, one an image in order; none: no files"
    )
    num_test_image: int = field(6, "uint32", doc="only so many images; left out: all of the file")
    resize_param: ResizeParameter = field(7, ResizeParameter, doc="how the images were resized")


class DetectionOutputParameter(LayerMessage, field="detection_output_param", number=204):
    """How boxes are coded, and which are kept."""

    num_classes: int = field(
        1, "uint32", least=1, doc="number of classes C, the background included"
    )
    share_location: bool = field(2, "bool", default=True, doc="one box for all classes?")
    background_label_id: int = field(3, "int32", default=0, doc="class left out; -1: none")
    nms_param: NonMaximumSuppressionParameter = field(
        4, NonMaximumSuppressionParameter, doc="how overlapping boxes are thinned out"
    )
    save_output_param: SaveOutputParameter = field(
        5, SaveOutputParameter, doc="the files of a test's results"
    )
    code_type: CodeType = field(6, CodeType, default=CodeType.CORNER, doc="how boxes are coded")
    keep_top_k: int = field(7, "int32", default=-1, doc="detections kept an image; -1: all")
    variance_encoded_in_target: bool = field(
        8, "bool", default=False, doc="are the codes scaled by the variances already?"
    )
    confidence_threshold: float = field(9, "float", doc="only scores above it count")
    visualize: bool = field(10, "bool", default=False, idle="no picture is shown")
    visualize_threshold: float = field(11, "float", idle="no picture is shown")
    save_file: str = field(12, "string", idle="no video is written")
    objectness_score: float = field(
        13, "float", default=0.01, doc="RefineDet: priors less likely an object have no box"
    )

    # YOLO v2's, which have the numbers 1 to 8 in its fork.
    side: int = field(101, "uint32", default=13, idle="the map says it")
    num_box: int = field(103, "uint32", default=5, least=1, doc="RegionOutput: anchors B of a cell")
    coords: int = field(
        104, "uint32", default=4, least=4, most=4, doc="values of a box: 4", idle="it is always 4"
    )
    nms_threshold: float = field(
        106, "float", default=0.45, least=0, doc="RegionOutput: overlap from which boxes are one"
    )
    biases: list[float] = repeated(
        107, "float", above=0, doc="RegionOutput: width, height of each anchor, in cells"
    )
    label_map_file: str = field(108, "string", idle="names of classes are not shown")


REGION_FIELDS = [spec.name for spec in DetectionOutputParameter.specs.values() if spec.number > 100]


@register
class DetectionOutput(FindingLayer):
    """The boxes that a detector finds, one row each: image, class, score, x1, y1, x2, y2.

    1. Each code t is decoded against its prior box p with its variances v (1 with
       `variance_encoded_in_target`). CORNER: p + v·t. CORNER_SIZE: the same with t in widths and
       heights of p. CENTER_SIZE: centre = p's + v·t·(p's size), size = e^(v·t)·(p's size).
    2. For each class but the background: the `top_k` best of the boxes that score above
       `confidence_threshold`, best first; a box is kept unless it overlaps one already kept by
       more than `nms_threshold` (intersection over union). While the threshold is above 0.5 it is
       multiplied by `eta` after each box kept.
    3. Of an image's boxes the `keep_top_k` best are kept. They are ordered by class, then score.

    `save_output_param` has `caffelite test` write files of what is found, as Pascal VOC's, MS
    COCO's or ILSVRC's results are written; a pass writes none.

    If nothing is found, there is one row for each image: its number, then six times -1.

    Gradient: none.
    Shapes: codes (N, priors·4), or (N, priors·C·4) without `share_location`; scores
    (N, priors·C); priors (1, 2, priors·4) as PriorBox makes them; a fourth bottom is not looked
    at unless there is a fifth, or an `objectness_score`: then it is RefinedDetectionOutput. Top
    (1, 1, number of detections, 7), known after the pass only. A layer that gives a field
    of YOLO v2's, as gklz1982's fork has it, is a RegionOutput.
    Source: Liu et al. 2016, SSD.
    """

    bottoms = (3, 4)
    extension = "SSD fork (weiliu89/caffe), detection_output_param = 204"
    param: DetectionOutputParameter = param_of(DetectionOutputParameter)
    idle: ClassVar[Mapping[str, str]] = dict.fromkeys(
        (f"detection_output_param.{name}" for name in REGION_FIELDS), "it is for RegionOutput"
    )
    cases: ClassVar[tuple[Case, ...]] = (
        Case(
            'type: "DetectionOutput" detection_output_param { num_classes: 2 '
            "nms_param { nms_threshold: 0.5 } confidence_threshold: 0.1 }",
            # three boxes with scores .9, .8, .3; the second overlaps the first by 0.8
            {
                "loc": [[0.0] * 12],
                "conf": [[0.1, 0.9, 0.2, 0.8, 0.7, 0.3]],
                "priors": [
                    [
                        [0.0, 0.0, 0.5, 1.0, 0.0, 0.0, 0.4, 1.0, 0.5, 0.0, 1.0, 1.0],
                        [0.1] * 12,
                    ]
                ],
            },
            {"y": [[[[0.0, 1.0, 0.9, 0.0, 0.0, 0.5, 1.0], [0.0, 1.0, 0.3, 0.5, 0.0, 1.0, 1.0]]]]},
            phase=Phase.TEST,
        ),
        Case(
            'type: "DetectionOutput" detection_output_param { num_classes: 2 '
            "code_type: CENTER_SIZE keep_top_k: 1 }",
            # prior 0.2 x 0.4 at (0.5, 0.5): centre + 0.1·1·0.2 across, twice as high
            {
                "loc": [[1.0, 0.0, 0.0, 5 * math.log(2), 0.0, 0.0, 0.0, 0.0]],
                "conf": [[0.4, 0.6, 0.5, 0.5]],
                "priors": [
                    [
                        [0.4, 0.3, 0.6, 0.7, 0.0, 0.0, 0.1, 0.1],
                        [0.1, 0.1, 0.2, 0.2] * 2,
                    ]
                ],
            },
            {"y": [[[[0.0, 1.0, 0.6, 0.42, 0.1, 0.62, 0.9]]]]},
        ),
        Case(
            'type: "DetectionOutput" detection_output_param { num_classes: 2 '
            "code_type: CORNER_SIZE share_location: false background_label_id: -1 "
            "variance_encoded_in_target: true }",
            # prior 0.4 x 0.2; class 0 moves it by its width, class 1 up by half its height
            {
                "loc": [[1.0, 0.0, 1.0, 0.0, 0.0, -0.5, 0.0, -0.5]],
                "conf": [[0.25, 0.75]],
                "priors": [[[0.1, 0.3, 0.5, 0.5], [0.1] * 4]],
            },
            {"y": [[[[0.0, 0.0, 0.25, 0.5, 0.3, 0.9, 0.5], [0.0, 1.0, 0.75, 0.1, 0.2, 0.5, 0.4]]]]},
        ),
        Case(
            'type: "DetectionOutput" detection_output_param { num_classes: 2 '
            "confidence_threshold: 0.5 }",
            {
                "loc": [[0.0] * 4] * 2,
                "conf": [[0.8, 0.2]] * 2,
                "priors": [[[0.1, 0.1, 0.2, 0.2], [0.1] * 4]],
            },
            {"y": [[[[0.0] + [-1.0] * 6, [1.0] + [-1.0] * 6]]]},
        ),
    )

    @classmethod
    def chosen(cls, spec: LayerParameter) -> type[Layer]:
        """RegionOutput, where a field of YOLO v2's says so; with RefineDet's bottoms another."""
        p = spec.get("detection_output_param")
        if len(spec.bottom) > 4 or (len(spec.bottom) == 4 and p.has("objectness_score")):
            return registry["RefinedDetectionOutput"]
        return registry["RegionOutput"] if any(p.has(name) for name in REGION_FIELDS) else cls

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        self.need(
            "detection_output_param",
            "num_classes",
            expected="the number of classes, the background included",
        )
        save = p.save_output_param
        if save.output_directory and not self.saves:
            log.warning(
                'layer "%s": save_output_param lacks label_map_file or name_size_file: no files '
                "are written",
                self.name,
            )
        if self.saves and save.output_format not in FORMATS:
            self.fail(
                f'output_format is "{save.output_format}"',
                "detection_output_param",
                "save_output_param",
                "output_format",
                expected=", ".join(FORMATS),
            )
        self._classes = p.num_classes
        self._boxes = 1 if p.share_location else p.num_classes

    @property
    def saves(self) -> bool:
        """Is a test to write files of the results?"""
        save = self.param.save_output_param
        return bool(save.output_directory and save.label_map_file and save.name_size_file)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        loc, conf, priors = bottom[:3]
        count = math.prod(priors[1:]) // 8
        images = loc[0] if loc else 0
        for name, shape, wanted in (
            (self.spec.bottom[2], priors, (1, 2, 4 * count)),
            (self.spec.bottom[0], loc, (images, 4 * count * self._boxes)),
            (self.spec.bottom[1], conf, (images, count * self._classes)),
        ):
            if not shape or shape[0] != wanted[0] or math.prod(shape) != math.prod(wanted):
                self.fail(f'bottom "{name}" is {show(shape)}', "bottom", expected=f"{show(wanted)}")
        return [(1, 1, 1, 7)]

    def find(self, bottom: Arrays) -> list[Array]:
        with np.errstate(over="ignore", invalid="ignore"):  # boxes without end, of untrained nets
            return [self._detect(*bottom[:3])[None, None]]

    def _detect(self, loc: Array, conf: Array, priors: Array) -> Array:
        """All detections, (number, 7)."""
        images, p = loc.shape[0], self.param
        count = priors.size // 8
        boxes, variances = priors.reshape(2, count, 1, 4)
        codes = loc.reshape(images, count, self._boxes, 4)
        decoded = decode(codes, boxes, variances, p.code_type, p.variance_encoded_in_target)
        scores = conf.reshape(images, count, self._classes)
        rows: list[Array] = []
        for image in range(images):
            rows += self._of_image(image, decoded[image], scores[image])
        if not rows:
            nothing = np.full((images, 7), -1, loc.dtype)
            nothing[:, 0] = np.arange(images)
            return nothing
        return np.array(rows, loc.dtype)

    def _of_image(self, image: int, boxes: Array, scores: Array) -> list[Array]:
        p, found = self.param, []
        for c in range(self._classes):
            if c == p.background_label_id:
                continue
            candidates, score = boxes[:, c if self._boxes > 1 else 0], scores[:, c]
            for k in self._keep(candidates, score):
                found.append(np.array([image, c, score[k], *candidates[k]]))
        if -1 < p.keep_top_k < len(found):
            best = sorted(range(len(found)), key=lambda i: -found[i][2])[: p.keep_top_k]
            found = sorted((found[i] for i in best), key=lambda row: (row[1], -row[2]))
        return found

    def _keep(self, boxes: Array, score: Array) -> list[int]:
        """Which boxes of a class are kept, best first."""
        p, nms = self.param, self.param.nms_param
        order = np.argsort(-score, kind="stable")
        if p.has("confidence_threshold"):
            order = order[score[order] > p.confidence_threshold]
        if nms.has("top_k") and nms.top_k > -1:
            order = order[: nms.top_k]
        return thin_out(boxes, order, nms.nms_threshold, nms.eta)


def thin_out(boxes: Array, order: Array, threshold: float, eta: float) -> list[int]:
    """Which boxes (n, 4), as corners, are kept: of those in `order`, the best first, each that does
    not overlap one already kept by more than `threshold`, which is multiplied by `eta` after each
    box kept while it is above 0.5."""
    kept: list[int] = []
    for k in order:
        # in float32, as Caffe and OpenCV: boxes on a grid may overlap by the threshold to the bit
        if kept and np.float32(overlap(boxes[k], boxes[kept]).max()) > np.float32(threshold):
            continue
        kept.append(int(k))
        if threshold > 0.5:
            threshold *= eta
    return kept


def decode(codes: Array, priors: Array, variances: Array, kind: CodeType, scaled: bool) -> Array:
    """Codes (images, priors, classes, 4) to corners, with priors and variances (priors, 1, 4)."""
    t = codes if scaled else codes * variances
    corners: Array
    if kind == CodeType.CORNER:
        corners = priors + t
        return corners
    size = priors[..., 2:] - priors[..., :2]
    if kind == CodeType.CORNER_SIZE:
        corners = priors + t * np.concatenate([size, size], -1)
        return corners
    center = (priors[..., :2] + priors[..., 2:]) / 2 + t[..., :2] * size
    half = np.exp(t[..., 2:]) * size / 2
    return np.concatenate([center - half, center + half], -1)


def overlap(box: Array, others: Array) -> Array:
    """Intersection over union of a box with others, as corners; a turned-over box has no area."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    common = np.prod(np.maximum(high - low, 0), axis=1)
    area = np.prod(np.maximum(box[2:] - box[:2], 0))
    areas = np.prod(np.maximum(others[:, 2:] - others[:, :2], 0), axis=1)
    union = area + areas - common
    return np.where(common > 0, common / np.where(union > 0, union, 1), 0)

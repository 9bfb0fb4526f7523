"""RefinedDetectionOutput: DetectionOutput over priors that a first stage has moved."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Layer, Shapes, register, show
from caffelite.layers.cases import Case
from caffelite.layers.detection_output import DetectionOutput, decode
from caffelite.layers.prior_box import CodeType
from caffelite.schema.common import Phase

_LOGS = [0.0, 0, 5 * math.log(2), 0]


@register
class RefinedDetectionOutput(DetectionOutput):
    """DetectionOutput with the first stage's scores and codes as fourth and fifth bottom. Its codes
    are decoded against the priors; what comes of it, image by image, are the priors of the first
    bottom's codes, with the same variances. Where its score of an object is below
    `objectness_score`, the background has 1 there, and all other classes 0. A layer of type
    "DetectionOutput" with these bottoms is this one. Without a fifth bottom the priors stay.

    Gradient: none.
    Shapes: as DetectionOutput, with `share_location`; first scores (N, priors·2), background and
    object, first codes (N, priors·4).
    Source: Zhang et al. 2018, Single-Shot Refinement Neural Network for Object Detection.
    """

    bottoms = (4, 5)
    extension = 'RefineDet (sfzhang15), DeepDetect; type "DetectionOutput" there'
    cases: ClassVar[tuple[Case, ...]] = (
        Case(
            'type: "RefinedDetectionOutput" detection_output_param { num_classes: 2 '
            "code_type: CENTER_SIZE confidence_threshold: 0.25 }",
            # the first prior, 0.2 x 0.4 at (0.5, 0.5), becomes twice as wide, then twice as high;
            # the second is no object
            {
                "loc": [[0.0, 0, 0, 5 * math.log(2), 0, 0, 0, 0]],
                "conf": [[0.4, 0.6, 0.0, 1.0]],
                "priors": [[[0.4, 0.3, 0.6, 0.7, 0, 0, 0.1, 0.1], [0.1, 0.1, 0.2, 0.2] * 2]],
                "first": [[0.5, 0.5, 0.995, 0.005]],
                "moves": [[*_LOGS, *_LOGS]],
            },
            {"y": [[[[0.0, 1.0, 0.6, 0.3, 0.1, 0.7, 0.9]]]]},
            phase=Phase.TEST,
        ),
        Case(
            'type: "RefinedDetectionOutput" detection_output_param { num_classes: 2 '
            "background_label_id: -1 objectness_score: 0.75 }",
            {
                "loc": [[0.0] * 4],
                "conf": [[0.4, 0.6]],
                "priors": [[[0.4, 0.3, 0.6, 0.7], [0.1] * 4]],
                "first": [[0.5, 0.5]],
            },
            {"y": [[[[0, 0, 1.0, 0.4, 0.3, 0.6, 0.7], [0, 1, 0.0, 0.4, 0.3, 0.6, 0.7]]]]},
            phase=Phase.TEST,
        ),
    )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        shapes = super().reshape(bottom)
        check_first(self, bottom, 3, "detection_output_param")
        return shapes

    def find(self, bottom: Arrays) -> list[Array]:
        loc, conf, priors, first = bottom[:4]
        p, images = self.param, len(loc)
        boxes, variances = priors.reshape(2, -1, 4)
        rows, every = [], np.broadcast_to(boxes, (images, *boxes.shape))
        if len(bottom) > 4:
            every = refined(bottom[4], boxes, variances, p.code_type, p.variance_encoded_in_target)
        scores = conf.reshape(images, -1, self._classes).copy()
        none = first.reshape(images, -1, 2)[..., 1] < p.objectness_score
        scores[none] = np.eye(self._classes)[0]
        for image in range(images):
            mine = np.stack([every[image], variances]).reshape(1, 2, -1)
            found = self._detect(loc[image : image + 1], scores[image][None], mine)
            rows.append(found + np.eye(7, dtype=found.dtype)[0] * image)
        result: Array = np.concatenate(rows) if rows else np.empty((0, 7), loc.dtype)
        found = result[result[:, 1] >= 0]
        return [(found if len(found) else result)[None, None]]


def check_first(layer: Layer, bottom: Shapes, at: int, group: str) -> None:
    """Refuse a first stage that does not fit the priors."""
    if not layer.spec.get(group).share_location:
        layer.fail("refined priors need one box for all classes", group, "share_location")
    images, count = bottom[0][0], math.prod(bottom[2][1:]) // 8
    for i, shape in enumerate(bottom[at:]):
        wanted = (images, count * (2 if i == 0 else 4))
        if not shape or shape[0] != images or math.prod(shape) != math.prod(wanted):
            said = f'bottom "{layer.spec.bottom[at + i]}" is {show(shape)}'
            layer.fail(said, "bottom", index=at + i, expected=show(wanted))


def refined(codes: Array, boxes: Array, variances: Array, kind: CodeType, scaled: bool) -> Array:
    """The boxes (images, priors, 4) that the first stage makes of the priors (priors, 4)."""
    images, count = len(codes), len(boxes)
    moves = codes.reshape(images, count, 1, 4)
    moved = decode(moves, boxes[:, None], variances[:, None], kind, scaled)
    return moved.reshape(images, count, 4)

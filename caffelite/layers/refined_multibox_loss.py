"""RefinedMultiBoxLoss: MultiBoxLoss over priors that a first stage has moved."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Shapes, register
from caffelite.layers.cases import Case, random
from caffelite.layers.multibox_loss import MultiBoxLoss
from caffelite.layers.multibox_param import MiningType
from caffelite.layers.refined_detection_output import check_first, refined

AT = "multibox_loss_param"


@register
class RefinedMultiBoxLoss(MultiBoxLoss):
    """MultiBoxLoss with the first stage's scores, as probabilities, and codes as fifth and sixth
    bottom. Its codes are decoded against the priors, and each image has what comes of it as priors,
    with the same variances. Only boxes whose probability of an object is `objectness_score` or more
    are mined. A layer of type "MultiBoxLoss" with these bottoms is this one. Without a sixth bottom
    the priors stay.

    Gradients: as MultiBoxLoss; the first stage gets none.
    Shapes: as MultiBoxLoss; first scores (N, priors·2), background and object, first codes
    (N, priors·4).
    Source: Zhang et al. 2018, Single-Shot Refinement Neural Network for Object Detection.
    """

    bottoms = (5, 6)
    extension = 'RefineDet (sfzhang15), DeepDetect; type "MultiBoxLoss" there'
    cases: ClassVar[tuple[Case, ...]] = (
        Case(
            f'type: "RefinedMultiBoxLoss" {AT} {{ num_classes: 2 code_type: CORNER '
            "objectness_score: 0.25 }",
            # The first prior moves on the object by (0.4, 0, 0.4, 0)/0.1; nothing is left to learn
            # but the corner that is 0.05 too far: 0.5²/2. Of the others the last alone may be
            # mined: it is likely an object.
            {
                "loc": [[0.5, 0, 0, 0] + [0.0] * 8],
                "conf": [[0.0, 0, 0, math.log(9), 0, math.log(3)]],
                "priors": [[[0.1, 0.1, 0.5, 0.5] + [0.6, 0.6, 0.8, 0.8] * 2, [0.1] * 12]],
                "objects": [[[[0, 1, 0, 0.5, 0.1, 0.9, 0.5, 0]]]],
                "first": [[0.5, 0.5, 0.8, 0.2, 0.75, 0.25]],
                "moves": [[4.0, 0, 4, 0] + [0.0] * 8],
            },
            {"loss": 0.125 + math.log(2) + math.log(4)},
        ),
        Case(
            f'type: "RefinedMultiBoxLoss" loss_weight: 2 {AT} {{ num_classes: 3 '
            "code_type: CENTER_SIZE }",
            {
                "loc": random(2, 8, low=-0.1, high=0.1),
                "conf": random(2, 6),
                "priors": [[[0.1, 0.1, 0.5, 0.5, 0.5, 0.5, 0.9, 0.9], [0.1, 0.1, 0.2, 0.2] * 2]],
                "objects": [[[[0, 1, 0, 0.1, 0.1, 0.5, 0.4, 0], [1, 2, 0, 0.5, 0.6, 0.9, 0.9, 0]]]],
                "first": [[0.5, 0.5, 0.2, 0.8]] * 2,
            },
            tops=["loss"],
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        super().setup(bottom)
        p = self.param
        if not p.use_prior_for_matching:
            self.fail("boxes are matched, not priors", AT, "use_prior_for_matching")
        if p.mining_type == MiningType.HARD_EXAMPLE or p.has("nms_param"):
            name = "nms_param" if p.has("nms_param") else "mining_type"
            self.fail(
                "only MAX_NEGATIVE mines among refined priors", AT, name, expected="without it"
            )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        shapes = super().reshape(bottom)
        check_first(self, bottom, 4, AT)
        return shapes

    def _priors(self, bottom: Arrays, boxes: Array, variances: Array) -> Array:
        p, first = self.param, bottom[4]
        likely = first.reshape(self._images, self._count, 2)[..., 1]
        self._objects = np.asarray(likely >= p.objectness_score)
        if len(bottom) < 6:
            return super()._priors(bottom, boxes, variances)
        scaled = p.encode_variance_in_target
        return refined(bottom[5], boxes, variances, p.code_type, scaled)

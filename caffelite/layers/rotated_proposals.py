"""RotatedProposals: the turned regions that a region proposal network finds."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.anchors import check_maps, with_stride
from caffelite.layers.base import Arrays, Shapes, param_of, register
from caffelite.layers.cases import Case
from caffelite.layers.finding import FindingLayer, thinned
from caffelite.layers.python import PythonParameter
from caffelite.layers.rotated import ANGLES, RATIOS, SCALES, rotated_anchors, rotated_overlaps
from caffelite.schema.common import Phase

LEAST, OVERLAP = 16, 0.7
COUNTS = {Phase.TRAIN: (12000, 2000), Phase.TEST: (6000, 300)}


def _at(channel: int, count: int, value: float) -> Array:
    values = np.zeros((1, count, 1, 1))
    values[0, channel] = value
    return values


@register
class RotatedProposals(FindingLayer):
    """At each cell of the map 54 anchors (x, y, h, w, angle), for ratios of 0.2, 0.5 and 1, scales
    of 8, 16 and 32 and angles of −30°, 0°, … 120°, moved by their deltas (dx, dy, dw, dh, da):
    middle + (dx·w, dy·h), size (e^dw·w, e^dh·h), angle + da·180/π, then into −45° … 135°. Of those
    whose sides are at least 16 times the image's scale the 6000 best (12000 in phase TRAIN) are
    thinned out, each that overlaps a better one by more than 0.7, to 300 (2000); best first.
    Nothing is cut to the image. Scores are the second half of the first bottom's channels, the
    deltas of anchor a channels 5a to 5a + 4.

    `type: "Python"` of module rotation.rproposal_layer, class ProposalLayer, with the values of
    RRPN's configuration; as a type of its own it reads python_param all the same, where param_str
    says 'feat_stride' and 'scales'.

    Gradient: none.
    Shapes: scores (1, 2·A, H, W), deltas (1, 5·A, H, W), im_info (1, 3): height, width, scale.
    Tops: regions (R, 6), (0, x, y, h, w, angle), and if named their scores (R, 1); R is known after
    the pass only.
    Source: Ma et al. 2018, RRPN (mjq11302010044/RRPN).
    """

    bottoms = (3, 3)
    tops = (1, 2)
    one_image = True
    extension = "RRPN (rotation.rproposal_layer)"
    python = (("rproposal_layer", "ProposalLayer"),)
    param: PythonParameter = param_of(PythonParameter)
    cases = (
        Case(
            'type: "RotatedProposals" python_param { param_str: "\'feat_stride\': 16" }',
            # at a scale of 25 only the squares of 512 are large enough; turned by 30° or more they
            # overlap by more than 0.7, so that the best one stays: the last but one, 90°
            {
                "scores": _at(54 + 52, 108, 0.75),
                "deltas": _at(5 * 52 + 4, 270, np.pi / 3),
                "info": [[600.0, 800.0, 25.0]],
            },
            {"rois": [[0.0, 7.0, 7.0, 512.0, 512.0, -30.0]], "kept": [[0.75]]},
            phase=Phase.TEST,
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        said, self.stride = with_stride(self, {"scales": SCALES})
        scales = said.get("scales", list(SCALES))
        self.anchors = rotated_anchors(scales).astype(self.dtype)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        count = len(self.anchors)
        scales = count // len(RATIOS) // len(ANGLES)
        said = f"{len(RATIOS)} ratios, {scales} scales and {len(ANGLES)} angles"
        check_maps(self, bottom, count, 5, said)
        shapes: list[Shape] = [(1, 6), (1, 1)]
        return shapes[: len(self.spec.top)]

    def find(self, bottom: Arrays) -> tuple[Array, Array]:
        """Regions and scores, best first."""
        scores, deltas, info = bottom
        count, (height, width) = len(self.anchors), scores.shape[2:]
        best = scores[0, count:].transpose(1, 2, 0).reshape(-1)
        boxes = self._moved(deltas[0].transpose(1, 2, 0).reshape(-1, 5), height, width)
        large = np.flatnonzero((boxes[:, 2:4] >= LEAST * info.reshape(-1)[2]).all(1))
        before, after = COUNTS[self.phase]
        order = large[np.argsort(-best[large], kind="stable")][:before]
        chosen = boxes[order]

        def apart(better: int, others: Array) -> Array:
            stay: Array = rotated_overlaps(chosen[better], chosen[others]) <= OVERLAP
            return stay

        kept = order[thinned(len(order), apart, after)]
        image = np.zeros((len(kept), 1), self.dtype)
        return np.concatenate([image, boxes[kept]], 1), best[kept][:, None]

    def _moved(self, codes: Array, height: int, width: int) -> Array:
        """The anchors at each cell, moved by their codes."""
        x, y = np.meshgrid(np.arange(width) * self.stride, np.arange(height) * self.stride)
        shifts = np.stack([x, y, *[np.zeros_like(x)] * 3], -1).reshape(-1, 1, 5)
        boxes = (shifts.astype(self.dtype) + self.anchors).reshape(-1, 5)
        moved: Array = boxes.copy()
        moved[:, 0] += codes[:, 0] * boxes[:, 3]
        moved[:, 1] += codes[:, 1] * boxes[:, 2]
        moved[:, 2] *= np.exp(codes[:, 3])
        moved[:, 3] *= np.exp(codes[:, 2])
        moved[:, 4] += np.rad2deg(codes[:, 4])
        moved[:, 4][moved[:, 4] < -45] += 180
        moved[:, 4][moved[:, 4] > 135] -= 180
        return moved

"""ProposalTargets: regions that the second stage of Faster R-CNN learns from, and their targets."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.anchors import coded, overlaps, param_str
from caffelite.layers.base import Arrays, Shapes, param_of, register, show
from caffelite.layers.cases import Case
from caffelite.layers.finding import FindingLayer
from caffelite.layers.python import PythonParameter

ROIS, SHARE = 128, 0.25
OBJECT, LEAST = 0.5, 0.0
STDS = (0.1, 0.1, 0.2, 0.2)


@register
class ProposalTargets(FindingLayer):
    """`type: "Python"` of module rpn.proposal_target_layer, class ProposalTargetLayer, with the
    values of py-faster-rcnn's end-to-end configuration; as a type of its own it reads python_param
    all the same. (`ProposalTarget` is the name of another layer, of MS-CNN's fork.)

    The proposals and the objects themselves are candidates. At most 32 that overlap an object by
    0.5 or more get that object's class as their label, the others label 0; together at most 128,
    drawn at random. Targets are the coding of the object, divided by (0.1, 0.1, 0.2, 0.2), in the
    four places of its class; both weights are 1 there, all else is 0. 'num_classes' in param_str is
    the number of classes, the background included.

    Gradient: none.
    Shapes: proposals (R, 5), gt_boxes (G, 5) as (x1, y1, x2, y2, class). Tops, for n regions known
    after the pass only: regions (n, 5), labels (n,), targets, inside and outside weights
    (n, 4·classes).
    Source: Ren et al. 2015, Faster R-CNN (rpn/proposal_target_layer.py of py-faster-rcnn).
    """

    deployed = False
    bottoms = (2, 2)
    tops = (5, 5)
    repeatable = False
    extension = "Faster R-CNN (rpn.proposal_target_layer)"
    python = (("proposal_target_layer", "ProposalTargetLayer"),)
    param: PythonParameter = param_of(PythonParameter)
    cases = (
        Case(
            'type: "ProposalTargets" python_param { param_str: "\'num_classes\': 2" }',
            # the first proposal lies 1 of 10 columns to the left of the object: overlap 9/11
            {
                "rois": [[0.0, 4.0, 0.0, 13.0, 9.0], [0.0, 30.0, 0.0, 39.0, 9.0]],
                "gt": [[5.0, 0.0, 14.0, 9.0, 1.0]],
            },
            {
                "out": [
                    [0.0, 4.0, 0.0, 13.0, 9.0],
                    [0.0, 5.0, 0.0, 14.0, 9.0],
                    [0.0, 30.0, 0.0, 39.0, 9.0],
                ],
                "labels": [1.0, 1.0, 0.0],
                "targets": [[0.0] * 4 + [1.0, 0.0, 0.0, 0.0], [0.0] * 8, [0.0] * 8],
                "inside": [[0.0] * 4 + [1.0] * 4] * 2 + [[0.0] * 8],
                "outside": [[0.0] * 4 + [1.0] * 4] * 2 + [[0.0] * 8],
            },
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        said = param_str(self, {"num_classes": 21})
        if "num_classes" not in said:
            self.fail(
                "param_str has no num_classes",
                "python_param",
                "param_str",
                expected="param_str: \"'num_classes': 21\"",
            )
        self.classes = int(said["num_classes"][0])

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self.need_values(bottom)
        for i, shape in enumerate(bottom):
            if len(shape) < 2 or shape[1] != 5:
                name = self.spec.bottom[i]
                self.fail(f'bottom "{name}" is {show(shape)}', "bottom", index=i, expected="N x 5")
        return [(1, 5), (1,), *[(1, 4 * self.classes)] * 3]

    def find(self, bottom: Arrays) -> list[Array]:
        rois, gt = (b.reshape(len(b), -1) for b in bottom)
        image = np.zeros((len(gt), 1), self.dtype)
        rois = np.concatenate([rois, np.concatenate([image, gt[:, :4]], 1)])
        overlap = overlaps(rois[:, 1:5], gt)
        nearest, best = overlap.argmax(1), overlap.max(1)
        objects = self._some(np.flatnonzero(best >= OBJECT), int(ROIS * SHARE))
        rest = self._some(np.flatnonzero((best < OBJECT) & (best >= LEAST)), ROIS - len(objects))
        kept = np.concatenate([objects, rest])
        labels = gt[nearest[kept], 4].copy()
        labels[len(objects) :] = 0
        targets, weights = (np.zeros((len(kept), 4 * self.classes), self.dtype) for _ in range(2))
        codes = coded(rois[kept, 1:5], gt[nearest[kept]]) / np.array(STDS, self.dtype)
        for i, label in enumerate(labels[: len(objects)].astype(int)):
            if not 0 < label < self.classes:
                self.fail(
                    f"an object is of class {label}, but there are {self.classes} classes",
                    "bottom",
                    index=1,
                    expected=f"classes from 1 to {self.classes - 1}",
                )
            place = slice(4 * label, 4 * label + 4)
            targets[i, place], weights[i, place] = codes[i], 1
        return [rois[kept], labels, targets, weights, weights]

    def _some(self, places: Array, most: int) -> Array:
        return places if len(places) <= most else self.rng.choice(places, most, replace=False)

"""AnchorTarget: what a region proposal network is to learn at each anchor."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.anchors import (
    RATIOS,
    SCALES,
    anchors_of,
    coded,
    overlaps,
    shifted,
    with_stride,
)
from caffelite.layers.base import Arrays, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case
from caffelite.layers.python import PythonParameter

POSITIVE, NEGATIVE = 0.7, 0.3
"""Overlaps with an object from which, and below which, an anchor is one, or none."""
BATCH, SHARE = 256, 0.5
"""Anchors that count, and how many of them may be objects."""


@register
class AnchorTarget(Layer):
    """`type: "Python"` of module rpn.anchor_target_layer, class AnchorTargetLayer, with the values
    of py-faster-rcnn's configuration; as a type of its own it reads python_param all the same.

    Of the anchors that lie within the image (but for `allowed_border` pixels) those that overlap
    an object by 0.7 or more, or more than any other anchor, get the label 1; those below 0.3 the
    label 0; all others -1, which does not count. At most 128 of label 1 and so many of label 0 that
    there are 256 in all keep theirs, drawn at random. Targets are the coding of the object that an
    anchor overlaps most. Inside weights are 1 where the label is 1; outside weights 1/n where it is
    0 or 1, n being how many those are.

    Gradient: none.
    Shapes: a map (1, …, H, W), gt_boxes (G, 5) as (x1, y1, x2, y2, class), im_info (1, 3); further
    bottoms are not looked at. Tops: labels (1, 1, A·H, W), targets, inside and outside weights
    (1, 4·A, H, W).
    Source: Ren et al. 2015, Faster R-CNN (rpn/anchor_target_layer.py of py-faster-rcnn).
    """

    deployed = False
    bottoms = (3, 4)
    tops = (4, 4)
    backward_reads = ()
    one_image = True
    repeatable = False
    extension = "Faster R-CNN (rpn.anchor_target_layer)"
    python = (("anchor_target_layer", "AnchorTargetLayer"),)
    param: PythonParameter = param_of(PythonParameter)
    cases = (
        Case(
            "type: \"AnchorTarget\" python_param { param_str: \"'feat_stride': 16, 'scales': [1]\" "
            "}",
            # three anchors of 11 x 23 (ratio 2), 16 x 16 and 23 x 12 (ratio 0.5) at two cells; in
            # an image of 32 x 16 only the squares are inside; the first is the object
            {
                "map": np.zeros((1, 6, 1, 2)),
                "gt": [[0.0, 0.0, 15.0, 15.0, 3.0]],
                "info": [[16.0, 32.0, 1.0]],
            },
            {
                "labels": [[[[-1.0, -1.0], [1.0, 0.0], [-1.0, -1.0]]]],
                "targets": np.array([[[0.0, 0.0]]] * 4 + [[[0.0, -1.0]]] + [[[0.0, 0.0]]] * 7)[
                    None
                ],
                "inside": np.array([[[0.0, 0.0]]] * 4 + [[[1.0, 0.0]]] * 4 + [[[0.0, 0.0]]] * 4)[
                    None
                ],
                "outside": np.array([[[0.0, 0.0]]] * 4 + [[[0.5, 0.5]]] * 4 + [[[0.0, 0.0]]] * 4)[
                    None
                ],
            },
        ),
    )

    def propagates(self, index: int) -> bool:
        return False

    def setup(self, bottom: Shapes) -> None:
        known: dict[str, object] = {"scales": SCALES, "ratios": RATIOS, "allowed_border": 0}
        said, self.stride = with_stride(self, known)
        self.border = said.get("allowed_border", [0.0])[0]
        self.anchors = anchors_of(
            ratios=said.get("ratios", list(RATIOS)), scales=said.get("scales", list(SCALES))
        ).astype(self.dtype)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        shape, gt = bottom[0], bottom[1]
        if len(shape) != 4 or shape[0] != 1:
            name = self.spec.bottom[0]
            self.fail(f'bottom "{name}" is {show(shape)}', "bottom", expected="1 x C x H x W")
        if len(gt) < 2 or gt[1] != 5:
            name = self.spec.bottom[1]
            self.fail(f'bottom "{name}" is {show(gt)}', "bottom", index=1, expected="G x 5")
        count, (height, width) = len(self.anchors), shape[2:]
        return [(1, 1, count * height, width), *[(1, 4 * count, height, width)] * 3]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        height, width = bottom[0].shape[2:]
        gt = bottom[1].reshape(len(bottom[1]), -1)
        high, wide = bottom[2].reshape(-1)[:2]
        every = shifted(self.anchors, height, width, self.stride)
        edge = np.array([wide, high], self.dtype) + self.dtype.type(self.border)
        here = np.flatnonzero((every[:, :2] >= -self.border).all(1) & (every[:, 2:] < edge).all(1))
        labels = np.full(len(every), -1, self.dtype)
        targets, inside, outside = (np.zeros((len(every), 4), self.dtype) for _ in range(3))
        if len(here) and len(gt):
            overlap = overlaps(every[here], gt)
            nearest = overlap.argmax(1)
            labels[here] = self._labels(overlap)
            targets[here] = coded(every[here], gt[nearest])
            inside[labels == 1] = 1
            counted = labels >= 0
            outside[counted] = 1 / max(1, int(np.count_nonzero(counted)))
        count = len(self.anchors)
        top[0][...] = self._planes(labels[:, None], height, width).reshape(1, 1, count * height, -1)
        for y, values in zip(top[1:], (targets, inside, outside)):
            y[...] = self._planes(values, height, width)

    def _labels(self, overlap: Array) -> Array:
        found, best = np.full(len(overlap), -1, self.dtype), overlap.max(1)
        found[best < NEGATIVE] = 0
        found[(overlap == overlap.max(0)).any(1)] = 1
        found[best >= POSITIVE] = 1
        self._thin(found, 1, int(BATCH * SHARE))
        self._thin(found, 0, BATCH - int(np.count_nonzero(found == 1)))
        return found

    def _thin(self, labels: Array, label: int, most: int) -> None:
        """Let only `most` keep a label."""
        places = np.flatnonzero(labels == label)
        if len(places) > most:
            labels[self.rng.choice(places, len(places) - most, replace=False)] = -1

    def _planes(self, values: Array, height: int, width: int) -> Array:
        """(H·W·A, n) as (1, A·n, H, W)."""
        return values.reshape(1, height, width, -1).transpose(0, 3, 1, 2)

"""ClusterDetections: from DetectNet's maps to boxes."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case
from caffelite.layers.python import PythonParameter
from caffelite.schema.common import Phase

MOST = 50
"""Boxes of a class in an image."""
FIELDS = "width, height, stride, threshold, group, eps, least height, classes"


@register
class ClusterDetections(Layer):
    """A layer of type "Python" of module detectnet.clustering, class ClusterDetections, is this
    one; as a type of its own it reads python_param all the same. Its param_str has eight numbers:
    the images' width and height, the stride, a threshold, a number n, eps, the least height of a
    box, and the number of classes C (1 if left out).

    For each class the boxes of the cells with a coverage of the threshold or more, cut to whole
    pixels, are grouped: boxes are alike if no side differs by more than eps times half the sum of
    the smaller width and the smaller height. A group of more than n becomes the mean of its boxes,
    unless it lies, up to eps of the sides, within that of a larger group of more than three, or is
    of one or two and within another. It is kept from the least height on: x1, y1, x2, y2 and the
    logarithm of the group's number, in half precision as in the original; zeros behind the last.

    Gradient: none.
    Shapes: coverage (N, C, H, W), boxes (N, 4, H, W), corners from the cell's; C tops (N, 50, 5).
    Source: NVIDIA/caffe (DetectNet); OpenCV's groupRectangles.
    """

    bottoms = (2, 2)
    tops = (1, None)
    backward_reads = ()
    extension = "NVCaffe's Python layers (DetectNet)"
    python = (("clustering", "ClusterDetections"),)
    param: PythonParameter = param_of(PythonParameter)
    cases = (
        Case(
            'type: "ClusterDetections" python_param { param_str: "8, 4, 2, 0.5, 1, 0.3, 2" }',
            # of two rows of four cells the first three find the box (0, 0, 4, 3), the third a
            # pixel to the right of it: the mean of three
            {
                "coverage": [[[[0.5, 0.7, 0.9, 0.4], [0.0] * 4]]],
                "boxes": [
                    [
                        [[0.0, -2.0, -3.0, 9.0], [0.0] * 4],
                        [[0.0] * 4] * 2,
                        [[4.0, 2.0, 1.0, 9.0], [0.0] * 4],
                        [[3.0] * 4] * 2,
                    ]
                ],
            },
            {"y": [[[0.0, 0.0, 4.0, 3.0, float(np.float16(math.log(3)))], *[[0.0] * 5] * 49]]},
            phase=Phase.TEST,
        ),
    )

    def propagates(self, index: int) -> bool:
        return False

    def setup(self, bottom: Shapes) -> None:
        words = self.param.param_str.split(",")
        try:
            numbers = [float(word) for word in words]
        except ValueError:
            numbers = []
        if len(numbers) not in (7, 8):
            said = f'param_str is "{self.param.param_str}"'
            self.fail(said, "python_param", "param_str", expected=f"numbers: {FIELDS}")
        width, height, stride, self._threshold, group, self._eps, self._least, *rest = numbers
        classes = int(rest[0]) if rest else 1
        if min(width, height, stride) < 1 or classes != len(self.spec.top):
            said = f'param_str is "{self.param.param_str}", and there are {len(self.spec.top)} tops'
            wanted = f"{FIELDS}; sizes above 0, a top for each class"
            self.fail(said, "python_param", "param_str", expected=wanted)
        self._grid = int(height / stride), int(width / stride)
        cell = [width / max(self._grid[1], 1), height / max(self._grid[0], 1)]
        self._cell = np.array(cell * 2, self.dtype)
        self._group = int(group)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        coverage, boxes = bottom
        if len(coverage) != 4 or coverage[1] != len(self.spec.top):
            said = f'bottom "{self.spec.bottom[0]}" is {show(coverage)}'
            self.fail(said, "bottom", expected=f"N x {len(self.spec.top)} x H x W")
        wanted = (coverage[0], 4, *coverage[2:])
        if boxes != wanted:
            said = f'bottom "{self.spec.bottom[1]}" is {show(boxes)}'
            self.fail(said, "bottom", index=1, expected=f"{show(wanted)}")
        return [(coverage[0], MOST, 5)] * len(self.spec.top)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        rows, columns = self._grid
        for kind, y in enumerate(top):
            y.fill(0)
            for coverage, boxes, out in zip(bottom[0][:, kind, :rows, :columns], bottom[1], y):
                down, right = np.nonzero(coverage >= self._threshold)
                corners = boxes[:, down, right].T.copy()
                corners += np.stack([right, down] * 2, 1) * self._cell
                corners[:, 2:] -= corners[:, :2]
                # without any value but 0 there is nothing, as in the original
                found, counts = grouped(np.trunc(corners), self._group, self._eps)
                good = found[:, 3] >= self._least if corners.any() else np.zeros(len(found), bool)
                found, counts = found[good][:MOST], counts[good][:MOST]
                half = np.column_stack([found[:, :2], found[:, :2] + found[:, 2:], np.log(counts)])
                out[: len(half)] = half.astype(np.float16)


def grouped(boxes: Array, least: int, eps: float) -> tuple[Array, Array]:
    """Boxes (R, 4), x, y, width, height in whole numbers, as OpenCV's groupRectangles has them:
    the means of groups of more than `least` that are alike, and how many each had. With a `least`
    of 0 or less every box stays."""
    if least <= 0 or not len(boxes):
        return boxes, np.ones(len(boxes))
    ends = boxes[:, :2] + boxes[:, 2:]
    sides = np.concatenate([boxes[:, :2], ends], 1)
    smaller = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:]).sum(2)
    alike = (np.abs(sides[:, None] - sides[None]).max(2) <= smaller * eps / 2) | np.eye(
        len(boxes), dtype=bool
    )
    names = np.full(len(boxes), -1)
    for i in range(len(boxes)):
        if names[i] >= 0:
            continue
        names[i], waiting, name = (fresh := names.max() + 1), [i], fresh
        while waiting:
            near = np.flatnonzero(alike[waiting.pop()] & (names < 0))
            names[near] = name
            waiting += near.tolist()
    counts = np.bincount(names)
    sums = np.zeros((len(counts), 4), boxes.dtype)
    np.add.at(sums, names, boxes)
    share = np.float32(1) / counts.astype(np.float32)
    means = np.rint((sums * share[:, None]).astype(np.float32))
    kept = [
        i
        for i, (mean, count) in enumerate(zip(means, counts))
        if count > least and not _within(i, mean, count, means, counts, least, eps)
    ]
    return means[kept], counts[kept].astype(float)


def _within(
    i: int, mean: Array, count: int, means: Array, counts: Array, least: int, eps: float
) -> bool:
    """Does it lie in the box of a group that counts more?"""
    others = (np.arange(len(means)) != i) & (counts > least)
    others &= (counts > max(3, count)) | (count < 3)
    about = np.rint(means[:, 2:] * eps)
    low = mean[:2] >= means[:, :2] - about
    high = mean[:2] + mean[2:] <= means[:, :2] + means[:, 2:] + about
    return bool((others & low.all(1) & high.all(1)).any())

"""What RegionLoss and Yolov3 share: boxes at the cells of a map, and the true boxes of images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, LossLayer, Shapes, show
from caffelite.schema.net import LayerParameter

ROWS = 30
"""The most boxes that the forks' data layers give of an image."""


class ReadsCells:
    """A layer whose bottom 1 is labels of more than one value a sample."""

    @classmethod
    def label_size(cls, spec: LayerParameter) -> int:
        """How many values, if the file says it, and else as the fork has it: for stand-in data."""
        return ROWS * 5

    @classmethod
    def image_size(cls, spec: LayerParameter) -> tuple[int, int] | None:
        """The images' height and width, if the file says how many cells they have: for stand-in
        data. A cell has 32 pixels a side in YOLO v2, 64 in v1."""
        return None


def overlap(a: Array, b: Array) -> Array:
    """Intersection over union of boxes (…, 4), centre and size; 0 where they do not meet."""
    low = np.maximum(a[..., :2] - a[..., 2:] / 2, b[..., :2] - b[..., 2:] / 2)
    high = np.minimum(a[..., :2] + a[..., 2:] / 2, b[..., :2] + b[..., 2:] / 2)
    both = np.prod(np.clip(high - low, 0, None), -1)
    union = np.prod(a[..., 2:], -1) + np.prod(b[..., 2:], -1) - both
    result: Array = both / np.where(union > 0, union, 1)
    return result


def alike(a: Array, b: Array) -> Array:
    """As `overlap`, of boxes with these sizes (…, 2) and one centre."""
    both = np.prod(np.minimum(a, b), -1)
    result: Array = both / (np.prod(a, -1) + np.prod(b, -1) - both)
    return result


@dataclass(frozen=True)
class Truth:
    """A true box: its class, centre and size in parts of the image, and the cell it is in."""

    kind: int
    box: Array
    row: int
    column: int
    codes: Array
    """Its centre, from the cell's corner, in cells."""


class CellLoss(ReadsCells, LossLayer):
    """A loss that is worked out channel by channel: J/N, the sum of its costs, of which δ is the
    gradient. Darknet shows Σ δ²/N in its place, and goes down J all the same.

    A map (N, B·(5 + C), H, W) has for each of B anchors the channels tx, ty, tw, th, to and C of
    classes; labels are rows of five for each image, or SSD's rows of eight for all."""

    compares = False
    backward_reads = ()
    tops = (1, 2)

    def propagates(self, index: int) -> bool:
        return index == 0

    def fit(self, bottom: Shapes, anchors: int, classes: int) -> list[Shape]:
        """Refuse a map or labels of another shape. Gives the tops' shapes."""
        self.need_values(bottom)
        maps, labels = bottom
        wanted = anchors * (5 + classes)
        if len(maps) != 4 or maps[1] != wanted:
            self.fail(
                f'map "{self.spec.bottom[0]}" is {show(maps)}',
                "bottom",
                expected=f"N x {wanted} x H x W: 5 + {classes} channels for each of {anchors} "
                "anchors",
            )
        self._eight = labels[-1:] == (8,) and math.prod(labels[:-2]) == 1
        each = math.prod(labels) // labels[0]
        if not self._eight and (labels[0] != maps[0] or each % 5):
            self.fail(
                f'labels "{self.spec.bottom[1]}" are {show(labels)}, but the map '
                f'"{self.spec.bottom[0]}" is {show(maps)}',
                "bottom",
                index=1,
                expected=f"{maps[0]} x boxes x 5 (class, centre, size), or 1 x 1 x boxes x 8 as "
                "AnnotatedData gives them",
            )
        self._sizes = (maps[0], anchors, 5 + classes, *maps[2:])
        scalar: Shape = ()
        return [scalar] * len(self.spec.top)

    def prepare(self) -> None:
        self._delta = np.zeros(self._sizes, self.dtype)
        self._cost = np.zeros(self._sizes, self.dtype)

    def boxes(self, t: Array, anchors: Array) -> Array:
        """(N, B, H, W, 4): centre and size of each anchor's box, in parts of the image."""
        height, width = t.shape[3:]
        with np.errstate(over="ignore"):
            centres = 1 / (1 + np.exp(-t[:, :, :2]))
        x = (centres[:, :, 0] + np.arange(width, dtype=self.dtype)) / width
        y = (centres[:, :, 1] + np.arange(height, dtype=self.dtype)[:, None]) / height
        w = np.exp(t[:, :, 2]) * (anchors[:, 0] / width)[:, None, None]
        h = np.exp(t[:, :, 3]) * (anchors[:, 1] / height)[:, None, None]
        return np.stack([x, y, w, h], -1)

    def truths(self, labels: Array) -> list[list[Truth]]:
        """The true boxes of each image."""
        images = self._sizes[0]
        found: list[list[Truth]] = [[] for _ in range(images)]
        if self._eight:
            for row in labels.reshape(-1, 8):
                if row[0] < 0:
                    continue
                if row[0] >= images or row[0] != int(row[0]):
                    self._refuse(f"a box is of image {row[0]:g}", f"images 0 to {images - 1}")
                low, high = row[3:5], row[5:7]
                box = np.concatenate([(low + high) / 2, high - low])
                found[int(row[0])].append(self._truth(row[1] - 1, box))
            return found
        for rows, image in zip(labels.reshape(images, -1, 5), found):
            for row in rows:
                if not (row[1] and row[3]):  # what is behind the last box is zeros
                    break
                image.append(self._truth(row[0], row[1:]))
        return found

    def _truth(self, kind: float, box: Array) -> Truth:
        classes, (height, width) = self._sizes[2] - 5, self._sizes[3:]
        if not (0 <= kind < classes and kind == int(kind)):
            shown = kind + 1 if self._eight else kind
            first = int(self._eight)
            self._refuse(f"a box is of class {shown:g}", f"{first} to {first + classes - 1}")
        place = box[:2] * (width, height)
        if not ((place >= 0).all() and (box[:2] < 1).all() and (box[2:] > 0).all()):
            middle, size = (
                ", ".join(f"{v:g}" for v in box[:2]),
                " x ".join(f"{v:g}" for v in box[2:]),
            )
            self._refuse(
                f"a box of {size} has its centre at ({middle})",
                "a centre in the image, from 0 to 1, and a size above 0",
            )
        column, row = (int(v) for v in place)
        return Truth(int(kind), np.array(box), row, column, place - (column, row))

    def _refuse(self, said: str, expected: str) -> None:
        self.fail(f'labels "{self.spec.bottom[1]}": {said}', "bottom", index=1, expected=expected)

    def found(self, boxes: Array, truths: list[Truth], threshold: float) -> Array:
        """Which boxes (B, H, W, 4) overlap a true one by more than that."""
        best = np.zeros(boxes.shape[:-1], self.dtype)
        for truth in truths:
            np.maximum(best, overlap(boxes, truth.box), out=best)
        result: Array = best > threshold
        return result

    def write(self, top: Arrays, measured: float) -> None:
        """Write the tops: what is minimised, and what the forks show."""
        top[0][()] = self._cost.sum() / self._sizes[0]
        if len(top) > 1:
            top[1][()] = measured

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        dx = bottom_diff[0]
        if dx is not None:
            scale = top_diff[0] / self._sizes[0]
            np.multiply(self._delta, scale, dx.reshape(self._sizes))

    def demanded(self, index: int, shape: Shape, rng: np.random.Generator) -> Array | None:
        """For nets without data: one box in each image."""
        if index == 0:
            return None
        box, kind = rng.uniform(0.2, 0.8, 4), rng.integers(0, self._sizes[2] - 5)
        labels = np.zeros(shape)
        if self._eight:
            rows = labels.reshape(-1, 8)
            rows[:, 0] = -1
            for i, row in enumerate(rows[: self._sizes[0]]):
                row[:7] = i, kind + 1, 0, *(box[:2] - box[2:] / 8), *(box[:2] + box[2:] / 8)
        else:
            labels.reshape(shape[0], -1)[:, :5] = kind, *box
        return labels

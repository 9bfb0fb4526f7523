"""What training a detector needs of boxes: reading objects, matching and coding them.

A box is (x1, y1, x2, y2), in parts of the image unless said otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Layer, show
from caffelite.layers.detection_output import NonMaximumSuppressionParameter, overlap, thin_out
from caffelite.layers.prior_box import CodeType

TOUCHES = 1e-6
"""Boxes that overlap by no more do not overlap, as in the original."""


UNMATCHED, OUTSIDE = -1, -2
SMALL = 1e-5
"""Boxes of a smaller area have no part in non-maximum suppression, as in the original."""


class MatchType(IntEnum):
    """Which boxes are matched with an object."""

    BIPARTITE = 0
    PER_PREDICTION = 1


@dataclass
class Matches:
    """Boxes that stand for an object: one value a match."""

    image: Array
    prior: Array
    slot: Array
    """Which of a prior's codes: its class where each class has its own, else 0."""
    label: Array
    box: Array
    """The object's corners, (number, 4)."""

    def only(self, which: Array) -> Matches:
        """Some of them."""
        return Matches(*(values[which] for values in vars(self).values()))


@dataclass
class Candidates:
    """What is known of each prior of each image, (images, priors)."""

    state: Array
    """The number of the matched object among its image's; UNMATCHED, or OUTSIDE: left out."""
    overlap: Array
    """The largest overlap with an object."""
    present: Array
    """Is there an object in the image? (images, 1)"""

    @classmethod
    def none(cls, images: int, count: int, dtype: np.dtype) -> Candidates:
        """Nothing is matched."""
        sizes = (images, count)
        state = np.full(sizes, UNMATCHED, np.intp)
        return cls(state, np.zeros(sizes, dtype), np.zeros((images, 1), bool))

    def note(self, image: int, state: Array, overlap: Array) -> None:
        """An image with objects."""
        self.state[image], self.overlap[image], self.present[image] = state, overlap, True

    def negatives(self, below: float) -> Array:
        """Which are unmatched and overlap every object by less, in an image with objects."""
        which: Array = self.present & (self.state == UNMATCHED) & (self.overlap < np.float32(below))
        return which

    def all(self) -> Array:
        """All priors of images with objects."""
        every: Array = np.broadcast_to(self.present, self.state.shape)
        return every


def check_objects(layer: Layer, index: int, shape: Shape) -> None:
    """Refuse a bottom that does not hold objects, one row each."""
    if len(shape) != 4 or shape[3] != 8:
        layer.fail(
            f'bottom "{layer.spec.bottom[index]}" is {show(shape)}',
            "bottom",
            index=index,
            expected="1 x 1 x objects x 8: image, class, number, x1, y1, x2, y2, difficult",
        )


def objects_of(
    layer: Layer,
    index: int,
    values: Array,
    classes: int | None,
    background: int,
    images: int | None,
) -> Array:
    """The rows (number, 8) of the bottom `index` that hold an object: image, class, number, x1, y1,
    x2, y2, difficult. Rows of image -1 are empty and are left out. A class or an image that is not
    there is refused; None: any is there."""
    rows = values.reshape(-1, 8)
    rows = rows[rows[:, 0] != -1]
    label, image = rows[:, 1], rows[:, 0]
    wrong = (label < 0) | (label != np.floor(label)) | (label == background)
    if classes is not None:
        wrong |= label >= classes
    if wrong.any():
        bad = int(np.flatnonzero(wrong)[0])
        layer.fail(
            f"object {bad} of the batch has class {label[bad]:g}"
            + (", the background" if label[bad] == background else ""),
            "bottom",
            index=index,
            expected="a whole number"
            + (f" from 0 to {classes - 1}" if classes is not None else ", 0 or more")
            + f", but not {background}, the background",
        )
    wrong = (image < 0) | (image != np.floor(image))
    if images is not None:
        wrong |= image >= images
    if wrong.any():
        bad = int(np.flatnonzero(wrong)[0])
        layer.fail(
            f"object {bad} of the batch is in image {image[bad]:g}",
            "bottom",
            index=index,
            expected="an image of the batch"
            + (f", 0 to {images - 1}" if images is not None else "")
            + "; -1 in an empty row",
        )
    found: Array = rows
    return found


def encode(boxes: Array, priors: Array, variances: Array, kind: CodeType) -> Array:
    """The codes (number, 4) from which `detection_output.decode` makes these boxes again, with
    priors and variances (number, 4). The inverse of its formulas."""
    code: Array
    if kind == CodeType.CORNER:
        code = (boxes - priors) / variances
        return code
    size = priors[:, 2:] - priors[:, :2]
    if kind == CodeType.CORNER_SIZE:
        code = (boxes - priors) / np.concatenate([size, size], 1) / variances
        return code
    moved = (boxes[:, :2] + boxes[:, 2:] - priors[:, :2] - priors[:, 2:]) / 2 / size
    grown = np.log((boxes[:, 2:] - boxes[:, :2]) / size)
    code = np.concatenate([moved, grown], 1) / variances
    return code


def match(
    predicted: Array, objects: Array, kind: MatchType, threshold: float, inside: bool
) -> tuple[Array, Array]:
    """For each box of `predicted` (n, 4), the object (of `objects`, (m, 4)) that it stands for, or
    UNMATCHED; and its largest overlap with an object.

    Again and again the pair that overlaps most is matched, of the boxes and objects not yet
    matched. With PER_PREDICTION each further box is matched with the object that it overlaps most,
    by `threshold` or more. `inside`: boxes that reach over the image's border get OUTSIDE and
    overlap nothing."""
    found = np.full(len(predicted), UNMATCHED, np.intp)
    if not len(objects):
        return found, np.zeros(len(predicted), predicted.dtype)
    common = np.stack([overlap(o, predicted) for o in objects], 1)
    common = np.where(common > TOUCHES, common, 0)
    if inside:
        over = ((predicted < 0) | (predicted > 1)).any(1)
        found[over], common[over] = OUTSIDE, 0
    best = common.max(1)
    free = common.copy()
    for _ in range(min(free.shape)):
        i, j = divmod(int(free.argmax()), free.shape[1])
        if free[i, j] <= 0:
            break
        found[i], best[i] = j, common[i, j]
        free[i], free[:, j] = 0, 0
    if kind == MatchType.PER_PREDICTION:
        more = (found == UNMATCHED) & (best > 0) & (best >= best.dtype.type(threshold))
        found[more] = common.argmax(1)[more]
    return found, best


def apart(order: Array, boxes: Array, nms: NonMaximumSuppressionParameter) -> Array:
    """Of the boxes in `order`, the best first, those that stay when of boxes that overlap only the
    best does."""
    area = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)
    if nms.has("top_k") and nms.top_k > -1:
        order = order[: nms.top_k]
    return np.array(thin_out(boxes, order[area[order] >= SMALL], nms.nms_threshold, 1), np.intp)

"""Files of names and sizes: NAME HEIGHT WIDTH in each line, as the SSD fork's get_image_size writes
them, in the order of a database's images."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from caffelite.blob import Array
from caffelite.data.augment.boxes import project
from caffelite.data.listing import line_of, read_list, whole_number
from caffelite.errors import DataError, Problem
from caffelite.schema.augment import Resize_mode, ResizeParameter


class Named(NamedTuple):
    """An image's name and size in pixels."""

    name: str
    height: int
    width: int


def read_name_sizes(path: str) -> list[Named]:
    """The images of a file. Raises DataError with the line of each mistake."""
    source = read_list(path)
    found: list[Named] = []
    problems: list[Problem] = []
    for number, line in enumerate(source.lines):
        words = line.strip().rsplit(None, 2)
        if not words:
            continue
        try:
            if len(words) != 3:
                raise ValueError
            height, width = whole_number(words[1]), whole_number(words[2])
            if min(height, width) < 1:
                raise ValueError
            found.append(Named(words[0], height, width))
        except ValueError:
            if len(problems) < 10:
                expected = "a name, a height and a width in pixels, as in: 000001 500 353"
                said = "this line is not a name and a size"
                problems.append(Problem(said, line_of(source, number), expected))
    if problems:
        raise DataError(*problems)
    return found


def in_pixels(boxes: Array, image: Named, resize: ResizeParameter | None) -> Array:
    """Boxes (number, 4), in parts of what the net saw, in pixels of the image as it was.

    They are cut to the image. FIT_LARGE_SIZE_AND_PAD: without what was padded. FIT_SMALL_SIZE with
    height_scale and width_scale: in parts of these."""
    extents = np.tile(np.array([image.width, image.height], np.float64), 2)
    mode = resize.resize_mode if resize is not None else Resize_mode.WARP
    if resize is not None and mode == Resize_mode.FIT_LARGE_SIZE_AND_PAD:
        aspect, wanted = image.width / image.height, resize.width / resize.height
        share = np.array([1.0, wanted / aspect] if aspect > wanted else [aspect / wanted, 1.0])
        boxes, _ = project(boxes, np.concatenate([(1 - share) / 2, (1 + share) / 2]))
    scaled = resize is not None and resize.height_scale and resize.width_scale
    if resize is not None and mode == Resize_mode.FIT_SMALL_SIZE and scaled:
        scale = np.tile([float(resize.width_scale), float(resize.height_scale)], 2)
        cut: Array = np.clip(boxes * scale, 0, extents)
        return cut
    place: Array = np.clip(boxes, 0, 1) * extents
    return place


def pixel_overlap(box: Array, others: Array) -> Array:
    """Intersection over union of boxes whose corners are pixels, which belong to them."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.where((high >= low).all(axis=1), np.prod(high - low + 1, axis=1), 0)
    both = _pixels(box[None]) + _pixels(others) - shared
    share: Array = shared / np.where(both > 0, both, 1)
    return share


def _pixels(boxes: Array) -> Array:
    size = boxes[:, 2:] - boxes[:, :2]
    count: Array = np.where((size >= 0).all(axis=1), np.prod(size + 1, axis=1), 0)
    return count

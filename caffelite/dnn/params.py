"""Images to blobs with all that OpenCV's Image2BlobParams says, and boxes back to the images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from caffelite.blob import Array
from caffelite.data.resizing import resize_linear
from caffelite.dnn.images import CV_32F, Scalar, blob_of, four, pictures_of, resized, whole_size
from caffelite.errors import DataError, Problem

DNN_LAYOUT_NCHW, DNN_LAYOUT_NHWC = 2, 4
DNN_PMODE_NULL, DNN_PMODE_CROP_CENTER, DNN_PMODE_LETTERBOX = 0, 1, 2
Rect = tuple[int, int, int, int]
"""x, y, width, height."""


@dataclass
class Image2BlobParams:
    """How an image becomes a blob: (image - mean)·scalefactor, in the order of channels after
    `swapRB`.

    Before that it is resized to `size` (width, height) as `paddingmode` says: as it is
    (DNN_PMODE_NULL), to cover the size, cut around the centre (DNN_PMODE_CROP_CENTER), or to fit
    into it, with `borderValue` around it, in the image's order of channels (DNN_PMODE_LETTERBOX).
    `datalayout`: DNN_LAYOUT_NCHW, or DNN_LAYOUT_NHWC. A scalar is four numbers, those not given 0:
    also a `scalefactor` of one number scales the first channel alone, as in OpenCV."""

    scalefactor: Scalar = (1.0, 1.0, 1.0, 1.0)
    size: Sequence[int] = (0, 0)
    mean: Scalar = (0.0, 0.0, 0.0, 0.0)
    swapRB: bool = False
    ddepth: int = CV_32F
    datalayout: int = DNN_LAYOUT_NCHW
    paddingmode: int = DNN_PMODE_NULL
    borderValue: Scalar = (0.0, 0.0, 0.0, 0.0)

    def blobRectToImageRect(self, rBlob: Sequence[int], size: Sequence[int]) -> Rect:
        """The box in an image of `size` (width, height) that a box in its blob is; whole pixels,
        rounded towards 0."""
        (across, down), (width, height) = whole_size(self.size), whole_size(size)
        x, y, w, h = (int(n) for n in rBlob)
        if self.paddingmode == DNN_PMODE_NULL:
            return (
                int(x * width / across),
                int(y * height / down),
                int(w * width / across),
                int(h * height / down),
            )
        ratios = np.float32(across) / np.float32(width), np.float32(down) / np.float32(height)
        if self.paddingmode == DNN_PMODE_LETTERBOX:
            factor = min(ratios)
            left, top = _margins(width, height, across, down)
            corner = float(np.float32(x - left) / factor), float(np.float32(y - top) / factor)
        else:
            factor, exact = max(ratios), float(max(ratios))
            beyond = float(np.float32(width) * factor), float(np.float32(height) * factor)
            corner = (
                (x + 0.5 * (beyond[0] - across)) / exact,
                (y + 0.5 * (beyond[1] - down)) / exact,
            )
        sides = np.float32(w) / factor, np.float32(h) / factor
        return int(corner[0]), int(corner[1]), int(sides[0]), int(sides[1])

    def blobRectsToImageRects(self, rBlob: Iterable[Sequence[int]], size: Sequence[int]) -> Array:
        """As `blobRectToImageRect`, of several boxes: (N, 4)."""
        boxes = [self.blobRectToImageRect(rect, size) for rect in rBlob]
        return np.array(boxes, np.int32).reshape(-1, 4)


def blobFromImageWithParams(image: Any, param: Image2BlobParams | None = None) -> Array:
    """A blob of an image; see `Image2BlobParams`. Raises DataError for what is no image of 1, 3 or
    4 channels, and for layouts and modes that there are not."""
    return blobFromImagesWithParams([image], param)


def blobFromImagesWithParams(images: Any, param: Image2BlobParams | None = None) -> Array:
    """As `blobFromImageWithParams`, of several images."""
    param = param or Image2BlobParams()
    if param.datalayout not in (DNN_LAYOUT_NCHW, DNN_LAYOUT_NHWC):
        expected = "DNN_LAYOUT_NCHW (2) or DNN_LAYOUT_NHWC (4)"
        raise DataError(Problem(f"datalayout={param.datalayout}", expected=expected))
    if param.paddingmode not in (DNN_PMODE_NULL, DNN_PMODE_CROP_CENTER, DNN_PMODE_LETTERBOX):
        expected = "DNN_PMODE_NULL (0), DNN_PMODE_CROP_CENTER (1) or DNN_PMODE_LETTERBOX (2)"
        raise DataError(Problem(f"paddingmode={param.paddingmode}", expected=expected))
    pictures = pictures_of(images)
    if any(param.size):
        width, height = whole_size(param.size)
        if param.paddingmode == DNN_PMODE_LETTERBOX:
            border = four(param.borderValue)
            pictures = [_letterbox(picture, width, height, border) for picture in pictures]
        else:
            crop = param.paddingmode == DNN_PMODE_CROP_CENTER
            pictures = [resized(picture, width, height, crop) for picture in pictures]
    scale, shift = four(param.scalefactor), four(param.mean)
    blob = blob_of(pictures, scale, shift, param.swapRB, param.ddepth)
    if param.datalayout == DNN_LAYOUT_NHWC:
        return np.ascontiguousarray(blob.transpose(0, 2, 3, 1))
    return blob


def _inside(width: int, height: int, across: int, down: int) -> tuple[int, int]:
    """The size of an image that fits into another size."""
    factor = min(np.float32(across) / np.float32(width), np.float32(down) / np.float32(height))
    return int(np.float32(width) * factor), int(np.float32(height) * factor)


def _margins(width: int, height: int, across: int, down: int) -> tuple[int, int]:
    """What is left of it, and above."""
    inside = _inside(width, height, across, down)
    return (across - inside[0]) // 2, (down - inside[1]) // 2


def _letterbox(image: Array, across: int, down: int, border: Array) -> Array:
    height, width, channels = image.shape
    w, h = _inside(width, height, across, down)
    if not w or not h:
        raise DataError(f"an image of {width} x {height} does not fit into {across} x {down}")
    left, top = _margins(width, height, across, down)
    boxed = np.empty((down, across, channels), image.dtype)
    boxed[...] = border[:channels]
    boxed[top : top + h, left : left + w] = resize_linear(image, h, w)
    return boxed

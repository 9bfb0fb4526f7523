"""Images to blobs and back, with OpenCV's numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Union

import numpy as np

from caffelite.blob import Array
from caffelite.data.resizing import KINDS, resize_linear
from caffelite.errors import DataError, Problem

CV_8U, CV_32F = 0, 5
"""The types of blobs, by OpenCV's numbers."""
Scalar = Union[float, Sequence[float], Array]
"""A number for the first channel, or one for each of up to four."""


def blobFromImage(
    image: Any,
    scalefactor: float = 1.0,
    size: Sequence[int] = (0, 0),
    mean: Scalar = (0, 0, 0),
    swapRB: bool = False,
    crop: bool = False,
    ddepth: int = CV_32F,
) -> Array:
    """A blob (1, C, H, W) of an image (H, W) or (H, W, C): (image - mean)·scalefactor.

    Before that the image is resized to `size` (width, height), bilinearly; with `crop` so that it
    covers `size`, and cut out around the centre. `swapRB` exchanges the first and third channel;
    `mean` is in the order after that. `ddepth`: CV_32F, or CV_8U for bytes as they are.
    Raises DataError for what is no image of 1, 3 or 4 channels."""
    return blobFromImages([image], scalefactor, size, mean, swapRB, crop, ddepth)


def blobFromImages(
    images: Any,
    scalefactor: float = 1.0,
    size: Sequence[int] = (0, 0),
    mean: Scalar = (0, 0, 0),
    swapRB: bool = False,
    crop: bool = False,
    ddepth: int = CV_32F,
) -> Array:
    """As `blobFromImage`, of several images: (N, C, H, W)."""
    pictures = pictures_of(images)
    if any(size):
        width, height = whole_size(size)
        fitted = [resized(p, width, height, crop) for p in pictures]
    else:
        fitted = pictures
    return blob_of(fitted, np.full(4, scalefactor), four(mean), swapRB, ddepth)


def blob_of(
    pictures: Sequence[Array], scale: Array, shift: Array, swap: bool, ddepth: int
) -> Array:
    """The blob (N, C, H, W) of images that are fitted: (image - shift)·scale, for each channel in
    the order after the exchange of the first and the third one."""
    _check_depth(ddepth, pictures, scale, shift)
    if any(p.shape != pictures[0].shape for p in pictures):
        sizes = ", ".join(" x ".join(map(str, p.shape)) for p in pictures[:4])
        raise DataError(
            Problem(f"the images differ in shape: {sizes}", hint="size=(W, H) makes them equal")
        )
    height, width, channels = pictures[0].shape
    kind = np.uint8 if ddepth == CV_8U else np.float32
    blob = np.empty((len(pictures), channels, height, width), kind)
    order = [2, 1, 0, 3][:channels] if swap and channels >= 3 else list(range(channels))
    for image, planes in zip(pictures, blob):
        planes[...] = image[:, :, order].transpose(2, 0, 1)
    if kind is np.float32:
        if shift.any():
            blob -= shift[:channels].astype(np.float32)[:, None, None]
        if (scale[:channels] != 1).any():
            blob *= scale[:channels].astype(np.float32)[:, None, None]
    return blob


def four(values: Scalar) -> Array:
    """A scalar of OpenCV's: four numbers, those that are not given 0."""
    found = np.zeros(4)
    given = np.atleast_1d(np.asarray(values, np.float64)).ravel()[:4]
    found[: len(given)] = given
    return found


def imagesFromBlob(blob_: Any) -> tuple[Array, ...]:
    """The images (H, W, C), or (H, W) of one channel, that a blob (N, C, H, W) is made of."""
    blob = np.asarray(blob_)
    if blob.ndim != 4 or blob.dtype != np.float32:
        raise DataError(
            Problem(f"no blob: {blob.dtype} {blob.shape}", expected="float32 (N, C, H, W)")
        )
    images = np.ascontiguousarray(blob.transpose(0, 2, 3, 1))
    return tuple(image[:, :, 0] if image.shape[2] == 1 else image for image in images)


def pictures_of(images: Any) -> list[Array]:
    """Images as (H, W, C). Raises DataError for what is none, and where there are none."""
    pictures = [_image(image) for image in images]
    if not pictures:
        raise DataError("there are no images to make a blob of")
    return pictures


def _image(image: Any) -> Array:
    array = np.asarray(image)
    if array.ndim == 2:
        array = array[:, :, None]
    usable = array.ndim == 3 and array.shape[2] in (1, 3, 4) and array.size > 0
    if not usable or array.dtype not in KINDS:
        found = "None: was the file read?" if image is None else f"{array.dtype} {array.shape}"
        raise DataError(
            Problem(
                f"no image: {found}",
                expected="(H, W) or (H, W, C) with 1, 3 or 4 channels, of "
                + ", ".join(np.dtype(kind).name for kind in KINDS),
            )
        )
    return array


def _check_depth(ddepth: int, images: Sequence[Array], scale: Array, mean: Array) -> None:
    if ddepth not in (CV_8U, CV_32F):
        raise DataError(Problem(f"ddepth={ddepth}", expected="CV_32F (5) or CV_8U (0)"))
    if ddepth == CV_8U and ((scale != 1).any() or mean.any()):
        raise DataError("a blob of bytes (CV_8U) is neither scaled nor has a mean taken off")
    if ddepth == CV_8U and any(image.dtype != np.uint8 for image in images):
        raise DataError("a blob of bytes (CV_8U) needs images of bytes")


def whole_size(size: Sequence[int]) -> tuple[int, int]:
    """Width and height. Raises DataError unless both are above 0."""
    width, height = (int(n) for n in size)
    if width <= 0 or height <= 0:
        raise DataError(Problem(f"size=({width}, {height})", expected="(width, height), above 0"))
    return width, height


def resized(image: Array, width: int, height: int, crop: bool) -> Array:
    """Resized, or resized to cover the size and cut."""
    rows, columns = image.shape[:2]
    if not crop:
        return resize_linear(image, height, width)
    factor = max(width / columns, height / rows)
    covering = resize_linear(image, round(rows * factor), round(columns * factor), 0, factor)
    top, left = (covering.shape[0] - height) // 2, (covering.shape[1] - width) // 2
    return covering[top : top + height, left : left + width]

"""Images as Caffe sees them: (channels, height, width), bytes, colours in the order B, G, R."""

from __future__ import annotations

import io
import os

import numpy as np

from caffelite.blob import Array
from caffelite.data.optional import need
from caffelite.errors import DataError, Problem

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


def read_image(
    source: str | os.PathLike[str] | bytes,
    color: bool | None = True,
    height: int = 0,
    width: int = 0,
    name: str = "",
) -> Array:
    """An image file, or its bytes: 3 channels if `color`, 1 if not, as it is stored if None.

    With `height` and `width` it is resized to these. `name` is what errors call it. Raises
    DataError if it is missing or no image."""
    name = name or (f'image "{source!s}"' if not isinstance(source, bytes) else "an image")
    pillow = need("PIL.Image", "Pillow", "reading images")
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with pillow.open(file) as image:
            if image.mode[0] in "IF":
                raise DataError(
                    Problem(
                        f"{name} has pixels of mode {image.mode}, more than 8 bits",
                        expected="an image of 8 bits a channel",
                    )
                )
            pixels = np.asarray(image.convert(_mode(image.mode, color)))
    except FileNotFoundError:
        raise DataError(f"{name} is missing") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{name} cannot be read: {error}") from None
    planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    if len(planes) >= 3:
        planes = np.concatenate([planes[2::-1], planes[3:]])  # R G B (A) to B G R (A)
    return resize(planes, height, width) if height and width else planes


def _mode(stored: str, color: bool | None) -> str:
    if color is not None:
        return "RGB" if color else "L"
    if stored in ("1", "L"):
        return "L"
    return "RGBA" if stored in ("RGBA", "LA", "PA") else "RGB"


def resize(image: Array, height: int, width: int) -> Array:
    """A bilinearly resized image (C, H, W) of bytes.

    As OpenCV, which Caffe used: output pixel x looks at x' = (x + 1/2)·W/W' - 1/2 and mixes the
    two columns beside x', whatever the reduction (Pillow would average all pixels below one);
    likewise for rows. Weights are multiples of 1/2048, and whole numbers are computed with."""
    if image.shape[1:] == (height, width):
        return image
    y0, y1, v0, v1 = _mix(image.shape[1], height)
    x0, x1, u0, u1 = _mix(image.shape[2], width)
    columns = image[:, :, x0].astype(np.int32) * u0 + image[:, :, x1].astype(np.int32) * u1
    columns >>= 4
    upper = columns[:, y0] * v0[:, None] >> 16
    lower = columns[:, y1] * v1[:, None] >> 16
    mixed: Array = (upper + lower + 2 >> 2).astype(np.uint8)
    return mixed


def _mix(size: int, new: int) -> tuple[Array, Array, Array, Array]:
    """For each output place the two input places and their weights, of 2048 in all."""
    at = (np.arange(new) + 0.5) * (size / new) - 0.5
    first = np.floor(at).astype(np.intp)
    part = np.where((first < 0) | (first >= size - 1), 0.0, at - first)
    second_weight = np.rint(part * 2048).astype(np.int32)
    first = np.clip(first, 0, size - 1)
    return first, np.minimum(first + 1, size - 1), 2048 - second_weight, second_weight

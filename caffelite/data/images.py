"""Images as Caffe sees them: (channels, height, width), bytes, colours in the order B, G, R."""

from __future__ import annotations

import io
import math
import os
import warnings
from typing import Any, BinaryIO

import numpy as np

from caffelite.blob import Array
from caffelite.data.resizing import resize_linear
from caffelite.errors import DataError, Problem
from caffelite.optional import need
from caffelite.reading import check_limit, plain_file, reading, shown

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""What is decoded. Pillow knows more, and runs other programs for some of them."""


def read_image(
    source: str | os.PathLike[str] | bytes,
    color: bool | None = True,
    height: int = 0,
    width: int = 0,
    name: str = "",
) -> Array:
    """An image file, or its bytes: 3 channels if `color`, 1 if not, as it is stored if None.

    With `height` and `width` it is resized to these. `name` is what errors call it. Raises
    DataError if it is missing, no image of one of the `FORMATS`, or larger than
    `caffelite.reading` allows."""
    name = name or (f'image "{shown(source)}"' if not isinstance(source, bytes) else "an image")
    check_limit("pixels", height * width, f"{name}, resized,")
    pillow = need("PIL.Image", "Pillow", "reading images")
    if isinstance(source, bytes):
        return resize(_decode(io.BytesIO(source), pillow, color, name), height, width)
    with plain_file(source) as file:
        return resize(_decode(file, pillow, color, name), height, width)


def image_size(path: str) -> tuple[int, int]:
    """The height and the width of an image file, whose pixels are not read. Raises DataError."""
    name = f'image "{shown(path)}"'
    pillow = need("PIL.Image", "Pillow", "reading images")
    bomb, warning = pillow.DecompressionBombError, pillow.DecompressionBombWarning
    with (
        plain_file(path) as file,
        reading(name, "an image", also=(bomb, warning)),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        with pillow.open(file, formats=FORMATS) as image:
            check_limit("pixels", math.prod(image.size), name)
            return int(image.size[1]), int(image.size[0])


def _decode(file: BinaryIO, pillow: Any, color: bool | None, name: str) -> Array:
    bomb, warning = pillow.DecompressionBombError, pillow.DecompressionBombWarning
    with reading(name, "an image", also=(bomb, warning)), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damage that can be decoded, and of sizes: see below
        with pillow.open(file, formats=FORMATS) as image:
            check_limit("pixels", math.prod(image.size), name)
            if image.mode[0] in "IF":
                raise DataError(
                    Problem(
                        f"{name} has pixels of mode {image.mode}, more than 8 bits",
                        expected="an image of 8 bits a channel",
                    )
                )
            mode = _mode(image.mode, color)
            pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    return planes_of(pixels)


def planes_of(pixels: Array) -> Array:
    """Pillow's pixels, (H, W) or (H, W, C) in R, G, B (A), as (C, H, W) in B, G, R (A)."""
    planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    if len(planes) >= 3:
        planes = np.concatenate([planes[2::-1], planes[3:]])  # R G B (A) to B G R (A)
    return planes


def _mode(stored: str, color: bool | None) -> str:
    if color is not None:
        return "RGB" if color else "L"
    if stored in ("1", "L"):
        return "L"
    return "RGBA" if stored in ("RGBA", "LA", "PA") else "RGB"


def resize(image: Array, height: int, width: int) -> Array:
    """A bilinearly resized image (C, H, W), as OpenCV resizes; as it is if a side is 0."""
    if not (height and width) or image.shape[1:] == (height, width):
        return image
    return resize_linear(image, height, width, axis=1)

"""Images as compressed files, for records that keep them so."""

from __future__ import annotations

import io
import os

import numpy as np

from caffelite.blob import Shape
from caffelite.data.images import read_image
from caffelite.errors import DataError
from caffelite.optional import need
from caffelite.reading import plain_file

ENCODINGS = {"bmp": "BMP", "jpeg": "JPEG", "jpg": "JPEG", "png": "PNG"}


def encoded_image(
    path: str, color: bool, height: int = 0, width: int = 0, encoding: str | None = None
) -> tuple[bytes, Shape]:
    """An image as the bytes of a compressed file, and its shape (C, H, W).

    The bytes are the file's own if it is in the wanted encoding, has the wanted channels and is
    not resized; or else the image is compressed anew, JPEG in quality 95 as OpenCV does.
    `encoding` None: that of the file's name. Raises DataError.
    """
    ending = os.path.splitext(path)[1][1:].lower()
    wanted = ENCODINGS.get(encoding or ending)
    if not height and (encoding is None or wanted == ENCODINGS.get(ending)):
        stored = read_image(path, None)
        if len(stored) == (3 if color else 1):
            with plain_file(path) as file:
                return file.read(), stored.shape
    if wanted is None:
        raise DataError(
            f'image "{path}" must be compressed anew, and its name does not end in '
            f"{', '.join(sorted(ENCODINGS))}: choose one with --encode-type"
        )
    image = read_image(path, color, height, width)
    pixels = np.ascontiguousarray(image[::-1].transpose(1, 2, 0))  # B G R to R G B
    file = io.BytesIO()
    pillow = need("PIL.Image", "Pillow", "writing images")
    pillow.fromarray(pixels if color else image[0]).save(file, wanted, quality=95)
    return file.getvalue(), image.shape

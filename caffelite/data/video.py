"""Videos as Pillow reads them: animated image files, and folders of frames."""

from __future__ import annotations

import math
import os
import warnings
import weakref
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.data.feed import Order
from caffelite.data.images import SUFFIXES, planes_of, read_image
from caffelite.data.transform import Transformer, check_shape
from caffelite.errors import DataError, Problem
from caffelite.filetypes import GIF, PNG, RIFF, TIFF, type_by_start
from caffelite.optional import need
from caffelite.reading import check_limit, plain_file, reading, shown

KINDS = (GIF, PNG, RIFF, TIFF)
FORMATS = ("GIF", "PNG", "TIFF", "WEBP")
"""What may hold several frames."""
EXPECTED = "an animated GIF, PNG, WebP or TIFF file, or a folder of images, a frame each"
HINT = "other videos are read after `ffmpeg -i VIDEO FOLDER/%06d.png`"


class Frames:
    """The frames of a video, (C, H, W) in B, G, R; those of a folder in the order of their names.

    A file stays open until this is no longer used, or `close`. Raises DataError."""

    def __init__(self, path: str, color: bool) -> None:
        self.path, self._color = path, color
        self._name = f'"{shown(path)}"'
        self._stack = ExitStack()
        weakref.finalize(self, self._stack.close)
        self._files: list[str] = []
        self._image: Any = None
        self._at = 0
        if os.path.isdir(path):
            self._files = sorted(f for f in os.listdir(path) if f.lower().endswith(SUFFIXES))
            self.count = len(self._files)
            if not self.count:
                raise DataError(Problem(f"{self._name} holds no images", expected=EXPECTED))
        else:
            self._open()
            self.count = self._counted()

    def _open(self) -> None:
        pillow = need("PIL.Image", "Pillow", "reading videos")
        self._foreign = (pillow.DecompressionBombError, pillow.DecompressionBombWarning)
        file = self._stack.enter_context(plain_file(self.path))
        start = file.read(64)
        file.seek(0)
        if type_by_start(start) not in KINDS:
            raise DataError(
                Problem(f"{self._name} is no video that is read here", expected=EXPECTED, hint=HINT)
            )
        with reading(self._name, "a video", also=self._foreign), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._image = self._stack.enter_context(pillow.open(file, formats=FORMATS))
            check_limit("pixels", math.prod(self._image.size), self._name)

    def _counted(self) -> int:
        with reading(self._name, "a video", also=self._foreign), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return int(getattr(self._image, "n_frames", 1))

    def __getitem__(self, index: int) -> Array:
        if self._files:
            return read_image(os.path.join(self.path, self._files[index]), self._color)
        mode = "RGB" if self._color else "L"
        with reading(self._name, "a video", also=self._foreign), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if index < self._at:  # not every file can be gone back in
                self._stack.close()
                self._open()
            self._at = index
            self._image.seek(index)
            check_limit("pixels", math.prod(self._image.size), self._name)
            return planes_of(np.asarray(self._image.convert(mode)))

    def close(self) -> None:
        """Let go of the file."""
        self._stack.close()


class VideoFeed:
    """Each (`skip` + 1)-th frame, after `skip` that are left out, from the first again at the end.
    Labels are 0."""

    def __init__(self, frames: Frames, transformer: Transformer, shape: Shape, skip: int) -> None:
        self._frames, self._transformer, self._shape = frames, transformer, shape
        self._each = skip + 1
        self._order = Order([frames.count // self._each], False, np.random.default_rng(0))

    def fill(self, out: Sequence[Array]) -> None:
        for row, index in enumerate(self._order.take(len(out[0]))):
            number = (int(index) + 1) * self._each - 1
            image, name = self._frames[number], f'frame {number} of "{shown(self._frames.path)}"'
            if image.shape != self._shape:
                if not self._transformer.fixes_size:
                    check_shape(image.shape, self._shape, name)
                self._transformer.shape(image.shape, name)
            self._transformer(image, out[0][row])
        for labels in out[1:]:
            labels.fill(0)

    def state(self) -> dict[str, Any]:
        return {"order": self._order.state(), "transform": self._transformer.state()}

    def restore(self, state: dict[str, Any]) -> None:
        self._order.restore(state["order"])
        self._transformer.restore(state["transform"])

"""WindowData: windows of images, objects and background in a fixed proportion."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from caffelite.blob import Array
from caffelite.data.images import read_image
from caffelite.data.listing import Roots
from caffelite.data.windows import Cutter, Window, WindowFile, read_windows
from caffelite.errors import DataError, Problem
from caffelite.layers.base import Shapes, param_of, register
from caffelite.layers.source import OF_BOXES, OF_IMAGES, FeedLayer
from caffelite.reading import shown
from caffelite.schema.binary import read_blob
from caffelite.schema.data import WindowDataParameter


@register
class WindowData(FeedLayer):
    """Windows drawn at random from images, each warped to a square: what R-CNN trains on.

    Of each batch, fg_fraction·N windows (rounded down) are objects, with an overlap of
    fg_threshold or more and their label; the others, first in the batch, are background, with an
    overlap below bg_threshold and label 0. Windows between the two are not used.

    Shapes: data (N, C, crop_size, crop_size), colours in the order B, G, R; label (N,), which may
    be left out. crop_mode "square" widens a window to a square first, "warp" does not;
    `context_pad` pixels on each side show the window's surroundings. What lies outside the image
    is 0. Each value is (pixel - mean) · scale; a mean file is taken from its middle.
    There is no epoch. The window file: see `caffelite.data.windows.read_windows`.

    Unlike Caffe, which reads only window_data_param's old `scale`, transform_param's counts too.
    Source: Caffe's window_data_layer; Girshick et al., https://arxiv.org/abs/1311.2524
    """

    pixels = True
    tested_in = "tests/data/test_windows.py"
    place = ("window_data_param", "source")
    param: WindowDataParameter = param_of(WindowDataParameter)

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        self.check_batch_size("window_data_param")
        self.refuse_fields(*OF_IMAGES, *OF_BOXES)
        crop = self.transform.crop_size
        if not crop:
            self.fail("has no crop_size", "transform_param", expected="the side of the square")
        if 2 * p.context_pad >= crop:
            self.fail(
                f"context_pad {p.context_pad} on both sides leaves nothing of crop_size {crop}",
                "window_data_param",
                "context_pad",
            )
        if p.crop_mode not in ("warp", "square"):
            self.fail(
                f'unknown crop_mode "{p.crop_mode}"',
                "window_data_param",
                "crop_mode",
                expected='"warp" or "square"',
            )
        self._path = self.find("window_data_param", what="window file")
        with self.placed(*self.place):
            file = self._read()
        self._mean(file.channels, crop)
        self.use(None, [(file.channels, crop, crop), ()])

    def _read(self) -> _Windows:
        file = read_windows(self._path)
        return _Windows.of(file, self.param.fg_threshold, self.param.bg_threshold)

    def make_feed(self) -> _WindowFeed:
        p, crop = self.param, self.transform.crop_size
        file = self._read()
        roots = Roots(p.root_folder, self.context.folder, os.path.dirname(self._path))
        cutter = Cutter(crop, p.context_pad, p.crop_mode == "square")
        if file.channels != self._tops[0][1]:
            raise DataError(f'"{self._path}" has changed since the net was made')
        return _WindowFeed(self, file, cutter, roots, self._mean(file.channels, crop))

    def _mean(self, channels: int, crop: int) -> Array:
        """What is subtracted, (C, crop, crop) or (C, 1, 1)."""
        values = np.array(self.transform.mean_value or [0.0], self.dtype)
        if len(values) not in (1, channels):
            self.fail(
                f"{len(values)} mean_value for {channels} channels", "transform_param", "mean_value"
            )
        if not self.transform.has("mean_file"):
            return np.resize(values, (channels, 1, 1))
        if self.transform.mean_value:
            self.fail("mean_file and mean_value are both given", "transform_param", "mean_file")
        with self.placed("transform_param", "mean_file"):
            mean = read_blob(self.find("transform_param", "mean_file", "mean file"))
        mean = np.asarray(mean.reshape(mean.shape[-3:]), self.dtype)
        if mean.ndim != 3 or len(mean) != channels or min(mean.shape[1:]) < crop:
            self.fail(
                f"the mean file is {' x '.join(map(str, mean.shape))}, but {channels} channels "
                f"and {crop} x {crop} pixels are needed",
                "transform_param",
                "mean_file",
            )
        offset = (int(mean.shape[-1]) - crop) // 2
        return mean[:, offset : offset + crop, offset : offset + crop]


@dataclass(frozen=True)
class _Windows:
    """A window file's images and its windows of the two kinds."""

    images: list[str]
    channels: int
    objects: list[Window]
    background: list[Window]

    @classmethod
    def of(cls, file: WindowFile, fg_threshold: float, bg_threshold: float) -> _Windows:
        """Divide the windows. Raises DataError if the file does not do."""
        objects = [w for w in file.windows if w.overlap >= fg_threshold]
        background = [w for w in file.windows if w.overlap < min(fg_threshold, bg_threshold)]
        for window in objects:
            if window.label < 1:
                raise DataError(
                    f'a window of "{shown(file.images[window.image])}" has the overlap '
                    f"{window.overlap:g} and the label {window.label}; objects have labels from 1"
                )
        if not objects or not background:
            raise DataError(
                f"there are {len(objects)} windows of objects (overlap {fg_threshold:g} or "
                f"more) and {len(background)} of background (below {bg_threshold:g}); "
                "both are needed"
            )
        return cls(file.images, file.channels, objects, background)


class _WindowFeed:
    """Draws windows and cuts them out."""

    def __init__(
        self, layer: WindowData, file: _Windows, cutter: Cutter, roots: Roots, mean: Array
    ) -> None:
        p = layer.param
        self._file, self._cutter, self._roots, self._mean = file, cutter, roots, mean
        self._mirror, self._fraction = layer.transform.mirror, p.fg_fraction
        self._scale = layer.dtype.type(layer.transform.scale * p.scale)
        self._rng = layer.stream()
        self._cache: dict[int, Array] | None = {} if p.cache_images else None

    def fill(self, out: Sequence[Array]) -> None:
        objects = int(len(out[0]) * self._fraction)
        out[0].fill(0)
        for row, square in enumerate(out[0]):
            is_object = row >= len(out[0]) - objects
            windows = self._file.objects if is_object else self._file.background
            window = windows[self._rng.integers(len(windows))]
            mirror = self._mirror and bool(self._rng.integers(2))
            self._cut(window, mirror, square)
            if len(out) > 1:
                out[1][row] = window.label if is_object else 0

    def _cut(self, window: Window, mirror: bool, out: Array) -> None:
        image = self._image(window.image)
        try:
            cut = self._cutter(image, window.box, mirror)
        except DataError as error:
            raise DataError(
                f'image "{shown(self._file.images[window.image])}": {error.problems[0].message}'
            ) from None
        mean = np.broadcast_to(self._mean, out.shape)[cut.place]
        out[cut.place] = (cut.pixels - mean) * self._scale

    def _image(self, index: int) -> Array:
        if self._cache is not None and index in self._cache:
            return self._cache[index]
        name = self._file.images[index]
        path = self._roots.find(name)
        if path is None:
            raise DataError(Problem(f'there is no image "{shown(name)}"', expected="a file"))
        image = read_image(path, color=self._file.channels == 3)
        if self._cache is not None:
            self._cache[index] = image
        return image

    def state(self) -> dict[str, Any]:
        return dict(self._rng.bit_generator.state)

    def restore(self, state: dict[str, Any]) -> None:
        self._rng.bit_generator.state = state

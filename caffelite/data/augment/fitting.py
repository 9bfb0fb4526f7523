"""Images brought to a size, and their boxes with them: `resize_param`."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array
from caffelite.data.augment.colors import as_bytes
from caffelite.data.augment.interpolation import interpolate
from caffelite.schema.augment import Interp_mode, Pad_mode, Resize_mode, ResizeParameter

_PADS = {Pad_mode.MIRRORED: "reflect", Pad_mode.REPEAT_NEAREST: "edge"}


def fitted_size(param: ResizeParameter, height: int, width: int) -> tuple[int, int]:
    """The size (H, W) that an image of this size is brought to."""
    if param.resize_mode != Resize_mode.FIT_SMALL_SIZE:
        return param.height, param.width
    return _in_proportion(param, height, width, False)


def _in_proportion(
    param: ResizeParameter, height: int, width: int, largest: bool
) -> tuple[int, int]:
    """The size in proportion: the largest that fits in the wanted one, or the smallest that the
    wanted one fits in."""
    aspect = np.float32(width) / np.float32(height)
    wide = aspect > np.float32(param.width) / np.float32(param.height)
    if wide == largest:
        return max(1, int(np.float32(param.width) / aspect)), param.width
    return param.height, max(1, int(aspect * np.float32(param.height)))


def fit(image: Array, param: ResizeParameter, rng: np.random.Generator | None) -> Array:
    """An image (C, H, W), resized. Of several ways of interpolation one is drawn; without `rng` it
    is the first."""
    modes = param.interp_mode or [Interp_mode.LINEAR]
    drawn = len(modes) > 1 and rng is not None
    mode = modes[int(rng.integers(len(modes)))] if drawn else modes[0]  # type: ignore[union-attr]
    if param.resize_mode != Resize_mode.FIT_LARGE_SIZE_AND_PAD:
        return interpolate(image, *fitted_size(param, *image.shape[1:]), mode)
    height, width = _in_proportion(param, image.shape[1], image.shape[2], True)
    inner = interpolate(image, height, width, mode)
    top, left = (param.height - height) // 2, (param.width - width) // 2
    around = ((0, 0), (top, param.height - height - top), (left, param.width - width - left))
    if param.pad_mode != Pad_mode.CONSTANT:
        return np.pad(inner, around, _PADS[param.pad_mode])  # type: ignore[call-overload,no-any-return]
    padded = np.empty((len(image), param.height, param.width), image.dtype)
    values = np.array(param.pad_value or [0.0])
    padded[...] = (as_bytes(values) if image.dtype == np.uint8 else values)[:, None, None]
    padded[:, top : top + height, left : left + width] = inner
    return padded


def fit_boxes(boxes: Array, param: ResizeParameter, height: int, width: int) -> Array:
    """The boxes of an image of this size, in parts of the resized one. With padding the image has a
    part of it only, in the middle, of (H, W) = (W'·h/w, W') or (H', H'·w/h)."""
    boxes = np.clip(boxes, 0, 1)
    if param.resize_mode != Resize_mode.FIT_LARGE_SIZE_AND_PAD:
        return boxes
    aspect, wanted = width / height, param.width / param.height
    share = np.array([1.0, wanted / aspect] if aspect > wanted else [aspect / wanted, 1.0])
    place: Array = np.tile((1 - share) / 2, 2) + boxes * np.tile(share, 2)
    return place


def rescale(boxes: Array, param: ResizeParameter, height: int, width: int) -> Array:
    """With FIT_SMALL_SIZE and a height_scale and width_scale: boxes in parts of an image of this
    size, in parts of those instead."""
    if param.resize_mode != Resize_mode.FIT_SMALL_SIZE:
        return boxes
    if not (param.height_scale and param.width_scale):
        return boxes
    scaled: Array = boxes * np.tile([width / param.width_scale, height / param.height_scale], 2)
    return scaled

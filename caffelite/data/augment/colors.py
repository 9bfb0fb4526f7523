"""Colours of images of bytes, as OpenCV turns them over; images are (3, H, W) in B, G, R."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array


def as_bytes(values: Array) -> Array:
    """Rounded, and cut to 0 … 255."""
    rounded: Array = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return rounded


def hsv_of(image: Array) -> Array:
    """Hue in steps of 2° (0 to 179), saturation and value (0 to 255), of an image in B, G, R.

    V = max, S = 255·(max − min)/max, H = 30·(G − B)/(max − min) where R is the largest, 60 + 30·(B
    − R)/(max − min) where G is, else 120 + 30·(R − G)/(max − min); a negative one is 180 larger."""
    b, g, r = image.astype(np.float32)
    value = np.maximum(np.maximum(b, g), r)
    spread = value - np.minimum(np.minimum(b, g), r)
    per = 30 / np.where(spread > 0, spread, 1)
    hue = np.where(
        value == r, (g - b) * per, np.where(value == g, 60 + (b - r) * per, 120 + (r - g) * per)
    )
    hue = np.floor(hue + 0.5)
    hue = np.where(hue < 0, hue + 180, hue)
    saturation = 255 * spread / np.where(value > 0, value, 1)
    return as_bytes(np.stack([hue, saturation, value]))


def bgr_of(image: Array) -> Array:
    """An image in B, G, R of its hue, saturation and value; hues of 180 and more begin again.
    Values are rounded."""
    hue, saturation, value = image.astype(np.float32)
    sector, within = np.divmod(hue / 30, 1)
    share = saturation / 255
    low = value * (1 - share)
    falling, rising = value * (1 - share * within), value * (1 - share * (1 - within))
    # in the sectors of 60°: red to yellow, yellow to green, green to cyan, …
    which = sector.astype(np.intp) % 6
    r = np.choose(which, [value, falling, low, low, rising, value])
    g = np.choose(which, [rising, value, value, falling, low, low])
    b = np.choose(which, [low, low, rising, value, value, falling])
    return as_bytes(np.stack([b, g, r]))


def grey_of(image: Array) -> Array:
    """0.114·B + 0.587·G + 0.299·R, (H, W), in whole numbers as OpenCV counts."""
    b, g, r = image.astype(np.int32)
    grey: Array = (b * 1868 + g * 9617 + r * 4899 + 8192 >> 14).astype(np.uint8)
    return grey


def with_luminance(image: Array, luminance: Array) -> Array:
    """An image in B, G, R that has another luminance (H, W), and its differences of colours."""
    b, _, r = image.astype(np.float32)
    old = grey_of(image).astype(np.float32)
    red = as_bytes((r - old) * 0.713 + 128) - np.float32(128)
    blue = as_bytes((b - old) * 0.564 + 128) - np.float32(128)
    y = luminance.astype(np.float32)
    return as_bytes(np.stack([y + 1.773 * blue, y - 0.714 * red - 0.344 * blue, y + 1.403 * red]))

"""What `noise_param` does to images of bytes, (C, H, W), three channels in B, G, R."""

from __future__ import annotations

import io

import numpy as np

from caffelite.blob import Array
from caffelite.data.augment.colors import as_bytes, grey_of, hsv_of, with_luminance
from caffelite.data.images import read_image
from caffelite.optional import need
from caffelite.schema.augment import NoiseParameter

TILES, CLIP = 8, 4.0
"""Of `clahe`: tiles a side, and the most of a tile's pixels in a bin, in times the mean."""


def add_noise(image: Array, p: NoiseParameter, rng: np.random.Generator | None) -> Array:
    """All that the message asks for."""
    if p.decolorize:
        image = np.stack([grey_of(image)] * 3)
    if p.gauss_blur:
        image = blurred(image)
    for asked, equalize in ((p.hist_eq, equalized), (p.clahe, equalized_in_tiles)):
        if asked and len(image) == 3:
            image = with_luminance(image, equalize(grey_of(image)))
        elif asked:
            image = np.stack([equalize(plane) for plane in image])
    if p.jpeg > 0:
        image = as_jpeg(image, int(p.jpeg))
    if p.erode:
        image = eroded(image)
    if p.posterize:
        image = image // 64 * 64 + np.uint8(32)
    if p.inverse:
        image = 255 - image
    if p.saltpepper and rng is not None:
        image = peppered(image, p.saltpepper_param.fraction, p.saltpepper_param.value, rng)
    return hsv_of(image) if p.convert_to_hsv else image


def needs_three(p: NoiseParameter) -> list[str]:
    """The fields that only images of three channels can be treated with."""
    return [name for name in ("decolorize", "convert_to_hsv") if p.get(name)]


def blurred(image: Array) -> Array:
    """Mixed with a Gaussian of 7 x 7 pixels, σ = 1.5; the image is reflected at its edges."""
    taps = np.exp(-(np.arange(-3, 4) ** 2) / (2 * 1.5**2))
    taps /= taps.sum()
    wide = np.pad(image, ((0, 0), (3, 3), (3, 3)), "reflect").astype(np.float64)
    _, height, width = image.shape
    down = sum(tap * wide[:, i : i + height] for i, tap in enumerate(taps))
    assert isinstance(down, np.ndarray)
    return as_bytes(np.asarray(sum(t * down[:, :, i : i + width] for i, t in enumerate(taps))))


def equalized(plane: Array) -> Array:
    """A plane (H, W) whose values are spread: v becomes 255 times the share of the pixels above
    the lowest value that have at most v."""
    counts = np.bincount(plane.ravel(), minlength=256)
    lowest = int(np.flatnonzero(counts)[0])
    others = plane.size - counts[lowest]
    if not others:
        return plane
    below = np.cumsum(counts) - counts[lowest]
    spread: Array = as_bytes(np.maximum(below, 0) * np.float32(255 / others))[plane]
    return spread


def equalized_in_tiles(plane: Array) -> Array:
    """Each of 8 x 8 tiles is equalized by a curve of its own; between the tiles' centres pixels mix
    the curves of the four nearest. What a bin holds above 4 times the mean goes to all bins alike.

    Source: Zuiderveld 1994, Contrast Limited Adaptive Histogram Equalization."""
    height, width = plane.shape
    # OpenCV widens both sides, by a whole tile where one divides already
    both = height % TILES == 0 and width % TILES == 0
    more = [0, 0] if both else [TILES - height % TILES, TILES - width % TILES]
    wide = np.pad(plane, ((0, more[0]), (0, more[1])), "reflect")
    down, across = wide.shape[0] // TILES, wide.shape[1] // TILES
    curves = np.empty((TILES, TILES, 256))
    for i in range(TILES):
        for j in range(TILES):
            tile = wide[i * down : (i + 1) * down, j * across : (j + 1) * across]
            curves[i, j] = _curve(tile)
    y0, y1, v = _between(height, down)
    x0, x1, u = _between(width, across)
    corners = [curves[a[:, None], b, plane] for a in (y0, y1) for b in (x0, x1)]
    upper = corners[0] * (1 - u) + corners[1] * u
    lower = corners[2] * (1 - u) + corners[3] * u
    return as_bytes(upper * (1 - v[:, None]) + lower * v[:, None])


def _curve(tile: Array) -> Array:
    counts = np.bincount(tile.ravel(), minlength=256)
    limit = max(1, int(CLIP * tile.size / 256))
    over = int(np.maximum(counts - limit, 0).sum())
    counts = np.minimum(counts, limit) + over // 256
    rest = over % 256
    if rest:
        step = max(256 // rest, 1)
        counts[np.arange(0, 256, step)[:rest]] += 1
    return as_bytes(np.cumsum(counts) * np.float32(255 / tile.size))


def _between(size: int, tile: int) -> tuple[Array, Array, Array]:
    """For each place the tiles before and behind it, and the second's part."""
    at = np.arange(size, dtype=np.float32) / np.float32(tile) - np.float32(0.5)
    low = np.floor(at).astype(np.intp)
    return np.maximum(low, 0), np.minimum(low + 1, TILES - 1), at - low


def as_jpeg(image: Array, quality: int) -> Array:
    """The image as a JPEG file of this quality shows it."""
    pillow = need("PIL.Image", "Pillow", "writing images")
    pixels = np.ascontiguousarray(image[::-1].transpose(1, 2, 0))
    file = io.BytesIO()
    pillow.fromarray(pixels if len(image) == 3 else image[0]).save(file, "JPEG", quality=quality)
    return read_image(file.getvalue(), color=len(image) == 3)


def eroded(image: Array) -> Array:
    """The least of each pixel and the four beside it."""
    wide = np.pad(image, ((0, 0), (1, 1), (1, 1)), constant_values=255)
    least = image
    for rows, columns in ((0, 1), (2, 1), (1, 0), (1, 2)):
        beside = wide[:, rows : rows + image.shape[1], columns : columns + image.shape[2]]
        least = np.minimum(least, beside)
    return least


def peppered(image: Array, fraction: float, values: list[float], rng: np.random.Generator) -> Array:
    """Of so many pixels, as a share of all, each channel is set; they are drawn with repeats."""
    _, height, width = image.shape
    count = int(fraction * height * width)
    changed = image.copy()
    x, y = rng.integers(width, size=count), rng.integers(height, size=count)
    changed[:, y, x] = np.array(values, np.float32).astype(np.uint8)[:, None]
    return changed

"""Colours that are changed by chance: `distort_param`.

Images are bytes, (C, H, W), three channels in B, G, R. What is more than 255 becomes 255, what is
less than 0 becomes 0, and all is rounded."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array
from caffelite.data.augment.colors import as_bytes, bgr_of, hsv_of
from caffelite.schema.augment import DistortionParameter


def distort(image: Array, param: DistortionParameter, rng: np.random.Generator) -> Array:
    """Brightness, contrast, saturation and hue, each with its probability; in every second image,
    by chance, contrast comes after hue. The channels' order is last."""
    late = rng.random() <= 0.5
    steps = [_contrast, _saturation, _hue]
    if late:
        steps = [_saturation, _hue, _contrast]
    for step in (_brightness, *steps, _order):
        image = step(image, param, rng)
    return image


def _brightness(image: Array, p: DistortionParameter, rng: np.random.Generator) -> Array:
    if rng.random() >= p.brightness_prob:
        return image
    return brightened(image, rng.uniform(-p.brightness_delta, p.brightness_delta))


def _contrast(image: Array, p: DistortionParameter, rng: np.random.Generator) -> Array:
    if rng.random() >= p.contrast_prob:
        return image
    return contrasted(image, rng.uniform(p.contrast_lower, p.contrast_upper))


def _saturation(image: Array, p: DistortionParameter, rng: np.random.Generator) -> Array:
    if rng.random() >= p.saturation_prob:
        return image
    return saturated(image, rng.uniform(p.saturation_lower, p.saturation_upper))


def _hue(image: Array, p: DistortionParameter, rng: np.random.Generator) -> Array:
    if rng.random() >= p.hue_prob:
        return image
    return hued(image, rng.uniform(-p.hue_delta, p.hue_delta))


def _order(image: Array, p: DistortionParameter, rng: np.random.Generator) -> Array:
    if rng.random() >= p.random_order_prob:
        return image
    return image[rng.permutation(len(image))]


def brightened(image: Array, delta: float) -> Array:
    """value + delta."""
    return as_bytes(image + np.float32(delta))


def contrasted(image: Array, factor: float) -> Array:
    """value · factor; as it is where the factor is within 0.001 of 1."""
    return as_bytes(image * np.float32(factor)) if abs(factor - 1) > 1e-3 else image


def saturated(image: Array, factor: float) -> Array:
    """The image whose saturation, of hue, saturation and value, is `factor` times as large."""
    hsv = hsv_of(image)
    hsv[1] = as_bytes(hsv[1] * np.float32(factor))
    return bgr_of(hsv)


def hued(image: Array, delta: float) -> Array:
    """The image whose hue, in steps of 2° (0 to 179), is larger by `delta`. As in the original a
    hue below 0 is 0, while one of 180 and more begins again."""
    hsv = hsv_of(image)
    hsv[0] = as_bytes(hsv[0] + np.float32(delta))
    return bgr_of(hsv)


def three_channels(param: DistortionParameter) -> list[str]:
    """The fields with an effect that only images of three channels can have."""
    names = ("saturation_prob", "hue_prob", "random_order_prob")
    return [name for name in names if param.get(name) > 0]

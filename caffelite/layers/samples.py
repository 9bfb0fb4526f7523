"""Inputs without data: random values that the layers which read them accept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Layer

SAME = ("Reshape", "Flatten", "Split", "Permute", "Tile", "Concat", "Slice", "Crop", "Dropout")
"""Types whose tops hold values of their bottoms: what reads those, reads these."""

REGIONS = {
    "ROIPooling": "roi_pooling_param",
    "ROIAlign": "roi_pooling_param",
    "ROIWarping": "roi_warping_param",
    "PSROIPooling": "psroi_pooling_param",
}
"""Types whose second bottom is regions, and the message that has their scale."""


@runtime_checkable
class Demands(Protocol):
    """A layer that says what values a bottom may have, where not any will do."""

    def demanded(self, index: int, shape: Shape, rng: np.random.Generator) -> Array | None: ...


def random_inputs(
    layers: Sequence[Layer], shapes: Mapping[str, Shape], rng: np.random.Generator
) -> dict[str, Array]:
    """Values for inputs of these shapes, which `layers` read: normal ones, or those that a reader
    demands (labels, indices, marks of a sequence's start, regions, selectors)."""
    return {
        name: np.asarray(_draw(layers, name, shape, rng), layers[0].dtype)
        for name, shape in shapes.items()
    }


def _draw(layers: Sequence[Layer], name: str, shape: Shape, rng: np.random.Generator) -> Array:
    for layer, index in _readers(layers, name):
        values = _demanded(layer, index, shape, rng)
        if values is not None:
            return values
    return rng.normal(0, 1, shape)


def _readers(layers: Sequence[Layer], name: str) -> list[tuple[Layer, int]]:
    """The layers that read a blob, or what is made of it by layers that keep the values."""
    found, names = [], {name}
    for layer in layers:
        for index, bottom in enumerate(layer.spec.bottom):
            if bottom in names:
                found.append((layer, index))
                if layer.spec.type in SAME:
                    names.update(layer.spec.top)
    return found


def _demanded(layer: Layer, index: int, shape: Shape, rng: np.random.Generator) -> Array | None:
    if isinstance(layer, Demands):
        return layer.demanded(index, shape, rng)
    kind, shapes = layer.spec.type, layer.bottom_shapes
    if layer.compares and index == 1:
        return _labels(layer, shape, rng)
    if kind == "Embed":
        return rng.integers(0, layer.spec.get("embed_param").input_dim, shape)
    if (kind in ("LSTM", "RNN") and index == 1) or (kind == "LSTMUnit" and index == 2):
        marks = rng.integers(0, 2, shape)
        if kind != "LSTMUnit":
            marks[0] = 0  # a sequence starts with the pass
        return marks
    if kind == "BatchReindex" and index == 1:
        return rng.integers(0, shapes[0][0], shape)
    if kind == "Filter" and index == len(shapes) - 1:
        marks = rng.integers(0, 2, shape)
        marks.reshape(-1)[:1] = 1
        return marks
    if kind in REGIONS and index == 1:
        _, _, height, width = shapes[0]
        scale = layer.spec.get(REGIONS[kind]).spatial_scale
        rois = np.zeros((shape[0], 5))
        corners = rng.uniform(0, 1, (shape[0], 2, 2)) * [width / scale, height / scale]
        rois[:, 0] = rng.integers(0, shapes[0][0], shape[0])
        rois[:, 1:3], rois[:, 3:5] = corners.min(1), corners.max(1)
        return rois.reshape(shape)
    if layer.type == "Proposal" and index == 2:
        return _image_of(layer, shape)
    if kind in ("Upsample", "Unpooling") and index == 1:
        return _places(layer, shape, rng)
    if kind in ("Log", "Power"):
        return rng.uniform(0.5, 2, shape)
    if kind == "Pooling" and layer.spec.get("pooling_param").pool == 2:
        return rng.uniform(0, 1, shape)
    return None


def _labels(layer: Layer, shape: Shape, rng: np.random.Generator) -> Array | None:
    """Classes, or 0 and 1 for scores of yes and no; None for targets that may be any number."""
    scores = layer.bottom_shapes[0]
    if layer.learns_labels:
        return rng.integers(0, 2, shape)
    if shape == scores:
        return None
    return rng.integers(0, scores[1] if len(scores) > 1 else 2, shape)


def _image_of(layer: Layer, shape: Shape) -> Array:
    """Height and width of the image of a map of scores, and a scale of 1."""
    height, width = layer.bottom_shapes[0][2:]
    stride: int = layer.stride  # type: ignore[attr-defined]
    values = np.ones(shape)
    values.reshape(-1)[:2] = height * stride, width * stride
    return values


def _places(layer: Layer, shape: Shape, rng: np.random.Generator) -> Array:
    """A mask as a pooling makes it: no place twice in a plane."""
    places = int(np.prod(layer.top_shapes[0][2:]))
    count = int(np.prod(shape[2:]))
    planes = int(np.prod(shape[:2]))
    if count > places:
        return np.zeros(shape)
    drawn = [rng.permutation(places)[:count] for _ in range(planes)]
    return np.array(drawn).reshape(shape)

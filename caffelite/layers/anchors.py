"""Boxes of region proposal networks: anchors, their coding, overlap, suppression.

Boxes are (x1, y1, x2, y2) in pixels that belong to them, so a box is x2 − x1 + 1 wide.
Source: Ren et al. 2015, Faster R-CNN.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from caffelite.blob import Array
from caffelite.layers.base import Layer, Shapes, show
from caffelite.layers.finding import thinned

RATIOS = (0.5, 1.0, 2.0)
SCALES = (8.0, 16.0, 32.0)


def anchors_of(
    base: int = 16, ratios: Sequence[float] = RATIOS, scales: Sequence[float] = SCALES
) -> Array:
    """(A, 4): for each ratio (height/width), for each scale a box around the middle of a square
    of side `base`. Sides are rounded, halves to even, before they are scaled."""
    middle, found = (base - 1) / 2, []
    for ratio in ratios:
        width = np.round(np.sqrt(base * base / ratio))
        height = np.round(width * ratio)
        for scale in scales:
            w, h = (width * scale - 1) / 2, (height * scale - 1) / 2
            found.append((middle - w, middle - h, middle + w, middle + h))
    return np.array(found)


def shifted(anchors: Array, height: int, width: int, stride: int) -> Array:
    """(H·W·A, 4): the anchors at each cell of a map, row by row."""
    x, y = np.meshgrid(np.arange(width) * stride, np.arange(height) * stride)
    shifts = np.stack([x, y, x, y], -1).reshape(-1, 1, 4).astype(anchors.dtype)
    boxes: Array = (shifts + anchors).reshape(-1, 4)
    return boxes


def _centres(boxes: Array) -> tuple[Array, Array, Array, Array]:
    w, h = boxes[:, 2] - boxes[:, 0] + 1, boxes[:, 3] - boxes[:, 1] + 1
    return boxes[:, 0] + 0.5 * w, boxes[:, 1] + 0.5 * h, w, h


def coded(boxes: Array, targets: Array) -> Array:
    """(N, 4): how each target differs from its box: ((x − x_b)/w_b, (y − y_b)/h_b, ln w/w_b,
    ln h/h_b), of centres and sides."""
    xb, yb, wb, hb = _centres(boxes)
    x, y, w, h = _centres(targets)
    return np.stack([(x - xb) / wb, (y - yb) / hb, np.log(w / wb), np.log(h / hb)], 1)


def decoded(boxes: Array, codes: Array) -> Array:
    """The inverse of `coded`, but for the last pixel: x2 = x + w/2, as the original has it."""
    xb, yb, wb, hb = _centres(boxes)
    x, y = codes[:, 0] * wb + xb, codes[:, 1] * hb + yb
    w, h = np.exp(codes[:, 2]) * wb, np.exp(codes[:, 3]) * hb
    return np.stack([x - 0.5 * w, y - 0.5 * h, x + 0.5 * w, y + 0.5 * h], 1)


def overlaps(a: Array, b: Array) -> Array:
    """(A, B): intersection over union."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:4], b[None, :, 2:4])
    both = np.prod(np.clip(high - low + 1, 0, None), -1)
    shares: Array = both / (_area(a)[:, None] + _area(b)[None] - both)
    return shares


def _area(boxes: Array) -> Array:
    area: Array = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)
    return area


def suppressed(boxes: Array, threshold: float, most: int) -> list[int]:
    """Which boxes, best first as given, are left if none may overlap a better one by more than
    `threshold`; at most so many."""
    area = _area(boxes)

    def apart(best: int, others: Array) -> Array:
        low = np.maximum(boxes[best, :2], boxes[others, :2])
        high = np.minimum(boxes[best, 2:], boxes[others, 2:])
        both = np.prod(np.clip(high - low + 1, 0, None), 1)
        stay: Array = both / (area[best] + area[others] - both) <= threshold
        return stay

    return thinned(len(boxes), apart, most)


_ENTRY = re.compile(r"""['"]?(\w+)['"]?\s*:\s*(?:!![\w/.]+\s*)?(\[[^\]]*\]|\([^)]*\)|[^,\n}]+)""")


def param_str(layer: Layer, known: dict[str, object]) -> dict[str, list[float]]:
    """The numbers in a Python layer's param_str, "'feat_stride': 16": name to values; YAML's types
    (`!!python/tuple [4, 8]`) are passed over. An entry that
    is not `known` is refused: it would be passed over."""
    text = layer.spec.get("python_param").param_str
    found: dict[str, list[float]] = {}
    for name, value in _ENTRY.findall(text):
        if name not in known:
            layer.fail(
                f'"{name}" in param_str is not known',
                "python_param",
                "param_str",
                expected="one of " + ", ".join(known),
            )
        numbers = re.findall(r"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?", value)
        if not numbers:
            layer.fail(
                f'"{name}" in param_str is "{value.strip()}"',
                "python_param",
                "param_str",
                expected="numbers",
            )
        found[name] = [float(n) for n in numbers]
    return found


def with_stride(layer: Layer, known: dict[str, object]) -> tuple[dict[str, list[float]], int]:
    """As `param_str`, which must say how many pixels a cell has; and that number."""
    said = param_str(layer, {"feat_stride": 16, **known})
    if "feat_stride" not in said:
        layer.fail(
            "param_str has no feat_stride",
            "python_param",
            "param_str",
            expected="param_str: \"'feat_stride': 16\"",
        )
    return said, int(said["feat_stride"][0])


def check_maps(layer: Layer, bottom: Shapes, count: int, codes: int, said: str) -> None:
    """Refuse scores, codes or im_info that are not those of one image, with `count` anchors a cell,
    `codes` values each; `said` describes the anchors."""
    scores, deltas, info = bottom
    size = scores[2:] if len(scores) == 4 else (1, 1)
    for i, (shape, wanted) in enumerate(
        ((scores, (1, 2 * count, *size)), (deltas, (1, codes * count, *size)))
    ):
        if shape != wanted:
            name = layer.spec.bottom[i]
            layer.fail(
                f'bottom "{name}" is {show(shape)}',
                "bottom",
                index=i,
                expected=f"{show(wanted)}, for {said}",
            )
    if len(info) < 1 or info[-1] < 3:
        name = layer.spec.bottom[2]
        layer.fail(f'bottom "{name}" is {show(info)}', "bottom", index=2, expected="1 x 3")

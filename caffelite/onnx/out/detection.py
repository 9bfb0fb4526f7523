"""SSD's last layers: prior boxes, and the choice among decoded boxes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from caffelite.layers.prior_box import CodeType
from caffelite.onnx.dims import Dim, Extent
from caffelite.onnx.out.place import Place, Unsayable, says
from caffelite.onnx.out.thinning import or_nothing, shared_sides, suppressed, thinned


@says("PriorBox", "PriorBoxClustered")
def prior_box(layer: Any, at: Place) -> None:
    """The boxes depend on extents alone, so they are constants."""
    priors = np.zeros(layer.top_shapes[0], np.float32)
    layer.forward([np.zeros(1, np.float32)] * 2, [priors])
    at.fixed(priors, at.tops[0])


@says("DetectionOutput")
def detection_output(layer: Any, at: Place) -> None:
    """Decoded boxes of each class, its best ones, NonMaxSuppression, the best of the image; then
    the rows in Caffe's order: image, class, score from the best down.

    Images times classes are what NonMaxSuppression takes as its batch, so that each class brings
    boxes of its own, and only the best `top_k` of them."""
    p, nms = layer.param, layer.param.nms_param
    images: Dim = at.bottom_dims[0][0]
    count = math.prod(layer.bottom_shapes[2][1:]) // 8
    classes = [c for c in range(p.num_classes) if c != p.background_label_id]
    if not classes or not count:
        raise Unsayable("it has no class but the background, or no boxes")
    most = min(nms.top_k, count) if nms.has("top_k") and nms.top_k > -1 else count
    if most == 0 or p.keep_top_k == 0:
        raise Unsayable("it keeps no boxes at all")
    boxes = _decoded(layer, at, images, count)  # (N, priors, boxes, 4)
    scores = at.reshape(at.bottoms[1], (images, count, p.num_classes))
    scores = at.op("Transpose", scores, perm=[0, 2, 1])  # (N, C, priors)
    if len(classes) < p.num_classes:
        scores = at.op("Gather", scores, np.array(classes), axis=1)
    best, order = at.ops("TopK", scores, [most], outs=[None, None], axis=2)
    candidates = _of_classes(layer, at, boxes, order, classes, images, most)
    rows: Dim = images * len(classes) if isinstance(images, int) else Extent(len(classes))
    kept = _kept(at, candidates, best, rows, most, p)
    mask = at.reshape(kept, (images, len(classes) * most))
    flat_scores = at.reshape(best, (images, len(classes) * most))
    if p.keep_top_k > -1 and p.keep_top_k < len(classes) * most:
        mask = _best_of_image(at, mask, flat_scores, p.keep_top_k)
    flat_boxes = at.reshape(candidates, (images, len(classes) * most, 4))
    _rows(at, mask, flat_scores, flat_boxes, np.array(classes, np.float32), most)


def _decoded(layer: Any, at: Place, images: Dim, count: int) -> str:
    """The boxes' corners, (N, priors, boxes, 4), as `caffelite.layers.detection_output.decode`."""
    p = layer.param
    kinds = 1 if p.share_location else p.num_classes
    codes = at.reshape(at.bottoms[0], (images, count, kinds, 4))
    both = at.reshape(at.bottoms[2], (2, count, 1, 4))
    priors, variances = (at.op("Gather", both, np.array(i), axis=0) for i in (0, 1))
    if not p.variance_encoded_in_target:
        codes = at.op("Mul", codes, variances)
    if p.code_type == CodeType.CORNER:
        return at.op("Add", priors, codes)
    low, high = at.ops("Split", priors, [2, 2], outs=[None, None], axis=2)
    size = at.op("Sub", high, low)
    if p.code_type == CodeType.CORNER_SIZE:
        sizes = at.op("Concat", size, size, axis=2)
        return at.op("Add", priors, at.op("Mul", codes, sizes))
    move, grow = at.ops("Split", codes, [2, 2], outs=[None, None], axis=3)
    middle = at.op("Mul", at.op("Add", low, high), 0.5)
    center = at.op("Add", middle, at.op("Mul", move, size))
    half = at.op("Mul", at.op("Mul", at.op("Exp", grow), size), 0.5)
    return at.op("Concat", at.op("Sub", center, half), at.op("Add", center, half), axis=3)


def _of_classes(
    layer: Any, at: Place, boxes: str, order: str, classes: list[int], images: Dim, most: int
) -> str:
    """The corners of each class's best boxes, (N, C, most, 4)."""
    if layer.param.share_location:
        # one set of boxes for all classes: pick from (N, priors, 4) by (N, C·most)
        boxes = at.reshape(boxes, (images, math.prod(layer.bottom_shapes[2][1:]) // 8, 4))
        index = at.reshape(order, (images, len(classes) * most, 1))
        index = at.op("Expand", index, [1, 1, 4])
        picked = at.op("GatherElements", boxes, index, axis=1)
        return at.reshape(picked, (images, len(classes), most, 4))
    boxes = at.op("Transpose", boxes, perm=[0, 2, 1, 3])
    if len(classes) < layer.param.num_classes:
        boxes = at.op("Gather", boxes, np.array(classes), axis=1)
    index = at.op("Expand", at.op("Unsqueeze", order, np.array([3])), [1, 1, 1, 4])
    return at.op("GatherElements", boxes, index, axis=2)


def _kept(at: Place, candidates: str, best: str, rows: Dim, most: int, p: Any) -> str:
    """1 for the candidates that are kept, 0 for others: (N·C, most)."""
    corners, nms = at.reshape(candidates, (rows, most, 4)), p.nms_param
    least = float(p.confidence_threshold) if p.has("confidence_threshold") else None
    if nms.eta < 1 and nms.nms_threshold > 0.5:
        return _kept_by_falling(at, corners, at.reshape(best, (rows, most)), least, most, nms)
    if p.code_type != CodeType.CENTER_SIZE:
        # a turned-over box has no area in Caffe; ONNX would turn it back
        low, high = at.ops("Split", corners, [2, 2], outs=[None, None], axis=2)
        turned = at.cast(at.op("Less", high, low), float)
        turned = at.reduce("ReduceMax", turned, [2], True)
        upright = at.op("Greater", 0.5, turned)
        high = at.op("Where", upright, high, low)
        corners = at.op("Concat", low, high, axis=2)
    scores = at.reshape(best, (rows, 1, most))
    return suppressed(at, corners, scores, nms.nms_threshold, least, most)


def _kept_by_falling(
    at: Place, corners: str, scores: str, least: float | None, most: int, nms: Any
) -> str:
    """As `_kept`, with a threshold that falls with each box kept, down to 0.5."""
    falling = [nms.nms_threshold]
    while falling[-1] > 0.5 and len(falling) < most:
        falling.append(falling[-1] * nms.eta)
    if least is not None:
        good = at.op("Greater", scores, least)
        scores = at.op("Where", good, scores, float("-inf"))
    low, high = at.ops("Split", corners, [2, 2], outs=[None, None], axis=2)
    sides = at.op("Max", at.op("Sub", high, low), 0.0)
    areas = at.reduce("ReduceProd", sides, [2], False)

    def meets(inside: Place, all_: Sequence[str], one: Sequence[str], kept: str) -> str:
        common = shared_sides(inside, all_[0], one[0])
        common = inside.reduce("ReduceProd", inside.op("Max", common, 0.0), [2], False)
        union = inside.op("Sub", inside.op("Add", all_[1], one[1]), common)
        whole = inside.op("Where", inside.op("Greater", union, 0.0), union, 1.0)
        number = inside.op("Min", inside.cast(kept, int), np.array(len(falling) - 1))
        limit = inside.op("Gather", np.array(falling, np.float32), number, axis=0)
        return inside.op("Greater", inside.op("Div", common, whole), limit)

    return thinned(at, [corners, areas], scores, meets)


def _best_of_image(at: Place, mask: str, scores: str, keep: int) -> str:
    """The mask without what is not among the image's best."""
    lowest = float(np.finfo(np.float32).min)
    valued = at.op("Where", at.op("Greater", mask, 0.5), scores, lowest)
    _, index = at.ops("TopK", valued, [keep], outs=[None, None], axis=1)
    zeros = at.op("Mul", mask, 0.0)
    ones = at.op("Expand", 1.0, at.op("Shape", index))
    return at.op("Mul", mask, at.op("ScatterElements", zeros, index, ones, axis=1))


def _rows(at: Place, mask: str, scores: str, boxes: str, classes: Any, most: int) -> None:
    """The detections, (1, 1, number, 7): image, class, score, corners. Without any, one row for
    each image: its number and six times -1."""
    found = at.op("Transpose", at.op("NonZero", at.op("Greater", mask, 0.5)), perm=[1, 0])
    image, slot = at.ops("Split", found, [1, 1], outs=[None, None], axis=1)
    names = at.op("Gather", classes, at.op("Div", slot, np.array(most)), axis=0)
    score = at.op("Unsqueeze", at.op("GatherND", scores, found), np.array([1]))
    corners = at.op("GatherND", boxes, found)
    rows = at.op("Concat", at.cast(image, float), names, score, corners, axis=1)
    rows = or_nothing(at, rows, at.extents(mask, 0, 1))
    at.op("Unsqueeze", rows, np.array([0, 1]), out=at.tops[0])

"""Random nets of one layer that finds boxes, or labels, and inputs of many ties: scores and codes
are rounded, so that scores are equal and boxes the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Rng = np.random.Generator
Made = tuple[str, dict[str, np.ndarray]]


def _text(kind: str, inputs: dict[str, np.ndarray], param: str, tops: int) -> str:
    lines = [
        f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ '
        + " ".join(f"dim: {n}" for n in value.shape)
        + " } } }"
        for name, value in inputs.items()
    ]
    bottoms = " ".join(f'bottom: "{name}"' for name in inputs)
    names = " ".join(f'top: "y{i}"' for i in range(tops))
    lines.append(f'layer {{ name: "out" type: "{kind}" {bottoms} {names} {param} }}')
    return "\n".join(lines)


def _rounded(rng: Rng, values: np.ndarray) -> np.ndarray:
    steps = float(rng.choice([2, 8, 1e6]))
    return np.round(values * steps) / steps


def _repeated(rng: Rng, values: np.ndarray) -> np.ndarray:
    """Maps (N, C, H, W) in which all rows may be the first one: equal scores, to the last bit, in
    any arithmetic, as those of rounded values are not."""
    return np.repeat(values[:, :, :1], values.shape[2], 2) if rng.random() < 0.5 else values


def _chosen(rng: Rng, *values: object) -> object:
    return values[int(rng.integers(len(values)))]


def proposal(rng: Rng) -> Made:
    ratios, scales = int(rng.integers(1, 4)), int(rng.integers(1, 3))
    count, h, w = ratios * scales, *(int(n) for n in rng.integers(1, 6, 2))
    inputs = {
        "scores": _rounded(rng, rng.uniform(0, 1, (1, 2 * count, h, w))),
        "deltas": _rounded(rng, rng.normal(0, 0.5, (1, 4 * count, h, w))),
        "info": np.array([[16.0 * h, 16.0 * w, _chosen(rng, 1.0, 1.6)]]),
    }
    param = " ".join(
        [
            *(f"ratio: {r}" for r in (0.5, 1, 2)[:ratios]),
            *(f"scale: {s}" for s in (1, 2, 8)[:scales]),
            f"min_size: {_chosen(rng, 0, 4, 16, 90)} nms_thresh: {_chosen(rng, 0, 0.3, 0.5, 0.7)}",
            f"pre_nms_topn: {_chosen(rng, 3, 12, 6000)} post_nms_topn: {_chosen(rng, 1, 5, 300)}",
        ]
    )
    tops = int(rng.integers(1, 3))
    return _text("Proposal", inputs, f"proposal_param {{ {param} }}", tops), inputs


def yolov3(rng: Rng) -> Made:
    maps, boxes, classes = (int(n) for n in rng.integers(1, 4, 3))
    images = int(rng.integers(1, 3))
    inputs = {
        f"map{i}": _repeated(
            rng,
            rng.normal(
                0, 1, (images, boxes * (5 + classes), *(int(n) for n in rng.integers(1, 5, 2)))
            ),
        )
        for i in range(maps)
    }
    biases = " ".join(f"biases: {n}" for n in rng.integers(4, 60, 2 * maps * boxes))
    masks = " ".join(f"mask: {i}" for i in rng.permutation(maps * boxes))
    scales = " ".join(f"anchors_scale: {n}" for n in (8, 16, 32)[:maps])
    param = (
        f"num_classes: {classes} num_box: {boxes} mask_group_num: {maps} {biases} {masks} {scales} "
        f"confidence_threshold: {_chosen(rng, 0.01, 0.25, 0.5, 0.999)} "
        f"nms_threshold: {_chosen(rng, 0, 0.25, 0.45, 0.5, 1, 1.5)}"
    )
    text = _text("Yolov3DetectionOutput", inputs, f"yolov3_detection_output_param {{ {param} }}", 1)
    return text, inputs


def yolo(rng: Rng) -> Made:
    maps, boxes, classes, images = (int(n) for n in rng.integers(1, 3, 4))
    inputs = {}
    for i in range(maps):
        side = int(rng.integers(1, 5))
        inputs[f"map{i}"] = _repeated(
            rng, rng.normal(0, 1, (images, boxes * (5 + classes), side, side))
        )
    biases = " ".join(f"biases: {n:g}" for n in rng.integers(1, 9, 2 * boxes) / 2)
    param = (
        f"num_classes: {classes} num_box: {boxes} {biases} "
        f"confidence_threshold: {_chosen(rng, 0.01, 0.25, 0.5, 0.999)} "
        f"nms_threshold: {_chosen(rng, 0, 0.25, 0.45, 0.5, 1, 1.5)}"
    )
    text = _text("YoloDetectionOutput", inputs, f"yolo_detection_output_param {{ {param} }}", 1)
    return text, inputs


def _normal(rng: Rng) -> str:
    if rng.random() < 0.5:
        return ""
    means = " ".join("bbox_mean: 0.125" for _ in range(4))
    return (
        f"bbox_reg_param {{ {means} {' '.join(f'bbox_std: {s}' for s in (0.25, 0.5, 0.5, 0.25))} }}"
    )


def _limits(rng: Rng) -> str:
    return (
        f"iou_thr: {_chosen(rng, 0.25, 0.4, 0.5, 0.75)} fg_thr: {_chosen(rng, -5, 0, 0.5)} "
        f"min_size: {_chosen(rng, 0, 8, 14)} max_nms_num: {_chosen(rng, 0, 3, 9)} "
        f"max_post_nms_num: {_chosen(rng, 0, 2, 5)}"
    )


def box_output(rng: Rng) -> Made:
    maps, images, classes = (int(n) for n in rng.integers(1, 3, 3))
    inputs = {
        f"map{i}": _rounded(
            rng,
            rng.normal(0, 0.7, (images, 5 + classes, *(int(n) for n in rng.integers(1, 5, 2)))),
        )
        for i in range(maps)
    }
    fields = " ".join(
        f"field_h: {_chosen(rng, 16, 24, 40)} field_w: {_chosen(rng, 16, 32)} "
        f"downsample_rate: {_chosen(rng, 8, 16)}"
        for _ in range(maps)
    )
    kind = _chosen(rng, "IOU", "IOFMAX", "IOFMIN")
    param = f'box_output_param {{ {fields} nms_type: "{kind}" {_limits(rng)} }} {_normal(rng)}'
    return _text("BoxOutput", inputs, param, int(rng.integers(1, 3))), inputs


def box_group_output(rng: Rng) -> Made:
    maps, images, classes = (int(n) for n in rng.integers(1, 3, 3))
    inputs, groups = {}, []
    for i in range(maps):
        fields, (h, w) = int(rng.integers(1, 4)), (int(n) for n in rng.integers(1, 4, 2))
        shape = (images * fields, 1 + classes, h, w)
        inputs[f"prob{i}"] = _rounded(rng, rng.uniform(0, 1, shape))
        inputs[f"codes{i}"] = _rounded(rng, rng.normal(0, 0.7, (shape[0], 4, h, w)))
        sizes = " ".join(
            f"field_h: {_chosen(rng, 8, 16)} field_w: {_chosen(rng, 8, 24)}" for _ in range(fields)
        )
        groups.append(f"box_group_param {{ stride: {_chosen(rng, 8, 16)} {sizes} }}")
    kind = _chosen(rng, "IOU", "IOMU", "IOFU")
    param = (
        f'box_group_output_param {{ {" ".join(groups)} nms_type: "{kind}" {_limits(rng)} }} '
        + _normal(rng)
    )
    return _text("BoxGroupOutput", inputs, param, int(rng.integers(1, 3))), inputs


def _regions(rng: Rng, count: int) -> np.ndarray:
    low = rng.integers(-2, 40, (count, 2))
    high = low + rng.integers(-3, 40, (count, 2))
    image = rng.integers(0, 2, (count, 1))
    return np.concatenate([image, low, high], 1).astype(float)


def scale_route(rng: Rng) -> Made:
    count = int(rng.integers(1, 8))
    inputs = {"rois": _regions(rng, count), "more": rng.normal(size=(count, 2, 3))}
    low = f"low_scale: {_chosen(rng, 4, 10, 30)} " if rng.random() < 0.7 else ""
    high = f"high_scale: {_chosen(rng, 31, 40, 90)}" if rng.random() < 0.7 else ""
    return _text("ScaleRoute", inputs, f"scale_route_param {{ {low} {high} }}", 2), inputs


def decode_bbox(rng: Rng) -> Made:
    count = int(rng.integers(1, 8))
    inputs = {"codes": rng.normal(0, 0.5, (count, 8)), "rois": _regions(rng, count)}
    return _text("DecodeBBox", inputs, _normal(rng), 1), inputs


def detection(rng: Rng) -> Made:
    """DetectionOutput with a threshold that falls."""
    images, count = int(rng.integers(1, 3)), int(rng.integers(1, 20))
    low = rng.integers(0, 12, (count, 2)) / 16
    corners = np.concatenate([low, low + rng.integers(2, 5, (count, 2)) / 16], 1)
    inputs = {
        "loc": _rounded(rng, rng.normal(0, 1, (images, 4 * count))),
        "conf": _rounded(rng, rng.uniform(0, 1, (images, 3 * count))),
        "priors": np.stack([corners.ravel(), np.full(4 * count, 0.125)])[None],
    }
    code = _chosen(rng, "CORNER", "CENTER_SIZE", "CORNER_SIZE")
    param = (
        f"num_classes: 3 code_type: {code} confidence_threshold: {_chosen(rng, 0.1, 0.5)} "
        f"keep_top_k: {_chosen(rng, -1, 4)} nms_param {{ nms_threshold: {_chosen(rng, 0.6, 0.9)} "
        f"eta: {_chosen(rng, 0.5, 0.8, 0.95)} top_k: {_chosen(rng, 5, 400)} }}"
    )
    return _text("DetectionOutput", inputs, f"detection_output_param {{ {param} }}", 1), inputs


def ctc(rng: Rng) -> Made:
    """CTCGreedyDecoder."""
    steps, count, classes = (
        int(rng.integers(1, 9)),
        int(rng.integers(1, 4)),
        int(rng.integers(2, 4)),
    )
    inputs = {"x": rng.uniform(0, 1, (steps, count, classes))}
    if rng.random() < 0.6:
        inputs["go"] = rng.integers(0, 4, (steps, count)).clip(0, 1).astype(float)
    blank = f"blank_index: {_chosen(rng, -1, 0, 1)}" if rng.random() < 0.5 else ""
    merge = f"ctc_merge_repeated: {_chosen(rng, 'true', 'false')}"
    param = f"ctc_decoder_param {{ {blank} {merge} }}"
    return _text("CTCGreedyDecoder", inputs, param, int(rng.integers(1, 3))), inputs


KINDS: dict[str, Callable[[Rng], Made]] = {
    "Proposal": proposal,
    "Yolov3DetectionOutput": yolov3,
    "YoloDetectionOutput": yolo,
    "BoxOutput": box_output,
    "BoxGroupOutput": box_group_output,
    "ScaleRoute": scale_route,
    "DecodeBBox": decode_bbox,
    "DetectionOutput": detection,
    "CTCGreedyDecoder": ctc,
}


def random_boxes(seed: int, kind: str = "") -> Made:
    """A net and its inputs, by seed; of all kinds in turn, or of one."""
    names = list(KINDS)
    text, inputs = KINDS[kind or names[seed % len(names)]](np.random.default_rng(seed))
    return text, {name: np.float32(value) for name, value in inputs.items()}

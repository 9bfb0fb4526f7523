"""What forks added to Caffe's V1 format: types of layers, their messages, and crops that find their
own place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from caffelite.errors import Problem, SchemaError, closest
from caffelite.schema.bind import bind_into
from caffelite.schema.legacy_messages import V1LayerParameter, V1LayerType
from caffelite.schema.net import LayerParameter
from caffelite.text import Block, Field, Scalar

_TODAY = {
    "BN": "BN",
    "DECONVOLUTION3D": "Deconvolution3D",
    "ELTWISE_ACCURACY": "EltwiseAccuracy",
    "ELU": "ELU",
    "IMAGE_SEG_DATA": "ImageSegData",
    "INTERP": "Interp",
    "LSTM": "LSTM",
    "MCWINDOW_DATA": "McWindowData",
    "NORMALIZE": "Normalize",
    "PRELU": "PReLU",
    "RNN": "RNN",
    "ROIPOOLING": "ROIPooling",
    "ROI_POOLING": "ROIPooling",
    "SPP": "SPP",
    "UNPOOLING": "Unpooling",
    "VIDEO_DATA": "VideoData",
    "VOXEL_SOFTMAX": "Softmax",
    "VOXEL_SOFTMAX_LOSS": "SoftmaxWithLoss",
    "WINDOW_SEG_DATA": "WindowSegData",
}
"""Words of forks whose new name is not the old one in CamelCase, or that look like a slip."""


def of_a_fork(message: V1LayerParameter, block: Block, item: Field) -> bool:
    """Is it a fork's type of layer, which V1LayerType does not have and does not resemble, or the
    parameters of such a type?"""
    if item.name == "type":
        return _word(item) != ""
    first = block.first("type") if isinstance(item.value, Block) else None
    return first is not None and _word(first) != ""


def _word(item: Field) -> str:
    value = item.value
    if not isinstance(value, Scalar) or value.kind != "word":
        return ""
    word, known = str(value.value), V1LayerType.__members__
    new = word in _TODAY or (word not in known and closest(word, known) is None)
    return word if new and word.isupper() else ""


def take_over(old: V1LayerParameter, new: LayerParameter) -> str:
    """Give a layer of today what its old form has of a fork: its type, and its parameters, which
    are read if a layer of today has them. Returns the old name of the type, or nothing. Raises
    SchemaError where a field in them is wrong."""
    problems: list[Problem] = []
    found = ""
    for item in old.foreign:
        spec = LayerParameter.specs.get(item.name)
        if item.name == "type" and isinstance(item.value, Scalar):
            found = str(item.value.value)
            new.type = _TODAY.get(found, found.title().replace("_", ""))
            new._spans["type"] = [item.value.span]
        elif spec is not None and spec.message_type is not None and isinstance(item.value, Block):
            item.value.span = item.span
            setattr(new, item.name, bind_into(item.value, spec.message_type, problems))
            new._spans[item.name] = [item.span]
        else:
            new.keep_foreign(item)
    if found == "NORM":
        homes = {"lrn_param": "LRN", "norm_param": "Normalize"}
        new.type = next((kind for name, kind in homes.items() if new.has(name)), "Norm")
    if problems:
        raise SchemaError(*problems)
    return found


Place = tuple[float, float]
"""(scale, shift): the place i of one blob is i·scale + shift of another."""


def align(crop: LayerParameter, layers: Sequence[LayerParameter]) -> list[int]:
    """How many rows and columns a crop leaves out in front, so that its first bottom comes to lie
    on its second: both go back, each layer by its first bottom, to one blob, and windows say how
    places on the way relate (longjon's fork, FCN, HED). Raises SchemaError where nothing says
    so."""
    makers: dict[str, LayerParameter] = {}
    for layer in layers:
        for name in layer.top:
            makers.setdefault(name, layer)
    back = [_way(name, makers, crop) for name in crop.bottom[:2]]
    if len(back) < 2:
        return [0, 0]
    shared = next((name for name in back[1] if name in back[0]), "")
    if not shared:
        _refuse(crop, "its two bottoms go back to no blob that they share")
    offsets = []
    for axis in range(2):
        (scale, shift), (to_scale, to_shift) = (way[shared][axis] for way in back)
        offset = shift - to_shift * scale / to_scale
        if scale != to_scale or offset < 0 or offset != round(offset):
            _refuse(
                crop,
                f"place i of the second bottom is i·{scale / to_scale:g} + {offset:g} of the first",
            )
        offsets.append(round(offset))
    return offsets


def _way(
    name: str, makers: dict[str, LayerParameter], crop: LayerParameter
) -> dict[str, list[Place]]:
    """The blobs that a blob comes from, the nearest first, each with the place of its pixels in it
    along both axes."""
    found = {name: [(1.0, 0.0)] * 2}
    while name in makers:
        layer = makers[name]
        here = found[name]
        bottoms = [b for b in layer.bottom[:1] if b not in found]
        if not bottoms:
            break
        steps = [_step(layer, axis) for axis in range(2)]
        name = bottoms[0]
        found[name] = [(a * s, a * t + b) for (a, b), (s, t) in zip(here, steps)]
    return found


def _step(layer: LayerParameter, axis: int) -> Place:
    """Where a place of a layer's first bottom is in its top."""
    if layer.type in ("Convolution", "Pooling", "Deconvolution"):
        param = layer.get("pooling_param" if layer.type == "Pooling" else "convolution_param")
        kernel, stride, pad = (
            _extent(param, name, axis, default)
            for name, default in (("kernel", 0), ("stride", 1), ("pad", 0))
        )
        middle = (kernel - 1) / 2 - pad
        if layer.type == "Deconvolution":
            return float(stride), middle
        return 1 / stride, -middle / stride
    if layer.type == "Crop":
        offset = layer.get("crop_param").offset or [0]
        return 1.0, -float(offset[min(axis, len(offset) - 1)])
    return 1.0, 0.0


def _extent(param: Any, name: str, axis: int, default: int) -> int:
    side = f"{name}_{'hw'[axis]}"
    if param.has(side):
        return int(param.get(side))
    value = param.get("kernel_size" if name == "kernel" else name)
    if isinstance(value, list):
        value = value[min(axis, len(value) - 1)] if value else default
    return int(value)


def _refuse(crop: LayerParameter, why: str) -> None:
    raise SchemaError(
        Problem(
            f'layer "{crop.name}" (CROP): it cannot be seen how much to leave out: {why}',
            crop.span("type"),
            hint="`crop_param { offset: … }` says it, in a layer of today's format",
        )
    )

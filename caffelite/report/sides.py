"""Sides: how large a net's images are, where their data layer does not say it but the net does."""

from __future__ import annotations

from collections.abc import Sequence

from caffelite.blob import Shape
from caffelite.schema.net import LayerParameter, NetParameter

CAMVID = (360, 480)
"""Height and width of the images that SegNet learns from. Its Upsample layers have `pad_out_h`
where a pooling halves an odd number of rows of these."""


def sides_of_net(net: NetParameter, top: str) -> Shape | None:
    """Height and width of the images `top`: what a layer of another phase gives that name, or what
    Upsample asks for, or None."""
    for spec in net.layer:
        if top in spec.top and not spec.bottom:
            for shape in (*spec.get("dummy_data_param").shape, *spec.get("input_param").shape)[:1]:
                if spec.top[0] == top and len(shape.dim) == 4:
                    return tuple(shape.dim[2:])
    return _by_upsampling(net, top)


def _by_upsampling(net: NetParameter, top: str) -> Shape | None:
    makers = {name: spec for spec in net.layer for name in spec.top if name not in spec.bottom}
    found: list[tuple[int, Shape]] = []
    padded = False
    for spec in net.layer:
        param = spec.get("upsample_param")
        if len(spec.bottom) < 2 or not spec.has("upsample_param"):
            continue
        padded |= param.pad_out_h or param.pad_out_w
        pooling = makers.get(spec.bottom[1])
        steps = _steps(pooling, makers, top) if pooling is not None else None
        if steps is not None and param.has("upsample_h") and param.has("upsample_w"):
            found.append((steps, (param.upsample_h * steps, param.upsample_w * steps)))
    if found:
        return min(found)[1]
    return CAMVID if padded else None


def _steps(spec: LayerParameter, makers: dict[str, LayerParameter], top: str) -> int | None:
    """How many pixels of the images one of this layer's bottom is; None if another blob is behind
    it."""
    steps, seen = 1, {id(spec)}
    name: str | None = _first(spec.bottom)
    while name is not None and name != top:
        maker = makers.get(name)
        if maker is None or id(maker) in seen:
            return None
        seen.add(id(maker))
        steps *= _stride(maker)
        name = _first(maker.bottom)
    return steps if name is not None else None


def _first(names: Sequence[str]) -> str | None:
    return names[0] if names else None


def _stride(spec: LayerParameter) -> int:
    """By how much images become smaller in a pooling or convolution."""
    pooled: int = spec.get("pooling_param").stride
    strides: list[int] = spec.get("convolution_param").stride
    return max(pooled, *strides[:1], 1)

"""The window that a layer's text describes: kernel, stride, pad and dilation, read in one way for
convolutions, poolings and all others.

Each is given once for all spatial axes (`stride: 2`), or once for each where the field repeats
(`stride: 2 stride: 1`), or for two spatial axes by its sides (`stride_h: 2 stride_w: 1`). A kernel
has to be given; the others are 1, 0 and 1. A side of a pad that is left out is 0; of a kernel or
stride both sides are given. Bounds (1 or more) are the fields' own.
"""

from __future__ import annotations

from caffelite.blob import Shape
from caffelite.kernels import Window
from caffelite.layers.base import Layer, registry
from caffelite.schema.net import LayerParameter


def read_window(layer: Layer, group: str, rank: int, kernel: Shape | None = None) -> Window:
    """The window over `rank` spatial axes that the message `group` of a layer describes; `kernel`
    stands for one that the text does not give. Refused where the text errs."""
    frames = [name for name in TEMPORAL if _given(layer, group, name)]
    if getattr(layer, "temporal", False):
        return _with_frames(layer, group, rank, kernel)
    if frames and not getattr(layer, "planes_alone", False):
        layer.fail(f"{frames[0]} is for Convolution3D and Pooling3D", group, frames[0])
    shapes = [name for name in SHAPES if _given(layer, group, name)]
    if shapes and not getattr(layer, "takes_shapes", False):
        layer.fail(f"{shapes[0]} is for NdConvolution and NdPooling", group, shapes[0])
    pad = _per_axis(layer, group, rank, "pad", 0)
    sides = side_pads(layer, group)
    if sides is not None:
        top, below, left, right = sides
        if any(pad) or rank != 2:
            layer.fail("pad_l, _r, _t and _b go alone, with 2 spatial axes", group, "pad_l")
        if (top, left) != (below, right) and not getattr(layer, "pads_itself", False):
            layer.fail(
                "pads that differ from side to side are for Convolution and Pooling",
                group,
                "pad_l",
                expected="opposite sides alike",
            )
        pad = (0, 0) if getattr(layer, "pads_itself", False) else (top, left)
    return Window(
        kernel=_per_axis(layer, group, rank, "kernel_size", None) if kernel is None else kernel,
        stride=_per_axis(layer, group, rank, "stride", 1),
        pad=pad,
        dilation=_per_axis(layer, group, rank, "dilation", 1),
    )


TEMPORAL = ("kernel_depth", "temporal_stride", "temporal_pad")
"""C3D's fields of the first of three axes."""


SHAPES = {"kernel_shape": "kernel_size", "stride_shape": "stride", "pad_shape": "pad"}
"""video-caffe's fields, which have an extent for each axis, and the usual ones."""


def _given(layer: Layer, group: str, name: str) -> bool:
    param = layer.spec.get(group)
    return name in param.specs and param.has(name)


def has_frames(spec: LayerParameter, group: str) -> bool:
    """Does the text give one of C3D's fields?"""
    param = spec.get(group)
    return any(name in param.specs and param.has(name) for name in TEMPORAL)


def _with_frames(layer: Layer, group: str, rank: int, kernel: Shape | None) -> Window:
    """A window over frames, rows and columns."""
    if rank != 3:
        layer.fail(
            f"frames need 3 spatial axes, not {rank}", "bottom", expected="N x C x L x H x W"
        )
    layer.need(group, "kernel_depth", expected="the frames of a window, kernel_depth: 3")
    param = layer.spec.get(group)
    return Window(
        kernel=(param.kernel_depth, *(kernel or _per_axis(layer, group, 2, "kernel_size", None))),
        stride=(param.temporal_stride, *_per_axis(layer, group, 2, "stride", 1)),
        pad=(param.temporal_pad, *_per_axis(layer, group, 2, "pad", 0)),
        dilation=(1, *_per_axis(layer, group, 2, "dilation", 1)),
    )


SIDES = ("pad_t", "pad_b", "pad_l", "pad_r")


def side_pads(layer: Layer, group: str) -> tuple[int, int, int, int] | None:
    """The pads above, below, left and right, where the text gives them side by side."""
    param = layer.spec.get(group)
    if not any(side in param.specs and param.has(side) for side in SIDES):
        return None
    top, below, left, right = (int(param.get(side)) for side in SIDES)
    return top, below, left, right


def padded(
    cls: type[Layer], spec: LayerParameter, group: str, name: str, always: bool = False
) -> type[Layer]:
    """`cls`, or the layer `name` where pads differ from side to side, or `always`."""
    param = spec.get(group)
    differ = (param.pad_t, param.pad_l) != (param.pad_b, param.pad_r)
    return registry[name] if cls.type != name and (differ or always) else cls


def _per_axis(layer: Layer, group: str, rank: int, name: str, default: int | None) -> Shape:
    """One value for each spatial axis, from NAME or from NAME_h and NAME_w."""
    param = layer.spec.get(group)
    stem = name.removesuffix("_size")
    sides = [side for side in (f"{stem}_h", f"{stem}_w") if side in param.specs]
    given = [side for side in sides if param.has(side)]
    values = param.get(name) if name in param.specs and param.has(name) else []
    values = [int(v) for v in values] if isinstance(values, list) else [values]
    rest = param.specs[name].rest if name in param.specs else ""
    values += param.get(rest) if rest else []
    how = f"{name}, once or once per spatial axis ({rank})"
    if given and rank != 2:
        message = f"{given[0]} is for 2 spatial axes, but there are {rank}"
        layer.fail(message, group, given[0], expected=how)
    if given and values:
        expected = f"either {name}, or {' and '.join(sides)}"
        layer.fail(f"both {name} and {given[0]} are given", group, given[0], expected=expected)
    if len(given) == 1 and name != "pad":
        missing = sides[1 - sides.index(given[0])]
        message = f"{given[0]} is given, but {missing} is not"
        layer.fail(message, group, given[0], expected=" and ".join(sides))
    if given:
        return tuple(param.get(side) for side in sides)
    if not values and default is None and rank:
        expected = f"the extent of the window, {group} {{ {name}: 3 }}"
        layer.fail(f"{name} is missing", group, expected=expected)
    values = values or [default or 0]
    if len(values) not in (1, rank):
        message = f"{name} is given {len(values)} times, but there are {rank} spatial axes"
        layer.fail(message, group, name, expected=how)
    return tuple(values * rank if len(values) == 1 else values)


def check_fit(
    layer: Layer,
    group: str,
    window: Window,
    spatial: Shape,
    moved: Shape,
    hint: str | None = None,
) -> None:
    """Refuse a window that leaves nothing of a plane: `moved` is what the top would be."""
    if any(size < 1 for size in moved):
        top, span, plane, pad = (
            " x ".join(map(str, sizes)) for sizes in (moved, window.span, spatial, window.pad)
        )
        layer.fail(
            f"the top would be {top}: a window of {span} does not go with the bottom's {plane} "
            f"and a pad of {pad}",
            group,
            "kernel_size" if layer.spec.get(group).has("kernel_size") else "kernel_h",
            expected="a window no larger than the padded input",
            hint=hint,
        )

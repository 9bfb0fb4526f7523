"""Nets and solvers in Caffe's old formats → today's, as Caffe itself upgrades them.

In this order: V0 → V1, old fields of data layers, V1 → today's, `input` fields, BatchNorm
parameters. Places in the text go along, so that later errors still point into the file.
"""

from __future__ import annotations

from caffelite.errors import Problem, SchemaError
from caffelite.schema.common import BlobShape
from caffelite.schema.legacy_forks import align, of_a_fork, take_over
from caffelite.schema.legacy_fused import take_apart
from caffelite.schema.legacy_messages import (
    V1LayerParameter,
    V1LayerType,
    declare,
    take,
)
from caffelite.schema.legacy_v0 import from_v0
from caffelite.schema.net import LayerParameter, NetParameter, ParamSpec
from caffelite.schema.solver import SolverParameter, SolverType

__all__ = ["declare", "of_a_fork", "upgrade_net", "upgrade_solver"]


def upgrade_net(net: NetParameter, copy: bool = True) -> tuple[NetParameter, list[str]]:
    """The net in today's format, and what was done to it, a line for each kind of upgrade.

    Raises SchemaError where the formats are mixed or Caffe would have refused too. `net` itself
    stays as it is unless `copy` is False.
    """
    declare()
    _refuse_mixtures(net)
    done: list[str] = []
    if copy:
        net = net.copy()
    layers: list[V1LayerParameter] = net.get("layers")
    if any(layer.has("layer") for layer in layers):
        layers = from_v0(layers, done)
        done.append("upgraded from Caffe's V0 format")
    moved = [layer.name for layer in layers if _move_transform(layer)]
    if moved:
        done.append(f"transformation fields moved to transform_param ({', '.join(moved)})")
    if layers:
        net.layer = [_from_v1(layer) for layer in layers]
        crops = [layer for layer in net.layer if layer.type == "Crop"]
        for crop in crops:
            if not crop.has("crop_param"):
                crop.get("crop_param").offset = align(crop, net.layer)
        net._spans["layer"] = net._spans.pop("layers", [])
        net._values.pop("layers")
        if not any("V0" in line for line in done):
            done.append("upgraded from Caffe's V1 format")
        done += [
            f"{crop.name} leaves out {', '.join(map(str, crop.get('crop_param').offset))} pixels "
            "in front, so that its bottoms lie on each other"
            for crop in crops
        ]
    holed = [layer.name for layer in net.layer if _holes_to_dilation(layer)]
    if holed:
        done.append(f"hole became dilation ({', '.join(holed)})")
    if net.has("input"):
        done.append(_inputs_to_layer(net))
    fixed = [layer.name for layer in net.layer if _fix_batch_norm(layer)]
    if fixed:
        done.append(f"BatchNorm statistics marked as not learned ({', '.join(fixed)})")
    return net, done + take_apart(net)


def upgrade_solver(param: SolverParameter) -> tuple[SolverParameter, list[str]]:
    """As `upgrade_net`, for a solver and the nets written in it: `solver_type` → `type`."""
    param = param.copy()
    done: list[str] = []
    if param.has("solver_type"):
        if param.has("type"):
            raise SchemaError(
                Problem(
                    "type and solver_type are both given",
                    param.span("solver_type"),
                    hint="solver_type is the old form; remove it",
                )
            )
        take(param, "solver_type", param, "type", _SOLVER_TYPES[param.solver_type])
        param.solver_type = None  # type: ignore[assignment]
        done.append(f'solver_type became type: "{param.type}"')
    for name in ("net_param", "train_net_param"):
        if param.has(name):
            net, lines = upgrade_net(param.get(name))
            setattr(param, name, net)
            done += lines
    for i, inner in enumerate(param.test_net_param):
        param.test_net_param[i], lines = upgrade_net(inner)
        done += lines
    return param, done


_SOLVER_TYPES = {
    SolverType.SGD: "SGD",
    SolverType.NESTEROV: "Nesterov",
    SolverType.ADAGRAD: "AdaGrad",
    SolverType.RMSPROP: "RMSProp",
    SolverType.ADADELTA: "AdaDelta",
    SolverType.ADAM: "Adam",
}


def _refuse_mixtures(net: NetParameter) -> None:
    old, new = net.get("layers"), net.layer
    if old and new:
        few, many = ("layer", "layers") if len(new) < len(old) else ("layers", "layer")
        other = net.span(many)
        where = f", the first on line {other.line}" if other else ""
        raise SchemaError(
            Problem(
                f'"layer" and "layers" are mixed: {len(net.get(few))} "{few}" among '
                f'{len(net.get(many))} "{many}"{where}',
                net.span(few),
                expected=f'"{many}" throughout',
                hint="`caffelite upgrade` rewrites old layers, if they are alone in a file",
            )
        )
    v0 = [layer for layer in old if layer.has("layer")]
    v1 = [layer for layer in old if not layer.has("layer")]
    if v0 and v1:
        first = min(v0, v1, key=len)[0]
        raise SchemaError(
            Problem(
                "layers of Caffe's V0 format (layers { layer { … } }) and of its V1 format are "
                "mixed",
                first.span(),
                hint="upgrade them in files of their own, with `caffelite upgrade`",
            )
        )


# V1 to today's.

_DATA_PARAMS = {
    V1LayerType.DATA: "data_param",
    V1LayerType.IMAGE_DATA: "image_data_param",
    V1LayerType.WINDOW_DATA: "window_data_param",
}


TRANSFORM_FIELDS = ("scale", "mean_file", "crop_size", "mirror")
"""What the messages of data layers once said and transform_param says now."""


def _move_transform(layer: V1LayerParameter) -> bool:
    """scale, mean_file, crop_size and mirror of a data layer go to transform_param."""
    name = _DATA_PARAMS.get(layer.type)
    if name is None or not layer.has(name):
        return False
    param = layer.get(name)
    moved = [f for f in TRANSFORM_FIELDS if param.has(f)]
    for field in moved:
        take(param, field, layer.transform_param, field)
        setattr(param, field, None)
    return bool(moved)


_TODAY = {
    V1LayerType.NONE: "",
    V1LayerType.ABSVAL: "AbsVal",
    V1LayerType.ARGMAX: "ArgMax",
    V1LayerType.BNLL: "BNLL",
    V1LayerType.CONVOLUTION3D: "Convolution3D",
    V1LayerType.POOLING3D: "Pooling3D",
    V1LayerType.HDF5_DATA: "HDF5Data",
    V1LayerType.HDF5_OUTPUT: "HDF5Output",
    V1LayerType.IM2COL: "Im2col",
    V1LayerType.LRN: "LRN",
    V1LayerType.MVN: "MVN",
    V1LayerType.RELU: "ReLU",
    V1LayerType.SOFTMAX_LOSS: "SoftmaxWithLoss",
    V1LayerType.TANH: "TanH",
}
"""The types whose new name is not the old one in CamelCase."""

_PARAM_FIELDS = {
    "param": "name",
    "blob_share_mode": "share_mode",
    "blobs_lr": "lr_mult",
    "weight_decay": "decay_mult",
}


def _from_v1(old: V1LayerParameter) -> LayerParameter:
    new = LayerParameter()
    new._span, new._explicit = old._span, True
    for spec, value in old.set_fields():
        name = spec.name
        if name == "type":
            camel = old.type.name.title().replace("_", "")
            take(old, name, new, value=_TODAY.get(old.type, camel))
        elif name in _PARAM_FIELDS:
            for i, item in enumerate(value):
                if len(new.param) <= i:
                    new.param.append(ParamSpec())
                    new.param[i]._span = old.span(name, i)
                take(old, name, new.param[i], _PARAM_FIELDS[name], item, index=i)
        else:
            take(old, name, new)
    take_over(old, new)
    return new


# Today's format, older habits.


def _holes_to_dilation(layer: LayerParameter) -> bool:
    """DeepLab's `hole`, or `hole_h` and `hole_w`, is `dilation`."""
    name = "convolution_param"
    if not layer.has(name):
        return False
    param = layer.get(name)
    given = [n for n in ("hole", "hole_h", "hole_w") if param.has(n)]
    if not given:
        return False
    if param.has("dilation") or len(given) == 3 or (len(given) == 2 and "hole" in given):
        both = "dilation" if param.has("dilation") else given[1]
        message = f'layer "{layer.name}": {given[0]} and {both} are both given'
        raise SchemaError(Problem(message, param.span(given[0]), "dilation, hole's new name"))
    values = [param.hole] if given == ["hole"] else [param.hole_h or 1, param.hole_w or 1]
    take(param, given[0], param, "dilation", values)
    for n in given:
        setattr(param, n, None)
    return True


def _inputs_to_layer(net: NetParameter) -> str:
    """`input` with `input_shape` or `input_dim` becomes an Input layer in front."""
    names = net.input
    by_shape = net.has("input_shape")
    given, wanted = "input_shape" if by_shape else "input_dim", len(names) * (1 if by_shape else 4)
    found = len(net.get(given))
    if found and found != wanted:
        raise SchemaError(
            Problem(
                f"{found} {given} for {len(names)} input",
                net.span(given),
                expected=f"{'one' if by_shape else 'four'} for each input",
            )
        )
    if found:
        layer = LayerParameter(name="input", type="Input", top=names)
        layer._span = net.span("input")
        layer._spans["top"] = net._spans.get("input", [])
        dims = net.input_dim
        shapes = (
            [shape.copy() for shape in net.input_shape]
            if by_shape
            else [BlobShape(dim=dims[i : i + 4]) for i in range(0, wanted, 4)]
        )
        layer.get("input_param").shape = shapes
        layer.get("input_param")._spans["shape"] = net._spans.get(given, [])
        net.layer = [layer, *net.layer]
        span = layer._span
        if span is not None:
            net._spans["layer"] = [span, *net._spans.get("layer", [])]
    for name in ("input", "input_shape", "input_dim"):
        setattr(net, name, None)
        net._spans.pop(name, None)
    done = "became an Input layer" if found else "left out: it has no shape"
    return f"input {', '.join(names)} {done}"


def _fix_batch_norm(layer: LayerParameter) -> bool:
    """BatchNorm's three parameters are statistics; old files said so with lr_mult alone."""
    if layer.type != "BatchNorm" or len(layer.param) != 3:
        return False
    learned = [p for p in layer.param if p.lr_mult or p.decay_mult]
    for spec in layer.param:
        spec.lr_mult = spec.decay_mult = 0.0
    return bool(learned)

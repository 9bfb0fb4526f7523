"""Layers of Caffe's V0 format → V1: one message for all types becomes one for each."""

from __future__ import annotations

from caffelite.errors import Problem, SchemaError, did_you_mean
from caffelite.schema.legacy_messages import (
    V0LayerParameter,
    V1LayerParameter,
    V1LayerType,
    take,
)

_V0_TYPES = {
    type.name.lower(): type
    for type in V1LayerType
    if type.name
    in (
        "ACCURACY",
        "BNLL",
        "CONCAT",
        "DATA",
        "DROPOUT",
        "EUCLIDEAN_LOSS",
        "FLATTEN",
        "HDF5_DATA",
        "HDF5_OUTPUT",
        "IM2COL",
        "INFOGAIN_LOSS",
        "LRN",
        "MULTINOMIAL_LOGISTIC_LOSS",
        "RELU",
        "SIGMOID",
        "SOFTMAX",
        "SOFTMAX_LOSS",
        "SPLIT",
        "TANH",
        "WINDOW_DATA",
    )
} | {
    "conv": V1LayerType.CONVOLUTION,
    "images": V1LayerType.IMAGE_DATA,
    "innerproduct": V1LayerType.INNER_PRODUCT,
    "pool": V1LayerType.POOLING,
}

_V0_PARAM = {
    "conv": "convolution_param",
    "innerproduct": "inner_product_param",
    "pool": "pooling_param",
    "dropout": "dropout_param",
    "lrn": "lrn_param",
    "data": "data_param",
    "hdf5_data": "hdf5_data_param",
    "images": "image_data_param",
    "window_data": "window_data_param",
    "infogain_loss": "infogain_loss_param",
    "concat": "concat_param",
}

# Field: the types that it means something to, and its name there if that has changed.
_V0_FIELDS: dict[str, tuple[str, str]] = {
    "num_output": ("conv innerproduct", ""),
    "biasterm": ("conv innerproduct", "bias_term"),
    "weight_filler": ("conv innerproduct", ""),
    "bias_filler": ("conv innerproduct", ""),
    "pad": ("conv pool", ""),
    "kernelsize": ("conv pool", "kernel_size"),
    "group": ("conv", ""),
    "stride": ("conv pool", ""),
    "pool": ("pool", ""),
    "dropout_ratio": ("dropout", ""),
    "local_size": ("lrn", ""),
    "alpha": ("lrn", ""),
    "beta": ("lrn", ""),
    "k": ("lrn", ""),
    "source": ("data hdf5_data images window_data infogain_loss", ""),
    "batchsize": ("data hdf5_data images window_data", "batch_size"),
    "rand_skip": ("data images", ""),
    "shuffle_images": ("images", "shuffle"),
    "new_height": ("images", ""),
    "new_width": ("images", ""),
    "concat_dim": ("concat", ""),
    "det_fg_threshold": ("window_data", "fg_threshold"),
    "det_bg_threshold": ("window_data", "bg_threshold"),
    "det_fg_fraction": ("window_data", "fg_fraction"),
    "det_context_pad": ("window_data", "context_pad"),
    "det_crop_mode": ("window_data", "crop_mode"),
}
_V0_TRANSFORM = {
    "scale": "scale",
    "meanfile": "mean_file",
    "cropsize": "crop_size",
    "mirror": "mirror",
}


def from_v0(layers: list[V1LayerParameter], done: list[str]) -> list[V1LayerParameter]:
    return [_v0_layer(layer, done) for layer in _fold_padding(layers)]


def _fold_padding(layers: list[V1LayerParameter]) -> list[V1LayerParameter]:
    """Padding layers become the `pad` of the convolution or pooling that reads them."""
    maker: dict[str, V1LayerParameter] = {}
    kept = []
    for layer in layers:
        old = layer.layer
        for j, bottom in enumerate(layer.bottom):
            source = maker.get(bottom)
            if source is None or source.layer.type != "padding":
                continue
            alone = len(layer.bottom) == len(source.bottom) == len(source.top) == 1
            if old.type not in ("conv", "pool") or not alone:
                raise SchemaError(
                    Problem(
                        f'padding layer "{source.layer.name}" is read by '
                        f'"{old.name}" of type "{old.type}"',
                        layer.span("bottom", j),
                        expected="a conv or pool layer that reads the padding alone",
                    )
                )
            take(source.layer, "pad", old)
            layer.bottom[j] = source.bottom[0]
        if old.type != "padding":
            kept.append(layer)
        for top in layer.top:
            maker[top] = layer
    return kept


def _v0_layer(layer: V1LayerParameter, done: list[str]) -> V1LayerParameter:
    old: V0LayerParameter = layer.layer
    new = V1LayerParameter()
    new._span = layer._span
    for name in ("bottom", "top"):
        if layer.has(name):
            take(layer, name, new)
    if old.has("type") and old.type not in _V0_TYPES:
        raise SchemaError(
            Problem(
                f'Caffe\'s V0 format has no layer type "{old.type}"',
                old.span("type"),
                expected="one of " + ", ".join(sorted([*_V0_TYPES, "padding"])),
                hint=did_you_mean(old.type, _V0_TYPES),
            )
        )
    for spec, _ in old.set_fields():
        name = spec.name
        types, renamed = _V0_FIELDS.get(name, ("", ""))
        if name == "type":
            take(old, name, new, value=_V0_TYPES[old.type])
        elif name in ("name", "blobs", "blobs_lr", "weight_decay"):
            take(old, name, new)
        elif name in _V0_TRANSFORM:
            take(old, name, new.transform_param, _V0_TRANSFORM[name])
        elif name == "hdf5_output_param" and old.type == "hdf5_output":
            take(old, name, new)
        elif old.type in types.split():
            take(old, name, new.get(_V0_PARAM[old.type]), renamed)
        else:
            done.append(f'{name} of layer "{old.name}" left out: it means nothing to {old.type}')
    return new

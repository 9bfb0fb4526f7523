"""The messages of Caffe's two old net formats.

V1 (2014): `layers { type: CONVOLUTION … }`. V0 (2013): `layers { layer { type: "conv" … } }`, with
all parameters in one message. The parameter messages in a V1 layer (`convolution_param`) are
today's under old numbers; `declare` takes them from LayerParameter once the layers are there.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial
from typing import Any

from caffelite.schema.common import (
    BlobProto,
    FillerParameter,
    LossParameter,
    TransformationParameter,
)
from caffelite.schema.data import HDF5OutputParameter
from caffelite.schema.late import Late
from caffelite.schema.message import FieldSpec, Message, field, repeated
from caffelite.schema.net import DimCheckMode, LayerParameter, NetParameter, NetStateRule


class V0PoolMethod(IntEnum):
    """Pooling in the V0 format."""

    MAX = 0
    AVE = 1
    STOCHASTIC = 2


class V0LayerParameter(Message):
    """A layer of the V0 format: the parameters of all types together."""

    name: str = field(1, "string")
    type: str = field(2, "string")
    num_output: int = field(3, "uint32")
    biasterm: bool = field(4, "bool", default=True)
    weight_filler: FillerParameter = field(5, FillerParameter)
    bias_filler: FillerParameter = field(6, FillerParameter)
    pad: int = field(7, "uint32", default=0)
    kernelsize: int = field(8, "uint32")
    group: int = field(9, "uint32", default=1)
    stride: int = field(10, "uint32", default=1)
    pool: V0PoolMethod = field(11, V0PoolMethod, default=V0PoolMethod.MAX)
    dropout_ratio: float = field(12, "float", default=0.5)
    local_size: int = field(13, "uint32", default=5)
    alpha: float = field(14, "float", default=1.0)
    beta: float = field(15, "float", default=0.75)
    k: float = field(22, "float", default=1.0)
    source: str = field(16, "string")
    scale: float = field(17, "float", default=1.0)
    meanfile: str = field(18, "string")
    batchsize: int = field(19, "uint32")
    cropsize: int = field(20, "uint32", default=0)
    mirror: bool = field(21, "bool", default=False)
    blobs: list[BlobProto] = repeated(50, BlobProto)
    blobs_lr: list[float] = repeated(51, "float")
    weight_decay: list[float] = repeated(52, "float")
    rand_skip: int = field(53, "uint32", default=0)
    det_fg_threshold: float = field(54, "float", default=0.5)
    det_bg_threshold: float = field(55, "float", default=0.5)
    det_fg_fraction: float = field(56, "float", default=0.25)
    det_context_pad: int = field(58, "uint32", default=0)
    det_crop_mode: str = field(59, "string", default="warp")
    new_num: int = field(60, "int32", default=0)
    new_channels: int = field(61, "int32", default=0)
    new_height: int = field(62, "int32", default=0)
    new_width: int = field(63, "int32", default=0)
    shuffle_images: bool = field(64, "bool", default=False)
    concat_dim: int = field(65, "uint32", default=1)
    hdf5_output_param: HDF5OutputParameter = field(1001, HDF5OutputParameter)


class V1LayerType(IntEnum):
    """The layer types of the V1 format."""

    NONE = 0
    ABSVAL = 35
    ACCURACY = 1
    ARGMAX = 30
    BNLL = 2
    CONCAT = 3
    CONTRASTIVE_LOSS = 37
    CONVOLUTION = 4
    DATA = 5
    DECONVOLUTION = 39
    DROPOUT = 6
    DUMMY_DATA = 32
    EUCLIDEAN_LOSS = 7
    ELTWISE = 25
    EXP = 38
    FLATTEN = 8
    HDF5_DATA = 9
    HDF5_OUTPUT = 10
    HINGE_LOSS = 28
    IM2COL = 11
    IMAGE_DATA = 12
    INFOGAIN_LOSS = 13
    INNER_PRODUCT = 14
    LRN = 15
    MEMORY_DATA = 29
    MULTINOMIAL_LOGISTIC_LOSS = 16
    MVN = 34
    POOLING = 17
    POWER = 26
    RELU = 18
    SIGMOID = 19
    SIGMOID_CROSS_ENTROPY_LOSS = 27
    SILENCE = 36
    SOFTMAX = 20
    SOFTMAX_LOSS = 21
    SPLIT = 22
    SLICE = 33
    TANH = 23
    WINDOW_DATA = 24
    THRESHOLD = 31

    CONVOLUTION3D = 1030  # C3D, 30
    POOLING3D = 1031  # C3D, 31


class V1LayerParameter(Message):
    """A layer of the V1 format; of the V0 format, if `layer` is set."""

    bottom: list[str] = repeated(2, "string")
    top: list[str] = repeated(3, "string")
    name: str = field(4, "string")
    include: list[NetStateRule] = repeated(32, NetStateRule)
    exclude: list[NetStateRule] = repeated(33, NetStateRule)
    type: V1LayerType = field(5, V1LayerType)
    blobs: list[BlobProto] = repeated(6, BlobProto)
    param: list[str] = repeated(1001, "string")
    blob_share_mode: list[DimCheckMode] = repeated(1002, DimCheckMode)
    blobs_lr: list[float] = repeated(7, "float")
    weight_decay: list[float] = repeated(8, "float")
    loss_weight: list[float] = repeated(35, "float")
    transform_param: TransformationParameter = field(36, TransformationParameter)
    loss_param: LossParameter = field(42, LossParameter)
    layer: V0LayerParameter = field(1, V0LayerParameter)


_NUMBERS = {
    "accuracy_param": 27,
    "argmax_param": 23,
    "concat_param": 9,
    "contrastive_loss_param": 40,
    "convolution_param": 10,
    "data_param": 11,
    "dropout_param": 12,
    "dummy_data_param": 26,
    "eltwise_param": 24,
    "exp_param": 41,
    "hdf5_data_param": 13,
    "hdf5_output_param": 14,
    "hinge_loss_param": 29,
    "image_data_param": 15,
    "infogain_loss_param": 16,
    "inner_product_param": 17,
    "lrn_param": 18,
    "memory_data_param": 22,
    "mvn_param": 34,
    "pooling_param": 19,
    "power_param": 21,
    "relu_param": 30,
    "sigmoid_param": 38,
    "softmax_param": 39,
    "slice_param": 31,
    "tanh_param": 37,
    "threshold_param": 25,
    "window_data_param": 20,
}


def declare() -> None:
    """Give V1LayerParameter the layers' own messages. Call it when there are layers."""
    for name, number in _NUMBERS.items():
        today = LayerParameter.specs.get(name)
        if today is not None and name not in V1LayerParameter.specs:
            V1LayerParameter.add_field(name, Late(number, partial(getattr, today, "type")))


NetParameter.add_field(
    "layers",
    FieldSpec(2, V1LayerParameter, repeated=True, deprecated=True, doc="old: the layers"),
)


def take(
    source: Message, name: str, target: Message, to: str = "", value: Any = None, index: int = -1
) -> None:
    """Set `target`'s field `to` (the same name if not given) from `source`'s `name`, with its
    place; only the `index`-th value of a repeated field if that is not negative."""
    to = to or name
    setattr(target, to, source.get(name) if value is None else value)
    spans = source._spans.get(name)
    if spans:
        target._spans[to] = spans if index < 0 else spans[index : index + 1]

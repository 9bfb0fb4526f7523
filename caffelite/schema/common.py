"""Messages that many others use: shapes, stored blobs, fillers, phases."""

from __future__ import annotations

from enum import IntEnum

from caffelite.schema.augment import (
    DistortionParameter,
    EmitConstraint,
    ExpansionParameter,
    NoiseParameter,
    ResizeParameter,
)
from caffelite.schema.message import Message, field, repeated


class Phase(IntEnum):
    """What a net is built for."""

    TRAIN = 0
    TEST = 1


class BlobShape(Message):
    """The extents of a blob, outermost first."""

    dim: list[int] = repeated(1, "int64", packed=True, doc="extents, outermost first")


class RawType(IntEnum):
    """The type of values that are stored as bytes (NVCaffe, OpenCV)."""

    DOUBLE = 0
    FLOAT = 1
    FLOAT16 = 2
    INT = 3
    UINT = 4
    BOOL = 5


class BlobProto(Message):
    """A stored blob: the values of a parameter, of a mean image or of a solver's history.

    The `raw_` fields are of NVCaffe and of what OpenCV's shrinkCaffeModel writes: values as bytes,
    little-endian, in place of `data`."""

    shape: BlobShape = field(7, BlobShape, doc="the shape")
    data: list[float] = repeated(5, "float", packed=True, doc="values, row-major")
    diff: list[float] = repeated(6, "float", packed=True, doc="gradient, row-major")
    double_data: list[float] = repeated(8, "double", packed=True, doc="values in float64")
    double_diff: list[float] = repeated(9, "double", packed=True, doc="gradient in float64")
    num: int = field(1, "int32", default=0, deprecated=True, doc="old 4-D shape, axis 0")
    channels: int = field(2, "int32", default=0, deprecated=True, doc="old 4-D shape, axis 1")
    height: int = field(3, "int32", default=0, deprecated=True, doc="old 4-D shape, axis 2")
    width: int = field(4, "int32", default=0, deprecated=True, doc="old 4-D shape, axis 3")
    raw_data_type: RawType = field(10, RawType, doc="the type of raw_data")
    raw_diff_type: RawType = field(11, RawType, idle="stored gradients are not read")
    raw_data: bytes = field(12, "bytes", doc="values as bytes, row-major")
    raw_diff: bytes = field(13, "bytes", idle="stored gradients are not read")


class BlobProtoVector(Message):
    """Several stored blobs."""

    blobs: list[BlobProto] = repeated(1, BlobProto)


class VarianceNorm(IntEnum):
    """Which count of connections a filler keeps the variance constant for."""

    FAN_IN = 0
    FAN_OUT = 1
    AVERAGE = 2


class FillerParameter(Message):
    """How a parameter gets its first values."""

    type: str = field(
        1,
        "string",
        default="constant",
        doc="constant, uniform, gaussian, xavier, msra, positive_unitball, bilinear, or "
        "gaussian_unitball of happynear's fork",
    )
    value: float = field(2, "float", default=0.0, doc="the value (constant)")
    min: float = field(3, "float", default=0.0, doc="lower bound (uniform)")
    max: float = field(4, "float", default=1.0, doc="upper bound (uniform)")
    mean: float = field(5, "float", default=0.0, doc="mean (gaussian)")
    std: float = field(6, "float", default=1.0, least=0, doc="standard deviation (gaussian)")
    sparse: int = field(
        7,
        "int32",
        default=-1,
        least=-1,
        doc="expected non-zero inputs per output; -1: all (gaussian)",
    )
    variance_norm: VarianceNorm = field(
        8, VarianceNorm, default=VarianceNorm.FAN_IN, doc="what to divide by (xavier, msra)"
    )
    alpha: float = field(
        9, "float", default=0.0, doc="happynear: the negative slope of the PReLU behind (msra)"
    )


class LossNormalization(IntEnum):
    """What a loss is divided by."""

    FULL = 0
    VALID = 1
    BATCH_SIZE = 2
    NONE = 3
    PRE_FIXED = 4


class LossParameter(Message):
    """What the losses have in common."""

    ignore_label: int = field(1, "int32", doc="samples with this label do not count")
    normalization: LossNormalization = field(
        3,
        LossNormalization,
        default=LossNormalization.VALID,
        doc="FULL: all labels; VALID: those not ignored; BATCH_SIZE: axis 0; NONE: 1; PRE_FIXED "
        "(R-FCN, there 3, and NONE 4): pre_fixed_normalizer",
    )
    pre_fixed_normalizer: float = field(
        4, "float", default=1.0, above=0, doc="R-FCN: what PRE_FIXED divides by"
    )
    normalize: bool = field(
        2, "bool", deprecated=True, doc="old: true is VALID, false is BATCH_SIZE"
    )
    weight_by_label_freqs: bool = field(
        1003, "bool", default=False, doc="SegNet (there 3): weigh samples by their class?"
    )
    class_weighting: list[float] = repeated(
        1004, "float", least=0, doc="SegNet (there 4): the classes' weights"
    )


class TransformationParameter(Message):
    """How images are prepared, in training and testing alike."""

    scale: float = field(1, "float", default=1.0, doc="factor, after the mean is subtracted")
    mirror: bool = field(2, "bool", default=False, doc="flip left-right at random")
    crop_size: int = field(3, "uint32", default=0, doc="side of the crop; 0: none")
    mean_file: str = field(4, "string", doc="mean image to subtract (.binaryproto)")
    mean_value: list[float] = repeated(5, "float", doc="mean per channel, or one for all")
    force_color: bool = field(6, "bool", default=False, doc="decode to three channels")
    force_gray: bool = field(7, "bool", default=False, doc="decode to one channel")

    # The SSD fork's.
    resize_param: ResizeParameter = field(8, ResizeParameter, doc="SSD: bring images to a size")
    noise_param: NoiseParameter = field(9, NoiseParameter, doc="SSD: treat images after that")
    emit_constraint: EmitConstraint = field(
        10, EmitConstraint, doc="SSD, AnnotatedData: which boxes of a crop stay"
    )
    crop_h: int = field(11, "uint32", default=0, doc="SSD: height of the crop, with crop_w")
    crop_w: int = field(12, "uint32", default=0, doc="SSD: width of the crop")
    distort_param: DistortionParameter = field(
        13, DistortionParameter, doc="SSD, AnnotatedData: change colours by chance"
    )
    expand_param: ExpansionParameter = field(
        14, ExpansionParameter, doc="SSD, AnnotatedData: put images on a larger ground by chance"
    )


NO_CHOICE = "--engine says what computes, for the whole net"
"""Why a layer's `engine` has no effect."""


class Engine(IntEnum):
    """Which implementation Caffe was to use."""

    DEFAULT = 0
    CAFFE = 1
    CUDNN = 2
